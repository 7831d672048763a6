package main

import (
	"fmt"
	"time"

	"mpproxy/hack/bench/chart"
	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

const (
	// fairSettle is how long two flows may take to find each other; cubic's periods are seconds long.
	fairSettle = 5 * time.Second
	// fairTimes is how much longer than other flows these are measured, for the same reason, and fairTime for how long at least.
	fairTimes = 2
	fairTime  = 15 * time.Second
	// What is asked of a flow's share, 1 being half of the link: in a queue of one BDP, and in deeper ones.
	fairLeast, fairMost, fairDeep = 0.5, 1.5, 0.25
)

// bottlenecks are links with queues of one BDP and of more.
var bottlenecks = []struct {
	links string
	depth float64 // of the queue, in BDP
}{
	{"20M/40ms/q40ms", 1},
	{"50M/20ms/q20ms", 1},
	{"10M/100ms/q100ms", 1},
	{"20M/40ms/q200ms", 5},
	{"20M/40ms/q1s", 25},
}

// fairness puts one flow in the tunnel beside one of the kernel on the same link. The control are two of the kernel.
func (b *bench) fairness() error {
	t := &table{name: "fairness", title: "One flow in the tunnel beside one of kernel cubic on the same link",
		note:    "Share: 1 is half of what both got. Control: one of two kernel flows beside the other. Wanted: 0.5 to 1.5 in a queue of one BDP, 0.25 or more in deeper ones.",
		columns: []string{"link", "queue, BDP", "way", "tunnel Mbit/s", "kernel Mbit/s", "share", "range", "control", "verdict"}}
	b.tables = append(b.tables, t)
	for i, n := range bottlenecks {
		links, err := linksim.ParseLinks(n.links)
		if err != nil {
			return err
		}
		b.say("[%d/%d] %s", i+1, len(bottlenecks), n.links)
		for _, way := range ways {
			if err := b.fairWay(t, links, n.links, n.depth, way); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) fairWay(t *table, links []linksim.Params, name string, depth float64, way lab.Direction) error {
	least, most := &row{section: "Fairness beside a kernel flow", what: fmt.Sprintf("%s %v, share", name, way), unit: "of half", judge: atLeast, bound: fairLeast, hidden: true},
		&row{section: "Fairness beside a kernel flow", what: fmt.Sprintf("%s %v, share, at most", name, way), unit: "of half", judge: atMost, bound: fairMost, hidden: true}
	if depth > 1 {
		least.bound, most.judge = fairDeep, unjudged
	}
	b.add(least, most)
	var mine, theirs, control []float64
	for run := range b.runs {
		err := b.withPortals(links, run, func(l *lab.Lab) error {
			ours, other, err := b.beside(l, way, "client", fmt.Sprintf("%s %v", name, way))
			mine, theirs = append(mine, ours), append(theirs, other)
			return err
		})
		if err != nil {
			return err
		}
		l, err := lab.New(lab.Options{Links: links, Seed: uint64(run + 1)})
		if err != nil {
			return err
		}
		one, two, err := b.beside(l, way, "client", "")
		l.Close()
		if err != nil {
			return err
		}
		control = append(control, 2*one/max(one+two, 1))
		share := 2 * mine[run] / max(mine[run]+theirs[run], 1)
		least.values, most.values = append(least.values, share), append(most.values, share)
		b.say("  run %d %v: %s in the tunnel, %s of the kernel: share %.2f (two of the kernel: %.2f)", run+1, way, mbit(mine[run]), mbit(theirs[run]), share, control[run])
	}
	verdict := "ok"
	if least.verdict() == missed || most.verdict() == missed {
		verdict = missed
	}
	t.add(name, number(depth), way.String(), mbit(median(mine)), mbit(median(theirs)), share(median(least.values))+marked(least.busy), least.cells()[3], share(median(control)), verdict)
	return nil
}

// beside runs a flow of the client, and one of the router itself, which no tunnel carries; it draws both if they have a name.
func (b *bench) beside(l *lab.Lab, way lab.Direction, from, name string) (ours, other float64, err error) {
	length := fairSettle + max(fairTime, fairTimes*b.duration)
	f := lab.Flow{Direction: way, Length: length, From: from}
	one, err := l.StartFlow(f)
	if err != nil {
		return 0, 0, err
	}
	f.From = "router"
	two, err := l.StartFlow(f)
	if err != nil {
		return 0, 0, err
	}
	for _, flow := range []*lab.Bulk{one, two} {
		if err := flow.Wait(); err != nil {
			return 0, 0, err
		}
	}
	begin, end := two.Started.Add(fairSettle), one.Started.Add(length)
	if name != "" {
		axes := chart.Axes{Title: name + ": one flow in the tunnel, one of the kernel", X: "s", Y: "Mbit/s"}
		svg := chart.Lines(axes, chart.Even("tunnel", samplePeriod.Seconds(), millions(one.Rates())), chart.Even("kernel", samplePeriod.Seconds(), millions(two.Rates())))
		err = b.save("fairness/"+fileName(name)+".svg", svg)
	}
	return one.Rate(begin, end), two.Rate(begin, end), err
}
