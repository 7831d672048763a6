// Package gain measures what several paths bring over the best one alone, and decides when one of them costs more than it
// brings: "never worse than the best link" as a live invariant.
//
// The goodput of a direction over its best path's capacity is the gain. While a spread flow is busy and the gain stays below
// one for Patience, the path of the longest delay is barred from spread flows on trial: if that brings more, it stays barred
// for Bar, which doubles when the same comes back, else it is let in at once and the next trial waits as much longer.
//
// No clock, no randomness of its own, no goroutine, no log, no I/O; not safe for concurrent use.
package gain

import (
	"time"

	"mpproxy/src/engine/mono"
)

const (
	// Slot is what Look wants to be called for, once each.
	Slot = 250 * time.Millisecond
	// Patience is how long the gain must be too low, in slots of Slot.
	Patience = 8
	// low is a gain that counts as below one, in percent: capacities are estimates.
	low = 95
	// settle and trial are the slots of a trial that are passed over and that count.
	settle = 2
	trial  = 4
	// better is what a trial must bring, in percent of what was before; with less than worse of it in a slot it ends at once.
	better = 105
	worse  = 85
	// long is the share of a slot in the long mean: a trial begins in a bad moment, and what follows is better without it too.
	long = 24
	// spare is how much more than the present goodput the other paths must be able to carry, in percent, for a trial.
	spare = 102
	// Bar is how long a path is barred at first, and MaxBar at most.
	Bar    = 10 * time.Second
	MaxBar = 5 * time.Minute
	// weight is the share of a slot in the mean that is shown, and forgotten the pause after which there is none.
	weight    = 8
	forgotten = 10 * time.Second
	// proofSlots is the window in slots for which it is remembered at least what a path carried.
	proofSlots = 24
	// proofWeight is the share of a slot in that.
	proofWeight = 4
	// MaxWays bounds the paths looked at.
	MaxWays = 16
)

// Way is one path that spread flows may take.
type Way struct {
	// Path is its id; Capacity is what it is believed to carry, in inner bytes per second, net of loss; Bytes are those of
	// Look.Bytes that it carried; Base is its delay on the common scale.
	Path     uint32
	Capacity int64
	Bytes    int64
	Base     time.Duration
	// Sure says that the path does not jitter, so that Capacity can be believed; else no more counts than what it carried.
	Sure bool
}

// proof is what a path has really carried, at most, in this window of time and the one before, in the mean over four slots: where
// the delay jitters estimates of the capacity may be far too high, and a gain that is too low for that reason would bar paths
// without need.
type proof struct {
	path        uint32
	mean        int64
	now, before int64
}

// Look is what a slot brought.
type Look struct {
	// Bytes are inner bytes acknowledged for the first time, over Time.
	Bytes int64
	Time  time.Duration
	// Busy says that a spread flow had to wait for a path during the slot.
	Busy bool
	// Flows is how many flows are spread.
	Flows int
	// Ways are the paths that spread flows may take, the barred one left out.
	Ways []Way
}

type phase uint8

const (
	open    phase = iota // nothing is barred
	trying               // a path is barred on trial
	barring              // and it was right
)

// Meter is the measurement of one direction. The zero value is ready.
type Meter struct {
	mean  float64   // gain, smoothed; 0 if not known
	known mono.Time // when it last was

	phase  phase
	barred uint32
	slots  int       // in a row with too low a gain, or of the trial
	sum    int64     // bytes per second in them
	usual  int64     // bytes per second while busy, in the long mean
	before int64     // bytes per second that a trial is held against
	until  mono.Time // when the bar ends
	next   mono.Time // no trial before
	pause  time.Duration
	proofs [MaxWays]proof
	proven int // of proofs in use
	age    int // slots in the window of proofs
	flows  int
	trials uint64
	bars   uint64
}

// Gain is the goodput over what the best path alone would give, smoothed over two seconds; 0 while nothing kept the
// paths busy for a while.
func (m *Meter) Gain(now mono.Time) float64 {
	if m.known == 0 || now.Sub(m.known) > forgotten {
		return 0
	}
	return m.mean
}

// Barred is the path that spread flows are not to take now; ok is false if there is none.
func (m *Meter) Barred() (path uint32, ok bool) { return m.barred, m.phase != open }

// Trials and Bars are how often a path was barred on trial, and how often that was right.
func (m *Meter) Trials() (trials, bars uint64) { return m.trials, m.bars }

