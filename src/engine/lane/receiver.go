package lane

import (
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/stats"
)

// Receiver puts the packets of all lanes of one direction in order. Make it with NewReceiver.
type Receiver struct {
	limit      int
	lanes      [MaxLanes]*lane
	holding    *lane // lanes that hold something, in no order
	paths      []path
	lastPath   int
	rings      rings
	repairWait time.Duration
	wait       time.Duration // for one repair, all margins included
	cost       int           // of held packets
	ringBytes  int           // of rings in use
	stats      Stats
}

// NewReceiver returns a Receiver without lanes or paths.
func NewReceiver(p Params) *Receiver {
	if p.LimitBytes <= 0 {
		p.LimitBytes = defaultLimitBytes
	}
	r := &Receiver{limit: p.LimitBytes, repairWait: defaultRepairWait, paths: make([]path, 0, maxPaths)}
	r.updateWait()
	return r
}

// Stats returns the state and counters.
func (r *Receiver) Stats() Stats { return r.stats }

// Drops returns the packets dropped since the Receiver was made, by reason.
func (r *Receiver) Drops() (d stats.Drops) {
	d[stats.LaneDuplicate] = r.stats.Duplicates
	d[stats.LaneWindow] = r.stats.TooOld
	d[stats.MalformedFrame] = r.stats.Malformed
	return d
}

// lane returns the lane with the given id, made at first use.
func (r *Receiver) lane(id uint16) *lane {
	if r.lanes[id] == nil {
		r.lanes[id] = newLane()
		r.stats.Lanes++
	}
	return r.lanes[id]
}

// Push takes over the packet b with the 24-bit sequence seq of a lane, appends to out what may be delivered now, in
// order, and returns out; the caller owns what is in out. repair says that b is not the first copy sent. Enqueued of what is in out
// is when it came; of a repair, when the first packet behind it did.
func (r *Receiver) Push(now mono.Time, id uint16, seq uint32, path uint32, repair bool, b *packet.Buf, out []*packet.Buf) []*packet.Buf {
	if id >= MaxLanes {
		r.stats.Malformed++
		b.Release()
		return out
	}
	l, i := r.lane(id), r.pathIndex(path)
	r.paths[i].heard = now
	l.touch(now)
	s := l.unwrap(seq & seqMask)
	if s >= l.end+window {
		out = r.jump(now, l, s, out)
	}
	if !repair {
		l.carried(r, i, s, now)
	}
	switch {
	case s+window < l.end:
		r.stats.TooOld++
		b.Release()
	case l.wasSeen(s):
		r.stats.Duplicates++
		b.Release()
	case s < l.expected:
		l.setSeen(s)
		r.stats.Late++
		b.Enqueued = now
		return r.deliver(b, out)
	case l.ring == nil && s == l.expected:
		l.extend(s)
		l.setSeen(s)
		l.expected = l.end
		l.blended(0)
		b.Enqueued = now
		return r.deliver(b, out)
	default:
		return r.hold(now, l, s, repair, b, out)
	}
	if l.ring != nil { // the path has come further
		out = r.run(now, l, out)
	}
	return out
}

func (r *Receiver) deliver(b *packet.Buf, out []*packet.Buf) []*packet.Buf {
	r.stats.Delivered++
	return append(out, b)
}

// hold keeps b until its turn comes, which may be now.
func (r *Receiver) hold(now mono.Time, l *lane, s uint64, repair bool, b *packet.Buf, out []*packet.Buf) []*packet.Buf {
	out = r.reserve(now, l, s, out)
	l.setSeen(s)
	if l.ring == nil { // no room for a ring: all before s was released
		l.expected = l.end
		b.Enqueued = now
		return r.deliver(b, out)
	}
	b.Enqueued = now
	if repair {
		b.Enqueued = l.slot(s).since // but for the loss it had come then
	}
	*l.slot(s) = slot{b: b, since: now}
	cost := max(b.Len(), minCostBytes)
	l.packets, l.cost, r.cost = l.packets+1, l.cost+cost, r.cost+cost
	r.stats.HeldPackets++
	r.stats.HeldBytes += b.Len()
	out = r.run(now, l, out)
	return r.relieve(now, out)
}

// Mark tells that no original below seq will come any more on path: the lane leaves that path. For a path that
// has not carried the lane it tells that it will, from seq on.
func (r *Receiver) Mark(now mono.Time, id uint16, seq uint32, path uint32, out []*packet.Buf) []*packet.Buf {
	if id >= MaxLanes {
		r.stats.Malformed++
		return out
	}
	l := r.lane(id)
	l.touch(now)
	m := l.mark(r, r.pathIndex(path))
	s := min(l.unwrap(seq&seqMask), l.end+window)
	m.next = max(m.next, s)
	if m.at.IsZero() || m.at < l.activeSince {
		m.at = now
	}
	if l.ring == nil {
		return out
	}
	return r.run(now, l, out)
}

// GaveUp tells that count packets from sequence first on will not be sent again. They are not waited for; if one
// comes nevertheless it is delivered.
func (r *Receiver) GaveUp(now mono.Time, id uint16, first uint32, count int, out []*packet.Buf) []*packet.Buf {
	if id >= MaxLanes || count < 1 || count > window {
		r.stats.Malformed++
		return out
	}
	l := r.lane(id)
	s := l.unwrap(first & seqMask)
	to := s + uint64(count)
	if to > l.end+window {
		r.stats.Malformed++
		return out
	}
	if to <= l.expected {
		return out
	}
	if to > l.end {
		out = r.reserve(now, l, to-1, out)
		if l.ring == nil {
			l.expected = l.end
			return out
		}
	}
	for s = max(s, l.expected); s < to; s++ {
		if at := l.slot(s); at.b == nil {
			at.passed = gaveUp
		}
	}
	return r.run(now, l, out)
}

// NextTimeout returns when OnTimeout should be called, Never if nothing waits.
func (r *Receiver) NextTimeout() mono.Time {
	next := mono.Never
	for l := r.holding; l != nil; l = l.next {
		next = mono.Min(next, l.deadline)
	}
	return next
}

// OnTimeout appends to out what has waited long enough and returns out.
func (r *Receiver) OnTimeout(now mono.Time, out []*packet.Buf) []*packet.Buf {
	for l := r.holding; l != nil; {
		next := l.next
		if l.deadline <= now {
			out = r.run(now, l, out)
		}
		l = next
	}
	return out
}

// Flush appends everything held to out, lane by lane and in order, and returns out: at the end of a session, when
// nothing more will come.
func (r *Receiver) Flush(out []*packet.Buf) []*packet.Buf {
	for l := r.holding; l != nil; l = r.holding {
		for l.expected < l.end {
			at := l.slot(l.expected)
			if at.b != nil {
				out = r.unhold(at.since, l, at, false, out)
				continue
			}
			*at = slot{}
			l.expected++
		}
		r.stop(l)
	}
	return out
}
