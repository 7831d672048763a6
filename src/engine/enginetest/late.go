package enginetest

import (
	"fmt"
	"time"

	"mpproxy/src/linksim"
	"mpproxy/src/linksim/traffic"
)

// besides puts the flows past the tunnel into the world, and returns how many bytes they have brought so far. What the shared
// bottleneck leaves for the tunnel's links is taken off the result's sums.
func (c Cell) besides(w *World, r *Result, down bool) (delivered func() int64) {
	if c.Shared == nil {
		return func() int64 { return 0 }
	}
	p := c.Shared.Up
	if down {
		p = c.Shared.Down
	}
	most, through := Capacity(p, c.Settle, c.Measure), 0.0
	for i, l := range c.Links {
		if own := l.Up; w.shared.has(i) {
			if down {
				own = l.Down
			}
			through += Capacity(own, c.Settle, c.Measure)
		}
	}
	r.Sum -= max(through-most, 0)
	r.Better = min(r.Better, most)
	var all []*traffic.Receiver
	for i := range c.Beside {
		_, got := w.Outside(down, time.Duration(i)*100*time.Millisecond, traffic.Cubic, c.Way)
		all = append(all, got)
	}
	return func() (sum int64) {
		for _, got := range all {
			sum += got.Delivered()
		}
		return sum
	}
}

// Late are cells for what an engine could learn of its links beyond their rate, delay and loss: that they share a bottleneck, and
// when they are about to be silent. Each has a call beside the flow.
func Late() []Cell { return append(sharedCells(), gapCells()...) }

// besideSettle and besideMeasure are longer than usual: cubic's periods last seconds.
const (
	besideSettle  = 8 * time.Second
	besideMeasure = 30 * time.Second
)

// sharedCells are one, two and four links into one bottleneck, alone and beside a flow past the tunnel; with the links' own rates
// above the bottleneck's or not, alike and not.
//
// Two links are found out to share it (Tunnel's joint), medians of three seeds, with and without that: a call beside the flow is 36 ms
// on its way instead of 57 where the queue is 40 ms long, 36 instead of 128 where it is 200 ms; one link 28, idle 20. Beside a cubic
// flow they get 1.13 of an even share instead of 1.41, one link 1.16. Goodput stays 0.990 of the bottleneck. Four links are found
// out, too, and get 0.97 of it instead of 0.92, but keep the queue full all the same: 60 ms.
func sharedCells() []Cell {
	way := func(mbit int64, rtt time.Duration) Link {
		return Same(linksim.Params{Rate: mbit * 1e6, Delay: rtt / 2})
	}
	var cells []Cell
	add := func(name string, depth time.Duration, mbit int64, links ...Link) {
		for beside := range 2 {
			c := Cell{
				Links: links, Call: true, Settle: besideSettle, Measure: besideMeasure, Beside: beside, Way: way(1000, 40*time.Millisecond),
				Shared: &Shared{Link: Same(linksim.Params{Rate: mbit * 1e6, Queue: depth})},
			}
			c.Name = fmt.Sprintf("shared %dM q%d %s", mbit, depth.Milliseconds(), name)
			if beside == 0 {
				c.Target = 0.94
			} else {
				c.Name += " beside"
			}
			cells = append(cells, c)
		}
	}
	const ms = time.Millisecond
	one := way(100, 40*ms)
	for _, depth := range []time.Duration{40 * ms, 200 * ms} {
		add("x1", depth, 40, one)
		add("x2", depth, 40, one, one)
	}
	add("x4", 40*ms, 40, one, one, one, one)
	add("20M+100M", 40*ms, 40, way(20, 40*ms), one)
	add("40ms+80ms", 40*ms, 40, one, way(100, 80*ms))
	cells = append(cells, partly(way)...)
	return cells
}

// partly is two links that share a bottleneck and a third that does not.
func partly(way func(int64, time.Duration) Link) []Cell {
	const ms = time.Millisecond
	c := Cell{
		Name: "shared 40M q40 x2 of 3", Links: []Link{way(100, 40*ms), way(100, 40*ms), way(20, 40*ms)},
		Call: true, Settle: besideSettle, Measure: besideMeasure, Target: 0.94,
		Shared: &Shared{Link: Same(linksim.Params{Rate: 40e6, Queue: 40 * ms}), Links: []int{0, 1}},
	}
	return []Cell{c}
}

