package enginetest

import (
	"fmt"
	"net/netip"
	"sort"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/mono"
	"mpproxy/src/linksim"
	"mpproxy/src/linksim/traffic"
)

// Cell is one measurement: a TCP flow over certain links.
type Cell struct {
	Name  string
	Links []Link
	// Target is the least share of the sum of ceilings; Floor the least share of the better link's.
	Target, Floor float64
	// Settle is for how long the flow may find its rate before it is measured; 0 means 3 s.
	Settle time.Duration
	// Tracer, if set, gets what both tunnels tell (package trace).
	Tracer engine.Tracer
	// Adjust, if set, changes the tunnels' parameters.
	Adjust func(p *engine.Params)
	// Inner is the congestion control of the TCP flow.
	Inner traffic.Control
	// Call puts a call of 50 packets a second beside the TCP flow.
	Call bool
	// Measure is for how long the flow is measured; 0 means 10 s.
	Measure time.Duration
	// Shared, if set, is a bottleneck that links lead into, and Beside how many cubic flows past the tunnel, each over such a Way, do too.
	Shared *Shared
	Beside int
	Way    Link
}

// Result is what a Cell gave; rates in bit/s.
type Result struct {
	Cell
	Rate, Sum, Better float64
	// Ratio is Rate / Sum, Best Rate / Better.
	Ratio, Best float64
	// Ramp is the time until 0.9 of the sum was reached for half a second; 0 if never.
	Ramp time.Duration
	// Retransmits and Timeouts are the inner TCP's.
	Retransmits, Timeouts uint64
	// Gaps are holes that lanes passed on.
	Gaps uint64
	// CallDelay is the 95th percentile of the call's one-way delay, CallLost how many of its packets did not arrive.
	CallDelay time.Duration
	// Gain is what the sending side showed last, Trials how often it took a path from the flow on trial, Bars how often for longer.
	Gain         float64
	Trials, Bars uint64
	CallLost     int
	// CallBad is how many of the call's packets were lost or came more than callBad after the usual, CallSilence the longest time
	// without one.
	CallBad     int
	CallSilence time.Duration
	// Other is what all flows beside the tunnel got.
	Other float64
}

// The flow is measured for measureFor after settleFor.
const (
	settleFor  = 3 * time.Second
	measureFor = 10 * time.Second
	innerMTU   = 1420
)

// Bulk puts one TCP connection without end into the world, down from the server or up to it.
func (w *World) Bulk(down bool, begin time.Duration) (*traffic.Sender, *traffic.Receiver) {
	return w.Transfer(down, begin, traffic.Cubic)
}

// Transfer is Bulk under a congestion control.
func (w *World) Transfer(down bool, begin time.Duration, control traffic.Control) (*traffic.Sender, *traffic.Receiver) {
	from, to := w.Router, w.Server
	a, b := netip.AddrPortFrom(ClientAddr, 40001), netip.AddrPortFrom(ServerAddr, 5001)
	if down { // a connection of its own, also beside one up
		from, to, a, b = to, from, b, netip.AddrPortFrom(ClientAddr, 40000)
	}
	s := traffic.NewSender(traffic.Config{Local: a, Remote: b, MTU: innerMTU, Start: w.Now.Add(begin), Control: control})
	r := traffic.NewReceiver(b, a, innerMTU)
	if control == traffic.QUIC {
		r.LikeQUIC()
	}
	from.Apps = append(from.Apps, s)
	to.Apps = append(to.Apps, r)
	return s, r
}

