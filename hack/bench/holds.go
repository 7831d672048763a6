package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"mpproxy/hack/bench/chart"
	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

const (
	// firstHold is the upper end of the first class of holds, in ms; each further class reaches twice as far, the last has no end.
	firstHold = 0.5
	// mostHold is what a packet may wait for order, in round trips of the fastest link, in 95 % of cases.
	mostHold = 1.5
)

// traceSums is what a trace tells about losses and waiting.
type traceSums struct {
	holds   []float64 // packets by class of how long they waited for order
	lost    int       // packets declared lost, by the side that was traced
	repairs int
	gaps    float64 // holes that were passed on
}

// readTrace adds up a trace (JSON lines). Events that it does not know are left out.
func readTrace(r io.Reader) (sums traceSums, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Event string    `json:"event"`
			Holds []float64 `json:"holds"`
			Gaps  float64   `json:"gaps"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return sums, fmt.Errorf("read trace: %w: %.80s", err, lines.Text())
		}
		switch e.Event {
		case "lanes":
			for i, n := range e.Holds {
				if i == len(sums.holds) {
					sums.holds = append(sums.holds, 0)
				}
				sums.holds[i] += n
			}
			sums.gaps = max(sums.gaps, e.Gaps)
		case "lost":
			sums.lost++
		case "repair":
			sums.repairs++
		}
	}
	return sums, lines.Err()
}

// holdAt returns how long (ms) the packets that waited at all did, at a quantile: the upper end of its class, without end in the last.
func holdAt(holds []float64, q float64) float64 {
	total := 0.0
	for _, n := range holds[min(1, len(holds)):] {
		total += n
	}
	if total == 0 {
		return 0
	}
	passed := 0.0
	for i := 1; i < len(holds)-1; i++ {
		if passed += holds[i]; passed >= q*total {
			return firstHold * math.Exp2(float64(i))
		}
	}
	return math.Inf(1)
}

// lanes measures how long packets wait for order: one cubic flow down each profile, with both ends traced.
func (b *bench) lanes() error {
	cells, err := cellsOf(chosen(b.profile))
	if err != nil {
		return err
	}
	t := &table{name: "holds", title: "How long packets wait for order, one cubic flow down, with tracing on",
		note: "Waited: packets that stood in a lane for half a millisecond or more. Times are upper ends of classes (1, 2, 4, … ms). Wanted: 95 % within 1.5 round " +
			"trips of the fastest link.",
		columns: []string{"profile", "Mbit/s", "lost", "repaired", "waited", "waited 50 % <", "waited 95 % <", "wanted", "holes passed on", "verdict"}, plots: []string{"holds.svg"}}
	b.tables = append(b.tables, t)
	var all []chart.Group
	for i, c := range cells {
		m := startMeter()
		s, rate, err := b.traced(c)
		u := m.since()
		if err != nil {
			b.leave("holds on %s: %v", c.name, err)
			continue
		}
		b.say("[%d/%d] %s: %s Mbit/s, %d lost, 95 %% waited less than %s ms%s", i+1, len(cells), c.name, mbit(rate), s.lost, endless(holdAt(s.holds, 0.95)), u.words())
		all = append(all, b.holdLine(t, c, s, rate, u))
		axes := chart.Axes{Title: "How long packets waited for order; the short lines are what is wanted of 95 %", Y: "ms"}
		if err := b.save("holds.svg", chart.Bars(axes, []string{"50 % less than", "95 % less than"}, all)); err != nil {
			return err
		}
	}
	return nil
}

// holdLine files one profile's figures and returns what is drawn of them.
func (b *bench) holdLine(t *table, c cell, s traceSums, rate float64, u burden) chart.Group {
	wanted := mostHold * fastest(c.links)
	half, most := holdAt(s.holds, 0.5), holdAt(s.holds, 0.95)
	r := &row{section: "Holds", what: c.name + ", 95 % waited less than", unit: "ms", values: []float64{most}, judge: atMost, bound: classAbove(wanted), hidden: true, busy: u.busy(), told: 1}
	b.add(r)
	waited := 0.0
	for _, n := range s.holds[min(1, len(s.holds)):] {
		waited += n
	}
	t.add(c.name, mbit(rate)+u.mark(), fmt.Sprint(s.lost), fmt.Sprint(s.repairs), whole(waited), endless(half), endless(most), "<= "+whole(wanted), whole(s.gaps), r.verdict())
	last := firstHold * math.Exp2(float64(len(s.holds)))
	return chart.Group{Name: c.name, Values: []float64{min(half, last), min(most, last)}, Ticks: []float64{wanted}}
}

// fastest is the shortest round trip, in ms.
func fastest(links []linksim.Params) float64 {
	least := math.Inf(1)
	for _, p := range links {
		least = min(least, 2*p.Delay.Seconds()*1e3)
	}
	return least
}

// classAbove is the end of the class that a time lies in: classes cannot say it more exactly.
func classAbove(ms float64) float64 {
	end := firstHold
	for end < ms {
		end *= 2
	}
	return end
}

func endless(v float64) string {
	if math.IsInf(v, 1) {
		return "more"
	}
	return number(v)
}

// traced runs one flow with both ends traced: the router tells how long packets waited, the remote what was lost.
func (b *bench) traced(c cell) (sums traceSums, rate float64, err error) {
	err = b.withPortals(c.links, 0, func(l *lab.Lab) error {
		type answer struct {
			sums traceSums
			err  error
		}
		answers := map[string]chan answer{}
		length := b.settle + b.duration
		for _, role := range []string{"router", "remote"} {
			answers[role] = make(chan answer, 1)
			file := filepath.Join(b.out, "traces", c.name+"-"+role+".jsonl")
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			go func() {
				s, err := b.trace(l, role, file, length)
				answers[role] <- answer{s, err}
			}()
		}
		o, err := b.run(l, b.flowOf(inners[0], lab.Down), 1)
		if err != nil {
			return err
		}
		router, remote := <-answers["router"], <-answers["remote"]
		if router.err != nil || remote.err != nil {
			return fmt.Errorf("trace: %v, %v", router.err, remote.err)
		}
		sums, rate = router.sums, o.Rate
		sums.lost, sums.repairs = remote.sums.lost, remote.sums.repairs
		return nil
	})
	return sums, rate, err
}

// trace runs the program's own tracing for a time and reads what it wrote.
func (b *bench) trace(l *lab.Lab, role, file string, length time.Duration) (traceSums, error) {
	if _, err := l.Mpproxy(role, "trace", "--seconds", fmt.Sprintf("%.0f", length.Seconds()), "--output", file); err != nil {
		return traceSums{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return traceSums{}, err
	}
	defer f.Close()
	return readTrace(f)
}
