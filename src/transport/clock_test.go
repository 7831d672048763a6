package transport

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

func TestStamps(t *testing.T) {
	const ms = int64(time.Millisecond)
	const wall = 1_700_000_000_000 * ms
	now := func(ms int64) mono.Time { return mono.Time(ms * int64(time.Millisecond)) }
	type step struct {
		now, wall int64 // both clocks at the read, ms
		stamp     int64 // wall, ms
		want      int64 // monotonic, ms
	}
	const w = wall / ms
	for name, steps := range map[string][]step{
		"plain":                    {{5000, w, w - 3, 4997}, {6000, w + 1000, w + 1000, 6000}},
		"stamp of the future":      {{5000, w, w + 1, 5000}},
		"stamp too old":            {{5000, w, w - 1001, 5000}, {5001, w + 1, w - 999, 4001}},
		"no stamp at all":          {{5000, w, 0, 5000}},
		"jump ahead, old stamp":    {{5000, w, w, 5000}, {5100, w + 3_600_100, w + 98, 5098}},
		"jump ahead, new stamp":    {{5000, w, w, 5000}, {5100, w + 3_600_100, w + 3_600_098, 5098}},
		"jump back, old stamp":     {{5000, w, w, 5000}, {5100, w - 3_600_000, w + 99, 5099}},
		"jump back, new stamp":     {{5000, w, w, 5000}, {5100, w - 3_600_000, w - 3_600_004, 5096}},
		"after the jump all is as": {{5000, w, w, 5000}, {5100, 7, 6, 5099}, {5200, 107, 100, 5193}, {5300, 207, w + 300, 5300}},
	} {
		var s stamps
		for i, x := range steps {
			s.begin(now(x.now), x.wall*ms)
			if got := s.mono(x.stamp * ms); got != now(x.want) {
				t.Errorf("%s, step %d: %v, want %v", name, i, time.Duration(got), time.Duration(now(x.want)))
			}
		}
	}
}

func TestClock(t *testing.T) {
	c := NewClock()
	a := c.Now()
	at := c.At(time.Now())
	b := c.Now()
	if a <= mono.Time(maxStampAge) || at.Before(a) || b.Before(at) {
		t.Errorf("%v %v %v", a, at, b)
	}
}
