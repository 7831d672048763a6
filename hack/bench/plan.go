package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

// ordered puts cells whose packets keep their order first: those are the sixteen profiles themselves.
func ordered(cells []cell) []cell {
	return slices.SortedStableFunc(slices.Values(cells), func(a, b cell) int {
		return cmp.Compare(strings.Count(a.name, "_reorder"), strings.Count(b.name, "_reorder"))
	})
}

// oursOf plans our flows: a lab for each cell and run.
func (b *bench) oursOf(cells []cell, kinds []inner) (all []batch) {
	for run := range b.runs {
		for _, c := range ordered(cells) {
			one := batch{run: (*bench).runOurs, cost: oursCost, name: fmt.Sprintf("%s, run %d: %s; sum %s, better %s Mbit/s", c.name, run+1, describe(c.links),
				mbit(sum(c.links, tunnelShare)), mbit(better(c.links, tunnelShare)))}
			for _, way := range ways {
				for _, kind := range kinds {
					one.flows = append(one.flows, wanted{oursName, c.links, way, kind, run})
				}
			}
			all = append(all, one)
		}
	}
	return all
}

// runOurs runs flows over our portals.
func (b *bench) runOurs(one batch) error {
	return b.withPortals(one.flows[0].links, one.flows[0].run, func(l *lab.Lab) error {
		if err := b.serveQUIC(l); err != nil {
			return err
		}
		for _, w := range one.flows {
			if err := b.one(l, w); err != nil {
				return err
			}
		}
		return nil
	})
}

// one runs one flow over what stands.
func (b *bench) one(l *lab.Lab, w wanted) error {
	o, err := b.run(l, b.flowOf(w.kind, w.way), sum(w.links, tunnelShare))
	if err != nil {
		return err
	}
	return b.take(w, o)
}

// rivalsOf plans the flows over the other program, each over a new connection of it: one that a flow has stalled for good, as
// MPTCP's sometimes do, must not spoil the next.
func (b *bench) rivalsOf(cells []cell, kinds []inner) (all []batch) {
	if b.ours {
		return nil
	}
	for _, c := range ordered(cells) {
		for _, way := range ways {
			for _, kind := range kinds {
				all = append(all, batch{run: (*bench).runRival, cost: rivalCost, name: fmt.Sprintf("%s: %s", c.name, describe(c.links)),
					flows: []wanted{{mptcpName, c.links, way, kind, 0}}})
			}
		}
	}
	return all
}

// runRival runs a flow over the other program.
func (b *bench) runRival(one batch) error {
	w := one.flows[0]
	return b.withOpenVPN(w.links, w.run, func(l *lab.Lab) error {
		if err := b.serveQUIC(l); err != nil {
			return err
		}
		return b.one(l, w)
	})
}

// plainOf plans plain links: for each cell one of the summed rate, and each of its links alone. Several run side by side as long as
// they are far from what the machine can carry; each link is measured once, however many cells have it.
func (b *bench) plainOf(cells []cell, kinds []inner) (all []batch) {
	var links []linksim.Params
	add := func(p linksim.Params) {
		if !slices.ContainsFunc(links, func(q linksim.Params) bool { return q.String() == p.String() }) {
			links = append(links, p)
		}
	}
	for _, c := range ordered(cells) {
		add(joint(c.links))
		if !b.ours {
			add(c.links[0])
			add(c.links[1])
		}
	}
	links = slices.DeleteFunc(links, func(p linksim.Params) bool { return b.plainKnown(p, kinds) })
	for len(links) > 0 {
		n, rate := 1, links[0].Rate
		for n < len(links) && rate+links[n].Rate <= plainRates {
			rate += links[n].Rate
			n++
		}
		all = append(all, b.plainBatches(links[:n], kinds)...)
		links = links[n:]
	}
	return all
}

// plainKnown reports that nothing is left to be measured of a link.
func (b *bench) plainKnown(p linksim.Params, kinds []inner) bool {
	for _, way := range ways {
		for _, kind := range kinds {
			if w := (wanted{plainName, []linksim.Params{p}, way, kind, 0}); !b.measured(w) {
				return false
			}
		}
	}
	return true
}

// plainBatches are one for each kind of flow and direction.
func (b *bench) plainBatches(links []linksim.Params, kinds []inner) (all []batch) {
	for _, way := range ways {
		for _, kind := range kinds {
			one := batch{run: (*bench).runPlain, cost: plainCost, side: true, name: fmt.Sprintf("plain links side by side: %s", describe(links))}
			for _, p := range links {
				one.flows = append(one.flows, wanted{plainName, []linksim.Params{p}, way, kind, 0})
			}
			all = append(all, one)
		}
	}
	return all
}

// runPlain runs a flow over each of several plain links at the same time, without a tunnel.
func (b *bench) runPlain(one batch) error {
	var links []linksim.Params
	for _, w := range one.flows {
		links = append(links, w.links...)
	}
	l, err := lab.New(lab.Options{Links: links, Seed: 1})
	if err != nil {
		return err
	}
	defer l.Close()
	if err := b.serveQUIC(l); err != nil {
		return err
	}
	servers, err := serverEach(l)
	if err != nil {
		return err
	}
	m := startMeter()
	flows := make([]*lab.Bulk, len(links))
	for i, w := range one.flows {
		f := b.flowOf(w.kind, w.way)
		f.To = servers[i]
		if flows[i], err = l.StartFlow(f); err != nil {
			return err
		}
	}
	outcomes := make([]outcome, len(links))
	for i, flow := range flows {
		outcomes[i].Trouble = words(flow.Wait())
	}
	u := m.since()
	for i, w := range one.flows {
		o := &outcomes[i]
		b.judge(o, flows[i], b.flowOf(w.kind, w.way), sum(w.links, plainShare))
		o.Burden = u
		o.Burden.Late = l.Links[i].Lateness()
		if err := b.take(w, *o); err != nil {
			return err
		}
	}
	return nil
}

// serverEach gives the server an address for each link, reached over that link, and returns them.
func serverEach(l *lab.Lab) (servers []string, err error) {
	servers = []string{lab.ServerAddress}
	for i, link := range l.Links[1:] {
		address := fmt.Sprintf("198.51.100.%d", 3+i)
		if err := l.IP("server", false, "address add "+address+"/24 dev eth0"); err != nil {
			return nil, err
		}
		if err := l.IP("router", false, "route add "+address+" via "+l.Gateway(link)); err != nil {
			return nil, err
		}
		servers = append(servers, address)
	}
	return servers, nil
}

// serveQUIC starts the server's end of QUIC flows, where there is one.
func (b *bench) serveQUIC(l *lab.Lab) error {
	if !exists(b.quic) {
		return nil
	}
	return l.Serve(b.quic, "serve")
}
