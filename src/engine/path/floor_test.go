package path

import (
	"testing"
	"time"

	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/recovery"
)

// Only a queue that is long beside the round trip and the jitter is taken for that of others.
func TestCrowd(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		standing, floor, deviation time.Duration
		want                       bool
	}{
		{51 * ms, 10 * ms, ms, true},
		{49 * ms, 10 * ms, ms, false},
		{76 * ms, 100 * ms, ms, true},
		{74 * ms, 100 * ms, ms, false},
		{91 * ms, 40 * ms, 15 * ms, true},
		{89 * ms, 40 * ms, 15 * ms, false},
	} {
		if got := crowded(c.standing, c.floor, c.deviation); got != c.want {
			t.Errorf("%v above %v, deviation %v: crowded %v", c.standing, c.floor, c.deviation, got)
		}
	}
}

// It is told once.
func TestTakeCrowded(t *testing.T) {
	p := &Path{crowded: true}
	if !p.takeCrowded() || p.takeCrowded() {
		t.Error("not told, or twice")
	}
}

// cruising is a congestion control that knows its path: 1 MB/s.
type cruising struct{ congestion.Controller }

func (cruising) Searching() bool  { return false }
func (cruising) Bandwidth() int64 { return 1_000_000 }

// A queue that does not shrink though less is sent is taken for the path's own delay; one that is too small for another path's is
// not what other paths are asked about.
func TestRebased(t *testing.T) {
	for _, c := range []struct {
		standing time.Duration
		rebased  bool
	}{{7 * ms, false}, {9 * ms, true}} {
		r := newRig(t).up()
		floor := r.Sent.Delay.Floor()
		r.rtt += 2 * c.standing // half of it on the way there
		for range 40 {
			r.trip()
		}
		r.CC = cruising{r.CC}
		above := r.Sent.Delay.Above()
		for range 100 {
			r.now = r.now.Add(10 * ms)
			r.checkFloor(r.now, &recovery.Result{Rate: 500_000, SendRate: 500_000})
		}
		if (r.Rebased() != 0) != c.rebased || r.Sent.Delay.Floor()-floor < c.standing/2 {
			t.Errorf("%v standing (%v above the floor): rebased at %v, floor from %v to %v", c.standing, above, r.Rebased(), floor, r.Sent.Delay.Floor())
		}
	}
}
