package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

const (
	idleMemory = 32 // MiB
	loadMemory = 64 // MiB
	settleTime = 3 * time.Second
	// heavyLinks fill every buffer: fast, long, deep, and far apart.
	heavyLinks = "300M/200ms/q1s,150M/60ms/q1s"
	heavyFlows = 4
	heavyTime  = 8 * time.Second
)

// memory measures both portals' resident memory, idle and at its highest after a download and an upload.
func (b *bench) memory() error {
	section := "Size and memory"
	rows := map[string]*row{}
	for _, role := range []string{"router", "remote"} {
		for what, bound := range map[string]float64{"idle": idleMemory, "highest under load": loadMemory} {
			r := &row{section: section, what: fmt.Sprintf("%s, resident, %s", role, what), unit: "MiB", judge: atMost, bound: bound}
			if what != "idle" {
				r.note = "links " + heavyLinks
			}
			rows[role+what] = r
		}
	}
	for _, key := range []string{"routeridle", "remoteidle", "routerhighest under load", "remotehighest under load"} {
		b.add(rows[key])
	}
	links, err := linksim.ParseLinks(heavyLinks)
	if err != nil {
		return err
	}
	return b.withPortals(links, 0, func(l *lab.Lab) error {
		daemons := map[string]*lab.Daemon{"router": l.Router, "remote": l.Remote}
		time.Sleep(settleTime)
		before := map[string]float64{"router": cpuOf(l.Router.Pid()), "remote": cpuOf(l.Remote.Pid())}
		time.Sleep(settleTime)
		for role, d := range daemons {
			b.add(&row{section: section, what: role + ", processor time, idle", unit: "%",
				values: []float64{100 * (cpuOf(d.Pid()) - before[role]) / settleTime.Seconds()}})
			rows[role+"idle"].values = append(rows[role+"idle"].values, resident(d.Pid(), "VmRSS:"))
		}
		for _, way := range []lab.Direction{lab.Down, lab.Up} {
			rate, err := flows(l, way, heavyFlows, heavyTime, startUp)
			if err != nil {
				return err
			}
			b.say("%v at %.0f Mbit/s; resident: router %.1f MiB, remote %.1f MiB", way, rate/1e6,
				resident(l.Router.Pid(), "VmRSS:"), resident(l.Remote.Pid(), "VmRSS:"))
		}
		for role, d := range daemons {
			rows[role+"highest under load"].values = append(rows[role+"highest under load"].values, resident(d.Pid(), "VmHWM:"))
		}
		return nil
	})
}

// resident reads a line of a process's status, in MiB.
func resident(pid int, field string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n / 1024
		}
	}
	return 0
}

// flows runs several TCP transfers at once and returns their rate together.
func flows(l *lab.Lab, way lab.Direction, n int, length, skip time.Duration) (rate float64, err error) {
	var all []*lab.Bulk
	for range n {
		f, err := l.StartBulk(way, length)
		if err != nil {
			return 0, err
		}
		all = append(all, f)
	}
	for _, f := range all {
		if err := f.Wait(); err != nil {
			return 0, err
		}
		rate += f.Rate(f.Started.Add(skip), f.Started.Add(length))
	}
	return rate, nil
}
