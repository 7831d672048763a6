package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

// Lengths of the live measurements over emulated links.
const (
	startUp      = 3 * time.Second // left out: TCP has to find the rate first
	bulkLength   = startUp + 6*time.Second
	controlAfter = 2 * time.Second
	controlTime  = controlAfter + 4*time.Second
)

// What a link's rate leaves for TCP payload at 1500 bytes a packet: IP 20, TCP with timestamps 32; in the tunnel also outside
// IP 20, UDP 8, header, frame and tag 30.
const (
	plainShare  = 1448.0 / 1500
	tunnelShare = 0.92
)

// scenario is a set of links.
type scenario struct {
	name  string
	links string // in the words of linksim.ParseLinks
	bound float64
}

// clean is one TCP flow over links without loss.
func (b *bench) clean() error {
	return b.joined("Y1 one TCP flow over clean links, share of the sum; control: one plain link of the sum", []scenario{
		{"2 equal links", "50M/20ms,50M/20ms", 0.97},
		{"2 links, 4 to 1", "48M/20ms,12M/20ms", 0.97},
		{"3 equal links", "40M/20ms,40M/20ms,40M/20ms", 0.97},
		{"4 equal links", "30M/20ms,30M/20ms,30M/20ms,30M/20ms", 0.97},
	})
}

// lossy is one TCP flow over links that lose at random.
func (b *bench) lossy() error {
	return b.joined("Y8 one TCP flow over lossy links, share of the sum; control: one plain clean link of the sum", []scenario{
		{"2 links, 0.5 % loss", "50M/20ms/0.5%,50M/20ms/0.5%", 0.94},
		{"2 links, 2 % loss", "50M/20ms/2%,50M/20ms/2%", 0.94},
	})
}

func (b *bench) joined(section string, scenarios []scenario) error {
	for _, s := range scenarios {
		links, err := linksim.ParseLinks(s.links)
		if err != nil {
			return err
		}
		rows := map[lab.Direction]*row{}
		for _, way := range []lab.Direction{lab.Down, lab.Up} {
			rows[way] = &row{section: section, what: fmt.Sprintf("%s (%s) %v", s.name, s.links, way), unit: "share", judge: atLeast, bound: s.bound}
			b.add(rows[way])
		}
		if err := b.control(links, rows); err != nil {
			return err
		}
		for run := range b.runs {
			err := b.withPortals(links, run, func(l *lab.Lab) error {
				for _, way := range []lab.Direction{lab.Down, lab.Up} {
					r := rows[way]
					rate, err := transferOver(l, way, bulkLength, startUp)
					if err != nil {
						return err
					}
					r.values = append(r.values, rate/sum(links, tunnelShare))
					b.say("run %d: %s %v: %.1f Mbit/s = %.3f of the sum", run+1, s.name, way, rate/1e6, rate/sum(links, tunnelShare))
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// sum is what all links together leave for TCP payload.
func sum(links []linksim.Params, share float64) (total float64) {
	for _, p := range links {
		total += float64(p.Rate) * (1 - p.Loss) * share
	}
	return total
}

// control measures one plain link of the summed rate without the tunnel: what the machine and TCP can do.
func (b *bench) control(links []linksim.Params, rows map[lab.Direction]*row) error {
	one := linksim.Params{Delay: links[0].Delay}
	for _, p := range links {
		one.Rate += p.Rate
	}
	l, err := lab.New(lab.Options{Links: []linksim.Params{one}, Program: b.program, Seed: 1})
	if err != nil {
		return err
	}
	defer l.Close()
	for _, way := range []lab.Direction{lab.Down, lab.Up} {
		r := rows[way]
		rate, err := transferOver(l, way, controlTime, controlAfter)
		if err != nil {
			return err
		}
		r.control = append(r.control, rate/(float64(one.Rate)*plainShare))
		b.say("control: one plain link of %.0f Mbit/s %v: %.3f", float64(one.Rate)/1e6, way, median(r.control))
	}
	return nil
}

// withPortals builds a lab with both portals running and calls f.
func (b *bench) withPortals(links []linksim.Params, run int, f func(*lab.Lab) error) error {
	return b.withLab(lab.Options{Links: links, Seed: uint64(run + 1)}, f)
}

// withLab builds a lab with both portals running, as asked for, and calls f.
func (b *bench) withLab(o lab.Options, f func(*lab.Lab) error) error {
	o.Program = b.program
	l, err := lab.New(o)
	if err != nil {
		return err
	}
	if err = l.StartPortals(); err == nil {
		err = waitRouted(l)
	}
	if err == nil {
		err = f(l)
	}
	if err != nil {
		for _, d := range []*lab.Daemon{l.Router, l.Remote} {
			if d != nil {
				err = fmt.Errorf("%w\nlog of the %s:\n%s", err, d.Role, d.Log())
			}
		}
	}
	if also := l.Close(); err == nil {
		err = also
	}
	return err
}

// waitRouted waits until the router sends the LAN into the tunnel: a connection begun before would break then.
func waitRouted(l *lab.Lab) error {
	deadline := time.Now().Add(startLimit)
	for {
		rules, err := command("ip", "-n", l.Namespace("router"), "rule")
		if err != nil {
			return err
		}
		if strings.Contains(rules, "iif lan0") {
			time.Sleep(200 * time.Millisecond) // and the address translation, which comes with it
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("the router does not send its LAN into the tunnel")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// transferOver runs one TCP transfer and returns its rate in bit/s after the start.
func transferOver(l *lab.Lab, way lab.Direction, length, skip time.Duration) (float64, error) {
	t, err := l.StartBulk(way, length)
	if err != nil {
		return 0, err
	}
	if err := t.Wait(); err != nil {
		return 0, err
	}
	return t.Rate(t.Started.Add(skip), t.Started.Add(length)), nil
}
