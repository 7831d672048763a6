package main

import (
	"fmt"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

// The asymmetric links: ten times as fast down as up, with buffers a second deep.
const (
	asymmetricDown = "50M/20ms/q1s,20M/40ms/q1s"
	asymmetricUp   = "5M/20ms/q1s,2M/40ms/q1s"
	// leastBeside is what a download must keep of its rate beside an upload that fills the links.
	leastBeside = 0.9
	bothFlows   = 4
)

// bothWays saturates asymmetric links in both directions: an upload must not starve the acknowledgements of a download, and a
// call beside both must not feel them. The control is the better link without a tunnel.
func (b *bench) bothWays() error {
	section := "Y5both " + asymmetricDown + " down, " + asymmetricUp + " up, four TCP flows each way; control: the first link without a tunnel"
	down, err := linksim.ParseLinks(asymmetricDown)
	if err != nil {
		return err
	}
	up, err := linksim.ParseLinks(asymmetricUp)
	if err != nil {
		return err
	}
	rows := &bothRows{
		alone: &row{section: section, what: "download alone", unit: "share"},
		upper: &row{section: section, what: "upload alone", unit: "share"},
		kept:  &row{section: section, what: "download beside the upload, of what it had alone", unit: "share", judge: atLeast, bound: leastBeside},
		left:  &row{section: section, what: "upload beside the download, of what it had alone", unit: "share"},
		call: map[lab.Direction]*row{
			lab.Down: {section: section, what: "call down, 95 % within idle +", unit: "ms", judge: atMost, bound: maxExtra},
			lab.Up:   {section: section, what: "call up, 95 % within idle +", unit: "ms", judge: atMost, bound: maxExtra},
		},
		lost: &row{section: section, what: "call, packets lost", unit: "%"},
	}
	b.add(rows.alone, rows.upper, rows.kept, rows.left, rows.call[lab.Down], rows.call[lab.Up], rows.lost)
	for run := range b.runs {
		o := lab.Options{Links: down, Up: up, Seed: uint64(run + 1)}
		err := b.withLab(o, func(l *lab.Lab) error { return b.bothRun(l, rows, sum(down, tunnelShare), sum(up, tunnelShare), false) })
		if err != nil {
			return err
		}
		plain, err := lab.New(lab.Options{Links: down[:1], Up: up[:1], Seed: uint64(run + 1)})
		if err != nil {
			return err
		}
		err = b.bothRun(plain, rows, sum(down[:1], plainShare), sum(up[:1], plainShare), true)
		if also := plain.Close(); err == nil {
			err = also
		}
		if err != nil {
			return err
		}
	}
	// What a plain link does is told, but nothing to be judged by: it is the fault that is to be absent here.
	for _, r := range []*row{rows.kept, rows.left, rows.call[lab.Down], rows.call[lab.Up], rows.alone, rows.upper} {
		r.note, r.control = "without a tunnel: "+number(median(r.control)), nil
	}
	return nil
}

type bothRows struct {
	alone, upper, kept, left, lost *row
	call                           map[lab.Direction]*row
}

// bothRun measures each way alone, then both with a call beside.
func (b *bench) bothRun(l *lab.Lab, rows *bothRows, sumDown, sumUp float64, control bool) error {
	file := func(r *row, v float64) {
		if control {
			r.control = append(r.control, v)
		} else {
			r.values = append(r.values, v)
		}
	}
	idle, err := callAlone(l)
	if err != nil {
		return err
	}
	alone := map[lab.Direction]float64{}
	for _, way := range ways {
		if alone[way], err = flows(l, way, bothFlows, b.settle+b.duration, b.settle); err != nil {
			return err
		}
	}
	both, call, err := b.bothAtOnce(l)
	if err != nil {
		return err
	}
	file(rows.alone, alone[lab.Down]/sumDown)
	file(rows.upper, alone[lab.Up]/sumUp)
	file(rows.kept, both[lab.Down]/max(alone[lab.Down], 1))
	file(rows.left, both[lab.Up]/max(alone[lab.Up], 1))
	text := ""
	for _, way := range ways {
		s := call.Stats(way, call.Started.Add(b.settle), call.Started.Add(b.settle+b.duration-callTail))
		file(rows.call[way], (s.P95-idle[way].P50).Seconds()*1e3)
		if !control {
			file(rows.lost, 100*float64(s.Lost)/float64(max(s.Sent, 1)))
		}
		text += fmt.Sprintf("; call %v +%.0f ms (95 %%), %d of %d lost", way, (s.P95-idle[way].P50).Seconds()*1e3, s.Lost, s.Sent)
	}
	what := "tunnel"
	if control {
		what = "plain link"
	}
	b.say("%s: down %s alone, %s beside; up %s alone, %s beside Mbit/s%s", what, mbit(alone[lab.Down]), mbit(both[lab.Down]), mbit(alone[lab.Up]), mbit(both[lab.Up]), text)
	return nil
}

// bothAtOnce runs flows both ways with a call beside them.
func (b *bench) bothAtOnce(l *lab.Lab) (rates map[lab.Direction]float64, call *lab.Call, err error) {
	length := b.settle + b.duration
	all := map[lab.Direction][]*lab.Bulk{}
	for _, way := range ways {
		for range bothFlows {
			f, err := l.StartBulk(way, length)
			if err != nil {
				return nil, nil, err
			}
			all[way] = append(all[way], f)
		}
	}
	if call, err = l.StartCall(length - callTail); err != nil {
		return nil, nil, err
	}
	if err := call.Wait(); err != nil {
		return nil, nil, err
	}
	when := interval{call.Started.Add(b.settle), call.Started.Add(length - callTail - 100*time.Millisecond)}
	rates = map[lab.Direction]float64{}
	for _, way := range ways {
		for _, f := range all[way] {
			if err := f.Wait(); err != nil {
				return nil, nil, err
			}
		}
		rates[way] = when.rateIn(all[way])
	}
	return rates, call, nil
}