// gapFirst is when the first gap is, after the World's beginning; three are over within gapSettle, and gapMeasure has four.
const (
	gapFirst   = 5 * time.Second
	gapSettle  = gapFirst + 3*handoverEvery - 2*time.Second
	gapMeasure = 4 * handoverEvery
)

// gapCells are links that are silent for 50 to 200 ms every 15 s and have another rate after it, beside one that is not; what they
// carry then is lost or comes after it.
//
// Package gaps is here for them. Over links a fifth as wide, three seeds: of a call's packets in four gaps of 50 to 200 ms that lose
// what they meet, 8 to 43 were lost or late, now none; its longest silence was 92 to 168 ms, now 29 to 40; where they hold it back
// 14 to 33, now 0 to 16 (of 50 ms: 3 to 6 as before, too short to be learned); with 5 ms of jitter 31 to 36, now 4 to 43. One flow
// over gaps of 200 ms went from 0.961 of the sum to 0.985 (cubic), 0.965 to 0.971 (bbr), 0.936 to 0.984 (QUIC); over shorter ones
// nothing changed. A path held by who knows the gaps' times brought 1.1 % at most for cubic.
// Silent together, or alone, links gain nothing.
//
// In "both" two links are silent at the same times, as satellites of one constellation are.
func gapCells() []Cell {
	const ms = time.Millisecond
	sky := linksim.Params{Rate: 100e6, Delay: 20 * ms}
	land := linksim.Params{Rate: 40e6, Delay: 17 * ms}
	var cells []Cell
	add := func(name string, links ...linksim.Params) {
		c := Cell{Name: name, Call: true, Settle: gapSettle, Measure: gapMeasure, Target: 0.94, Floor: 0.98}
		for _, l := range links {
			c.Links = append(c.Links, Same(l))
		}
		cells = append(cells, c)
	}
	for _, long := range []time.Duration{50 * ms, 100 * ms, 200 * ms} {
		add(fmt.Sprintf("gap %v lost + 40M", long), gapped(sky, long, 0, false), land)
		add(fmt.Sprintf("gap %v held + 40M", long), gapped(sky, long, 0, true), land)
	}
	for _, held := range []bool{false, true} {
		kind := map[bool]string{false: "lost", true: "held"}[held]
		add("gap 100ms "+kind+" alone", gapped(sky, 100*ms, 0, held))
		add("gap 100ms "+kind+" both", gapped(sky, 100*ms, 0, held), gapped(sky, 100*ms, 1, held))
	}
	noisy, rough := sky, land
	noisy.Jitter, noisy.Reorder, noisy.Loss = 5*ms, true, 0.003
	rough.Jitter, rough.Reorder = 4*ms, true
	add("gap 100ms lost jitter + 40M", gapped(noisy, 100*ms, 0, false), rough)
	add("no gap + 40M", sky, land)
	return cells
}

// gapped gives a link gaps, and after each another rate: of four in turn, from the given one on. What is on the way then is lost,
// or held back if so wanted.
func gapped(p linksim.Params, long time.Duration, turn int, held bool) linksim.Params {
	level := [...]float64{1, 0.7, 1.2, 0.85}
	p.QueueBytes = int(float64(p.Rate) / 8 * linksim.DefaultQueue.Seconds())
	for at := gapFirst; at < gapSettle+gapMeasure+handoverEvery; at += handoverEvery {
		turn++
		from, to := start.Add(at), start.Add(at+long)
		rate := int64(float64(p.Rate) * level[turn%len(level)])
		if held {
			p.Rates = append(p.Rates, linksim.RateStep{At: from, Rate: 1})
		} else {
			p.Outages = append(p.Outages, linksim.Window{From: from, To: to})
		}
		p.Rates = append(p.Rates, linksim.RateStep{At: to, Rate: rate})
	}
	return p
}

// Gaps returns when a link is silent, whether it loses or holds what it carries then.
func Gaps(p linksim.Params) []linksim.Window {
	gaps := append([]linksim.Window(nil), p.Outages...)
	for i, step := range p.Rates {
		if step.Rate == 1 {
			gaps = append(gaps, linksim.Window{From: step.At, To: p.Rates[i+1].At})
		}
	}
	return gaps
}
