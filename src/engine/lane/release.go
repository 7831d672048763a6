package lane

import (
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
)

// run returns what a holding lane may deliver now and works out when to look again. It ends the hold when the lane
// has nothing left to wait for.
func (r *Receiver) run(now mono.Time, l *lane, out []*packet.Buf) []*packet.Buf {
	r.sweep(l, now)
	inVain, skipping := false, false
	for l.expected < l.end {
		at := l.slot(l.expected)
		switch {
		case at.b != nil:
			out = r.unhold(now, l, at, !inVain, out)
			skipping = false
			continue
		case at.passed == gaveUp:
			r.stats.GaveUp++
		default:
			if due := r.due(l, at); now < due {
				l.deadline = mono.Min(due, l.wake)
				return out
			}
			if !skipping {
				r.stats.Gaps++
			}
			r.stats.Skipped++
			inVain, skipping = true, true
		}
		*at = slot{}
		l.expected++
	}
	r.stop(l)
	return out
}

// due returns when a missing packet is released.
func (r *Receiver) due(l *lane, at *slot) mono.Time {
	longest := min(capMax, max(l.delay, l.relative)+r.repairWait+capMargin)
	due := at.since.Add(longest)
	if at.passed != 0 {
		due = mono.Min(due, at.passed.Add(l.reorder+repairRounds*r.wait))
	}
	return due
}

// unhold takes the packet at l.expected out of its slot and appends it to out. waited says that its wait was of use, so
// that it counts as the lane's delay.
func (r *Receiver) unhold(now mono.Time, l *lane, at *slot, waited bool, out []*packet.Buf) []*packet.Buf {
	b, held := at.b, now.Sub(at.since)
	*at = slot{}
	l.expected++
	cost := max(b.Len(), minCostBytes)
	l.packets, l.cost, r.cost = l.packets-1, l.cost-cost, r.cost-cost
	r.stats.HeldPackets--
	r.stats.HeldBytes -= b.Len()
	if held > 0 {
		r.stats.heldFor(held)
	}
	if waited {
		l.blended(held)
	}
	return r.deliver(b, out)
}

// skipGap releases the oldest gap of a holding lane, with what is held directly behind it. Given-up packets and
// missing ones are alike here.
func (r *Receiver) skipGap(now mono.Time, l *lane, out []*packet.Buf) []*packet.Buf {
	r.stats.Pressure++
	r.stats.Gaps++
	for ; l.expected < l.end; l.expected++ {
		at := l.slot(l.expected)
		if at.b != nil {
			break
		}
		*at = slot{}
		r.stats.Skipped++
	}
	for l.expected < l.end {
		at := l.slot(l.expected)
		if at.b == nil {
			break
		}
		out = r.unhold(now, l, at, false, out)
	}
	if l.expected == l.end {
		r.stop(l)
	}
	return out
}

// jump gives up everything before s, far beyond the window: the sender uses the lane anew.
func (r *Receiver) jump(now mono.Time, l *lane, s uint64, out []*packet.Buf) []*packet.Buf {
	r.stats.Jumps++
	for l.ring != nil {
		out = r.skipGap(now, l, out)
	}
	clear(l.seen[:])
	l.expected, l.end, l.frontier = s, s, s
	return out
}

// reserve makes room for sequence s, at least expected, and opens the gap before it. Where the window does not
// allow it the lane releases from its front, where memory does not, the fattest lane. If there is not even memory
// for a ring, everything before s is released and the lane left without one.
func (r *Receiver) reserve(now mono.Time, l *lane, s uint64, out []*packet.Buf) []*packet.Buf {
	for s-l.expected >= window {
		out = r.skipGap(now, l, out)
	}
	for !r.fits(l, s) {
		if r.holding == nil {
			r.stats.Skipped += s - l.expected
			l.extend(s)
			return out
		}
		out = r.skipGap(now, r.fattest(), out)
	}
	opened := l.end
	if s >= l.end {
		l.extend(s)
	}
	for ; opened < l.end; opened++ {
		*l.slot(opened) = slot{since: now}
	}
	l.span = max(l.span, l.end-l.expected)
	return out
}

// fits makes the lane's ring large enough for s, or is false if memory forbids it.
func (r *Receiver) fits(l *lane, s uint64) bool {
	need := s - l.expected + 1
	if need <= uint64(len(l.ring)) {
		return true
	}
	class := classFor(need)
	if l.ring == nil && r.affords(slotsOf(max(class, int(l.hint)))) {
		class = max(class, int(l.hint))
	}
	more := slotsOf(class) - len(l.ring)
	if !r.affords(more) {
		return false
	}
	ring := r.rings.get(class)
	r.ringBytes += more * slotBytes
	if l.ring == nil {
		l.frontier, l.span, l.deadline = l.expected, 0, mono.Never
		r.link(l)
	} else {
		for at := l.expected; at < l.end; at++ {
			ring[at&uint64(len(ring)-1)] = *l.slot(at)
			*l.slot(at) = slot{}
		}
		r.rings.put(l.ring)
	}
	l.ring = ring
	return true
}

// affords reports whether that many slots more are within the limit.
func (r *Receiver) affords(slots int) bool { return r.cost+r.ringBytes+slots*slotBytes <= r.limit }

// stop ends a lane's hold: its ring, all slots empty, goes back. The next one begins with what this one needed, or
// one size smaller than this one was.
func (r *Receiver) stop(l *lane) {
	l.hint = uint8(max(classFor(l.span), classFor(uint64(len(l.ring)))-1))
	r.ringBytes -= len(l.ring) * slotBytes
	r.rings.put(l.ring)
	l.ring = nil
	if l.prev == nil {
		r.holding = l.next
	} else {
		l.prev.next = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	}
	l.prev, l.next = nil, nil
}

func (r *Receiver) link(l *lane) {
	l.prev, l.next = nil, r.holding
	if r.holding != nil {
		r.holding.prev = l
	}
	r.holding = l
}

// relieve releases gaps of the fattest lanes until what is held is within the limit.
func (r *Receiver) relieve(now mono.Time, out []*packet.Buf) []*packet.Buf {
	for r.holding != nil && !r.affords(0) {
		out = r.skipGap(now, r.fattest(), out)
	}
	return out
}

// fattest returns the lane that holds most memory. There must be one that holds something.
func (r *Receiver) fattest() *lane {
	best := r.holding
	for l := r.holding; l != nil; l = l.next {
		if l.cost+len(l.ring)*slotBytes > best.cost+len(best.ring)*slotBytes {
			best = l
		}
	}
	return best
}
