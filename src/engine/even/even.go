// Package even takes the early edge off the jitter of flows that have a lane: a packet that was much quicker than its
// neighbours is kept until it is nearly as old as they were when they came.
//
// A sender that models the path by the shortest round trip it ever saw (BBR) would otherwise believe the luckiest packet:
// where round trips vary between 15 and 70 ms it keeps no more on its way than 30 ms carry, and the links run dry. In
// virtual time such a flow got 0.07 of two links of 20 ms jitter, and gets 0.4 to 0.9 with this. It costs the flow what
// its luckiest packets were early; what has no lane, calls above all, is never kept.
//
// And it spreads the lump in which a lane goes on when a loss was repaired, if it carries UDP: a QUIC sender that is acknowledged
// a whole window at once is held back by its own pacing until the next lump, and a window that is not full does not grow; a
// receiver like quic-go's drops of a lump what is beyond 256 packets.
//
// No clock, no randomness, no goroutine, no log, no I/O.
package even

import (
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
)

const (
	// unit is that of stamps on the wire; 16 bits of it are 6.5 s.
	unit = 100 * time.Microsecond
	// span is over how long the usual age of packets is averaged.
	span = 200 * time.Millisecond
	// steady is the mean deviation below which nothing is kept: timers and batches alone make some of it.
	steady = time.Millisecond
	// evenPart of the mean deviation, in percent, packets may be younger than most: a half costs senders that leave slow start by
	// growing delays, the whole costs those that believe the shortest round trip.
	evenPart = 75
	// longest and longestDeviations bound how long a packet is kept.
	longest           = 60 * time.Millisecond
	longestDeviations = 3
	// grain is what a release may be early by, so that packets leave in batches.
	grain = time.Millisecond
	// idle is after what silence a flow is looked at anew.
	idle = time.Second
	// drift is how far the clocks of both ends may part before ages are counted from a new base.
	drift = time.Second
	// minCost is the least a packet counts towards the limit: a Buf takes 2 KiB however short its packet.
	minCost = 1024
	// defaultLimit bounds what is kept.
	defaultLimit = 4 << 20
)

// Stamp is a time of the sender's on the wire.
func Stamp(at mono.Time) uint16 { return uint16(int64(at) / int64(unit)) }

// Evener keeps packets of all lanes of one direction. Make it with New.
type Evener struct {
	streams []*stream // by lane
	holding []*stream
	limit   int
	cost    int
	kept    int       // packets now
	looked  mono.Time // up to when stats counts their time
	stats   Stats
}

// Stats are an Evener's sums.
type Stats struct {
	// Packets were kept, for Time all together.
	Packets uint64
	Time    time.Duration
	// Full were to be kept, and passed at once because the limit was reached.
	Full uint64
}

// Stats returns the sums so far; Time is up to the last call of Push or OnTimeout.
func (e *Evener) Stats() Stats { return e.stats }

// look counts the time of what is kept.
func (e *Evener) look(now mono.Time) {
	if e.kept > 0 {
		e.stats.Time += time.Duration(e.kept) * now.Sub(e.looked)
	}
	e.looked = now
}

// stream is one lane's.
type stream struct {
	head, tail *packet.Buf // kept, in order; Enqueued is when a packet may go, if those before it have gone

	seen      mono.Time // 0: never
	stamp     uint16    // the newest
	base      uint16    // of ages
	mean, dev time.Duration
	known     time.Duration // how long it has been looked at, up to span

	came        mono.Time // the newest
	from, since mono.Time // what came since goes on from then, in spreadPart of the time
}

// New returns an Evener that keeps at most limit bytes, each packet counted as at least 1024; beyond it packets pass at once.
// 0 means 4 MiB.
func New(limit int) *Evener {
	if limit <= 0 {
		limit = defaultLimit
	}
	return &Evener{limit: limit}
}

