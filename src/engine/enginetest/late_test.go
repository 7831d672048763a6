package enginetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/linksim"
)

// thin makes a late cell's links a fifth as wide: the same picture for a fifth of the work.
func thin(c Cell) Cell {
	narrow := func(l Link) Link {
		for _, p := range []*linksim.Params{&l.Up, &l.Down} {
			p.Rate, p.QueueBytes, p.Rates = p.Rate/5, p.QueueBytes/5, slices.Clone(p.Rates)
			for i := range p.Rates {
				p.Rates[i].Rate = max(p.Rates[i].Rate/5, 1)
			}
		}
		return l
	}
	c.Links = slices.Clone(c.Links)
	for i := range c.Links {
		c.Links[i] = narrow(c.Links[i])
	}
	return c
}

func lateCell(t *testing.T, name string) Cell {
	cells := Late()
	i := slices.IndexFunc(cells, func(c Cell) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no cell %q", name)
	}
	return cells[i]
}

// A link that is silent every 15 s does not disturb a call any more once it has been so three times, and costs a flow beside it
// nothing but what the link cannot carry then. Before gaps were foreseen 3 to 25 packets of the call were lost or late here,
// and it was silent for 98 to 219 ms.
func TestGapsAreForeseen(t *testing.T) {
	for _, name := range []string{"gap 100ms lost + 40M", "gap 200ms lost + 40M", "gap 100ms held + 40M"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := thin(lateCell(t, name)).Run(1, true)
			t.Logf("%s call p95 %v, lost %d, bad %d, silent for %v", r, r.CallDelay, r.CallLost, r.CallBad, r.CallSilence)
			if r.CallBad > 1 || r.CallSilence > 90*time.Millisecond || r.Ratio < 0.95 {
				t.Error("the gaps were not waited out")
			}
		})
	}
}

// held is for how long the server's paths were held, by link, in so long a call over the links, with a flow beside it if so wanted.
func held(span time.Duration, flow bool, links ...linksim.Params) []time.Duration {
	c := Config{Seed: 1}
	for _, p := range links {
		c.Links = append(c.Links, Same(p))
	}
	w := New(c)
	w.Call(true, 200*time.Millisecond)
	if flow {
		w.Bulk(true, 300*time.Millisecond)
	}
	times := make([]time.Duration, len(links))
	w.TraceEvery = 5 * time.Millisecond
	w.Trace = func(w *World) {
		for _, p := range w.Server.Paths() {
			if _, held := p.Held(); held {
				times[w.linkOf(p.Peer.Remote)] += w.TraceEvery
			}
		}
	}
	w.Run(span)
	return times
}

// A path is held through its gaps only, and only while another can take its packets: not where it is alone, nor where all are
// silent at once. A call shows the gaps as a flow does.
func TestHeldOnlyForOthers(t *testing.T) {
	const span = 66 * time.Second // gaps at 5, 20, 35 s are learned; 50 and 65 s are foreseen
	sky := gapped(linksim.Params{Rate: 2e6, Delay: 10 * time.Millisecond}, 100*time.Millisecond, 0, false)
	land := linksim.Params{Rate: 2e6, Delay: 20 * time.Millisecond}
	got := held(span, false, sky, land)
	if got[0] < 180*time.Millisecond || got[0] > 350*time.Millisecond || got[1] != 0 {
		t.Errorf("two gaps of 100 ms: the paths were held for %v", got)
	}
	if got := held(span, false, sky); got[0] != 0 {
		t.Errorf("alone it was held for %v", got)
	}
	if got := held(span, true, sky, sky); got[0]+got[1] > 80*time.Millisecond {
		t.Errorf("silent at once they were held for %v", got)
	}
	if got := held(span, true, land, land); got[0]+got[1] != 0 {
		t.Errorf("without gaps they were held for %v", got)
	}
}

