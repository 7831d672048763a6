package main

import (
	"fmt"
	"time"
)

// unshapedLength is one transfer over the unshaped path.
const unshapedLength = 4 * time.Second

// contender is a tunnel that the unshaped path is measured with.
type contender struct {
	name  string
	start func(*direct) (*tunnel, error)
}

// unshaped measures one TCP flow over one unshaped path, ours and wireguard-go's in turn (A B A B).
func (b *bench) unshaped() error {
	d, err := newDirect()
	if err != nil {
		return err
	}
	contenders := []contender{
		{"mpproxy", func(d *direct) (*tunnel, error) { return d.startPortals(b.program, "auto") }},
		{"wireguard-go", func(d *direct) (*tunnel, error) { return d.startWireGuard(b.wireguard) }},
		{"mpproxy with ChaCha20", func(d *direct) (*tunnel, error) { return d.startPortals(b.program, "chacha") }},
	}
	if b.ours {
		contenders = contenders[:1]
	}
	results := map[string]map[string][]transfer{}
	for i := range b.runs {
		for _, c := range contenders {
			if results[c.name] == nil {
				results[c.name] = map[string][]transfer{}
			}
			if err := b.contend(d, c, i, results[c.name]); err != nil {
				return joinClose(err, d)
			}
		}
	}
	if b.ours {
		return d.close()
	}
	for _, direction := range []string{"send", "receive"} {
		theirs := results["wireguard-go"][direction]
		for _, name := range []string{"mpproxy", "mpproxy with ChaCha20"} {
			b.unshapedRows(name, direction, results[name][direction], theirs)
		}
	}
	return d.close()
}

func joinClose(err error, d *direct) error {
	if also := d.close(); also != nil {
		return fmt.Errorf("%w; and: %w", err, also)
	}
	return err
}

func (b *bench) contend(d *direct, c contender, run int, into map[string][]transfer) error {
	t, err := c.start(d)
	if err != nil {
		return err
	}
	for _, direction := range []string{"send", "receive"} {
		r, err := d.measure(t, direction, unshapedLength)
		if err != nil {
			return err
		}
		into[direction] = append(into[direction], r)
		b.say("run %d: %-22s %-8s %6.0f Mbit/s, %.2f CPU s/GB (router %.2f), resident %.1f + %.1f MiB", run+1, c.name, direction,
			r.bits/1e6, r.cpu, r.router, r.rss[0], r.rss[1])
	}
	err = d.stopAll()
	d.unforward()
	return err
}

// unshapedRows holds our figures against the other program's of the same round: ratios of neighbours, then their median.
func (b *bench) unshapedRows(name, direction string, ours, theirs []transfer) {
	way := map[string]string{"send": "up", "receive": "down"}[direction]
	var rate, rateOther, cpu, cpuOther, rateRatio, cpuRatio []float64
	for i := range ours {
		rate, rateOther = append(rate, ours[i].bits/1e6), append(rateOther, theirs[i].bits/1e6)
		cpu, cpuOther = append(cpu, ours[i].cpu), append(cpuOther, theirs[i].cpu)
		rateRatio, cpuRatio = append(rateRatio, ours[i].bits/theirs[i].bits), append(cpuRatio, ours[i].cpu/theirs[i].cpu)
	}
	section := "Y6 one unshaped path, one TCP flow; control: wireguard-go"
	b.add(
		&row{section: section, what: name + " " + way, unit: "Mbit/s", values: rate, control: rateOther},
		&row{section: section, what: name + " " + way + ", rate to wireguard-go's", unit: "ratio", values: rateRatio, judge: atLeast, bound: 1},
		&row{section: section, what: name + " " + way + ", CPU of both ends", unit: "s/GB", values: cpu, control: cpuOther},
		&row{section: section, what: name + " " + way + ", CPU to wireguard-go's", unit: "ratio", values: cpuRatio, judge: atMost, bound: 1},
	)
}
