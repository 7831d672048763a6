package engine

import (
	"testing"
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/gaps"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
)

// foresee makes a path know gaps of some length every ten seconds, the next at an instant.
func foresee(p *path.Path, next mono.Time, long time.Duration) {
	p.Gaps = gaps.Learner{}
	for at := next.Add(-35 * time.Second); at < next.Add(-time.Second); at = at.Add(10 * ms) {
		p.Gaps.Note(at, at.Sub(next.Add(-40*time.Second))%(10*time.Second) >= long)
	}
}

// holdPair is a router's tunnel over two links, with a flow of so many packets each tenth of a second.
func holdPair(t *testing.T, seed uint64, load int) (*pair, *Tunnel) {
	w := newPair(t, seed, 2, nil).up()
	for range 30 {
		w.give(0, 1, 1400, load)
		w.run(100 * ms)
	}
	return w, w.sides[0].Tunnel
}

// Data keeps off a path through a gap, as long as there is data, and another path for it all the while.
func TestHoldsForWhomItHelps(t *testing.T) {
	const long, busy = 200 * ms, 400
	for name, c := range map[string]struct {
		change func(tn *Tunnel, a, b *path.Path, now mono.Time)
		held   bool
	}{
		"beside a good one":       {func(*Tunnel, *path.Path, *path.Path, mono.Time) {}, true},
		"data two seconds ago":    {func(tn *Tunnel, _, _ *path.Path, now mono.Time) { tn.lastData = now.Add(-2 * time.Second) }, true},
		"no data":                 {func(tn *Tunnel, _, _ *path.Path, now mono.Time) { tn.lastData = now.Add(-2*time.Second - ms) }, false},
		"silent at once":          {func(_ *Tunnel, _, b *path.Path, now mono.Time) { foresee(b, now, 60*ms) }, false},
		"silent in the middle":    {func(_ *Tunnel, _, b *path.Path, now mono.Time) { foresee(b, now.Add(100*ms), 60*ms) }, false},
		"silent later":            {func(_ *Tunnel, _, b *path.Path, now mono.Time) { foresee(b, now.Add(5*time.Second), long) }, true},
		"not one that data takes": {func(tn *Tunnel, _, b *path.Path, _ mono.Time) { tn.eligible = []*path.Path{b} }, false},
		"alone":                   {func(tn *Tunnel, a, _ *path.Path, _ mono.Time) { tn.eligible = []*path.Path{a} }, false},
		"too soon":                {func(_ *Tunnel, a, _ *path.Path, now mono.Time) { foresee(a, now.Add(30*ms), long) }, false},
	} {
		w, tn := holdPair(t, 41, busy)
		a, b := tn.paths[0], tn.paths[1]
		foresee(a, w.now, long)
		c.change(tn, a, b, w.now)
		tn.holdGaps(w.now)
		if until, held := a.Held(); held != c.held || held && until != w.now.Add(long+10*ms) {
			t.Errorf("%s: held %v until %v from now", name, held, until.Sub(w.now))
		}
		if _, held := b.Held(); held {
			t.Errorf("%s: the other one is held", name)
		}
		tn.lastData = w.now
		tn.holdGaps(w.now.Add(long + 10*ms))
		if _, held := a.Held(); held && name != "too soon" {
			t.Errorf("%s: still held when the gap is over", name)
		}
	}
	// What only small things use is no place for a flow that fills the others.
	w, tn := holdPair(t, 41, 40)
	if !tn.sched.Spreads(tn.paths[0].ID) || tn.sched.Spreads(tn.paths[1].ID) {
		t.Fatal("the flow is spread over both")
	}
	foresee(tn.paths[0], w.now, long)
	if tn.holdGaps(w.now); !tn.paths[0].Open() {
		t.Error("held, though the other one carries no part of the flow")
	}
	w, tn = holdPair(t, 42, busy)
	foresee(tn.paths[0], w.now.Add(3*time.Second), long)
	w.links[1].cut = true
	for tn.paths[1].Usable() {
		w.give(0, 1, 1400, 4)
		w.run(50 * ms)
	}
	foresee(tn.paths[0], w.now, long)
	tn.lastData = w.now
	if tn.holdGaps(w.now); !tn.paths[0].Open() {
		t.Error("held though the other one is dead")
	}
}

// What waits for a held path is not dropped for want of room.
func TestHeldPathIsWaitedFor(t *testing.T) {
	w := newPair(t, 43, 1, nil).up()
	for range 30 {
		w.give(0, 1, 1400, 300)
		w.run(100 * ms)
	}
	w.run(2 * time.Second)
	tn := w.sides[0].Tunnel
	p := tn.paths[0]
	p.Busy = true
	if p.CC.Searching() || tn.anyRoom(w.now, tn.roads(flowq.Way{})) {
		t.Fatal("there is room before")
	}
	p.Hold(w.now.Add(3 * ms))
	if !tn.anyRoom(w.now, tn.roads(flowq.Way{})) {
		t.Error("what waits for a held path would be dropped")
	}
	p.Hold(0)
	p.Busy, w.links[0].cut = false, true
	w.give(0, 2, 1400, 10)
	for !p.Overdue(w.now) {
		if w.run(5 * ms); p.State() != path.Up {
			t.Fatal("it was never overdue")
		}
	}
	if p.Hold(w.now.Add(3 * ms)); p.Overdue(w.now) {
		t.Error("a silence that was foreseen counts as overdue")
	}
}

// A tunnel with something to send wakes up when the hold of a path ends; one without has no reason to.
func TestEndOfHoldIsWaitedFor(t *testing.T) {
	w := newPair(t, 44, 1, nil).up()
	for range 30 {
		w.give(0, 1, 1400, 300)
		w.run(100 * ms)
	}
	w.run(2 * time.Second)
	tn := w.sides[0].Tunnel
	p := tn.paths[0]
	until := w.now.Add(2 * ms)
	p.Hold(until)
	p.Probe(w.now, tn.lastData) // what is held is probed often
	if next := tn.NextTimeout(); tn.Backlog() > 0 || next <= until {
		t.Fatalf("%d bytes wait, and it looks again in %v", tn.Backlog(), next.Sub(w.now))
	}
	p.Busy = true
	w.give(0, 1, 1400, 30)
	if tn.Backlog() == 0 || tn.NextTimeout() != until {
		t.Errorf("%d bytes wait, and it looks again in %v, the hold ends in %v", tn.Backlog(), tn.NextTimeout().Sub(w.now), until.Sub(w.now))
	}
}
