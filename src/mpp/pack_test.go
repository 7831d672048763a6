package mpp

import (
	"testing"
	"time"
	"unsafe"
)

// used is a world with both ends at rest, which have carried much.
func used(t *testing.T, subflows int) *world {
	t.Helper()
	w := newWorld(t, 5, 8<<20)
	for range subflows {
		w.addLink(pipeParams{rate: 1e6, delay: 10e6, queue: 50e6})
	}
	w.open, w.whole = true, true
	w.sides[0].toSend, w.sides[1].toSend = 1<<20, 1<<20
	for end := w.now.Add(40 * time.Second); w.now < end; {
		w.step()
	}
	if w.sides[0].received != 1<<20 || w.sides[1].received != 1<<20 {
		t.Fatal("it has not carried all")
	}
	return w
}

// TestPack: what a connection comes down to is small, and all that matters of it is there again.
func TestPack(t *testing.T) {
	w := used(t, 2)
	for i, s := range w.sides {
		c := s.conn
		p := c.Pack()
		if p == "" {
			t.Fatalf("side %d is not at rest: %v", i, c)
		}
		full := int(unsafe.Sizeof(*c)) + len(c.subs)*int(unsafe.Sizeof(subflow{}))
		if len(p) == 0 || len(p) > full/4 {
			t.Errorf("side %d: %d bytes of %d", i, len(p), full)
		}
		again := p.Unpack(c.p)
		if c.String() != again.String() || c.Counts() != again.Counts() || c.NextTimeout() != again.NextTimeout() || c.ended() != again.ended() {
			t.Errorf("side %d:\n%v\n%v", i, c, again)
		}
		for _, k := range c.subs {
			before, _ := c.Info(w.now, k.id)
			after, ok := again.Info(w.now, k.id)
			if before.Rate = float64(int(before.Rate)); !ok || before != after || before.RTT == 0 {
				t.Errorf("side %d, subflow %d: %v, was %v", i, k.id, after, before)
			}
		}
		if p != again.Pack() {
			t.Errorf("side %d packs into something else the second time", i)
		}
	}
}

// TestPackNot: a connection on which anything is to be done is not at rest.
func TestPackNot(t *testing.T) {
	for name, f := range map[string]func(w *world, c *Conn){
		"something to send":    func(w *world, c *Conn) { _, _ = c.Write(w.now, []byte{1}) },
		"the end to send":      func(_ *world, c *Conn) { c.CloseWrite() },
		"a reset":              func(_ *world, c *Conn) { c.Reset(CodeAborted) },
		"a new subflow":        func(w *world, c *Conn) { c.Add(w.now, 9) },
		"a question to answer": func(_ *world, c *Conn) { c.subs[0].pong = true },
		"an acknowledgement":   func(w *world, c *Conn) { c.ackAt = w.now },
		"closed":               func(_ *world, c *Conn) { c.Close() },
		"a question asked": func(w *world, c *Conn) {
			w.now = c.subs[0].pingAt
			c.Poll(w.now, c.subs[0].id, nil)
		},
		"something to read": func(w *world, c *Conn) {
			f := AppendFrame(nil, &Frame{Type: FrameData, MID: 7, Offset: c.next, Payload: []byte{1}})
			if err := c.Receive(w.now, c.subs[0].id, f); err != nil {
				t.Error(err)
			}
			c.ackAt = 0
		},
		"the end to be read": func(w *world, c *Conn) {
			f := AppendFrame(nil, &Frame{Type: FrameData, Flags: FlagFin, MID: 7, Offset: c.next})
			if err := c.Receive(w.now, c.subs[0].id, f); err != nil {
				t.Error(err)
			}
			c.ackAt, c.subs[0].ackHere, c.subs[1].ackHere = 0, false, false
		},
		"something behind a gap": func(w *world, c *Conn) {
			f := AppendFrame(nil, &Frame{Type: FrameData, MID: 7, Offset: c.next + 1, Payload: []byte{1}})
			if err := c.Receive(w.now, c.subs[0].id, f); err != nil {
				t.Error(err)
			}
			c.ackAt = 0
		},
	} {
		w := used(t, 2)
		for i := range w.sides {
			c := w.sides[i].conn
			if f(w, c); c.Pack() != "" {
				t.Errorf("%s: side %d was packed: %v", name, i, c)
			}
		}
	}
}

// TestReserve: what is there takes its part of the pool, up to a bound, and windows are smaller for it.
func TestReserve(t *testing.T) {
	const limit = 64 * BlockBytes
	p := NewPool(limit)
	if p.Reserve(limit) || p.Used() != 0 || p.Carried() != 0 {
		t.Error("all of it was given away")
	}
	c := NewConn(1, Params{MID: 1, Pool: p})
	if c.Room() != initialWindow {
		t.Errorf("room for %d bytes", c.Room())
	}
	for range 48 {
		if !p.Reserve(BlockBytes) {
			t.Fatal("refused below the bound")
		}
	}
	if p.Reserve(1) || p.Carried() != 0 || p.Used() != 48*BlockBytes {
		t.Errorf("%d of %d bytes are used, %d carried", p.Used(), limit, p.Carried())
	}
	if n, err := c.Write(1, make([]byte, initialWindow)); n != initialWindow || err != nil {
		t.Error(n, err)
	}
	other := NewConn(1, Params{MID: 2, Pool: p})
	for at := uint64(0); p.fill() <= poolPressure; at += BlockBytes {
		if other.in.put(at, make([]byte, BlockBytes)) == 0 {
			t.Fatal("there was less than is not reserved")
		}
	}
	if p.Used() > limit {
		t.Errorf("%d bytes of %d", p.Used(), limit)
	}
	if c.Room() != 0 {
		t.Errorf("room for %d bytes under pressure", c.Room())
	}
	c.Close()
	other.Close()
	p.Return(48 * BlockBytes)
	p.Charge(2 * limit)
	if p.fill() != 0 || p.Carried() != 0 || p.Used() != 2*limit {
		t.Errorf("%d bytes carried of what was charged", p.Carried())
	}
	last := buffer{pool: p}
	if n := last.put(0, make([]byte, limit)); n < minWindow || n > minWindow+pieceBytes {
		t.Errorf("%d bytes of the least window", n)
	}
	last.drop()
	p.Charge(-2 * limit)
	if p.Used() != 0 || p.Carried() != 0 {
		t.Errorf("%d bytes are still in use", p.Used())
	}
}
