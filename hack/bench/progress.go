package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fileEvery is how often the files are written while a section runs: a long run may be stopped.
const fileEvery = 5 * time.Second

// progress is how far a run has come, and what it expects.
type progress struct {
	began time.Time
	limit time.Duration // of the whole run; 0: none
	later time.Duration // what the sections after this one will take
	rest  time.Duration // what this one had left when it was asked last
	asked time.Time
	meter meter // since the last line
	filed time.Time
}

// expect says how long the present section will take from now.
func (p *progress) expect(rest time.Duration) { p.rest, p.asked = rest, time.Now() }

// left is how long the whole run will take from now.
func (p *progress) left() time.Duration {
	return p.later + max(0, p.rest-time.Since(p.asked))
}

// timeOver reports that something of the given length would end after the run's limit.
func (p *progress) timeOver(cost time.Duration) bool {
	return p.limit > 0 && time.Since(p.began)+cost > p.limit
}

// say prints a progress line. What was measured since the last one is marked if the machine was busy meanwhile; the files are
// brought up to date now and then.
func (b *bench) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	now := time.Now()
	if !b.meter.at.IsZero() {
		u := b.meter.since()
		if b.markBusy(u) && !strings.Contains(text, busyMark) {
			text += u.words()
		}
	}
	b.meter = startMeter()
	fmt.Printf("%5.0f s, %3.0f min left  %s\n", now.Sub(b.began).Seconds(), b.left().Minutes(), text)
	if now.Sub(b.filed) > fileEvery && b.store != nil {
		b.filed = now
		_ = b.write(b.head()) // the section's end reports it
	}
}

// head says when and where the run was made.
func (b *bench) head() string {
	return fmt.Sprintf("%s, %s; %d run(s), flows of the profiles %v after %v; medians. Control: the same without the tunnel, or the other program. "+
		"%s: measured while other programs used more than %.1f processors, or the emulator was late by more than %v.",
		time.Now().Format("2006-01-02 15:04"), machine(), b.runs, b.duration, b.settle, busyMark, mostOthers*float64(runtime.NumCPU()), lateEnough)
}

// machine describes where this runs.
func machine() string {
	var name unix.Utsname
	release := ""
	if unix.Uname(&name) == nil {
		release = unix.ByteSliceToString(name.Release[:])
	}
	model := ""
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			model = " (" + strings.TrimSpace(value) + ")"
			break
		}
	}
	return fmt.Sprintf("%d processors%s, Linux %s, %s, load %.1f", runtime.NumCPU(), model, release, runtime.Version(), loadAverage())
}
