package mpp

import (
	"fmt"
	"testing"
	"time"
)

// goodput sends one way for a while and returns bytes per second after the start, and the world.
func goodput(t *testing.T, seed uint64, span time.Duration, events func(w *world, at time.Duration), pipes ...pipeParams) (float64, *world) {
	w := newWorld(t, seed, 256<<20)
	w.sides[1].toSend = 1 << 40
	for _, p := range pipes {
		w.addLink(p)
	}
	const start = 2 * time.Second
	from := uint64(0)
	for time.Duration(w.now) < start+span {
		if time.Duration(w.now) < start {
			from = w.sides[0].received
		}
		if events != nil {
			events(w, time.Duration(w.now))
		}
		w.step()
	}
	return float64(w.sides[0].received-from) / span.Seconds(), w
}

func TestGoodput(t *testing.T) {
	link := func(rate float64, rtt time.Duration, hold float64) pipeParams {
		return pipeParams{rate: mbit(rate), delay: rtt / 2, queue: 30 * time.Millisecond, hold: hold}
	}
	const ms = time.Millisecond
	tests := []struct {
		name  string
		links []pipeParams
	}{
		{"one", []pipeParams{link(50, 20*ms, 0)}},
		{"slow", []pipeParams{link(1, 60*ms, 0)}},
		{"equal", []pipeParams{link(50, 20*ms, 0), link(50, 20*ms, 0)}},
		{"4 to 1", []pipeParams{link(50, 20*ms, 0), link(12, 20*ms, 0)}},
		{"10 to 1", []pipeParams{link(100, 20*ms, 0), link(10, 20*ms, 0)}},
		{"rtt 120", []pipeParams{link(50, 20*ms, 0), link(50, 120*ms, 0)}},
		{"geo", []pipeParams{link(40, 35*ms, 0), link(20, 320*ms, 0)}},
		{"held up", []pipeParams{link(40, 35*ms, 0.01), link(100, 50*ms, 0.02)}},
		{"four", []pipeParams{link(50, 20*ms, 0), link(30, 40*ms, 0.01), link(20, 80*ms, 0), link(5, 10*ms, 0)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sum, best := 0.0, 0.0
			for _, l := range tt.links {
				alone, _ := goodput(t, 1, 3*time.Second, nil, l)
				sum += alone
				best = max(best, alone)
			}
			got, w := goodput(t, 1, 3*time.Second, nil, tt.links...)
			c := w.sides[1].conn.Counts()
			note := fmt.Sprintf("%.1f of %.1f Mbit/s (%.3f), again %.2f %%", got*8e-6, sum*8e-6, got/sum, 100*float64(c.Again)/float64(c.Sent))
			t.Log(note)
			if got < 0.95*sum || got < best {
				t.Error(note, w.sides[0].conn, w.sides[1].conn)
			}
		})
	}
}