// Run measures the cell once.
func (c Cell) Run(seed uint64, down bool) Result {
	if c.Settle == 0 {
		c.Settle = settleFor
	}
	if c.Measure == 0 {
		c.Measure = measureFor
	}
	r := Result{Cell: c}
	for _, l := range c.Links {
		p := l.Up
		if down {
			p = l.Down
		}
		ceiling := Capacity(p, c.Settle, c.Measure)
		r.Sum += ceiling
		r.Better = max(r.Better, ceiling)
	}
	w := New(Config{Seed: seed, Links: c.Links, Adjust: c.Adjust, Shared: c.Shared})
	beside := c.besides(w, &r, down)
	var heard *traffic.PacedSink
	if c.Call {
		heard = w.Call(down, 200*time.Millisecond)
	}
	if c.Tracer != nil {
		w.Tell(c.Tracer)
	}
	s, rcv := w.Transfer(down, 300*time.Millisecond, c.Inner)
	began := w.Now.Add(300 * time.Millisecond)
	var samples []int64
	const step = 100 * time.Millisecond
	var other int64
	for n := range int((c.Settle + c.Measure) / step) {
		if n == int(c.Settle/step) {
			other = beside()
		}
		w.Run(step)
		samples = append(samples, rcv.Delivered())
		if n := len(samples); r.Ramp == 0 && n > 5 && float64(samples[n-1]-samples[n-6])*8/0.5 >= 0.9*r.Sum {
			r.Ramp = w.Now.Sub(began) - 5*step
		}
	}
	settled := samples[int(c.Settle/step)-1]
	r.Rate = float64(samples[len(samples)-1]-settled) * 8 / c.Measure.Seconds()
	r.Other = float64(beside()-other) * 8 / c.Measure.Seconds()
	r.Ratio, r.Best = r.Rate/r.Sum, r.Rate/r.Better
	r.Retransmits, r.Timeouts = s.Counters.Retransmits, s.Counters.Timeouts
	end := w.Router
	if !down {
		end = w.Server
	}
	r.Gaps = end.LaneStats().Gaps
	from := w.Server
	if !down {
		from = w.Router
	}
	r.Gain = from.Gain(from.now())
	r.Trials, r.Bars = from.GainTrials()
	if heard != nil {
		r.hear(heard.Samples, began.Add(c.Settle))
		r.CallSilence = heard.Silence(began.Add(c.Settle), w.Now)
	}
	return r
}

// hear sums up a call from then on.
func (r *Result) hear(samples []traffic.Sample, from mono.Time) {
	var delays []time.Duration
	for _, s := range samples {
		if s.At.Add(-s.Delay) >= from {
			delays = append(delays, s.Delay)
		}
	}
	if len(delays) == 0 {
		return
	}
	sort.Slice(delays, func(i, j int) bool { return delays[i] < delays[j] })
	r.CallDelay = delays[len(delays)*95/100]
	// The last ones may still be on their way.
	r.CallLost = max(int((r.Measure-500*time.Millisecond)/callEvery)-len(delays), 0)
	usual := delays[len(delays)/2]
	r.CallBad = r.CallLost + len(delays) - sort.Search(len(delays), func(i int) bool { return delays[i] > usual+callBad })
}

// callEvery is the time between two packets of a call.
const callEvery = 20 * time.Millisecond

// callBad later than usual a packet finds that a call's player went on without it.
const callBad = 60 * time.Millisecond

// Call puts a call into the world and returns its listening end.
func (w *World) Call(down bool, begin time.Duration) *traffic.PacedSink {
	from, to := w.Router, w.Server
	a, b := netip.AddrPortFrom(ClientAddr, 4000), netip.AddrPortFrom(ServerAddr, 4001)
	if down {
		from, to, a, b = to, from, b, a
	}
	s := traffic.NewPacedSource(traffic.PacedConfig{Local: a, Remote: b, Rate: 50, Size: 200, Start: w.Now.Add(begin)})
	r := traffic.NewPacedSink(b, a)
	from.Apps = append(from.Apps, s)
	to.Apps = append(to.Apps, r)
	return r
}

// Median runs the cell with several seeds and returns the run of the median ratio.
func (c Cell) Median(seeds int, down bool) Result {
	var all []Result
	for seed := range seeds {
		all = append(all, c.Run(uint64(seed+1), down))
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Ratio < all[j].Ratio })
	return all[len(all)/2]
}

// Good reports that the result meets the cell's target and floor.
func (r Result) Good() bool { return r.Ratio >= r.Target && r.Best >= r.Floor }

// Header is the heading of the table that Results print.
const Header = "cell                          Mbit/s    sum  ratio  /best  ramp    retx  rto gaps  gain try bar  target"

