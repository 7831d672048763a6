package path

import (
	"testing"
	"time"
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
