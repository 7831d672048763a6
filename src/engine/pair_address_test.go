package engine

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/wire"
)

// watch keeps the books of what came to the server from each address and what went there before it answered a challenge.
type watch struct {
	came   map[netip.AddrPort]int
	proven map[netip.AddrPort]bool
}

// check compares the books with what the server has sent so far.
func (k *watch) check(w *pair) {
	s := w.sides[1]
	for _, p := range s.Paths() {
		if p.Peer.Validated() {
			k.proven[p.Peer.Remote] = true
		}
	}
	for to, went := range s.toward {
		if !k.proven[to] && went > k.came[to] {
			w.t.Fatalf("%d bytes to %v, which sent %d and never answered", went, to, k.came[to])
		}
	}
}

// The server sends no address more than came from it until it has answered: whoever copies the router's packets and
// sends them from wherever, whatever is lost, and however much there is to send.
func TestAmplification(t *testing.T) {
	for seed := range uint64(12) {
		w := newPair(t, 100+seed, 2, nil)
		rng := rand.New(rand.NewPCG(seed, 9))
		k := &watch{map[netip.AddrPort]int{}, map[netip.AddrPort]bool{}}
		until := w.now.Add(4 * time.Second)
		w.spoof = func(r *Received) bool {
			if w.now < until && rng.IntN(4) == 0 {
				// Nobody there answers.
				r.From = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(6))}), uint16(rng.IntN(3)))
			}
			k.came[r.From] += r.Wire
			return rng.IntN(10) > 0
		}
		for w.now < until {
			w.give(1, 1, 1400, rng.IntN(30))
			w.give(0, 2, 1000, rng.IntN(3))
			w.run(time.Duration(rng.Int64N(int64(20 * ms))))
			k.check(w)
		}
		// Afterwards all is as if nobody had been there.
		w.run(3 * time.Second)
		k.check(w)
		for _, p := range w.sides[1].Paths() {
			if w.linkTo(p.Peer.Remote) < 0 {
				t.Errorf("seed %d: path %d goes to %v", seed, p.ID, p.Peer.Remote)
			}
		}
		w.close()
	}
}

// A router that asks for answers sends them where it likes? Not more than it sent.
func TestResponsesAreNoAmplifier(t *testing.T) {
	w := newPair(t, 120, 1, nil).up()
	victim := netip.MustParseAddrPort("192.0.2.99:53")
	came := 0
	for n := range uint64(50) {
		var frames []byte
		for range 60 {
			frames = wire.ChallengeFrame{}.Append(frames)
		}
		r := Received{Number: 1e6 + n, Path: w.ids, Wire: len(frames) + 52, From: victim}
		came += r.Wire
		w.receive(flight{to: 1, data: frames, r: r})
		want(t, "answers", len(w.sides[1].responses), 0)
		w.settle()
		if went := w.sides[1].toward[victim]; went > came {
			t.Fatalf("%d bytes to an address that sent %d", went, came)
		}
	}
	w.close()
}

// A server's path whose router died before its address was proven costs nothing: no timer stays in the past.
func TestDeadBeforeProof(t *testing.T) {
	w := newPair(t, 121, 1, nil)
	count := 0
	w.spoof = func(*Received) bool { count++; return count == 1 }
	w.run(10 * time.Minute)
	s := w.sides[1]
	want(t, "paths", len(s.Paths()), 1)
	want(t, "usable", s.Paths()[0].Usable(), false)
	if went := s.toward[routerAddr(0)]; went > 1300 {
		t.Errorf("%d bytes sent", went)
	}
	w.spoof = nil
	w.run(5 * time.Second)
	want(t, "usable in the end", s.Paths()[0].Usable(), true)
	w.close()
}

// The router's NAT gives it another port in the middle of a download: nothing is lost, the way is used again within a
// second, and its capacity is not forgotten.
func TestPortChangeUnderLoad(t *testing.T) {
	w := newPair(t, 122, 1, nil).up()
	load := func(d time.Duration) {
		for until := w.now.Add(d); w.now < until; w.run(10 * ms) {
			w.give(1, 1, 1400, 10)
		}
	}
	load(2 * time.Second)
	p := w.sides[1].Paths()[0]
	bandwidth := p.CC.Bandwidth()
	w.links[0].addr = netip.AddrPortFrom(routerAddr(0).Addr(), 5555)
	at := w.now
	for p.Peer.Remote != w.links[0].addr && w.now.Sub(at) < 5*time.Second {
		load(20 * ms)
	}
	if took := w.now.Sub(at); took > time.Second {
		t.Errorf("moved after %v", took)
	}
	load(2 * time.Second)
	if got := p.CC.Bandwidth(); got < bandwidth*3/4 {
		t.Errorf("estimate %d after a new port, %d before", got, bandwidth)
	}
	w.run(2 * time.Second)
	w.accounted(1)
	want(t, "twice", w.sides[0].twice(), 0)
	w.close()
}

// Links that fail by carrier hand over at once, and come back by probes.
func TestCarrier(t *testing.T) {
	w := newPair(t, 123, 2, nil).up()
	w.give(0, 1, 1400, 100)
	w.run(5 * ms)
	w.links[0].cut = true
	w.sides[0].Carrier(w.now, 0, false)
	want(t, "state", w.sides[0].Paths()[0].State(), path.Down)
	down, _ := w.sides[0].AllDown()
	want(t, "all down", down, false)
	w.run(300 * ms)
	want(t, "arrived", len(w.sides[1].arrived), 100)
	want(t, "twice", w.sides[1].twice(), 0)
	w.sides[0].Carrier(w.now, 1, false)
	down, heard := w.sides[0].AllDown()
	want(t, "all down", down, true)
	if heard == 0 || heard > w.now {
		t.Errorf("heard %v", heard)
	}
	w.links[0].cut = false
	w.sides[0].Carrier(w.now, 0, true)
	w.run(3 * time.Second)
	want(t, "state", w.sides[0].Paths()[0].State(), path.Up)
	w.close()
}

// Move takes a datagram to another batch with its packet, and both can be let go.
func TestBatchMove(t *testing.T) {
	w := newPair(t, 124, 1, nil).up()
	s := w.sides[0]
	w.give(0, 1, 900, 3)
	s.Poll(w.now, &s.batch)
	var other Batch
	total := len(s.batch.Datagrams)
	for i := range s.batch.Datagrams {
		size := s.batch.Size(i)
		d := s.batch.Datagrams[i]
		whole := append(bytes.Clone(s.batch.arena[d.from:d.to]), bufBytes(&d)...)
		s.batch.Move(i, &other)
		m := other.Datagrams[len(other.Datagrams)-1]
		want(t, "size", other.Size(len(other.Datagrams)-1), size)
		if !bytes.Equal(whole, append(bytes.Clone(other.arena[m.from:m.to]), bufBytes(&m)...)) {
			t.Errorf("datagram %d is another one", i)
		}
	}
	want(t, "moved", len(other.Datagrams), total)
	s.batch.Reset()
	want(t, "left", len(s.batch.Datagrams), 0)
	other.Reset()
	w.run(mono.Time(time.Second).Sub(0))
	w.close()
}

func bufBytes(d *Datagram) []byte {
	if d.buf == nil {
		return nil
	}
	return d.buf.Bytes()[d.bufFrom:d.bufTo]
}