// String is the result as a line under Header.
func (r Result) String() string {
	verdict := ""
	if !r.Good() {
		verdict = "  below"
	}
	ramp := "never"
	if r.Ramp > 0 {
		ramp = fmt.Sprintf("%.1fs", r.Ramp.Seconds())
	}
	return fmt.Sprintf("%-28s %7.1f %6.1f  %.3f  %.3f  %5s %6d %4d %4d %5.2f %3d %3d  %.2f%s",
		r.Name, r.Rate/1e6, r.Sum/1e6, r.Ratio, r.Best, ramp, r.Retransmits, r.Timeouts, r.Gaps, r.Gain, r.Trials, r.Bars, r.Target, verdict)
}

// Profiles are the 16 profiles, those with jitter in both kinds.
func Profiles() []Cell {
	var cells []Cell
	for _, p := range linksim.Profiles() {
		c := Cell{Name: p.Name, Links: []Link{Same(p.A), Same(p.B)}, Target: 0.94, Floor: 0.98}
		if p.Name == "rtt_320" || p.Name == "lte_geo" {
			c.Target = 0
		}
		cells = append(cells, c)
		if p.A.Jitter > 0 || p.B.Jitter > 0 {
			p.A.Reorder, p.B.Reorder = true, true
			c.Name, c.Links = p.Name+" reorder", []Link{Same(p.A), Same(p.B)}
			cells = append(cells, c)
		}
	}
	return cells
}

// Grid is a sweep over rates, ratios, delays, jitter, losses, queues, policers and numbers of links.
func Grid() []Cell {
	var cells []Cell
	add := func(name string, links ...linksim.Params) {
		c := Cell{Name: name, Target: 0.94, Floor: 0.98}
		for _, l := range links {
			c.Links = append(c.Links, Same(l))
		}
		cells = append(cells, c)
	}
	link := func(mbit float64, rtt time.Duration) linksim.Params {
		return linksim.Params{Rate: int64(mbit * 1e6), Delay: rtt / 2, Queue: 100 * time.Millisecond}
	}
	const ms = time.Millisecond
	for _, mbit := range []float64{1, 5, 20, 100, 300} {
		for _, ratio := range []float64{1, 4, 20} {
			for _, spread := range []time.Duration{0, 40 * ms, 150 * ms} {
				if mbit/ratio >= 0.2 {
					add(fmt.Sprintf("%gM 20ms + %gM %v", mbit, mbit/ratio, 20*ms+spread), link(mbit, 20*ms), link(mbit/ratio, 20*ms+spread))
				}
			}
		}
	}
	for _, rtt := range []time.Duration{5 * ms, 100 * ms, 300 * ms, 600 * ms} {
		add(fmt.Sprintf("30M x2 %v", rtt), link(30, rtt), link(30, rtt))
	}
	for _, queue := range []time.Duration{10 * ms, 30 * ms, 300 * ms, time.Second} {
		l := link(30, 30*ms)
		l.Queue = queue
		add(fmt.Sprintf("30M x2 30ms queue %v", queue), l, l)
	}
	for _, loss := range []float64{0.001, 0.01, 0.05} {
		l := link(30, 30*ms)
		l.Loss = loss
		add(fmt.Sprintf("30M x2 30ms loss %g", loss), l, l)
		add(fmt.Sprintf("30M 30ms + 30M 30ms loss %g", loss), link(30, 30*ms), l)
	}
	burst := link(30, 30*ms)
	burst.Burst = linksim.BurstLoss{ToBad: 0.002, ToGood: 0.2, Loss: 0.5}
	add("30M x2 30ms bursts", burst, burst)
	policed := link(100, 30*ms)
	policed.Policer = linksim.Policer{Rate: 30e6, Burst: 30000}
	add("policer 30M of 100M + 30M", policed, link(30, 30*ms))
	for _, n := range []int{1, 3, 4} {
		var links []linksim.Params
		for range n {
			links = append(links, link(25, 20*ms))
		}
		add(fmt.Sprintf("25M 20ms x%d", n), links...)
	}
	for _, jitter := range []time.Duration{2 * ms, 10 * ms, 25 * ms} {
		for _, reorder := range []bool{false, true} {
			l := link(30, 40*ms)
			l.Jitter, l.Reorder = jitter, reorder
			add(fmt.Sprintf("30M x2 40ms jitter %v reorder %v", jitter, reorder), l, l)
		}
	}
	return cells
}
