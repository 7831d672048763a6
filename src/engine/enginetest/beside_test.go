package enginetest

import (
	"fmt"
	"testing"
	"time"

	"mpproxy/src/linksim"
	"mpproxy/src/linksim/traffic"
)

// besideCell is one link of so many Mbit/s with so long a round trip and so deep a queue, and one cubic flow past the tunnel in it.
func besideCell(mbit int64, rtt, depth time.Duration) Cell {
	way := Same(linksim.Params{Rate: 1000e6, Delay: rtt / 2})
	return Cell{
		Name: fmt.Sprintf("beside in %v", depth), Links: []Link{way}, Way: way, Beside: 1, Settle: 5 * time.Second, Measure: 15 * time.Second,
		Shared: &Shared{Link: Same(linksim.Params{Rate: mbit * 1e6, Queue: depth})},
	}
}

// Beside a cubic flow past the tunnel, that of the tunnel gets half to one and a half of an even share where the queue holds one
// bandwidth-delay product, and at least a quarter in deeper ones. Without the mode for that it was 0.16 in the deepest.
func TestShareBesideOthers(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		mbit        int64
		rtt, depth  time.Duration
		least, most float64
	}{
		{20, 40 * ms, 40 * ms, 0.5, 1.5},
		{20, 100 * ms, 100 * ms, 0.7, 1.5},
		{20, 40 * ms, 200 * ms, 0.85, 1.5},
		{50, 20 * ms, 100 * ms, 0.9, 1.5}, // 0.76 where flows were dropped from as if the round trip were without others' queue
		{20, 40 * ms, time.Second, 0.25, 1.5},
	} {
		t.Run(fmt.Sprint(c.mbit, c.rtt, c.depth), func(t *testing.T) {
			t.Parallel()
			r := besideCell(c.mbit, c.rtt, c.depth).Run(1, true)
			share := 2 * r.Rate / (r.Rate + r.Other)
			t.Logf("share %.2f, both %.2f of the link", share, (r.Rate+r.Other)/r.Sum)
			if share < c.least || share > c.most {
				t.Errorf("share %.2f, wanted %.2f to %.2f", share, c.least, c.most)
			}
		})
	}
}

// When the others go, the delay is short again within seconds.
func TestDelayAfterOthers(t *testing.T) {
	for _, depth := range []time.Duration{200 * time.Millisecond, time.Second} {
		t.Run(depth.String(), func(t *testing.T) {
			t.Parallel()
			c := besideCell(20, 40*time.Millisecond, depth)
			w := New(Config{Seed: 1, Links: c.Links, Shared: c.Shared})
			others, _ := w.Outside(true, 0, traffic.Cubic, c.Way)
			w.Bulk(true, 300*time.Millisecond)
			competed := false
			for range 120 {
				w.Run(100 * time.Millisecond)
				competed = competed || w.Server.Paths()[0].Competing()
			}
			if !competed {
				t.Error("nobody competed")
			}
			others.End()
			w.Run(8 * time.Second)
			if p := w.Server.Paths()[0]; p.Competing() || p.Sent.RTT.Smoothed() > 70*time.Millisecond {
				t.Errorf("8 s later: %s, round trip %v", p.CC.State(), p.Sent.RTT.Smoothed())
			}
		})
	}
}

// What fills a queue may be another path of the tunnel: they do not compete with each other.
func TestOwnPathsDoNotCompete(t *testing.T) {
	way := Same(linksim.Params{Rate: 100e6, Delay: 20 * time.Millisecond})
	w := New(Config{Seed: 1, Links: []Link{way, way}, Shared: &Shared{Link: Same(linksim.Params{Rate: 40e6, Queue: time.Second})}})
	w.Bulk(true, 300*time.Millisecond)
	competing := 0
	for range 300 {
		w.Run(100 * time.Millisecond)
		for _, p := range w.Server.Paths() {
			if p.Competing() {
				competing++
			}
		}
	}
	if competing > 20 {
		t.Errorf("the tunnel's paths competed for %d tenths of a second", competing)
	}
	for _, p := range w.Server.Paths() {
		t.Logf("path %d: %s, round trip %v", p.ID, p.CC.State(), p.Sent.RTT.Smoothed())
	}
}
