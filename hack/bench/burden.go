package main

import (
	"fmt"
	"os"
	"path/filepath"
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
	// ticks a second are what the kernel counts processor time in (USER_HZ), on every Linux.
	ticks = 100
	// kernelParent is the process whose children are the kernel's threads.
	kernelParent = 2
)

// burden is what the machine had to do besides, while something was measured.
type burden struct {
	Load   float64       `json:"load"`   // the 1-minute load average when it began
	Others float64       `json:"others"` // processors that other programs used meanwhile, in the mean
	Late   time.Duration `json:"late"`   // the emulator's worst delay of a delivery, where there is one
}

// busy reports that the figure is to be marked.
func (u burden) busy() bool {
	return u.Others > mostOthers*float64(runtime.NumCPU()) || u.Late > lateEnough
}

// mark is what stands beside the figure.
func (u burden) mark() string { return marked(u.busy()) }

func marked(busy bool) string {
	if busy {
		return busyMark
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
func startMeter() meter { return meter{time.Now(), usedByAll(), usedByUs(), loadAverage()} }

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

// usedByAll is the processor time that was used since boot, in seconds, with what the host of a virtual machine took away.
func usedByAll() float64 {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	total := 0.0
	for i, word := range strings.Fields(line) {
		// cpu, user, nice, system, idle, waiting, interrupts, soft interrupts, stolen
		if i > 0 && i < 9 && i != 4 && i != 5 {
			v, _ := strconv.ParseFloat(word, 64)
			total += v
		}
	}
	return total / ticks
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

// processTimes lists all processes: their parents, and the processor time of each with that of its ended children, in seconds.
func processTimes() (parents map[int]int, times map[int]float64) {
	parents, times = map[int]int{}, map[int]float64{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		// The second field is the name in parentheses and may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 15 {
			continue
		}
		parents[pid], _ = strconv.Atoi(fields[1])
		for _, word := range fields[11:15] { // user, system, and both of ended children
			v, _ := strconv.ParseFloat(word, 64)
			times[pid] += v / ticks
		}
	}
	return parents, times
}

// descends reports that a process was started by another, or by one that was.
func descends(pid, from int, parents map[int]int) bool {
	for pid > 1 {
		if pid = parents[pid]; pid == from {
			return true
		}
	}
	return false
}
