package engine

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
)

// halves are the two parts of a packet of n bytes whose content follows its id.
func halves(pool *packet.Pool, id uint16, n int) (first, second *packet.Buf, whole []byte) {
	whole = bytes.Repeat([]byte{byte(id), byte(id >> 8), 7}, n/3+1)[:n]
	first, second = pool.Get(), pool.Get()
	first.Set(whole[:n/2])
	second.Set(whole[n/2:])
	return first, second, whole
}

func frameOf(id uint16, part wire.Part) *wire.DataFrame {
	return &wire.DataFrame{PartID: id, Part: part}
}

func TestPartsJoin(t *testing.T) {
	for _, secondFirst := range []bool{false, true} {
		pool := packet.NewPool(4)
		var p parts
		var drops stats.Drops
		a, b, whole := halves(pool, 5, 1401)
		pa, pb := wire.FirstPart, wire.SecondPart
		if secondFirst {
			a, b, pa, pb = b, a, pb, pa
		}
		if got := p.join(1, frameOf(5, pa), a, &drops); got != nil {
			t.Fatal("whole after one half")
		}
		got := p.join(2, frameOf(5, pb), b, &drops)
		if got == nil || !bytes.Equal(got.Bytes(), whole) {
			t.Fatal("not the packet")
		}
		got.Release()
		lent, _ := pool.Lent()
		want(t, "lent", lent, 0)
		want(t, "drops", drops.Total(), 0)
	}
}

// Halves in any order, some lost, some twice, ids that wrap: a whole is only ever made of its own halves, what is left
// over is let go and counted, and the waiting room is bounded.
func TestPartsInAnyOrder(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 8))
		pool := packet.NewPool(10000)
		var p parts
		var drops stats.Drops
		type piece struct {
			id   uint16
			part wire.Part
			buf  *packet.Buf
			n    int
		}
		now := mono.Time(time.Hour)
		put, joined := uint64(0), uint64(0)
		var waiting []piece
		for i := range 2000 {
			id := uint16(65000 + i)
			n := 10 + rng.IntN(1400)
			a, b, _ := halves(pool, id, n)
			for _, h := range []piece{{id, wire.FirstPart, a, n}, {id, wire.SecondPart, b, n}} {
				if rng.IntN(10) == 0 {
					h.buf.Release()
					continue
				}
				waiting = append(waiting, h)
			}
			for len(waiting) > 20 || i == 1999 && len(waiting) > 0 {
				k := rng.IntN(len(waiting))
				h := waiting[k]
				waiting[k] = waiting[len(waiting)-1]
				waiting = waiting[:len(waiting)-1]
				put++
				now = now.Add(time.Duration(rng.Int64N(int64(4 * ms))))
				if got := p.join(now, frameOf(h.id, h.part), h.buf, &drops); got != nil {
					joined++
					_, _, whole := halves(packet.NewPool(2), h.id, h.n)
					if !bytes.Equal(got.Bytes(), whole) {
						t.Fatalf("seed %d: packet %d is not itself", seed, h.id)
					}
					got.Release()
				}
				p.expire(now, &drops)
				if len(p.waiting) > maxParts {
					t.Fatalf("%d halves wait", len(p.waiting))
				}
			}
		}
		left := uint64(len(p.waiting))
		if drops[stats.PartTimeout]+2*joined+left != put {
			t.Errorf("seed %d: %d halves, %d joined, %d let go, %d wait", seed, put, 2*joined, drops[stats.PartTimeout], left)
		}
		if joined < 1000 {
			t.Errorf("seed %d: only %d joined", seed, joined)
		}
		p.drop()
		lent, _ := pool.Lent()
		want(t, "lent", lent, 0)
	}
}

// The same half twice is no packet, and does not make two of one.
func TestPartsTwice(t *testing.T) {
	pool := packet.NewPool(10)
	var p parts
	var drops stats.Drops
	whole := 0
	for _, part := range []wire.Part{wire.FirstPart, wire.FirstPart, wire.SecondPart, wire.SecondPart} {
		b := pool.Get()
		b.Set([]byte{1, 2, 3})
		if got := p.join(1, frameOf(9, part), b, &drops); got != nil {
			whole++
			got.Release()
		}
	}
	want(t, "packets", whole, 1)
	p.drop()
	lent, _ := pool.Lent()
	want(t, "lent", lent, 0)
}

// Halves wait for half a second.
func TestPartsExpire(t *testing.T) {
	pool := packet.NewPool(4)
	var p parts
	var drops stats.Drops
	a, b, _ := halves(pool, 1, 100)
	now := mono.Time(time.Hour)
	p.join(now, frameOf(1, wire.FirstPart), a, &drops)
	p.expire(now.Add(partLife), &drops)
	want(t, "too early", drops.Total(), 0)
	p.expire(now.Add(partLife+1), &drops)
	want(t, "in time", drops[stats.PartTimeout], 1)
	if p.join(now.Add(partLife+2), frameOf(1, wire.SecondPart), b, &drops) != nil {
		t.Error("joined with what was let go")
	}
	p.drop()
	lent, _ := pool.Lent()
	want(t, "lent", lent, 0)
}

// Two halves too long for a buffer are nobody's packet.
func TestPartsTooLong(t *testing.T) {
	pool := packet.NewPool(4)
	var p parts
	var drops stats.Drops
	a, b := pool.Get(), pool.Get()
	a.SetLen(packet.MaxBytes - 10)
	b.SetLen(11)
	p.join(1, frameOf(1, wire.FirstPart), a, &drops)
	if p.join(1, frameOf(1, wire.SecondPart), b, &drops) != nil {
		t.Error("joined")
	}
	want(t, "counted", drops[stats.MalformedFrame], 1)
	lent, _ := pool.Lent()
	want(t, "lent", lent, 0)
}

// Over a path too small for full packets everything arrives, once, under loss too.
func TestPartsOverSmallPath(t *testing.T) {
	for _, loss := range []float64{0, 0.05, 0.3} {
		w := newPair(t, 24, 1, nil)
		w.links[0].limit = 1300
		w.up()
		w.links[0].loss = loss
		for range 100 {
			w.give(0, 1, 1400, 1) // never a backlog: no lane
			w.give(1, 2, 1400, 6)
			w.run(20 * ms)
		}
		w.run(3 * time.Second)
		for i, s := range w.sides {
			if got := len(s.arrived); loss < 0.1 && got != w.sides[1-i].given {
				t.Errorf("loss %v: %d of %d arrived at side %d: %v", loss, got, w.sides[1-i].given, i, dropsOf(s))
			}
			want(t, "twice", s.twice(), 0)
			w.accounted(i)
		}
		w.close()
	}
}

// A packet of which both halves are lost is sent again once.
func TestBothHalvesLost(t *testing.T) {
	w := newPair(t, 31, 1, nil)
	w.links[0].limit = 1300
	w.up()
	w.run(2 * time.Second) // the size is found
	w.links[0].loss = 1
	w.give(0, 1, 1400, 1)
	w.run(ms)
	w.links[0].loss = 0
	w.give(0, 2, 100, 5)
	w.run(time.Second)
	want(t, "arrived", len(w.sides[1].arrived), 6)
	want(t, "repaired", w.sides[0].Counts().Repaired, 1)
	w.close()
}
