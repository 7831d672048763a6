package mpp

import (
	"bytes"
	"testing"
	"time"
)

// TestRestFrees: a connection that has carried much, and is at rest, keeps none of what that took.
func TestRestFrees(t *testing.T) {
	w := newWorld(t, 1, 8<<20)
	for range 2 {
		w.addLink(pipeParams{rate: 1e6, delay: 10e6, queue: 50e6})
	}
	w.sides[0].toSend, w.sides[1].toSend = 3<<20, 3<<20
	if !w.run(20*time.Second) || w.check() != nil {
		t.Fatal(w.check())
	}
	for i, s := range w.sides {
		if c := s.conn; c.firstSeg != len(c.segs) || cap(c.segs)+cap(c.spare) == 0 {
			t.Fatalf("side %d has not carried much: %v", i, c)
		}
		s.conn.Rest()
		c := s.conn
		n := cap(c.segs) + cap(c.spare) + cap(c.ranges) + cap(c.progress) + cap(c.held) + cap(c.in.pieces) + cap(c.out.pieces)
		if c.frame != nil {
			n++
		}
		for _, k := range c.subs {
			if len(k.flying()) == 0 { // else a copy of something is still under way
				n += cap(k.fifo)
			}
		}
		if n > 0 {
			t.Errorf("side %d keeps %d things: %v", i, n, c)
		}
	}
}

// TestKeysRest: both ends of a subflow give their keys up at any time, and nobody notices.
func TestKeysRest(t *testing.T) {
	up, _, _, upOpen := pair(t, 3)
	for i := range 20 {
		text := string(rune('a' + i))
		b := bytes.Clone(record(up, text))
		if i%2 == 0 {
			up.Rest()
		}
		if i%3 == 0 {
			upOpen.Rest()
		}
		if got, took, _, err := upOpen.Open(b); err != nil || took != len(b) || string(got) != text {
			t.Fatalf("record %d: %q %d %v", i, got, took, err)
		}
		if up.live != nil && i%2 == 0 {
			t.Fatal("the keys are still there")
		}
	}
}
