package main

import (
	"fmt"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

const (
	failoverLinks = "20M/10ms,20M/25ms"
	failBefore    = 3 * time.Second
	failAfter     = 3 * time.Second
	maxSilence    = 300 // ms
	maxCarrier    = 50  // ms

	deepLinks = "18M/12ms/q1s,9M/20ms/q500ms"
	idleTime  = 4 * time.Second
	loadSkip  = 3 * time.Second
	loadTime  = loadSkip + 6*time.Second
	loadFlows = 4
	maxExtra  = 20 // ms over idle
	callTail  = 500 * time.Millisecond
)

// failover cuts a link, in silence and by its carrier, under a download and a call.
func (b *bench) failover() error {
	section := "Y3 a link of " + failoverLinks + " fails under a download and a call"
	for _, carrier := range []bool{false, true} {
		how, bound := "in silence", float64(maxSilence)
		if carrier {
			how, bound = "with its carrier", maxCarrier
		}
		rows := failRows{
			down:   &row{section: section, what: "lost " + how + ": call down, longest silence", unit: "ms", judge: atMost, bound: bound},
			up:     &row{section: section, what: "lost " + how + ": call up, longest silence", unit: "ms", judge: atMost, bound: bound},
			resent: &row{section: section, what: "lost " + how + ": TCP segments sent again", unit: "segments", judge: atMost},
			rate:   &row{section: section, what: "lost " + how + ": download over the other", unit: "share", judge: atLeast, bound: 0.85},
		}
		b.add(rows.down, rows.up, rows.resent, rows.rate)
		links, err := linksim.ParseLinks(failoverLinks)
		if err != nil {
			return err
		}
		for run := range b.runs {
			err := b.withPortals(links, run, func(l *lab.Lab) error { return rows.measure(l, carrier) })
			if err != nil {
				return err
			}
			last := len(rows.down.values) - 1
			b.say("run %d: lost %s: call silent %.0f ms down, %.0f ms up; %.0f segments sent again; then %.2f of the other link", run+1, how,
				rows.down.values[last], rows.up.values[last], rows.resent.values[last], rows.rate.values[last])
		}
	}
	return nil
}

type failRows struct{ down, up, resent, rate *row }

func (r failRows) measure(l *lab.Lab, carrier bool) error {
	length := failBefore + failAfter
	load, err := l.StartBulk(lab.Down, length)
	if err != nil {
		return err
	}
	call, err := l.StartCall(length)
	if err != nil {
		return err
	}
	time.Sleep(failBefore)
	before, err := l.Retransmits("server")
	if err != nil {
		return err
	}
	cut := lab.Now()
	if carrier {
		err = l.Links[0].Carrier(false)
	} else {
		l.Links[0].Cut(lab.Up, lab.Down)
	}
	if err != nil {
		return err
	}
	time.Sleep(failAfter - callTail)
	end := lab.Now()
	after, err := l.Retransmits("server")
	if err != nil {
		return err
	}
	for _, wait := range []func() error{load.Wait, call.Wait} {
		if err := wait(); err != nil {
			return err
		}
	}
	for way, into := range map[lab.Direction]*row{lab.Down: r.down, lab.Up: r.up} {
		s := call.Stats(way, cut.Add(-time.Second), end)
		into.values = append(into.values, float64(s.Silence.Milliseconds()))
	}
	r.resent.values = append(r.resent.values, float64(after-before))
	left := l.Links[1].Params(lab.Down)
	r.rate.values = append(r.rate.values, load.Rate(cut.Add(time.Second), end)/(float64(left.Rate)*tunnelShare))
	return nil
}

// calls measures a call's delay beside bulk that loads links with deep buffers, over its delay without.
func (b *bench) calls() error {
	section := "Y5 a call over " + deepLinks + " beside four TCP flows, one-way delay over idle"
	links, err := linksim.ParseLinks(deepLinks)
	if err != nil {
		return err
	}
	type result struct{ p95, silence, lost, rate *row }
	results := map[lab.Direction]result{}
	for _, way := range []lab.Direction{lab.Down, lab.Up} {
		r := result{
			p95:     &row{section: section, what: fmt.Sprintf("loaded %v: 95 %% of the call's packets within idle +", way), unit: "ms", judge: atMost, bound: maxExtra},
			silence: &row{section: section, what: fmt.Sprintf("loaded %v: longest silence of the call", way), unit: "ms"},
			lost:    &row{section: section, what: fmt.Sprintf("loaded %v: packets of the call lost", way), unit: "%"},
			rate:    &row{section: section, what: fmt.Sprintf("loaded %v: the four flows together", way), unit: "share"},
		}
		results[way] = r
		b.add(r.p95, r.silence, r.lost, r.rate)
	}
	for run := range b.runs {
		err := b.withPortals(links, run, func(l *lab.Lab) error {
			idle, err := callAlone(l)
			if err != nil {
				return err
			}
			for _, way := range []lab.Direction{lab.Down, lab.Up} {
				loaded, rate, err := callBeside(l, way)
				if err != nil {
					return err
				}
				r := results[way]
				extra := loaded.P95 - idle[way].P50
				r.p95.values = append(r.p95.values, extra.Seconds()*1e3)
				r.silence.values = append(r.silence.values, loaded.Silence.Seconds()*1e3)
				r.lost.values = append(r.lost.values, 100*float64(loaded.Lost)/float64(max(loaded.Sent, 1)))
				r.rate.values = append(r.rate.values, rate/sum(links, tunnelShare))
				b.say("run %d: loaded %v: call %.1f ms idle (50 %%), %.1f ms loaded (95 %%); flows %.2f of the sum", run+1, way,
					idle[way].P50.Seconds()*1e3, loaded.P95.Seconds()*1e3, rate/sum(links, tunnelShare))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// callAlone is a call without load, by direction.
func callAlone(l *lab.Lab) (map[lab.Direction]lab.CallStats, error) {
	call, err := l.StartCall(idleTime)
	if err != nil {
		return nil, err
	}
	if err := call.Wait(); err != nil {
		return nil, err
	}
	from, to := call.Started.Add(callTail), call.Started.Add(idleTime)
	return map[lab.Direction]lab.CallStats{lab.Up: call.Stats(lab.Up, from, to), lab.Down: call.Stats(lab.Down, from, to)}, nil
}

// callBeside is a call in the direction that flows load, and what the flows carried.
func callBeside(l *lab.Lab, way lab.Direction) (s lab.CallStats, rate float64, err error) {
	var flows []*lab.Bulk
	for range loadFlows {
		f, err := l.StartBulk(way, loadTime)
		if err != nil {
			return s, 0, err
		}
		flows = append(flows, f)
	}
	call, err := l.StartCall(loadTime - callTail)
	if err != nil {
		return s, 0, err
	}
	if err := call.Wait(); err != nil {
		return s, 0, err
	}
	from, to := call.Started.Add(loadSkip), call.Started.Add(loadTime-2*callTail)
	for _, f := range flows {
		if err := f.Wait(); err != nil {
			return s, 0, err
		}
		rate += f.Rate(from, to)
	}
	return call.Stats(way, from, to), rate, nil
}
