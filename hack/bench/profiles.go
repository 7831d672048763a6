package main

import (
	"fmt"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

// ways are both directions, the more common first.
var ways = []lab.Direction{lab.Down, lab.Up}

// systems are what carries a cell's flow.
const (
	oursName  = "mpproxy"
	mptcpName = "OpenVPN over MPTCP"
)

// lateEnough is from which lateness of the emulator on a measurement is worth a word.
const lateEnough = 20 * time.Millisecond

// results are the outcomes of one cell: by system, direction and kind of flow, one for each run.
type results map[string][]outcome

func key(system string, way lab.Direction, kind inner) string {
	return fmt.Sprintf("%s %v %s", system, way, kind.name)
}

func (r results) take(system string, way lab.Direction, kind inner, o outcome) {
	k := key(system, way, kind)
	r[k] = append(r[k], o)
}

// rates returns the median rates of all kinds, notMeasured where there is none.
func (r results) each(system string, way lab.Direction, value func(outcome) float64) (all []float64) {
	for _, kind := range inners {
		var values []float64
		for _, o := range r[key(system, way, kind)] {
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

func rateOf(o outcome) float64 { return o.rate }

// profiles measures the sixteen profiles.
func (b *bench) profiles() error {
	cells, err := cellsOf(chosen(b.profile))
	if err != nil {
		return err
	}
	kinds := b.usable()
	each := len(cells) * len(ways) * len(kinds)
	runs := each * b.runs
	if !b.ours {
		runs += each
	}
	b.say("%d cells, %d flows of %v and their controls: about %.0f minutes", len(cells), runs, b.settle+b.duration,
		1.4*float64(runs)*(b.settle+b.duration+500*time.Millisecond).Minutes())
	tables := b.profileTables()
	plain := memo{b: b, kinds: kinds, known: map[string]results{}}
	for i, c := range cells {
		b.say("[%d/%d] %s: %s; sum %s, better %s Mbit/s", i+1, len(cells), c.name, describe(c.links),
			mbit(sum(c.links, tunnelShare)), mbit(better(c.links, tunnelShare)))
		r, err := b.cell(c, kinds)
		if err != nil {
			b.leave("%s: %v", c.name, err)
			continue
		}
		if err := b.judgeCell(c, r, &plain, tables); err != nil {
			return err
		}
		if err := b.write(b.head()); err != nil { // the run is a long one, and what it found is of use before its end
			return err
		}
	}
	return nil
}

// cell runs all flows of a cell, over our portals and, in the first run only, over the other program.
func (b *bench) cell(c cell, kinds []inner) (results, error) {
	r := results{}
	for run := range b.runs {
		err := b.withPortals(c.links, run, func(l *lab.Lab) error { return b.kinds(l, c, kinds, oursName, r) })
		if err != nil {
			return r, err
		}
		if b.ours || run > 0 {
			continue
		}
		b.stranger(c, kinds, r)
	}
	return r, nil
}

// stranger runs the flows over the other program, each over a new connection of it: one that a flow has stalled for good, as
// MPTCP's sometimes do, must not spoil the next.
func (b *bench) stranger(c cell, kinds []inner, r results) {
	for _, way := range ways {
		for _, kind := range kinds {
			err := b.withOpenVPN(c.links, 0, func(l *lab.Lab) error {
				if err := l.Serve(b.quic, "serve"); err != nil {
					return err
				}
				return b.one(l, c, way, kind, mptcpName, r)
			})
			if err != nil {
				b.leave("%s over %s: %v", c.name, mptcpName, err)
			}
		}
	}
}

// kinds runs one flow of each kind, each way, over what stands.
func (b *bench) kinds(l *lab.Lab, c cell, kinds []inner, system string, r results) error {
	if err := l.Serve(b.quic, "serve"); err != nil {
		return err
	}
	for _, way := range ways {
		for _, kind := range kinds {
			if err := b.one(l, c, way, kind, system, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// one runs one flow over what stands.
func (b *bench) one(l *lab.Lab, c cell, way lab.Direction, kind inner, system string, r results) error {
	target := sum(c.links, tunnelShare)
	o, err := b.run(l, b.flowOf(kind, way), target)
	if err != nil {
		return err
	}
	r.take(system, way, kind, o)
	said := ""
	if o.late > lateEnough {
		said = fmt.Sprintf(" (the emulator was late by up to %v: a busy machine)", o.late.Round(time.Millisecond))
	}
	if o.trouble != nil {
		said += " BROKE: " + o.trouble.Error()
	}
	b.say("  %-18s %-4v %-5s %5s Mbit/s = %.2f of the sum%s", system, way, kind.name, mbit(o.rate), o.rate/target, said)
	return nil
}

// memo measures plain links, each once in a run of the program: many profiles share them.
type memo struct {
	b     *bench
	kinds []inner
	known map[string]results
}

// of returns what flows get over single plain links, without a tunnel; those not known yet are measured side by side.
func (m *memo) of(links []linksim.Params) error {
	var missing []linksim.Params
	for _, p := range links {
		if m.known[p.String()] == nil {
			m.known[p.String()] = results{}
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	l, err := lab.New(lab.Options{Links: missing, Seed: 1})
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Serve(m.b.quic, "serve"); err != nil {
		return err
	}
	servers := []string{lab.ServerAddress}
	for i, link := range l.Links[1:] {
		address := fmt.Sprintf("198.51.100.%d", 3+i)
		if err := l.IP("server", false, "address add "+address+"/24 dev eth0"); err != nil {
			return err
		}
		if err := l.IP("router", false, "route add "+address+" via "+l.Gateway(link)); err != nil {
			return err
		}
		servers = append(servers, address)
	}
	for _, way := range ways {
		for _, kind := range m.kinds {
			if err := m.side(l, missing, servers, kind, way); err != nil {
				return err
			}
		}
	}
	return nil
}

// side runs a flow over each link at the same time.
func (m *memo) side(l *lab.Lab, links []linksim.Params, servers []string, kind inner, way lab.Direction) error {
	f := m.b.flowOf(kind, way)
	flows := make([]*lab.Bulk, len(links))
	for i := range links {
		f.To = servers[i]
		var err error
		if flows[i], err = l.StartFlow(f); err != nil {
			return err
		}
	}
	for i, flow := range flows {
		o := outcome{trouble: flow.Wait()}
		m.b.judge(&o, flow, f, sum(links[i:i+1], plainShare))
		m.known[links[i].String()].take("plain", way, kind, o)
		m.b.say("  %-18s %-4v %-5s %5s Mbit/s over %v", "plain link", way, kind.name, mbit(o.rate), links[i])
	}
	return nil
}

// plain returns the median rates of a link.
func (m *memo) plain(p linksim.Params, way lab.Direction) []float64 {
	return m.known[p.String()].each("plain", way, rateOf)
}