// Push takes over a packet that is in order in its lane, appends to out what may go on now, and returns out.
func (e *Evener) Push(now mono.Time, b *packet.Buf, out []*packet.Buf) []*packet.Buf {
	e.look(now)
	for len(e.streams) <= int(b.Lane) {
		e.streams = append(e.streams, nil)
	}
	s := e.streams[b.Lane]
	if s == nil {
		s = &stream{}
		e.streams[b.Lane] = s
	}
	wait := max(s.wait(now, b), s.spread(now, b))
	switch {
	case s.head == nil && wait <= 0:
		return append(out, b)
	case e.cost+cost(b) > e.limit:
		e.stats.Full++
		return append(e.flush(s, out), b)
	}
	b.Enqueued, b.Next = now.Add(wait), nil
	if s.head == nil {
		s.head = b
		e.holding = append(e.holding, s)
	} else {
		s.tail.Next = b
	}
	s.tail = b
	e.cost += cost(b)
	e.kept++
	e.stats.Packets++
	return out
}

// wait learns from a packet and returns how long to keep it, which may be negative.
func (s *stream) wait(now mono.Time, b *packet.Buf) time.Duration {
	if !b.Stamped {
		return 0
	}
	age := Stamp(now) - b.Stamp // on a scale of its own: the clocks have nothing in common
	if s.seen == 0 || now.Sub(s.seen) > idle {
		s.seen, s.stamp, s.base, s.mean, s.dev, s.known = now, b.Stamp, age, 0, 0, 0
		return 0
	}
	apart := time.Duration(int16(b.Stamp-s.stamp)) * unit
	if apart > 0 { // a repair is older than what came before it
		s.stamp = b.Stamp
	}
	s.seen = now
	off := time.Duration(int16(age-s.base))*unit - s.mean
	// Weighed by the time between their sending, not by packets: what comes in one lump is one observation.
	weight := min(max(apart, unit/10), span/8)
	s.known = min(s.known+weight, span)
	over := max(s.known, 8*weight) // at first all that is known counts alike
	s.mean += off * weight / over
	s.dev += (max(off, -off) - s.dev) * weight / over
	if s.mean > drift || s.mean < -drift {
		s.base += uint16(s.mean / unit)
		s.mean = 0
	}
	if s.dev < steady {
		return 0
	}
	return min(-off-s.dev*evenPart/100, longest, longestDeviations*s.dev)
}

// NextTimeout returns when OnTimeout should be called, Never if nothing is kept.
func (e *Evener) NextTimeout() mono.Time {
	next := mono.Never
	for _, s := range e.holding {
		next = mono.Min(next, s.head.Enqueued)
	}
	return next
}

// OnTimeout appends to out what has been kept long enough and returns out.
func (e *Evener) OnTimeout(now mono.Time, out []*packet.Buf) []*packet.Buf {
	e.look(now)
	for i := 0; i < len(e.holding); {
		s := e.holding[i]
		for s.head != nil && s.head.Enqueued <= now.Add(grain) {
			out = append(out, e.pop(s))
		}
		if s.head != nil {
			i++
			continue
		}
		e.let(i)
	}
	return out
}

// Flush appends everything kept to out and returns out.
func (e *Evener) Flush(out []*packet.Buf) []*packet.Buf {
	for len(e.holding) > 0 {
		out = e.flush(e.holding[0], out)
	}
	return out
}

// flush lets one lane's packets go.
func (e *Evener) flush(s *stream, out []*packet.Buf) []*packet.Buf {
	if s.head == nil {
		return out
	}
	for s.head != nil {
		out = append(out, e.pop(s))
	}
	for i := range e.holding {
		if e.holding[i] == s {
			e.let(i)
			break
		}
	}
	return out
}

func (e *Evener) pop(s *stream) *packet.Buf {
	b := s.head
	s.head, b.Next = b.Next, nil
	e.cost -= cost(b)
	e.kept--
	return b
}

// let takes an empty stream out of those that hold.
func (e *Evener) let(i int) {
	last := len(e.holding) - 1
	e.holding[i] = e.holding[last]
	e.holding = e.holding[:last]
}

func cost(b *packet.Buf) int { return max(b.Len(), minCost) }
