package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"mpproxy/hack/bench/chart"
	"mpproxy/hack/lab"
	"mpproxy/src/engine/mono"
)

// modeNames are the profiles of the configuration: what a bulk flow may cost others in delay.
var modeNames = []string{"latency", "balanced", "throughput"}

// modeProfiles are the links on which they differ.
var modeProfiles = []string{"rtt_120", "rtt_320", "fiber_lte"}

// modes measures goodput and delay of each of the configuration's profiles.
func (b *bench) modes() error {
	t := &table{name: "modes", title: "Profiles of the configuration: one cubic flow, its delay, and a call beside it",
		note: "Goodput in Mbit/s. Flow: round trip as the flow's TCP sees it, median and 95 %, ms. Call: one-way delay beside the flow over the idle median, " +
			"median and 95 %, ms.",
		columns: []string{"links", "profile", "way", "goodput", "of the sum", "of the better", "flow 50 %", "flow 95 %", "call +50 %", "call +95 %"}}
	b.tables = append(b.tables, t)
	wanted := modeProfiles
	if b.profile != "" {
		wanted = chosen(b.profile)
	}
	for _, name := range wanted {
		cells, err := cellsOf([]string{name})
		if err != nil {
			return err
		}
		c := cells[0]
		var distributions []chart.Series
		for _, mode := range modeNames {
			s, err := b.mode(t, c, mode)
			if err != nil {
				return err
			}
			distributions = append(distributions, s...)
		}
		axes := chart.Axes{Title: c.name + ": one-way delay of a call beside one cubic flow", X: "ms", Y: "% of its packets"}
		plot := "modes-" + c.name + ".svg"
		t.plots = append(t.plots, plot)
		if err := b.save(plot, chart.Lines(axes, distributions...)); err != nil {
			return err
		}
	}
	return nil
}

// modeResult collects one direction's runs.
type modeResult struct {
	rate, trip50, trip95, call50, call95, delays []float64
	busy                                         bool
}

func (b *bench) mode(t *table, c cell, mode string) (s []chart.Series, err error) {
	all := map[lab.Direction]*modeResult{lab.Down: {}, lab.Up: {}}
	for run := range b.runs {
		option := []string{"option profile '" + mode + "'"}
		o := lab.Options{Links: c.links, Seed: uint64(run + 1), RouterOptions: option, RemoteOptions: option}
		err := b.withLab(o, func(l *lab.Lab) error {
			idle, err := callAlone(l)
			if err != nil {
				return err
			}
			for _, way := range ways {
				if err := b.modeRun(l, way, idle[way].P50, all[way]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, way := range ways {
		r := all[way]
		rate := median(r.rate)
		t.add(c.name, mode, way.String(), mbit(rate)+marked(r.busy), share(rate/sum(c.links, tunnelShare)), share(rate/better(c.links, tunnelShare)),
			whole(median(r.trip50)), whole(median(r.trip95)), whole(median(r.call50)), whole(median(r.call95)))
		b.say("%s %s %v: %s Mbit/s = %.2f of the sum, round trip %s/%s ms, call +%s/+%s ms", c.name, mode, way, mbit(rate), rate/sum(c.links, tunnelShare),
			whole(median(r.trip50)), whole(median(r.trip95)), whole(median(r.call50)), whole(median(r.call95)))
		s = append(s, chart.Distribution(fmt.Sprintf("%s %v", mode, way), r.delays))
	}
	return s, nil
}

// modeRun runs a flow with a call beside it.
func (b *bench) modeRun(l *lab.Lab, way lab.Direction, idle time.Duration, r *modeResult) error {
	call, err := l.StartCall(b.settle + b.duration)
	if err != nil {
		return err
	}
	o, err := b.run(l, b.flowOf(inners[0], way), math.Inf(1))
	if err != nil {
		return err
	}
	if err := call.Wait(); err != nil {
		return err
	}
	delays := inMs(call.Delays(way, call.Started.Add(b.settle), call.Started.Add(b.settle+b.duration-callTail)))
	r.rate, r.busy = append(r.rate, o.Rate), r.busy || o.Burden.busy()
	r.trip50, r.trip95 = append(r.trip50, quantile(o.Trips, 0.5)), append(r.trip95, quantile(o.Trips, 0.95))
	base := idle.Seconds() * 1e3
	r.call50, r.call95 = append(r.call50, quantile(delays, 0.5)-base), append(r.call95, quantile(delays, 0.95)-base)
	r.delays = append(r.delays, delays...)
	return nil
}

// inMs are durations in ms.
func inMs(list []time.Duration) (out []float64) {
	for _, d := range list {
		out = append(out, d.Seconds()*1e3)
	}
	return out
}

func whole(v float64) string { return fmt.Sprintf("%.0f", v) }

// fileName makes a file name of words.
func fileName(words string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" /%,'", r) {
			return '-'
		}
		return r
	}, words)
}

// interval is a time of the lab's clock.
type interval struct{ from, to mono.Time }

// rateIn adds what flows got in an interval.
func (i interval) rateIn(flows []*lab.Bulk) (rate float64) {
	for _, f := range flows {
		rate += f.Rate(i.from, i.to)
	}
	return rate
}
