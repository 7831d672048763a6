package main

import (
	"fmt"
	"math"
	"strings"

	"mpproxy/hack/lab"
)

// choiceProfiles are the links on which schedulers and congestion controls are compared: alike, far apart, unlike in rate,
// lossy, and the two mixed ones.
var choiceProfiles = []string{"baseline", "rtt_120", "bw_4to1", "loss_05", "fiber_lte", "lte_starlink"}

// choice is a scheduler with a congestion control, as the configuration names them.
type choice struct{ scheduler, congestion string }

// allChoices are those that make sense: none only where the scheduler does its work.
func allChoices() (all []choice) {
	for _, s := range []string{"earliest", "greedy", "weighted", "redundant"} {
		for _, c := range []string{"bbr", "cubic", "newreno", "none"} {
			if c != "none" || s == "weighted" {
				all = append(all, choice{s, c})
			}
		}
	}
	return all
}

func (c choice) lines() []string {
	return []string{"option scheduler '" + c.scheduler + "'", "option congestion '" + c.congestion + "'"}
}

// choices measures one cubic flow down with each scheduler and congestion control.
func (b *bench) choices() error {
	wanted := choiceProfiles
	if b.profile != "" {
		wanted = chosen(b.profile)
	}
	cells, err := cellsOf(wanted)
	if err != nil {
		return err
	}
	var some []cell
	for _, c := range cells {
		if c.name == c.profile || b.profile != "" {
			some = append(some, c)
		}
	}
	t := &table{name: "choices", title: "What each choice costs: one cubic flow down, share of the sum (of the better link)",
		note:    "The sum is what the links leave inside the tunnel. A dash: this version does not offer the choice.",
		columns: []string{"scheduler", "congestion"}}
	for _, c := range some {
		t.columns = append(t.columns, c.name)
	}
	b.tables = append(b.tables, t)
	for i, choice := range allChoices() {
		if err := b.offers(choice.lines()); err != nil {
			b.leave("scheduler %s with congestion %s: %v", choice.scheduler, choice.congestion, err)
			line := []string{choice.scheduler, choice.congestion}
			for range some {
				line = append(line, "-")
			}
			t.add(line...)
			continue
		}
		b.say("[%d/%d] scheduler %s, congestion %s", i+1, len(allChoices()), choice.scheduler, choice.congestion)
		line, err := b.choice(choice, some)
		if err != nil {
			return err
		}
		t.add(line...)
	}
	return nil
}

// choice measures one line of the table.
func (b *bench) choice(choice choice, cells []cell) ([]string, error) {
	line := []string{choice.scheduler, choice.congestion}
	for _, c := range cells {
		r := &row{section: "Choices", what: fmt.Sprintf("%s %s on %s", choice.scheduler, choice.congestion, c.name), unit: "share", hidden: true}
		b.add(r)
		for run := range b.runs {
			o := lab.Options{Links: c.links, Seed: uint64(run + 1), RouterOptions: choice.lines(), RemoteOptions: choice.lines()}
			err := b.withLab(o, func(l *lab.Lab) error {
				o, err := b.run(l, b.flowOf(inners[0], lab.Down), math.Inf(1))
				r.values = append(r.values, o.Rate/sum(c.links, tunnelShare))
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		m := median(r.values)
		b.say("  %-14s %.2f of the sum", c.name, m)
		line = append(line, fmt.Sprintf("%s%s (%s)", share(m), marked(r.busy), share(m*sum(c.links, tunnelShare)/better(c.links, tunnelShare))))
	}
	return line, nil
}

// offers asks the program whether it takes portal options; the error is its own reason why not.
func (b *bench) offers(lines []string) error {
	return b.accepts("config portal 'main'\n\toption enabled '1'\n\toption role 'local'\n\tlist lan 'lan0'\n" + indent(lines) +
		"\nconfig remote 'vps'\n\toption public_key '" + someKey + "'\n\tlist endpoint '192.0.2.1:6779'\n\nconfig link 'one'\n\toption interface 'wan1'\n")
}

func indent(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString("\t" + line + "\n")
	}
	return b.String()
}
