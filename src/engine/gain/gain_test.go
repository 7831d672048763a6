package gain

import (
	"math/rand/v2"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

const mbyte = 1_000_000

// run is a meter with time.
type run struct {
	t    *testing.T
	m    Meter
	now  mono.Time
	look Look
	n    int // changes
}

// newRun has two paths: 1 of 10 MB/s and 2 of 1 MB/s that takes longer.
func newRun(t *testing.T) *run {
	r := &run{t: t, now: mono.Time(time.Hour)}
	r.look = Look{Time: Slot, Busy: true, Flows: 1, Ways: []Way{
		{Path: 1, Capacity: 10 * mbyte, Base: 4 * time.Millisecond, Sure: true}, {Path: 2, Capacity: mbyte, Base: 20 * time.Millisecond, Sure: true},
	}}
	return r
}

// slots passes slots of a goodput in bytes per second; the way that is barred is left out, as the engine does.
func (r *run) slots(n int, rate int64) {
	for range n {
		r.now = r.now.Add(Slot)
		l := r.look
		l.Ways = nil
		barred, bars := r.m.Barred()
		for i, w := range r.look.Ways {
			if bars && w.Path == barred {
				continue
			}
			w.Bytes = 0
			if i == 0 {
				w.Bytes = int64(float64(rate) * Slot.Seconds())
			}
			l.Ways = append(l.Ways, w)
		}
		l.Bytes = int64(float64(rate) * Slot.Seconds())
		if r.m.Look(r.now, &l) {
			r.n++
		}
	}
}

func (r *run) want(what string, path uint32) {
	r.t.Helper()
	barred, bars := r.m.Barred()
	if bars != (path != 0) || barred != path {
		r.t.Fatalf("%s: barred %d %v, want %d", what, barred, bars, path)
	}
}

// A gain above one bars nothing and is shown.
func TestGainIsShown(t *testing.T) {
	r := newRun(t)
	if r.m.Gain(r.now) != 0 {
		t.Error("a gain before anything was measured")
	}
	r.slots(100, 10_900_000)
	r.want("all is well", 0)
	if g := r.m.Gain(r.now); g < 1.08 || g > 1.1 {
		t.Errorf("gain %v", g)
	}
	if g := r.m.Gain(r.now.Add(forgotten + 1)); g != 0 {
		t.Errorf("long after: %v", g)
	}
}

// Nothing brings more than all paths together.
func TestGainHasABound(t *testing.T) {
	r := newRun(t)
	r.slots(20, 50*mbyte)
	if g := r.m.Gain(r.now); g < 1.09 || g > 1.11 {
		t.Errorf("gain %v of paths of 10 and 1", g)
	}
}

// What is not busy says nothing.
func TestIdleSaysNothing(t *testing.T) {
	r := newRun(t)
	r.look.Busy = false
	r.slots(100, mbyte)
	r.want("idle", 0)
	if r.m.Gain(r.now) != 0 {
		t.Error("a gain of an idle tunnel")
	}
}

// Two seconds below one bar the slowest path on trial; when that is right it stays barred for ten seconds.
func TestBarsWhatCosts(t *testing.T) {
	r := newRun(t)
	r.slots(Patience-1, 9*mbyte)
	r.want("too early", 0)
	r.slots(1, 9*mbyte)
	r.want("trial", 2)
	r.slots(settle+trial, 10*mbyte)
	r.want("confirmed", 2)
	r.slots(int(Bar/Slot)-1, 10*mbyte)
	r.want("ten seconds", 2)
	r.slots(2, 10*mbyte)
	r.want("over", 0)
	if trials, bars := r.m.Trials(); trials != 1 || bars != 1 || r.n != 2 {
		t.Errorf("%d trials, %d bars, %d changes", trials, bars, r.n)
	}
	r.slots(Patience, 9*mbyte)
	r.want("again", 2)
	r.slots(settle+trial+int(Bar/Slot)+2, 10*mbyte)
	r.want("twice as long", 2)
	r.slots(int(Bar/Slot), 10*mbyte)
	r.want("over again", 0)
}

// A trial that brings nothing ends after a second and a half, at once if it does harm, and is not repeated soon.
func TestTrialThatWasWrong(t *testing.T) {
	r := newRun(t)
	r.slots(Patience, 9*mbyte)
	r.slots(settle+trial, 9*mbyte)
	r.want("nothing gained", 0)
	r.slots(int(Bar/Slot)-1, 9*mbyte)
	r.want("not yet again", 0)
	r.slots(Patience+1, 9*mbyte)
	r.want("again", 2)
	r.slots(settle+1, 5*mbyte)
	r.want("harm", 0)
	if _, bars := r.m.Trials(); bars != 0 {
		t.Errorf("%d bars", bars)
	}
	r.slots(int(2*Bar/Slot)-1, 9*mbyte)
	r.want("twice as long a pause", 0)
}

// A bar that does not keep what its trial promised is lifted.
func TestBarThatTurnsBad(t *testing.T) {
	r := newRun(t)
	r.slots(Patience, 9*mbyte)
	r.slots(settle+trial, 10*mbyte)
	r.slots(Patience+1, 8*mbyte)
	r.want("bad", 0)
}

// A bad moment of a flow that usually does well is no reason: what follows is better anyway.
func TestBadMoment(t *testing.T) {
	r := newRun(t)
	r.slots(100, 10_900_000)
	r.slots(Patience, 7*mbyte)
	r.want("trial", 2)
	r.slots(settle+trial, 9*mbyte)
	r.want("no better than usual", 0)
}

// The slowest path is barred only if the others can carry what there is, and only if there are others.
func TestTheOthersMustCarryIt(t *testing.T) {
	r := newRun(t)
	r.look.Ways[1].Capacity, r.look.Ways[0].Capacity = 10*mbyte, 5*mbyte
	r.slots(50, 7*mbyte)
	r.want("they cannot", 0)
	r.look.Ways = r.look.Ways[:1]
	r.slots(50, mbyte)
	r.want("the only one", 0)
}

// Where the delay jitters a path counts for no more than it has carried.
func TestUnsureCapacity(t *testing.T) {
	r := newRun(t)
	r.look.Ways[0].Sure = false
	r.slots(100, 9*mbyte)
	r.want("nobody knows that there is more", 0)
	r.slots(8, 10*mbyte)
	r.slots(Patience+4, 8*mbyte)
	r.want("it has carried more", 2)
}

// Another flow, or none, lifts a bar at once, and so does the end of the path.
func TestLifts(t *testing.T) {
	for what, change := range map[string]func(r *run){
		"another flow": func(r *run) { r.look.Flows = 2 }, "no flow": func(r *run) { r.look.Flows = 0 },
		"closed": func(r *run) { r.m.Forget(r.now, 2) },
	} {
		r := newRun(t)
		r.slots(Patience, 9*mbyte)
		r.slots(settle+trial, 10*mbyte)
		r.want(what+", before", 2)
		r.m.Forget(r.now, 1)
		r.want(what+", another path closed", 2)
		change(r)
		r.slots(1, 10*mbyte)
		r.want(what, 0)
	}
}

// Whatever it is told, it bars one of the ways, not the only one, and a path is never barred for more than MaxBar.
func TestAnything(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var m Meter
	now := mono.Time(time.Hour)
	var since mono.Time
	for range 200_000 {
		now = now.Add(Slot + time.Duration(rng.Int64N(int64(Slot))))
		l := Look{Bytes: rng.Int64N(mbyte / 4), Time: Slot, Busy: rng.IntN(200) > 0, Flows: 1 + rng.IntN(500)/499}
		if _, bars := m.Barred(); bars && rng.IntN(20) > 0 {
			l.Bytes += mbyte
		}
		for id := range uint32(rng.IntN(4)) {
			l.Ways = append(l.Ways, Way{Path: id, Capacity: 5*mbyte + rng.Int64N(9*mbyte), Bytes: rng.Int64N(mbyte), Base: time.Duration(rng.IntN(50)), Sure: rng.IntN(2) > 0})
		}
		_, before := m.Barred()
		m.Look(now, &l)
		if _, bars := m.Barred(); bars && !before {
			if since = now; len(l.Ways) < 2 {
				t.Fatal("barred the only path")
			}
		} else if bars && now.Sub(since) > MaxBar+10*time.Second {
			t.Fatalf("barred for %v", now.Sub(since))
		}
	}
	if trials, bars := m.Trials(); trials == 0 || bars == 0 || bars > trials {
		t.Errorf("%d trials, %d bars: nothing is shown", trials, bars)
	}
}

func TestLookDoesNotAllocate(t *testing.T) {
	r := newRun(t)
	l := r.look
	if n := testing.AllocsPerRun(1000, func() { r.now = r.now.Add(Slot); r.m.Look(r.now, &l) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
