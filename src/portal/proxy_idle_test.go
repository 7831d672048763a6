package portal

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestTidier: memory is given back once many connections have come to rest or gone, and never while they do.
func TestTidier(t *testing.T) {
	var d tidier
	for i, step := range []struct {
		parked int
		want   bool
	}{
		{0, false}, {tidyMany - 1, false}, {tidyMany - 1, false}, {tidyMany, true}, {tidyMany, false}, {2*tidyMany - 1, false},
		{5000, false}, {9000, false}, {9100, true}, {9500, false}, {9100, false}, {10200, false}, {10400, true},
		{4000, false}, {100, false}, {0, true}, {0, false},
	} {
		if got := d.due(step.parked); got != step.want {
			t.Errorf("step %d, %d parked: %v, want %v", i, step.parked, got, step.want)
		}
	}
}

// TestLoose: what is free is given back now and then while nothing changes, if it is much.
func TestLoose(t *testing.T) {
	var d tidier
	given := 0
	for look := range 5 * looseLooks {
		free := uint64(looseBytes - 1)
		if look >= looseLooks {
			free++
		}
		parked := 1000
		if look >= 4*looseLooks {
			parked = 1000 + 9000*((look+1)%2) // they come and go
		}
		if !d.due(parked) && d.loose(free) {
			given++
		}
	}
	if given != 3 {
		t.Errorf("given back %d times, want 3", given)
	}
}

// TestPercentFor: the more is in use, the less may gather beside it, within bounds.
func TestPercentFor(t *testing.T) {
	for used, want := range map[uint64]int{0: proxyGC, mebibyte: proxyGC, 12 * mebibyte: proxyGC, 24 * mebibyte: 25, 400 * mebibyte: leastGC} {
		if got := percentFor(used); got != want {
			t.Errorf("%d bytes: %d %%, want %d", used, got, want)
		}
	}
}

// TestKeepTidy: it looks again and again, gives memory back when it is due, and ends when it is told.
func TestKeepTidy(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	synctest.Test(t, func(t *testing.T) {
		var parked atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- keepTidy(ctx, func() int { return int(parked.Load()) }) }()
		for _, step := range []struct{ parked, want int }{{0, 100}, {1000, 0}, {1000, 0}, {0, proxyGC}} {
			parked.Store(int64(step.parked))
			time.Sleep(tidyLook + time.Millisecond)
			synctest.Wait()
			got := debug.SetGCPercent(100)
			debug.SetGCPercent(got)
			if step.want > 0 && got != step.want || step.want == 0 && (got < leastGC || got > proxyGC) {
				t.Errorf("%d parked: the garbage may be %d %%", step.parked, got)
			}
		}
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}
