package flowq

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// A flow is a call by its looks if it is small, steady and neither slow nor fast; a pause ends that.
func TestCallByLooks(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name  string
		size  func(i int) int
		every time.Duration
		want  bool
	}{
		{"speech", func(int) int { return 200 }, 20 * ms, true},
		{"a game", func(i int) int { return 60 + i*37%200 }, 15 * ms, true},
		{"pictures", func(int) int { return 1200 }, 5 * ms, false},
		{"speech and pictures", func(i int) int { return 200 + i%10/9*1000 }, 10 * ms, false},
		{"seldom", func(int) int { return 100 }, 300 * ms, false},
		{"a flood", func(int) int { return 100 }, ms, false},
	} {
		var s steadiness
		now := mono.Time(time.Hour)
		for i := range 4 * int(time.Second/c.every) {
			s.note(now, c.size(i))
			now = now.Add(c.every)
		}
		if s.steady != c.want {
			t.Errorf("%s: %v", c.name, s.steady)
		}
		s.note(now.Add(callGap+c.every), 100)
		if s.steady {
			t.Errorf("%s: still a call after a pause", c.name)
		}
	}
}

func TestCallByMark(t *testing.T) {
	var f Flow
	for dscp := range uint8(64) {
		four, six := make([]byte, 20), make([]byte, 40)
		four[0], four[1] = 0x45, dscp<<2|1
		six[0], six[1] = 0x60|dscp>>2, dscp<<6
		want := dscp == dscpEF || dscp == dscpCS5
		if f.Call(four) != want || f.Call(six) != want {
			t.Errorf("DSCP %d: %v and %v", dscp, f.Call(four), f.Call(six))
		}
	}
	if f.Call(nil) || f.Call([]byte{0x45}) {
		t.Error("a packet cut short is a call")
	}
}
