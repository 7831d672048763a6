package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"mpproxy/hack/lab"
)

// inner is a kind of flow inside the tunnel.
type inner struct {
	name string
	quic bool // else TCP with the congestion control of that name
}

// inners are the kinds of flows that a cell is measured with.
var inners = []inner{{name: "cubic"}, {name: "bbr"}, {name: "QUIC", quic: true}}

// availableFile names the congestion controls that the kernel has.
const availableFile = "/proc/sys/net/ipv4/tcp_available_congestion_control"

// usable returns the kinds of flows that this machine can run, and notes the others.
func (b *bench) usable() (kinds []inner) {
	text, _ := os.ReadFile(availableFile)
	for _, kind := range inners {
		switch {
		case kind.quic && !exists(b.quic):
			b.leave("flows of %s: %s is not built", kind.name, b.quic)
		case !kind.quic && !slices.Contains(strings.Fields(string(text)), kind.name):
			b.leave("flows of TCP %s: this kernel has it not (modprobe tcp_%[1]s)", kind.name)
		default:
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// leave notes once what cannot be measured, by the first line of what is said of it.
func (b *bench) leave(format string, args ...any) {
	all := fmt.Sprintf(format, args...)
	what, _, _ := strings.Cut(all, "\n")
	if !slices.Contains(b.leftOut, what) {
		b.leftOut = append(b.leftOut, what)
		b.say("NOT MEASURED: %s", all)
	}
}

// of returns the flow of a kind, in the length that this run measures.
func (b *bench) flowOf(kind inner, way lab.Direction) lab.Flow {
	f := lab.Flow{Direction: way, Length: b.settle + b.duration}
	if kind.quic {
		f.Program = b.quic
	} else {
		f.Congestion = kind.name
	}
	return f
}

// outcome is what a flow was like.
type outcome struct {
	Rate    float64     `json:"rate"`    // bit/s of payload after settling
	Rates   []float64   `json:"rates"`   // for each 100 ms
	Reached float64     `json:"reached"` // seconds until 0.9 of the target; notMeasured: never
	Trips   []float64   `json:"trips"`   // ms, of TCP only
	Links   [][]float64 `json:"links"`   // for each link: bit/s for each 100 ms, by the emulator's counters
	Trouble string      `json:"trouble"` // of a flow that broke: its rate counts all the same
	Burden  burden      `json:"-"`       // is the record's
}

// samplePeriod is that of the lab's own samples.
const samplePeriod = 100 * time.Millisecond

// watch samples what the links carry until stop is called.
func watch(l *lab.Lab, way lab.Direction) (stop func() [][]float64) {
	over := make(chan struct{})
	rates := make([][]float64, len(l.Links))
	var ended sync.WaitGroup
	ended.Go(func() {
		last := make([]uint64, len(l.Links))
		for i, link := range l.Links {
			last[i] = link.Stats(way).DeliveredBytes
		}
		tick := time.NewTicker(samplePeriod)
		defer tick.Stop()
		before := lab.Now()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			now := lab.Now()
			for i, link := range l.Links {
				n := link.Stats(way).DeliveredBytes
				rates[i] = append(rates[i], float64(n-last[i])*8/now.Sub(before).Seconds())
				last[i] = n
			}
			before = now
		}
	})
	return func() [][]float64 { close(over); ended.Wait(); return rates }
}

// run runs one flow and says what it was like; target is the sum of what the links leave, for the time to get there.
func (b *bench) run(l *lab.Lab, f lab.Flow, target float64) (o outcome, err error) {
	before := lateness(l)
	m := startMeter()
	stop := watch(l, f.Direction)
	flow, err := l.StartFlow(f)
	if err != nil {
		stop()
		return o, err
	}
	o.Trouble = words(flow.Wait())
	o.Links = stop()
	o.Burden = m.since()
	if late := lateness(l); late > before { // it is the worst so far: what was before is not this flow's
		o.Burden.Late = late
	}
	b.judge(&o, flow, f, target)
	return o, nil
}

// lateness is the worst of all links so far.
func lateness(l *lab.Lab) (late time.Duration) {
	for _, link := range l.Links {
		late = max(late, link.Lateness())
	}
	return late
}

// words are an error's; none of none.
func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// judge fills in what the receiver and the sender saw.
func (b *bench) judge(o *outcome, flow *lab.Bulk, f lab.Flow, target float64) {
	from, to := flow.Started.Add(b.settle), flow.Started.Add(f.Length)
	o.Rate, o.Rates, o.Reached = flow.Rate(from, to), flow.Rates(), notMeasured
	if at, ok := flow.Reached(flow.Started, 0.9*target); ok {
		o.Reached = max(0, at.Seconds())
	}
	for _, t := range flow.Trips(from, to) {
		o.Trips = append(o.Trips, float64(t.Delay)/1e6)
	}
}
