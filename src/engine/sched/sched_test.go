package sched

import (
	"testing"
	"time"

	"mpproxy/src/engine/path"
	"mpproxy/src/linksim"
)

// A flow that is not spread keeps its order at the other end whatever its pauses, while it moves to whichever of two paths
// is the earlier one.
func TestSingleKeepsOrder(t *testing.T) {
	moved, packets := 0, 0
	for seed := range uint64(12) {
		l := newLab(t, seed, mbit(20, 10*ms), mbit(20, time.Duration(10+seed)*ms))
		s := New(Earliest, 120*ms)
		s.Refresh(l.paths)
		last, where := 0, -1
		l.arrived = func(tag int) {
			if tag < last {
				t.Errorf("seed %d: packet %d arrives after %d", seed, tag, last)
			}
			last = max(last, tag)
		}
		for tag := 1; tag <= 800; tag++ {
			if l.rng.IntN(12) == 0 {
				// The other path becomes the earlier one or the later one; that is known before the flow goes on.
				d := time.Duration(8+l.rng.IntN(12)) * ms
				l.links[1].Set(l.now, mbit(20, d))
				for range 30 {
					l.send(0, 100, 0)
					l.send(1, 100, 0)
					l.run(20 * ms)
				}
			}
			at := l.single(s, l.flow(5000, 100+l.rng.IntN(1300)), tag)
			if where >= 0 && at != where {
				moved++
			}
			where = at
			packets++
			if l.rng.IntN(3) == 0 {
				l.run(time.Duration(l.rng.Int64N(int64(90 * ms))))
			} else {
				l.run(time.Duration(l.rng.Int64N(int64(2 * ms))))
			}
		}
		l.run(time.Second)
	}
	if t.Logf("%d moves in %d packets", moved, packets); moved < 100 {
		t.Error("nothing is shown")
	}
}

// A packet of a new flow goes where it arrives first.
func TestSingleTakesTheEarliest(t *testing.T) {
	l := newLab(t, 1, mbit(20, 10*ms), mbit(20, 30*ms))
	s := New(Earliest, 120*ms)
	want(t, "path", l.single(s, l.flow(1, 200), 0), 0)
	// 60 ms of others' packets on the first path make the second one sooner.
	for range 100 {
		l.send(0, 1422, 0)
	}
	want(t, "another flow", l.single(s, l.flow(2, 200), 0), 1)
}

// A pause longer than the difference of the paths lets a flow move, a shorter one does not.
func TestSingleFlowlet(t *testing.T) {
	for pause, path := range map[time.Duration]int{ms: 1, 18 * ms: 1, 23 * ms: 0} {
		l := newLab(t, 11, mbit(50, 10*ms), mbit(50, 30*ms))
		f := l.bound()
		l.run(pause)
		want(t, pause.String(), l.single(New(Earliest, 120*ms), f, 0), path)
	}
}

// Bare acknowledgements always go where they arrive first.
func TestSingleAcks(t *testing.T) {
	l := newLab(t, 12, mbit(50, 10*ms), mbit(50, 30*ms))
	f := l.ack(9)
	f.Binding.Path, f.Binding.HasPath, f.Binding.LastSent = 2, true, l.now
	want(t, "path", l.single(New(Earliest, 120*ms), f, 0), 0)
}

// For less than 5 ms or 20 % nothing moves, for more only after half a second. Only differences of delay are known, so
// it must not matter which path was measured first.
func TestSingleMovesForGain(t *testing.T) {
	for _, c := range []struct {
		mine, other time.Duration
		moves       bool
	}{{20 * ms, 16 * ms, false}, {20 * ms, 12 * ms, true}, {80 * ms, 73 * ms, false}, {80 * ms, 60 * ms, true}} {
		for other := range 2 {
			links := []linksim.Params{mbit(50, c.mine), mbit(50, c.mine)}
			links[other].Delay = c.other
			l := newLab(t, 2, links...)
			s := New(Earliest, 120*ms)
			f := l.flow(1, 200)
			f.Binding.Path, f.Binding.HasPath, f.Binding.LastSent = uint32(2-other), true, l.now
			from, when := l.now, time.Duration(0)
			for l.now.Sub(from) < 2*time.Second && when == 0 { // no pause is ever long enough
				if l.single(s, f, 0) == other {
					when = l.now.Sub(from)
				}
				l.run(2 * ms)
				l.flow(1, 200)
			}
			if c.moves != (when > 0) || c.moves && (when < moveAfter || when > moveAfter+100*ms) {
				t.Errorf("from %v to %v, path %d: moved after %v", c.mine, c.other, other, when)
			}
		}
	}
}

