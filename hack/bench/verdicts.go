package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"mpproxy/hack/bench/chart"
	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

// profilesNote says how to read the tables of the profiles.
const profilesNote = "Mbit/s of payload; cubic / bbr / QUIC inside. Sum and better: what the links leave for payload inside the tunnel. One link: a plain link of " +
	"the summed rate without a tunnel, the control. A and B: each link alone, without a tunnel. Of alone: " + oursName + " to the better link alone, as the tunnel's " +
	"headers would leave it. QUIC is quic-go, whose congestion control is Reno."

// flowSection is the section of the rows that hold flows against their targets.
const flowSection = "Y2 profiles"

// fileCells makes tables, rows and plots of all flows that are known, in place of those made before.
func (b *bench) fileCells(cells []cell) error {
	b.rows = slices.DeleteFunc(b.rows, func(r *row) bool { return r.section == flowSection })
	for _, way := range ways {
		t := b.profileTable(way)
		t.lines = nil
		var groups []chart.Group
		for _, c := range cells {
			if !b.known(c, way) {
				continue
			}
			b.fileCell(t, c, way)
			total := sum(c.links, tunnelShare)
			group := chart.Group{Name: c.name, Ticks: []float64{better(c.links, tunnelShare) / total}}
			for _, system := range []string{oursName, mptcpName} {
				for _, v := range over(b.flows.each(system, c.links, way, rateOf), total) {
					group.Values = append(group.Values, known(v))
				}
			}
			groups = append(groups, group)
		}
		if err := b.drawWay(way, groups); err != nil {
			return err
		}
	}
	for _, c := range cells {
		if err := b.drawCell(c); err != nil {
			return err
		}
	}
	return b.write(b.head())
}

// profileTable returns the table of a direction, made at the first call.
func (b *bench) profileTable(way lab.Direction) *table {
	name := fmt.Sprintf("profiles-%v", way)
	for _, t := range b.tables {
		if t.name == name {
			return t
		}
	}
	t := &table{name: name, title: fmt.Sprintf("Y2 the sixteen profiles, one flow %v", way), note: profilesNote,
		columns: []string{"profile", "sum", "better", "one link", "A alone", "B alone", oursName, "of the sum", "of the better", "of alone", "0.9 after s", mptcpName, "missed"},
		plots:   []string{fmt.Sprintf("goodput-%v.svg", way)}}
	b.tables = append(b.tables, t)
	return t
}

// known reports that there is anything of a cell in a direction, beside its controls.
func (b *bench) known(c cell, way lab.Direction) bool {
	for _, system := range []string{oursName, mptcpName} {
		for _, kind := range inners {
			if len(b.flows.of(system, c.links, way, kind)) > 0 {
				return true
			}
		}
	}
	return false
}

// fileCell adds a cell's line and rows.
func (b *bench) fileCell(t *table, c cell, way lab.Direction) {
	one, total, best := joint(c.links), sum(c.links, tunnelShare), better(c.links, tunnelShare)
	ours := b.flows.each(oursName, c.links, way, rateOf)
	text := func(system string, links ...linksim.Params) string {
		return triple(b.flows.each(system, links, way, rateOf), b.flows.marks(system, links, way), mbit)
	}
	t.add(c.name, mbit(total), mbit(best), text(plainName, one), text(plainName, c.links[0]), text(plainName, c.links[1]), text(oursName, c.links...),
		triple(over(ours, total), nil, share), triple(over(ours, best), nil, share), triple(ratios(ours, b.alone(c, way)), nil, share),
		triple(b.flows.each(oursName, c.links, way, reachedOf), nil, seconds), text(mptcpName, c.links...), b.judgeWay(c, way))
}

// alone is what the better link gives alone, for each kind of flow the better one, less what the tunnel's headers take.
func (b *bench) alone(c cell, way lab.Direction) []float64 {
	first, second := b.flows.each(plainName, c.links[:1], way, rateOf), b.flows.each(plainName, c.links[1:], way, rateOf)
	for i := range first {
		if first[i] = max(first[i], second[i]); first[i] != notMeasured {
			first[i] *= tunnelShare / plainShare
		}
	}
	return first
}

