package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticks a second are what the kernel counts processor time in (USER_HZ), on every Linux.
const ticks = 100

// Fields of /proc/PID/stat behind the name: the parent, and processor times, own and of ended children, in user mode and the kernel.
const (
	statParent  = 1
	statUser    = 11
	statSystem  = 12
	statEnded   = 15 // the field after the last time
	ownTimes    = statSystem + 1
	leastFields = statEnded
)

// statOf is /proc/PID/stat behind the name; nil of a process that is gone.
func statOf(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	// The second field is the name in parentheses and may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < leastFields {
		return nil
	}
	return fields
}

// spent adds processor times, in seconds.
func spent(fields []string) (total float64) {
	for _, word := range fields {
		v, _ := strconv.ParseFloat(word, 64)
		total += v / ticks
	}
	return total
}

// cpuOf is the processor time that a process has used, in seconds.
func cpuOf(pid int) float64 {
	fields := statOf(pid)
	if fields == nil {
		return 0
	}
	return spent(fields[statUser:ownTimes])
}

// processTimes lists all processes: their parents, and the processor time of each with that of its ended children, in seconds.
func processTimes() (parents map[int]int, times map[int]float64) {
	parents, times = map[int]int{}, map[int]float64{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if fields := statOf(pid); fields != nil { // else it has just ended
			parents[pid], _ = strconv.Atoi(fields[statParent])
			times[pid] = spent(fields[statUser:statEnded])
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

// machineCPU is the processor time that the machine has spent on anything since it started, in seconds; with what the host of a
// virtual machine took away, if that is asked for.
func machineCPU(stolen bool) float64 {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	// cpu, user, nice, system, idle, waiting, interrupts, soft interrupts, stolen
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0
	}
	total := spent(fields[1:4]) + spent(fields[6:8])
	if stolen {
		total += spent(fields[8:9])
	}
	return total
}