// A gain that goes away in between counts from the start again.
func TestSingleGainMustLast(t *testing.T) {
	l := newLab(t, 3, mbit(50, 40*ms), mbit(50, 10*ms))
	f := l.flow(1, 200)
	b := &f.Binding
	b.Path, b.HasPath, b.LastSent = 1, true, l.now
	want(t, "at first", New(Earliest, 120*ms).Single(l.now, f, 200, false, l.paths), l.paths[0])
	if b.Moved == 0 {
		t.Fatal("the gain was not noticed")
	}
	at := func(after, gain time.Duration) bool {
		b.LastSent = l.now.Add(after)
		return moves(l.now.Add(after), b, gain, 40*ms)
	}
	want(t, "later", at(400*ms, 30*ms), false)
	want(t, "no gain", at(450*ms, ms), false)
	want(t, "gain again", at(550*ms, 30*ms), false)
	want(t, "for long", at(1051*ms, 30*ms), true)
}

// A path that died, is busy or gone holds nobody.
func TestSingleLeavesTheDead(t *testing.T) {
	for what, change := range map[string]func(l *lab){
		"alive": func(*lab) {},
		"down":  func(l *lab) { l.paths[1].Fail(l.now) },
		"busy":  func(l *lab) { l.paths[1].Busy = true },
		"gone":  func(l *lab) { l.paths = l.paths[:1] },
	} {
		l := newLab(t, 4, mbit(20, 10*ms), mbit(20, 30*ms))
		f := l.bound()
		change(l)
		p := New(Earliest, 120*ms).Single(l.now, f, 230, false, l.paths)
		if p == nil || (p.ID == 1) != (what != "alive") {
			t.Errorf("%s: goes to %v", what, name(p))
		}
	}
	l := newLab(t, 4, mbit(20, 10*ms))
	l.paths[0].Fail(l.now)
	want(t, "nowhere to go", New(Earliest, 0).Single(l.now, l.flow(1, 200), 230, true, l.paths), (*path.Path)(nil))
}

// What is not urgent waits for the pacer; what is may go ahead.
func TestSingleUrgent(t *testing.T) {
	l := newLab(t, 5, mbit(20, 10*ms))
	s := New(Earliest, 120*ms)
	f := l.flow(1, 200)
	for l.paths[0].CanSend() {
		l.send(0, 1422, 0)
	}
	want(t, "patient", s.Single(l.now, f, 230, false, l.paths), (*path.Path)(nil))
	want(t, "not bound", f.Binding.HasPath, false)
	want(t, "urgent", s.Single(l.now, f, 230, true, l.paths), l.paths[0])
	want(t, "bound", f.Binding.Path, 1)
}

// The budget: paths within it, and a tenth beyond once they are in.
func TestBudget(t *testing.T) {
	l := newLab(t, 6, mbit(20, 10*ms), mbit(20, 100*ms), mbit(20, 155*ms))
	s := New(Earliest, 120*ms)
	s.Refresh(l.paths)
	want(t, "wide", s.Wide(l.paths), true)
	for i, in := range []bool{true, true, false} {
		want(t, "spread", s.Spreads(uint32(i+1)), in)
	}
	// 90 ms behind: out for a newcomer, in for one that was in.
	tight := New(Earliest, 85*ms)
	tight.Refresh(l.paths)
	want(t, "a newcomer", tight.Spreads(2), false)
	tight.spread[2] = true
	tight.Refresh(l.paths)
	want(t, "one that was in", tight.Spreads(2), true)
	tight.Forget(2)
	tight.Refresh(l.paths)
	want(t, "forgotten", tight.Spreads(2), false)
	l.paths[0].Fail(l.now)
	s.Refresh(l.paths)
	want(t, "down", s.Spreads(1), false)
	want(t, "third, counted from the best that is left", s.Spreads(3), true)
	want(t, "no path", New(Earliest, 0).Wide(l.paths), false)
}

