package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

// criterion is one line of what the design asked for first, in its own words.
type criterion struct {
	words  string
	how    string
	offers func(*bench) error // why the program does not offer it yet, or nil; nil function: it does
	run    func(*bench) (finding, error)
}

// finding is what was measured: in words, beside its control, and whether that is what was asked for.
type finding struct {
	measured, control, wanted string
	met                       bool
}

// criteria are in the order of the design.
func criteria() []criterion {
	return []criterion{
		{words: "one flow survives the loss of a link", how: "a link dies in silence under one download", run: (*bench).survives},
		{words: "both ways", how: "two links of 20M, one flow down, then up", run: (*bench).bothDirections},
		{words: "two equal links carry more than one", how: "one flow over both links, and over one of them", run: (*bench).twoOverOne},
		{words: "two unequal links carry more than twice the smaller", how: "40M + 12M", run: (*bench).unequal},
		{words: "four links carry more than three", how: "15M each", run: (*bench).fourOverThree},
		{words: "the share follows a link's rate", how: "20M of 20M + 20M become 5M, and 20M again", run: (*bench).followsRate},
		{words: "a lost link is regained", how: "silent for 3 s, then back", run: (*bench).regains},
		{words: "links have metrics", how: "metric 10 on the second link, then the first dies", run: (*bench).metrics},
		{words: "the remote portal needs one interface", how: "its devices and addresses while it serves", run: (*bench).oneInterface},
		{words: "the client has the remote's address", how: "whom the server sees", run: (*bench).address},
		{words: "the client is reached at the remote's address", how: "connections from outside", offers: portalOption(true, "option mode 'public'")},
		{words: "IPv4 and IPv6 inside", how: "one flow of each", run: (*bench).inside},
		{words: "IPv6 outside", how: "paths over IPv6", offers: (*bench).outside6},
		{words: "UDP paths carry more than TCP paths", how: "two links with 1 % loss, by transport", offers: transportOption("tcp"), run: (*bench).udpOverTCP},
		{words: "raw IP paths carry more than UDP paths", how: "two clean links, by transport", offers: transportOption("ip"), run: (*bench).ipOverUDP},
	}
}

// measureCriteria makes the table; what this version does not offer is named with the program's own reason.
func (b *bench) measureCriteria() error {
	t := &table{name: "criteria", title: "What the design asked for first",
		columns: []string{"asked for", "how", "measured", "control", "wanted", "verdict"}}
	b.tables = append(b.tables, t)
	list := slices.DeleteFunc(criteria(), func(c criterion) bool { return !strings.Contains(c.words, b.criterion) })
	for i, c := range list {
		if c.offers != nil {
			if err := c.offers(b); err != nil {
				b.leave("%s: %v", c.words, err)
				t.add(c.words, c.how, "", "", "", "not offered yet")
				continue
			}
		}
		if c.run == nil {
			b.leave("%s: the program offers it, nothing here measures it", c.words)
			t.add(c.words, c.how, "", "", "", "not measured")
			continue
		}
		m := startMeter()
		f, err := c.run(b)
		u := m.since()
		if err != nil {
			b.leave("%s: %v", c.words, err)
			t.add(c.words, c.how, "", "", "", "not measured")
			continue
		}
		r := &row{section: "Criteria", what: c.words, unit: "met", values: []float64{0}, judge: atLeast, bound: 1, hidden: true, busy: u.busy(), told: 1}
		verdict := missed
		if f.met {
			r.values[0], verdict = 1, "ok"
		}
		b.add(r)
		b.say("[%d/%d] %s: %s (control: %s) %s%s", i+1, len(list), c.words, f.measured, f.control, verdict, u.words())
		t.add(c.words, c.how, f.measured+u.mark(), f.control, f.wanted, verdict)
	}
	return nil
}

// portalOption asks whether the program takes an option of the portal section.
func portalOption(remote bool, line string) func(*bench) error {
	return func(b *bench) error {
		if !remote {
			return b.offers([]string{line})
		}
		return b.accepts("config portal 'main'\n\toption enabled '1'\n\toption role 'remote'\n\tlist listen '0.0.0.0:6779'\n\toption address '10.99.0.1/24'\n\toption interface 'eth0'\n" +
			indent([]string{line}) + "\nconfig peer 'home'\n\toption public_key '" + someKey + "'\n\toption address '10.99.0.2'\n")
	}
}

// router is a router's configuration with one endpoint and one link.
func routerText(endpoint, transport string) string {
	return "config portal 'main'\n\toption enabled '1'\n\toption role 'local'\n\tlist lan 'lan0'\n\nconfig remote 'vps'\n\toption public_key '" + someKey +
		"'\n\tlist endpoint '" + endpoint + "'\n\nconfig link 'one'\n\toption interface 'wan1'\n\toption transport '" + transport + "'\n"
}

func transportOption(name string) func(*bench) error {
	return func(b *bench) error { return b.accepts(routerText("192.0.2.1:6779", name)) }
}

func (b *bench) outside6() error { return b.accepts(routerText("[2001:db8::1]:6779", "udp")) }

// linksOf reads links that are written here, and so are right.
func linksOf(text string) []linksim.Params {
	links, err := linksim.ParseLinks(text)
	if err != nil {
		panic(err)
	}
	return links
}

// rateOver is one cubic flow's rate over portals with the given links, of the lab's links only the first n.
func (b *bench) rateOver(o lab.Options, n int, way lab.Direction) (rate float64, err error) {
	l, err := lab.New(b.with(o))
	if err != nil {
		return 0, err
	}
	if err = l.StartPortals(l.Links[:n]...); err == nil {
		if err = waitRouted(l); err == nil {
			var out outcome
			if out, err = b.run(l, b.flowOf(inners[0], way), 1); err == nil {
				rate = out.Rate
			}
		}
	}
	return rate, errors.Join(err, l.Close())
}

func (b *bench) with(o lab.Options) lab.Options {
	o.Program, o.Seed = b.program, 1
	return o
}

// times writes a ratio for people.
func times(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00") + " x" }
