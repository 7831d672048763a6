package main

import (
	"fmt"
	"slices"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

// ways are both directions, the more common first.
var ways = []lab.Direction{lab.Down, lab.Up}

// systems are what carries a flow.
const (
	oursName  = "mpproxy"
	mptcpName = "OpenVPN over MPTCP"
	plainName = "plain link"
)

// What a flow costs besides its own time: building the lab and starting what carries it.
const (
	flowCost   = 150 * time.Millisecond
	plainCost  = 1500 * time.Millisecond
	oursCost   = 2 * time.Second
	rivalCost  = 3 * time.Second
	plainRates = 350e6 // bit/s that plain links carry side by side: below what two processors can
)

// wanted is one flow of a system over links; the order of all is that of their importance.
type wanted struct {
	system string
	links  []linksim.Params
	way    lab.Direction
	kind   inner
	run    int
}

// key names the flow's record.
func (w wanted) key(b *bench) string {
	return fmt.Sprintf("flow %s, %v %s over %s, run %d, %v after %v", w.system, w.way, w.kind.name, describe(w.links), w.run+1, b.duration, b.settle)
}

// build of the program counts for our flows only.
func (w wanted) build(b *bench) string {
	if w.system == oursName {
		return b.build
	}
	return ""
}

// results are the outcomes of flows by system, links, direction and kind, one for each run.
type results map[string][]outcome

func key(system string, links []linksim.Params, way lab.Direction, kind inner) string {
	return fmt.Sprintf("%s %s %v %s", system, describe(links), way, kind.name)
}

func (r results) take(system string, links []linksim.Params, way lab.Direction, kind inner, o outcome) {
	k := key(system, links, way, kind)
	r[k] = append(r[k], o)
}

// of returns the outcomes that count: those of a quiet machine, all if there are none.
func (r results) of(system string, links []linksim.Params, way lab.Direction, kind inner) []outcome {
	return quiet(r[key(system, links, way, kind)], func(o outcome) bool { return o.Burden.busy() })
}

// each returns the medians of all kinds, notMeasured where there is none.
func (r results) each(system string, links []linksim.Params, way lab.Direction, value func(outcome) float64) (all []float64) {
	for _, kind := range inners {
		var values []float64
		for _, o := range r.of(system, links, way, kind) {
			values = append(values, value(o))
		}
		if len(values) == 0 {
			all = append(all, notMeasured)
			continue
		}
		all = append(all, median(values))
	}
	return all
}

// marks are what stands beside the medians: a mark where there are no figures of a quiet machine.
func (r results) marks(system string, links []linksim.Params, way lab.Direction) (all []string) {
	for _, kind := range inners {
		mark := ""
		for _, o := range r.of(system, links, way, kind) {
			mark = o.Burden.mark()
		}
		all = append(all, mark)
	}
	return all
}

func rateOf(o outcome) float64 { return o.Rate }

// profiles measures our flows over the sixteen profiles: first one of each cell, then repetitions.
func (b *bench) profiles() error { return b.measureFlows("profiles") }

// controls measures plain links: each alone, and one of the summed rate.
func (b *bench) controls() error { return b.measureFlows("controls") }

// rivals measures the other program.
func (b *bench) rivals() error { return b.measureFlows("rivals") }

// batch is flows that need the same things built.
type batch struct {
	flows []wanted
	name  string
	run   func(*bench, batch) error
	cost  time.Duration
	side  bool // all flows at once
}

// batchesOf returns what a section of flows has still to measure.
func (b *bench) batchesOf(section string) (todo []batch) {
	cells, err := cellsOf(chosen(b.profile))
	if err != nil {
		return nil // check has told of it
	}
	kinds := b.usable()
	b.knownFlows(cells, kinds)
	for _, one := range plans[section](b, cells, kinds) {
		if one.flows = slices.DeleteFunc(one.flows, b.measured); len(one.flows) > 0 {
			todo = append(todo, one)
		}
	}
	return todo
}

// measureFlows measures what a section holds and is not known yet, and makes the tables of all that is known.
func (b *bench) measureFlows(section string) error {
	todo := b.batchesOf(section)
	cells, err := cellsOf(chosen(b.profile))
	if err != nil {
		return err
	}
	var rest time.Duration
	for _, one := range todo {
		rest += one.costs(b)
	}
	if err := b.fileCells(cells); err != nil {
		return err
	}
	for i, one := range todo {
		b.expect(rest)
		if b.timeOver(one.costs(b)) {
			b.leave("%s: %d of %d groups of flows, the time was over; KEEP=%s goes on there", section, len(todo)-i, len(todo), b.out)
			break
		}
		b.say("[%d/%d] %s", i+1, len(todo), one.name)
		if err := one.run(b, one); err != nil {
			b.leave("%s: %v", one.name, err)
		}
		rest -= one.costs(b)
		if err := b.fileCells(cells); err != nil { // the run is a long one, and what it found is of use before its end
			return err
		}
	}
	return nil
}

// costs is how long a batch takes.
func (one batch) costs(b *bench) time.Duration {
	n := len(one.flows)
	if one.side {
		n = 1
	}
	return one.cost + time.Duration(n)*(b.settle+b.duration+flowCost)
}

// plans are the sections of flows.
var plans = map[string]func(*bench, []cell, []inner) []batch{"profiles": (*bench).oursOf, "controls": (*bench).plainOf, "rivals": (*bench).rivalsOf}

// knownFlows reads the store into the results, once: what is not to be measured anew.
func (b *bench) knownFlows(cells []cell, kinds []inner) {
	if b.flows != nil {
		return
	}
	b.flows = results{}
	for name, plan := range plans {
		if b.wants(name) && !b.keep {
			continue
		}
		for _, one := range plan(b, cells, kinds) {
			for _, w := range one.flows {
				var o outcome
				if r, ok := b.store.get(w.key(b), w.build(b), &o); ok && !(b.wants(name) && (b.redo && r.Burden.busy() || r.Burden.Older)) {
					o.Burden = r.Burden
					b.flows.take(w.system, w.links, w.way, w.kind, o)
					b.has[w.key(b)] = true
				}
			}
		}
	}
}

// measured reports that a flow is known.
func (b *bench) measured(w wanted) bool { return b.has[w.key(b)] }

// take files a flow.
func (b *bench) take(w wanted, o outcome) error {
	b.flows.take(w.system, w.links, w.way, w.kind, o)
	b.has[w.key(b)] = true
	said := o.Burden.words()
	if o.Trouble != "" {
		said += " BROKE: " + o.Trouble
	}
	target := sum(w.links, tunnelShare)
	if w.system == plainName {
		target = sum(w.links, plainShare)
		said = " " + describe(w.links) + said
	}
	b.say("  %-18s %-4v %-5s %5s Mbit/s = %.2f of the sum%s", w.system, w.way, w.kind.name, mbit(o.Rate), o.Rate/target, said)
	return b.store.put(w.key(b), w.build(b), o.Burden, o)
}
