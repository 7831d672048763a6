package path

import (
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/wire"
)

// Received is what came on a path and is to be acknowledged. The zero value is ready.
type Received struct {
	seen arrivals

	total     uint64 // bytes on the link
	packets   uint64
	ce        uint64
	last      uint64 // number of the newest arrival that wants an answer
	lastAt    mono.Time
	lastTotal uint64 // total with it

	pending      int
	pendingSince mono.Time
	urgent       bool
	lastAck      mono.Time
	heard        mono.Time
	late         time.Duration
	frames       int
}

// Newer reports that the number is greater than all before it.
func (r *Received) Newer(n uint64) bool { return !r.seen.any || n >= r.seen.end }

// On takes a datagram that was accepted by the replay window. at is when it came, wireBytes its size on the link.
func (r *Received) On(now, at mono.Time, number uint64, wireBytes int, ce, eliciting bool) {
	first := !r.seen.any
	idle := now.Sub(r.heard) > time.Second
	r.total += uint64(wireBytes)
	r.packets++
	r.heard = now
	if ce {
		r.ce++
	}
	gap, late := r.seen.add(at, number)
	r.late = max(r.late, min(late, maxLate))
	if first || eliciting {
		r.last, r.lastAt, r.lastTotal = number, at, r.total
	}
	if !eliciting {
		return
	}
	if r.pending == 0 {
		r.pendingSince = now
	}
	r.pending++
	if first || idle || gap || ce {
		r.urgent = true
	}
}

// Due returns when an acknowledgement is to be sent, or mono.Never.
func (r *Received) Due(rtt time.Duration) mono.Time {
	if r.pending == 0 {
		return mono.Never
	}
	earliest := r.lastAck.Add(ackDelayMin)
	if r.urgent || r.pending >= ackEvery {
		return earliest
	}
	return mono.Max(earliest, r.pendingSince.Add(min(max(rtt/4, ackDelayMin), ackDelayMax)))
}

// Fill makes f an acknowledgement. It is false if nothing came yet. It names what came lately, each number in several frames,
// with its neighbours; every eighth frame names all that came and is not old, if it has room. So an
// acknowledgement stays short however many holes the order of arrival leaves for a while.
func (r *Received) Fill(now mono.Time, id uint32, rtt time.Duration, f *wire.AckFrame) bool {
	if !r.seen.any {
		return false
	}
	f.Reset()
	f.Path, f.CE, f.Received, f.ReceivedAt = id, r.ce, r.lastTotal, r.lastAt.Micros()
	f.Behind = r.seen.end - 1 - r.last
	f.DelayMicros = uint32(min(max(now.Sub(r.lastAt), 0), time.Minute) / time.Microsecond)
	least := r.seen.floor(now, rangeMaxAge+2*rtt)
	if r.frames++; r.frames%8 != 0 || !r.fillAll(least, f) {
		f.Reset()
		r.fillLatest(least, f)
	}
	return true
}

// fillAll names every range not below least; it is false if the frame has no room for them.
func (r *Received) fillAll(least uint64, f *wire.AckFrame) bool {
	for n, ok := r.seen.below(r.seen.end-1, least); ok; n, ok = r.seen.below(n, least) {
		first, last := r.seen.run(n, least)
		if !f.AddRange(first, last) {
			return false
		}
		if first <= least+1 {
			break
		}
		n = first - 2
	}
	return true
}

// fillLatest names the ranges of the latest arrivals, and always the greatest number.
func (r *Received) fillLatest(least uint64, f *wire.AckFrame) {
	var numbers [recentArrivals]uint64
	first, last := r.seen.run(r.seen.end-1, least)
	f.AddRange(first, last)
	for _, n := range numbers[:r.seen.latest(&numbers)] {
		if n < least {
			return
		}
		if n >= first {
			continue
		}
		if first, last = r.seen.run(n, least); !f.AddRange(first, last) {
			return
		}
	}
}

// Acked says that an acknowledgement was sent.
func (r *Received) Acked(now mono.Time) {
	r.pending, r.urgent, r.lastAck = 0, false, now
	r.seen.told()
	r.late -= r.late / 256
}

// Pending reports whether anything waits to be acknowledged.
func (r *Received) Pending() bool { return r.pending > 0 }

// Heard is when the last datagram came.
func (r *Received) Heard() mono.Time { return r.heard }

// Reorder is how late datagrams have come behind newer ones lately; 0 if the path keeps order.
func (r *Received) Reorder() time.Duration { return r.late }

// Totals returns the bytes on the link and the datagrams received.
func (r *Received) Totals() (bytes, datagrams uint64) { return r.total, r.packets }