// Look takes a slot; changed reports that Barred did.
func (m *Meter) Look(now mono.Time, l *Look) (changed bool) {
	rate := perSecond(l.Bytes, l.Time)
	var best, all int64
	slowest := -1
	m.prove(l)
	for i, w := range l.Ways {
		capacity := m.capacity(&w)
		best, all = max(best, capacity), all+capacity
		if slowest < 0 || w.Base > l.Ways[slowest].Base {
			slowest = i
		}
	}
	if l.Busy && best > 0 {
		// More than the paths' sum is a burst, or a capacity that is not known yet.
		m.show(now, min(float64(rate), float64(all))/float64(best))
	}
	switch m.phase {
	case trying:
		return m.judge(now, l, rate)
	case barring:
		return m.watch(now, l, rate)
	}
	if l.Busy {
		if m.usual == 0 {
			m.usual = rate
		}
		m.usual += (rate - m.usual) / long
	}
	if !l.Busy || len(l.Ways) < 2 || now < m.next || rate*100 >= best*low {
		m.slots, m.sum = 0, 0
		if m.pause > 0 && now.Sub(m.next) > 2*m.pause {
			m.pause = 0 // it has been well for long
		}
		return false
	}
	m.slots++
	m.sum += rate
	if m.slots < Patience {
		return false
	}
	m.before = max(m.sum/int64(m.slots), m.usual)
	m.slots, m.sum = 0, 0
	if (all-m.capacity(&l.Ways[slowest]))*100 < m.before*spare {
		return false // the others could not carry it
	}
	m.phase, m.barred, m.flows = trying, l.Ways[slowest].Path, l.Flows
	m.trials++
	return true
}

// prove notes what the paths carried.
func (m *Meter) prove(l *Look) {
	if m.age++; m.age >= proofSlots {
		m.age = 0
		kept := 0
		for _, p := range m.proofs[:m.proven] {
			if p.now > 0 { // else it is gone, or idle for long
				m.proofs[kept] = proof{p.path, p.mean, 0, p.now}
				kept++
			}
		}
		m.proven = kept
	}
	for _, w := range l.Ways {
		rate := perSecond(w.Bytes, l.Time)
		i := m.find(w.Path)
		switch {
		case i >= 0:
			p := &m.proofs[i]
			p.mean += (rate - p.mean) / proofWeight
			p.now = max(p.now, p.mean)
		case m.proven < MaxWays:
			m.proofs[m.proven] = proof{w.Path, rate, rate, 0}
			m.proven++
		}
	}
}

// capacity is what a path alone would carry, as far as it can be told.
func (m *Meter) capacity(w *Way) int64 {
	if w.Sure {
		return w.Capacity
	}
	return min(w.Capacity, m.shown(w.Path))
}

// shown is what a path has carried lately at most, in bytes per second.
func (m *Meter) shown(path uint32) int64 {
	if i := m.find(path); i >= 0 {
		return max(m.proofs[i].now, m.proofs[i].before)
	}
	return 0
}

func (m *Meter) find(path uint32) int {
	for i := range m.proofs[:m.proven] {
		if m.proofs[i].path == path {
			return i
		}
	}
	return -1
}

// judge looks at a slot of a trial.
func (m *Meter) judge(now mono.Time, l *Look, rate int64) (changed bool) {
	m.slots++
	if m.slots > settle {
		m.sum += rate
	}
	bad := m.slots > settle && rate*100 < m.before*worse || l.Flows != m.flows
	if m.slots < settle+trial && !bad {
		return false
	}
	right := !bad && m.sum/trial*100 >= m.before*better
	m.slots, m.sum = 0, 0
	m.pause = min(max(2*m.pause, Bar), MaxBar)
	if !right {
		m.lift(now, now.Add(m.pause))
		return true
	}
	m.bars++
	m.phase, m.until = barring, now.Add(m.pause)
	return false
}

// watch ends a bar when its time is over, when the flows are others, or when it does not bring what the trial promised.
func (m *Meter) watch(now mono.Time, l *Look, rate int64) (changed bool) {
	if now >= m.until || l.Flows == 0 || l.Flows > m.flows {
		m.lift(now, now)
		return true
	}
	if !l.Busy {
		return false
	}
	m.slots++
	m.sum += rate
	if m.slots < Patience {
		return false
	}
	mean := m.sum / int64(m.slots)
	m.slots, m.sum = 0, 0
	if mean >= m.before {
		return false
	}
	m.pause = min(2*m.pause, MaxBar)
	m.lift(now, now.Add(m.pause))
	return true
}

// lift ends a bar; the next trial may begin at next.
func (m *Meter) lift(now, next mono.Time) {
	m.phase, m.barred, m.next, m.slots, m.sum = open, 0, mono.Max(now, next), 0, 0
}

// Forget drops what is barred: the path is gone.
func (m *Meter) Forget(now mono.Time, path uint32) {
	if m.phase != open && m.barred == path {
		m.lift(now, now)
	}
}

func (m *Meter) show(now mono.Time, ratio float64) {
	if m.known == 0 || now.Sub(m.known) > forgotten {
		m.mean = ratio
	}
	m.mean += (ratio - m.mean) / weight
	m.known = now
}

func perSecond(bytes int64, d time.Duration) int64 {
	return bytes * int64(time.Second) / max(int64(d), int64(time.Millisecond))
}
