package main

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"mpproxy/hack/bench/chart"
	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

// goodput is what the profile plots show, beside their tables.
type goodput struct {
	tables map[lab.Direction]*table
	groups map[lab.Direction][]chart.Group
}

// profileTables makes the tables of the profiles, one for each direction.
func (b *bench) profileTables() *goodput {
	g := &goodput{tables: map[lab.Direction]*table{}, groups: map[lab.Direction][]chart.Group{}}
	for _, way := range ways {
		t := &table{
			name:  fmt.Sprintf("profiles-%v", way),
			title: fmt.Sprintf("Y2 the sixteen profiles, one flow %v", way),
			note: "Mbit/s of payload; cubic / bbr / QUIC inside. Sum and better: what the links leave inside the tunnel. One link: a plain link of the " +
				"summed rate without a tunnel, the control. A and B: each link alone, without a tunnel. QUIC is quic-go, whose congestion control is Reno: over a long " +
				"round trip it does not fill a plain link within seconds, either.",
			columns: []string{"profile", "sum", "better", "one link", "A alone", "B alone", oursName, "of the sum", "of the better", "0.9 after s", mptcpName, "missed"},
			plots:   []string{fmt.Sprintf("goodput-%v.svg", way)},
		}
		g.tables[way] = t
		b.tables = append(b.tables, t)
	}
	return g
}

// judgeCell runs a cell's controls, files its figures and draws its plots.
func (b *bench) judgeCell(c cell, r results, plain *memo, g *goodput) error {
	one := joint(c.links)
	measured := plain.of([]linksim.Params{one})
	if !b.ours {
		measured = errors.Join(measured, plain.of(c.links))
	}
	if measured != nil {
		b.leave("%s: controls: %v", c.name, measured)
	}
	total, best := sum(c.links, tunnelShare), better(c.links, tunnelShare)
	for _, way := range ways {
		control := plain.plain(one, way)
		rates := r.each(oursName, way, rateOf)
		other := r.each(mptcpName, way, rateOf)
		missed := b.judgeWay(c, r, way, control, float64(one.Rate)*plainShare)
		g.tables[way].add(c.name, mbit(total), mbit(best), triple(control, mbit), triple(plain.plain(c.links[0], way), mbit), triple(plain.plain(c.links[1], way), mbit),
			triple(rates, mbit), triple(over(rates, total), share), triple(over(rates, best), share),
			triple(r.each(oursName, way, reachedOf), seconds), triple(other, mbit), missed)
		group := chart.Group{Name: c.name, Ticks: []float64{best / total}}
		for _, v := range append(over(rates, total), over(other, total)...) {
			group.Values = append(group.Values, known(v))
		}
		g.groups[way] = append(g.groups[way], group)
		if err := b.drawWay(way, g); err != nil {
			return err
		}
	}
	return b.drawCell(c, r)
}

// judgeWay holds our flows of one direction against the targets, which follow the control where the machine is too slow; it
// returns in words what was missed.
func (b *bench) judgeWay(c cell, r results, way lab.Direction, control []float64, ceiling float64) string {
	var missed []string
	for i, kind := range inners {
		outcomes := r[key(oursName, way, kind)]
		if len(outcomes) == 0 {
			continue
		}
		rows := []*row{
			{what: "of the better link", judge: atLeast, bound: wantedFloor},
			{what: "of the sum", judge: atLeast, bound: wantedSum},
		}
		if c.apart {
			rows[1].judge = unjudged
		}
		for j, full := range []float64{better(c.links, tunnelShare), sum(c.links, tunnelShare)} {
			w := rows[j]
			for _, o := range outcomes {
				w.values = append(w.values, o.rate/full)
			}
			if control[i] != notMeasured {
				w.control = []float64{control[i] / ceiling}
			}
			short := strings.TrimPrefix(w.what, "of the ")
			if w.verdict() == "MISSED" {
				missed = append(missed, fmt.Sprintf("%s %s %s", kind.name, short, share(median(w.values))))
			}
			w.section, w.unit, w.hidden = "Y2 profiles", "share", true
			w.what = fmt.Sprintf("%s %v %s %s", c.name, way, kind.name, w.what)
			b.add(w)
		}
	}
	return strings.Join(missed, ", ")
}

// over divides what was measured.
func over(values []float64, by float64) (out []float64) {
	for _, v := range values {
		if v != notMeasured {
			v /= by
		}
		out = append(out, v)
	}
	return out
}

// known is a value, or none where nothing was measured.
func known(v float64) float64 {
	if v == notMeasured {
		return math.NaN()
	}
	return v
}

// reachedOf is how long a flow took to get to 0.9 of the sum; without end if it never did.
func reachedOf(o outcome) float64 {
	if o.reached == notMeasured {
		return math.Inf(1)
	}
	return o.reached
}

// seconds writes a time in seconds.
func seconds(v float64) string {
	if math.IsInf(v, 1) {
		return "never"
	}
	return fmt.Sprintf("%.1f", v)
}

// drawWay draws the goodput of all cells so far.
func (b *bench) drawWay(way lab.Direction, g *goodput) error {
	var names []string
	for _, system := range []string{oursName, mptcpName} {
		for _, kind := range inners {
			names = append(names, system+" "+kind.name)
		}
	}
	axes := chart.Axes{Title: fmt.Sprintf("One flow %v, share of the sum; the short lines are the better link alone", way), Y: "of the sum",
		Marks: []chart.Mark{{Name: "sum", Y: 1}}}
	return b.save(fmt.Sprintf("goodput-%v.svg", way), chart.Bars(axes, names, g.groups[way]))
}

// drawCell draws the last run of each flow: what each link carried over time, and the round trips that TCP saw.
func (b *bench) drawCell(c cell, r results) error {
	var trips []chart.Series
	for _, way := range ways {
		for _, kind := range inners {
			outcomes := r[key(oursName, way, kind)]
			if len(outcomes) == 0 {
				continue
			}
			o := outcomes[len(outcomes)-1]
			if len(o.trips) > 0 {
				trips = append(trips, chart.Distribution(fmt.Sprintf("%v %s", way, kind.name), o.trips))
			}
			if err := b.drawPaths(fmt.Sprintf("%s-%v-%s", c.name, way, strings.ToLower(kind.name)), c.links, o); err != nil {
				return err
			}
		}
	}
	axes := chart.Axes{Title: c.name + ": round trip of the flow itself, as its TCP sees it (smoothed)", X: "ms", Y: "% of the time"}
	return b.save("delay/"+c.name+".svg", chart.Lines(axes, trips...))
}

// drawPaths draws what each link carried during a flow.
func (b *bench) drawPaths(name string, links []linksim.Params, o outcome) error {
	axes := chart.Axes{Title: name + ": what each link carried", X: "s", Y: "Mbit/s",
		Marks: []chart.Mark{{Name: "sum for payload", Y: sum(links, tunnelShare) / 1e6}}}
	list := []chart.Series{chart.Even("flow (payload)", samplePeriod.Seconds(), millions(o.rates))}
	for i, rates := range o.links {
		list = append(list, chart.Even(fmt.Sprintf("link %d (%v)", i+1, links[i]), samplePeriod.Seconds(), millions(rates)))
	}
	return b.save("paths/"+name+".svg", chart.Lines(axes, list...))
}

func millions(values []float64) (out []float64) {
	for _, v := range values {
		out = append(out, v/1e6)
	}
	return out
}
