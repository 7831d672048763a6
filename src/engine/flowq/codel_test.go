package flowq

import (
	"testing"
	"time"
)

// standing runs one flow at a fixed standing queue for a time and returns the drops and marks: one packet in, one
// out per millisecond, depth packets queued.
func standing(t *testing.T, p Params, s shape, depth int, d time.Duration, full bool) Counts {
	t.Helper()
	b := newBench(t, p)
	b.q.SetRTT(targetShare*20*time.Millisecond, targetShare*60*time.Millisecond, 0)
	f := b.past(s)
	f.Binding.HasLane = p.HostIsDestination // only to choose the target
	b.put(s, depth)
	for range int(d / time.Millisecond) {
		for packets, _ := f.Backlog(); packets <= depth; packets, _ = f.Backlog() {
			b.put(s, 1)
		}
		b.pop(full)
		b.now = b.now.Add(time.Millisecond)
	}
	counts := b.q.Counts()
	b.drain()
	return counts
}

func TestBounds(t *testing.T) {
	const ms, s = time.Millisecond, targetShare * time.Millisecond
	for _, tt := range []struct {
		p                     Profile
		rtt, target, interval time.Duration
	}{
		{Balanced, 0, 15 * ms, 100 * ms}, {Balanced, 5 * s, 15 * ms, 100 * ms}, {Balanced, 25 * s, 25 * ms, 100 * ms},
		{Balanced, 90 * s, 60 * ms, 2 * 90 * s}, {Latency, 2 * s, 5 * ms, 100 * ms}, {Latency, 90 * s, 15 * ms, 2 * 90 * s},
		{Throughput, 5 * s, 15 * ms, 100 * ms}, {Throughput, 150 * s, 100 * ms, 2 * 150 * s},
	} {
		if got := boundsFor(tt.p, tt.rtt, 0); got.target != tt.target || got.interval != tt.interval {
			t.Errorf("%v at %v: %+v", tt.p, tt.rtt, got)
		}
	}
}

// TestBoundsAhead: what must stand in the queue for slower paths to be fed from its depth is not counted as delay.
func TestBoundsAhead(t *testing.T) {
	without, with := boundsFor(Balanced, 100*time.Millisecond, 0), boundsFor(Balanced, 100*time.Millisecond, 70*time.Millisecond)
	if with.target != without.target+70*time.Millisecond || with.interval != without.interval {
		t.Errorf("%+v, without %+v", with, without)
	}
}

func TestCoDel(t *testing.T) {
	flow := bulk(1, 1000) // target 20 ms on one path
	if c := standing(t, Params{}, flow, 18, 3*time.Second, true); c.DroppedDelay != 0 {
		t.Errorf("below target: %+v", c)
	}
	if c := standing(t, Params{}, flow, 30, 90*time.Millisecond, true); c.DroppedDelay != 0 {
		t.Errorf("above target for less than an interval: %+v", c)
	}
	if c := standing(t, Params{}, flow, 30, 3*time.Second, false); c.DroppedDelay != 0 {
		t.Errorf("while some path had room: %+v", c)
	}
	c := standing(t, Params{}, flow, 40, 3*time.Second, true)
	if c.DroppedDelay < 50 || c.DroppedDelay > 260 { // about (3 s / 200 ms)^2
		t.Errorf("above target for 3 s: %+v", c)
	}
	short := standing(t, Params{}, flow, 40, time.Second, true)
	if short.DroppedDelay*3 > c.DroppedDelay {
		t.Errorf("%d drops in 1 s and %d in 3 s: they do not come faster", short.DroppedDelay, c.DroppedDelay)
	}
	if c := standing(t, Params{HostIsDestination: true}, flow, 40, 3*time.Second, true); c.DroppedDelay != 0 {
		t.Errorf("a spread flow's target (60 ms) was not used: %+v", c)
	}
	flow.tos = ECT0
	marked := standing(t, Params{}, flow, 40, 3*time.Second, true)
	if marked.DroppedDelay != 0 || marked.Marked < 50 || marked.Marked > 260 {
		t.Errorf("an ECN-capable flow: %+v", marked)
	}
}

// TestCoDelFloor: who has no more than one full packet's bytes queued is left alone, however slow the link.
func TestCoDelFloor(t *testing.T) {
	if c := standing(t, Params{Profile: Latency}, bulk(1, 50), 28, 3*time.Second, true); c.DroppedDelay != 0 {
		t.Errorf("%+v", c)
	}
	if c := standing(t, Params{Profile: Latency}, bulk(1, 50), 31, 3*time.Second, true); c.DroppedDelay == 0 {
		t.Error("above the floor nothing is dropped either")
	}
}

// TestCoDelOnePacket: a flow is never left without a packet.
func TestCoDelOnePacket(t *testing.T) {
	b := newBench(t, Params{Profile: Latency})
	s := bulk(1, 1400)
	b.past(s)
	for range 100 {
		b.put(s, 1)
		b.now = b.now.Add(300 * time.Millisecond)
		if f, _ := b.pop(true); f == nil {
			t.Fatal("the only packet was dropped")
		}
	}
}

// TestCoDelForgivesIdlePaths: a flow that drops does not catch up on drops it missed while there was room.
func TestCoDelForgivesIdlePaths(t *testing.T) {
	b := newBench(t, Params{})
	s := bulk(1, 1000)
	f := b.past(s)
	run := func(ms int, full bool) uint64 {
		before := b.q.Counts().DroppedDelay
		for range ms {
			for packets, _ := f.Backlog(); packets <= 60; packets, _ = f.Backlog() {
				b.put(s, 1)
			}
			b.pop(full)
			b.now = b.now.Add(time.Millisecond)
		}
		return b.q.Counts().DroppedDelay - before
	}
	if run(1000, true) == 0 {
		t.Fatal("it never dropped")
	}
	if got := run(5000, false); got != 0 {
		t.Errorf("%d drops while there was room", got)
	}
	if got := run(20, true); got > 3 {
		t.Errorf("%d drops in 20 ms", got)
	}
}
