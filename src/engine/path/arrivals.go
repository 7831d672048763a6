package path

import (
	"math/bits"
	"time"

	"mpproxy/src/engine/mono"
)

const (
	// seenWords of 64 numbers each are remembered as come or not: on a link of 100 Mbit/s whose packets overtake each other by
	// 100 ms a thousand are under way at a time, and every second one may be missing for a while.
	seenWords  = 64
	seenWindow = seenWords * 64
	// milestones, at least milestoneEvery apart, reach back as far as lateness is told from loss.
	milestones     = 400
	milestoneEvery = time.Millisecond
	// recentArrivals bounds the arrivals that an acknowledgement names, and each is named by ackRepeats of them.
	recentArrivals = 64
	ackRepeats     = 3
)

// arrivals knows which of the newest numbers came. The zero value is ready.
type arrivals struct {
	any   bool
	first uint64 // greatest number that is not told about
	end   uint64 // greatest number + 1
	words [seenWords]uint64

	ring       [milestones]milestone
	head, kept int

	recent [recentArrivals]uint64
	count  uint64             // of all arrivals
	marks  [ackRepeats]uint64 // count at the last acknowledgements
}

// milestone says that number was the greatest at a time, or soon after.
type milestone struct {
	number uint64
	at     mono.Time
}

// add notes that n came; gap says that it leaves or fills a hole, late by how much it came behind a greater one.
func (a *arrivals) add(at mono.Time, n uint64) (gap bool, late time.Duration) {
	a.recent[a.count%recentArrivals] = n
	a.count++
	switch {
	case !a.any:
		a.any, a.first, a.end = true, n, n
		a.extend(at, n)
	case n >= a.end:
		gap = n != a.end
		a.extend(at, n)
	default:
		gap, late = true, a.lateness(at, n)
		if n+seenWindow <= a.end {
			return gap, late // long forgotten
		}
		a.first = min(a.first, n)
	}
	a.words[n/64%seenWords] |= 1 << (n % 64)
	return gap, late
}

// extend makes n the greatest number.
func (a *arrivals) extend(at mono.Time, n uint64) {
	for w := a.fresh(n); w <= n/64; w++ {
		a.words[w%seenWords] = 0
	}
	a.end = n + 1
	if a.kept > 0 {
		if last := a.milestone(a.kept - 1); at.Sub(last.at) < milestoneEvery {
			last.number = n
			return
		}
	}
	a.ring[(a.head+a.kept)%milestones] = milestone{n, at}
	if a.kept < milestones {
		a.kept++
	} else {
		a.head = (a.head + 1) % milestones
	}
}

// fresh is the first word that holds nothing but numbers from end to n, or forgotten ones.
func (a *arrivals) fresh(n uint64) uint64 {
	w := (a.end + 63) / 64
	if n/64 >= seenWords {
		w = max(w, n/64-seenWords+1)
	}
	return w
}

func (a *arrivals) milestone(i int) *milestone { return &a.ring[(a.head+i)%milestones] }

// lateness is the time since a number greater than n first came.
func (a *arrivals) lateness(at mono.Time, n uint64) time.Duration {
	var late time.Duration
	for i := a.kept - 1; i >= 0 && a.milestone(i).number > n; i-- {
		late = at.Sub(a.milestone(i).at)
	}
	return max(late, 0)
}

// floor is the least number that is worth telling about: what was the greatest age ago, and what is remembered.
func (a *arrivals) floor(now mono.Time, age time.Duration) uint64 {
	least := a.first
	if a.end > seenWindow-64 {
		least = max(least, a.end-(seenWindow-64))
	}
	for i := a.kept - 1; i >= 0; i-- {
		if m := a.milestone(i); now.Sub(m.at) > age {
			return max(least, min(m.number, a.end-1))
		}
	}
	return least
}

func (a *arrivals) has(n uint64) bool { return a.words[n/64%seenWords]>>(n%64)&1 != 0 }

// below returns the greatest number that came in [least, n], and false if none did.
func (a *arrivals) below(n, least uint64) (uint64, bool) {
	for {
		word := a.words[n/64%seenWords] << (63 - n%64)
		if word != 0 {
			n -= uint64(bits.LeadingZeros64(word))
			return n, n >= least
		}
		if n/64 == 0 || n/64*64 <= least {
			return 0, false
		}
		n = n/64*64 - 1
	}
}

// run returns the ends of the run of numbers that came around n, not below least.
func (a *arrivals) run(n, least uint64) (first, last uint64) {
	first, last = n, n
	for last+1 < a.end && a.has(last+1) {
		if (last+1)%64 == 0 && last+64 < a.end && a.words[(last+1)/64%seenWords] == ^uint64(0) {
			last += 64
			continue
		}
		last++
	}
	for first > least && a.has(first-1) {
		if first%64 == 0 && first >= least+64 && a.words[(first-1)/64%seenWords] == ^uint64(0) {
			first -= 64
			continue
		}
		first--
	}
	return first, last
}

// latest puts the numbers that came lately, and were not told often enough yet, into out in falling order.
func (a *arrivals) latest(out *[recentArrivals]uint64) int {
	n := 0
	for i := max(a.marks[0], a.count-min(a.count, recentArrivals)); i < a.count; i++ {
		v := a.recent[i%recentArrivals]
		at := n
		for ; at > 0 && out[at-1] < v; at-- {
			out[at] = out[at-1]
		}
		out[at] = v
		n++
	}
	return n
}

// told says that an acknowledgement was sent.
func (a *arrivals) told() {
	copy(a.marks[:], a.marks[1:])
	a.marks[ackRepeats-1] = a.count
}
