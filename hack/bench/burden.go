package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// mostOthers is the share of the machine that other programs may use while something is measured; more and it is marked.
	mostOthers = 0.15
	// lateEnough is the lateness of the emulator from which on a measurement is marked: that of a machine that is too busy.
	lateEnough = 20 * time.Millisecond
	// busyMark stands beside a figure that was measured on a busy machine.
	busyMark = "†"
	// olderMark stands at figures of an earlier build.
	olderMark = "‡"
	// kernelParent is the process whose children are the kernel's threads.
	kernelParent = 2
)

// burden is what the machine had to do besides, while something was measured.
type burden struct {
	Load   float64       `json:"load"`   // the 1-minute load average when it began
	Others float64       `json:"others"` // processors that other programs used meanwhile, in the mean
	Late   time.Duration `json:"late"`   // the emulator's worst delay of a delivery, where there is one
	Older  bool          `json:"-"`      // an earlier build was measured
}

// busy reports that the figure is to be marked.
func (u burden) busy() bool {
	return u.Others > mostOthers*float64(runtime.NumCPU()) || u.Late > lateEnough
}

// mark is what stands beside the figure.
func (u burden) mark() string { return marked(u.busy()) + markedOlder(u.Older) }

func marked(busy bool) string {
	if busy {
		return busyMark
	}
	return ""
}

func markedOlder(older bool) string {
	if older {
		return olderMark
	}
	return ""
}

// words say what was amiss, for a progress line.
func (u burden) words() string {
	text := ""
	if u.Others > mostOthers*float64(runtime.NumCPU()) {
		text += fmt.Sprintf(" (%s other programs used %.1f processors)", busyMark, u.Others)
	}
	if u.Late > lateEnough {
		text += fmt.Sprintf(" (%s the emulator was late by up to %v)", busyMark, u.Late.Round(time.Millisecond))
	}
	return text
}

// meter tells what other programs use of the machine's processors: all that was used, less what this process, those it has started
// and the kernel's own threads used.
type meter struct {
	at         time.Time
	used, mine float64 // seconds
	load       float64
}

// startMeter begins a measurement.
func startMeter() meter { return meter{time.Now(), machineCPU(true), usedByUs(), loadAverage()} }

// since ends it.
func (m meter) since() burden {
	now := startMeter()
	seconds := now.at.Sub(m.at).Seconds()
	if seconds <= 0 {
		return burden{Load: m.load}
	}
	return burden{Load: m.load, Others: max(0, (now.used-m.used-(now.mine-m.mine))/seconds)}
}

// loadAverage is the machine's 1-minute load.
func loadAverage() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}

// usedByUs is the processor time of this process, of those it has started, and of the kernel's threads.
func usedByUs() float64 {
	var own, ended unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &own) != nil || unix.Getrusage(unix.RUSAGE_CHILDREN, &ended) != nil {
		return 0
	}
	total := seconds64(own) + seconds64(ended)
	self := os.Getpid()
	parents, times := processTimes()
	for pid, t := range times {
		if pid != self && (parents[pid] == kernelParent || descends(pid, self, parents)) {
			total += t
		}
	}
	return total
}

func seconds64(u unix.Rusage) float64 {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