// Without a backlog deep enough a slower path gets nothing; with one it takes the packet that will be next when it arrives.
func TestSpread(t *testing.T) {
	l := newLab(t, 7, mbit(20, 10*ms), mbit(20, 50*ms))
	s := New(Earliest, 120*ms)
	s.Refresh(l.paths)
	p, depth := s.Spread(l.now, 3000, 1450, l.paths)
	want(t, "first", p, l.paths[0])
	want(t, "depth", depth, 0)
	for l.paths[0].CanSend() {
		l.send(0, 1422, 0)
	}
	p, _ = s.Spread(l.now, 20_000, 1450, l.paths)
	want(t, "fast path full, short backlog", p, (*path.Path)(nil))
	p, depth = s.Spread(l.now, 1<<20, 1450, l.paths)
	want(t, "fast path full, long backlog", p, l.paths[1])
	rate := l.paths[0].CC.Bandwidth()
	late := l.paths[1].Takes(l.now) - l.paths[0].Takes(l.now)
	expected := int(rate * int64(late) / int64(time.Second))
	if depth < expected*85/100 || depth > expected {
		t.Errorf("depth %d, %d bytes pass meanwhile", depth, expected)
	}
	l.paths[0].Busy, l.paths[1].Busy = true, true
	p, _ = s.Spread(l.now, 1<<20, 1450, l.paths)
	want(t, "all busy", p, (*path.Path)(nil))
	if ahead := s.Ahead(l.now, l.paths); ahead < 10*ms || ahead > 40*ms {
		t.Errorf("the queue must stand for %v", ahead)
	}
	want(t, "one path alone", s.Ahead(l.now, l.paths[:1]), 0)
}

// Sent from the future over two links whose queues are steady, a backlog arrives almost in order: no packet is overtaken by
// many times the slack.
func TestSpreadArrivesInOrder(t *testing.T) {
	l := newLab(t, 8, mbit(20, 10*ms), mbit(20, 45*ms))
	s := New(Earliest, 120*ms)
	s.Refresh(l.paths)
	used := map[int]int{}
	var order, queue []int
	l.arrived = func(tag int) { order = append(order, tag) }
	for tag := 1; tag <= 12000; tag++ {
		queue = append(queue, tag)
	}
	l.busy = true
	for len(queue) > 500 {
		p, depth := s.Spread(l.now, len(queue)*1420, 1450, l.paths)
		if p == nil {
			l.run(100 * time.Microsecond)
			continue
		}
		at := min(depth/1420, len(queue)-1)
		l.send(p.Link, 1450, queue[at])
		used[p.Link]++
		queue = append(queue[:at:at], queue[at+1:]...)
	}
	l.run(time.Second)
	if used[0] < 4000 || used[1] < 4000 {
		t.Errorf("used %v", used)
	}
	most, seen := 0, 0
	for _, tag := range order[len(order)/2 : len(order)*9/10] {
		most = max(most, seen-tag)
		seen = max(seen, tag)
	}
	// 20 Mbit/s are 1.7 packets a millisecond.
	if most > 20 {
		t.Errorf("a packet comes %d behind its place", most)
	}
}

// Greedy takes turns among all paths that may send.
func TestGreedy(t *testing.T) {
	l := newLab(t, 9, mbit(20, 10*ms), mbit(20, 50*ms), mbit(20, 90*ms))
	s := New(Greedy, 120*ms)
	s.Refresh(l.paths)
	for i := range 6 {
		p, depth := s.Spread(l.now, 10_000, 1450, l.paths)
		want(t, "turn", p, l.paths[i%3])
		want(t, "depth", depth, 0)
	}
	l.paths[0].Busy, l.paths[2].Busy = true, true
	for range 3 {
		p, _ := s.Spread(l.now, 10_000, 1450, l.paths)
		want(t, "the only one", p, l.paths[1])
	}
	p, _ := s.Spread(l.now, 10_000, 1450, nil)
	want(t, "none", p, (*path.Path)(nil))
}

func TestSoonest(t *testing.T) {
	l := newLab(t, 10, mbit(20, 10*ms), mbit(20, 50*ms))
	p, first := Soonest(l.now, 100, 1, l.paths, nil)
	want(t, "soonest", p, l.paths[0])
	p, second := Soonest(l.now, 100, 1, l.paths, l.paths[0])
	want(t, "but for one", p, l.paths[1])
	if second <= first {
		t.Errorf("second %v, first %v", second, first)
	}
	l.paths[1].Busy = true
	p, _ = Soonest(l.now, 100, 1, l.paths, l.paths[0])
	want(t, "busy", p, (*path.Path)(nil))
}
