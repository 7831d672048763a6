package lane

import (
	"encoding/binary"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
)

const ms = time.Millisecond

// rig is a Receiver with a pool, a clock and what came out.
type rig struct {
	t    testing.TB
	r    *Receiver
	pool *packet.Pool
	now  mono.Time
	out  []*packet.Buf
	got  []uint32 // numbers of the packets returned since the last call of want
}

func newRig(t testing.TB, limit int) *rig {
	return &rig{t: t, r: NewReceiver(Params{LimitBytes: limit}), pool: packet.NewPool(1 << 17), now: mono.Time(time.Second)}
}

// two makes two paths: 0 is fastest, 1 later by relative; one repair takes 20 ms.
func (g *rig) two(relative time.Duration) *rig {
	g.r.SetPath(0, PathInfo{Up: true})
	g.r.SetPath(1, PathInfo{Up: true, Relative: relative, Deviation: ms})
	g.r.SetRepairWait(20 * ms)
	return g
}

// wait is how long a lost packet is waited for in a rig of two.
const wait = 2 * (25*ms + waitMargin)

func (g *rig) at(d time.Duration) *rig {
	g.now = mono.Time(time.Second).Add(d)
	return g
}

func (g *rig) buf(number uint32, size int) *packet.Buf {
	b := g.pool.Get()
	if b == nil {
		g.t.Fatal("the pool is empty")
	}
	b.SetLen(max(size, 4))
	binary.BigEndian.PutUint32(b.Bytes(), number)
	return b
}

// collect reads what was returned and releases it.
func (g *rig) collect() {
	for _, b := range g.out {
		g.got = append(g.got, binary.BigEndian.Uint32(b.Bytes()))
		b.Release()
	}
	g.out = g.out[:0]
}

// push brings originals of lane 0 over a path.
func (g *rig) push(path uint32, seqs ...uint32) *rig {
	for _, seq := range seqs {
		g.out = g.r.Push(g.now, 0, seq, path, false, g.buf(seq, 100), g.out)
		g.collect()
	}
	return g
}

// repair brings a repair of lane 0 over a path.
func (g *rig) repair(path, seq uint32) *rig {
	g.out = g.r.Push(g.now, 0, seq, path, true, g.buf(seq, 100), g.out)
	g.collect()
	return g
}

// fire calls OnTimeout whenever the Receiver asks for it, until the instant d.
func (g *rig) fire(d time.Duration) *rig {
	end := mono.Time(time.Second).Add(d)
	for n := 0; g.r.NextTimeout() <= end; n++ {
		if n > 10000 {
			g.t.Fatal("the timer stands still")
		}
		g.now = mono.Max(g.now, g.r.NextTimeout())
		g.out = g.r.OnTimeout(g.now, g.out)
		g.collect()
		if g.r.NextTimeout() <= g.now {
			g.t.Fatalf("the timer was set to the past at %v", g.now)
		}
	}
	g.now = end
	return g
}

// want checks what came out since the last time.
func (g *rig) want(numbers ...uint32) *rig {
	g.t.Helper()
	if len(g.got) != len(numbers) {
		g.t.Fatalf("got %v, want %v", g.got, numbers)
	}
	for i := range numbers {
		if g.got[i] != numbers[i] {
			g.t.Fatalf("got %v, want %v", g.got, numbers)
		}
	}
	g.got = g.got[:0]
	return g
}

// done checks that nothing is left anywhere.
func (g *rig) done() {
	g.t.Helper()
	if lent, _ := g.pool.Lent(); lent != 0 || g.r.cost != 0 || g.r.ringBytes != 0 || g.r.holding != nil {
		g.t.Errorf("%d buffers lent, cost %d, rings %d, holding %v", lent, g.r.cost, g.r.ringBytes, g.r.holding)
	}
	if s := g.r.Stats(); s.HeldPackets != 0 || s.HeldBytes != 0 {
		g.t.Errorf("%+v", s)
	}
	if g.r.NextTimeout() != mono.Never {
		g.t.Error("a timer is set")
	}
}