// Two links into one bottleneck get all of it and keep its queue nearly as short as one link does; beside a flow past the tunnel
// they take about what one takes. Before they were found out, the call took 57 ms where the queue is 40 ms long, and 128 where it is 200.
func TestSharedBottleneck(t *testing.T) {
	for _, k := range []struct {
		cell        string
		least, most float64 // of the bottleneck
		delay       time.Duration
	}{
		{"shared 40M q40 x1", 0.94, 1.01, 40 * time.Millisecond},
		{"shared 40M q40 x2", 0.94, 1.01, 45 * time.Millisecond},
		{"shared 40M q200 x2", 0.94, 1.01, 45 * time.Millisecond},
		{"shared 40M q40 x1 beside", 0.3, 0.75, 65 * time.Millisecond},
		{"shared 40M q40 x2 beside", 0.4, 0.92, 65 * time.Millisecond},
	} {
		t.Run(k.cell, func(t *testing.T) {
			t.Parallel()
			c := lateCell(t, k.cell)
			c.Settle, c.Measure = 4*time.Second, 10*time.Second
			r := c.Run(1, true)
			t.Logf("%s beside %.1f Mbit/s, call p95 %v", r, r.Other/1e6, r.CallDelay)
			if r.Ratio < k.least || r.Ratio > k.most || r.CallDelay > k.delay || r.CallLost > 0 {
				t.Errorf("want %.2f to %.2f of the bottleneck, and the call within %v", k.least, k.most, k.delay)
			}
			if all := r.Ratio + r.Other/r.Sum; c.Beside > 0 && all < 0.95 {
				t.Errorf("%.2f of the bottleneck used", all)
			}
		})
	}
}

// Paths that share a bottleneck are found out, the one beside them that does not share it is left alone, and so are those that
// share nothing, be their delays as rough as they like.
func TestSharedIsTold(t *testing.T) {
	const ms = time.Millisecond
	rough := Same(linksim.Params{Rate: 20e6, Delay: 20 * ms, Jitter: 10 * ms})
	rougher := Same(linksim.Params{Rate: 30e6, Delay: 20 * ms, Jitter: 25 * ms})
	long := Same(linksim.Params{Rate: 20e6, Delay: 60 * ms, Queue: 500 * ms})
	for _, k := range []struct {
		name        string
		cell        Cell
		told, never []int
	}{
		{"two", lateCell(t, "shared 40M q200 x2"), []int{0, 1}, nil},
		{"two of three", lateCell(t, "shared 40M q40 x2 of 3"), nil, []int{2}},
		{"rough", Cell{Links: []Link{rough, rough}}, nil, []int{0, 1}},
		{"rougher", Cell{Links: []Link{rougher, rougher}}, nil, []int{0, 1}},
		{"long", Cell{Links: []Link{long, long}}, nil, []int{0, 1}},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			w := New(Config{Seed: 1, Links: k.cell.Links, Shared: k.cell.Shared})
			w.Bulk(true, 300*ms)
			shared := make([]time.Duration, len(k.cell.Links))
			w.TraceEvery = 100 * ms
			w.Trace = func(w *World) {
				for _, p := range w.Server.Paths() {
					if p.Shared(w.Now) {
						shared[w.linkOf(p.Peer.Remote)] += w.TraceEvery
					}
				}
			}
			w.Run(15 * time.Second)
			for _, i := range k.told {
				if shared[i] < 10*time.Second {
					t.Errorf("link %d was taken for shared during %v of 15 s", i, shared[i])
				}
			}
			for _, i := range k.never {
				if shared[i] > 0 {
					t.Errorf("link %d, which shares nothing, was taken for shared during %v", i, shared[i])
				}
			}
		})
	}
}

// What the cells say of gaps is what their links do.
func TestGapsOfCells(t *testing.T) {
	for _, c := range Late() {
		for i, l := range c.Links {
			gaps := Gaps(l.Down)
			for j, g := range gaps {
				if want := start.Add(gapFirst + time.Duration(j)*handoverEvery); g.From != want || g.To.Sub(g.From) > 200*time.Millisecond || g.To <= g.From {
					t.Errorf("%s link %d: gap %d from %v to %v", c.Name, i, j, g.From.Sub(start), g.To.Sub(start))
				}
			}
			silent := strings.HasPrefix(c.Name, "gap ") && (i == 0 || strings.HasSuffix(c.Name, "both"))
			if n := len(gaps); silent != (n > 0) || n != 0 && mono.Time(start).Add(c.Settle+c.Measure) > gaps[n-1].From.Add(handoverEvery) {
				t.Errorf("%s link %d: %d gaps are too few", c.Name, i, n)
			}
		}
	}
}