// judgeWay holds our flows of one direction against the targets, which follow the control where the machine is too slow; it
// returns in words what was missed.
func (b *bench) judgeWay(c cell, way lab.Direction) string {
	var short []string
	one := joint(c.links)
	control := over(b.flows.each(plainName, []linksim.Params{one}, way, rateOf), float64(one.Rate)*plainShare)
	marks := b.flows.marks(oursName, c.links, way)
	for i, kind := range inners {
		outcomes := b.flows.of(oursName, c.links, way, kind)
		if len(outcomes) == 0 {
			continue
		}
		for _, target := range []struct {
			what  string
			full  float64
			bound float64
			judge verdict
		}{
			{"better link", better(c.links, tunnelShare), wantedFloor, atLeast},
			{"sum", sum(c.links, tunnelShare), wantedSum, judgedUnless(c.apart)},
		} {
			r := &row{section: flowSection, what: fmt.Sprintf("%s %v %s of the %s", c.name, way, kind.name, target.what), unit: "share",
				judge: target.judge, bound: target.bound, hidden: true, busy: marks[i] != ""}
			for _, o := range outcomes {
				r.values = append(r.values, o.Rate/target.full)
			}
			if control[i] != notMeasured {
				r.control = []float64{control[i]}
			}
			if r.verdict() == missed {
				short = append(short, fmt.Sprintf("%s %s %s", kind.name, target.what, share(median(r.values))))
			}
			b.add(r)
		}
	}
	return strings.Join(short, ", ")
}

func judgedUnless(apart bool) verdict {
	if apart {
		return unjudged
	}
	return atLeast
}

// ratios divides figure by figure.
func ratios(values, by []float64) (out []float64) {
	for i, v := range values {
		if v == notMeasured || by[i] <= 0 {
			out = append(out, notMeasured)
			continue
		}
		out = append(out, v/by[i])
	}
	return out
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
	if o.Reached == notMeasured {
		return math.Inf(1)
	}
	return o.Reached
}

// seconds writes a time in seconds.
func seconds(v float64) string {
	if math.IsInf(v, 1) {
		return "never"
	}
	return fmt.Sprintf("%.1f", v)
}

// drawWay draws the goodput of all cells so far.
func (b *bench) drawWay(way lab.Direction, groups []chart.Group) error {
	var names []string
	for _, system := range []string{oursName, mptcpName} {
		for _, kind := range inners {
			names = append(names, system+" "+kind.name)
		}
	}
	axes := chart.Axes{Title: fmt.Sprintf("One flow %v, share of the sum; the short lines are the better link alone", way), Y: "of the sum",
		Marks: []chart.Mark{{Name: "sum", Y: 1}}}
	return b.save(fmt.Sprintf("goodput-%v.svg", way), chart.Bars(axes, names, groups))
}

// drawCell draws the last run of each flow, if there are new ones: what each link carried over time, and the round trips that
// TCP saw.
func (b *bench) drawCell(c cell) error {
	n := 0
	for _, way := range ways {
		for _, kind := range inners {
			n += len(b.flows[key(oursName, c.links, way, kind)])
		}
	}
	if b.drawn[c.name] == n {
		return nil
	}
	b.drawn[c.name] = n
	var trips []chart.Series
	for _, way := range ways {
		for _, kind := range inners {
			outcomes := b.flows.of(oursName, c.links, way, kind)
			if len(outcomes) == 0 {
				continue
			}
			o := outcomes[len(outcomes)-1]
			if len(o.Trips) > 0 {
				trips = append(trips, chart.Distribution(fmt.Sprintf("%v %s", way, kind.name), o.Trips))
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
	list := []chart.Series{chart.Even("flow (payload)", samplePeriod.Seconds(), millions(o.Rates))}
	for i, rates := range o.Links {
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
