package gaps

import (
	"time"

	"mpproxy/src/engine/mono"
)

// fate is what became of the packets sent in a slot.
type fate uint8

const (
	good fate = 1 << iota
	bad
)

// gap is a time in which what was sent was lost or came late.
type gap struct{ from, to mono.Time }

// Learner learns of one path; the zero value is ready.
type Learner struct {
	fates  [slots]fate
	newest int64 // number of the latest slot with a packet; 0: none yet
	done   int64 // slots up to this one are judged
	well   int64 // the last good slot
	run    run

	ring  [remembered]gap
	count int // gaps seen, ever

	period   time.Duration // 0: none is known
	last     gap           // the latest one that came when it should, as long as they are
	expected int64         // of the window that is judged next: how many periods after last
	used     int           // slots in it with packets
	missed   int           // in a row
}

// run is a row of bad slots.
type run struct {
	well, first, last int64 // the good slot before it, the first and the last bad one
	count             int
}

// Note says what became of a packet sent at some time: well is false if it was lost, or its round trip took more than Late longer
// than is usual. Packets may come in any order, those of more than a second ago no longer count.
func (l *Learner) Note(sent mono.Time, well bool) {
	n := int64(sent) / int64(slot)
	if n <= l.done {
		return
	}
	l.advance(n)
	f := bad
	if well {
		f = good
	}
	l.fates[n%slots] |= f
}

// advance makes n a slot that is kept.
func (l *Learner) advance(n int64) {
	if n <= l.newest {
		return
	}
	if l.newest == 0 {
		l.done = n - 1
	}
	for l.done < min(l.newest, n-judged) {
		l.done++
		l.judge(l.done, l.fates[l.done%slots])
		l.fates[l.done%slots] = 0
	}
	if l.done < n-judged { // nothing was sent for long
		l.endRun(n - judged)
		l.done = n - judged
	}
	l.newest = n
	l.miss()
}

// judge looks at a slot of which all is known.
func (l *Learner) judge(n int64, f fate) {
	if f != 0 && l.Until(mono.Time(n*int64(slot))) != 0 {
		l.used++
	}
	switch {
	case f&good != 0:
		l.endRun(n)
		l.well = n
	case f == 0 && l.run.count > 0 && n-l.run.last > pause:
		l.endRun(n)
	case f&bad != 0:
		if l.run.count == 0 {
			l.run.first, l.run.well = n, l.well
		}
		l.run.last = n
		l.run.count++
	}
}

// endRun makes a gap of a run that is one; n is the slot after it.
func (l *Learner) endRun(n int64) {
	r := l.run
	l.run = run{}
	if long := r.last - r.first + 1; r.count < leastSlots || long < leastRun || long > longest {
		return
	}
	// It may have begun right after the last good packet, and lasted until the next one.
	from, to := max(r.first-reach, r.well+1), min(r.last+1+reach, n)
	g := gap{mono.Time(from * int64(slot)), mono.Time(to * int64(slot))}
	if l.period == 0 || !l.keep(g) {
		l.search(g)
	}
	l.ring[l.count%remembered] = g
	l.count++
}

// keep takes a gap that came when it should; false if this one did not.
func (l *Learner) keep(g gap) bool {
	since := g.from.Sub(l.last.from)
	n := (since + l.period/2) / l.period
	if n < 1 || (since-n*l.period).Abs() > tolerance {
		return false
	}
	l.period += (since/n - l.period) / weight
	// A gap may be found shorter than it is, for want of packets, but soon not longer.
	long := max(g.to.Sub(g.from), l.last.to.Sub(l.last.from)*7/8)
	l.last = gap{g.from, g.from.Add(long)}
	l.missed, l.used, l.expected = 0, 0, 1
	return true
}

// search looks for two earlier gaps at the distances of a period from a new one, the shortest period first.
func (l *Learner) search(g gap) {
	if l.period != 0 {
		return
	}
	known := min(l.count, remembered)
	for i := range known {
		one := l.ring[(l.count-1-i)%remembered]
		d := g.from.Sub(one.from)
		if d > greatestPeriod {
			return
		}
		for j := i + 1; j < known; j++ {
			two := l.ring[(l.count-1-j)%remembered]
			if (one.from.Sub(two.from) - d).Abs() > tolerance {
				continue
			}
			if d >= leastPeriod {
				long := max(g.to.Sub(g.from), one.to.Sub(one.from), two.to.Sub(two.from))
				l.period, l.last = g.from.Sub(two.from)/2, gap{g.from, g.from.Add(long)}
				l.missed, l.used, l.expected = 0, 0, 1
			}
			return
		}
	}
}

// miss counts gaps that should have come and did not, once all is known of the time in which they should.
func (l *Learner) miss() {
	for l.period != 0 {
		end := l.last.to.Add(time.Duration(l.expected)*l.period + after + longest*slot)
		if mono.Time(l.done*int64(slot)) < end {
			return
		}
		if l.used >= leastSlots {
			l.missed++
		}
		l.used = 0
		if l.expected++; l.missed >= mostMissed || l.expected > mostUnseen {
			l.period, l.missed, l.count = 0, 0, 0
		}
	}
}

// Until is when the silence that now is in, or close to, is over; 0 if none is expected. What is sent before that is likely to be lost
// or late.
func (l *Learner) Until(now mono.Time) mono.Time {
	if l.period == 0 {
		return 0
	}
	since := now.Sub(l.last.from)
	n := (since + before) / l.period
	if n < 1 {
		return 0
	}
	if end := l.last.to.Add(n*l.period + after); now < end {
		return end
	}
	return 0
}

// Period is the time from one gap to the next, and long how long they are; 0 while none is known.
func (l *Learner) Period() (period, long time.Duration) {
	return l.period, l.last.to.Sub(l.last.from)
}
