package enginetest

import (
	"testing"
	"time"
)

// TestRateChange: a link falls to a quarter of its rate under a flow that has not much more on its way than both links carry. What it
// carries now must be believed though there was not always more to send, else every packet it is given holds up the others.
func TestRateChange(t *testing.T) {
	for seed := range uint64(3) {
		links := []Link{Same(params(20, 10*time.Millisecond, 0)), Same(params(20, 25*time.Millisecond, 0))}
		w := New(Config{Seed: seed, Links: links})
		_, rcv := w.Bulk(true, 300*time.Millisecond)
		w.Run(4 * time.Second)
		rate := func(d time.Duration) float64 {
			before := rcv.Delivered()
			w.Run(d)
			return float64(rcv.Delivered()-before) * 8 / d.Seconds()
		}
		full, slow := 2*Ceiling(20e6, 0, innerMTU), Ceiling(20e6, 0, innerMTU)+Ceiling(5e6, 0, innerMTU)
		p := links[0].Down
		p.Rate /= 4
		w.Links[0].Down.Set(w.Now, p)
		w.Links[0].Up.Set(w.Now, p)
		rate(time.Second)
		if got := rate(3 * time.Second); got < 0.85*slow {
			t.Errorf("seed %d: %.1f Mbit/s after the first second, the links carry %.1f", seed, got/1e6, slow/1e6)
		}
		swings := 0
		for range 20 {
			if got := rate(100 * time.Millisecond); got < 0.6*slow || got > 1.4*slow {
				swings++
			}
		}
		if swings > 4 {
			t.Errorf("seed %d: %d of 20 tenths of a second are far from what the links carry", seed, swings)
		}
		w.Links[0].Down.Set(w.Now, links[0].Down)
		w.Links[0].Up.Set(w.Now, links[0].Up)
		rate(time.Second)
		if got := rate(time.Second); got < 0.9*full {
			t.Errorf("seed %d: %.1f Mbit/s a second after the link was quick again, the links carry %.1f", seed, got/1e6, full/1e6)
		}
	}
}
