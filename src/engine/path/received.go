package path

import (
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/wire"
)

// Received is what came on a path and is to be acknowledged. The zero value is ready.
type Received struct {
	ranges [wire.MaxAckRanges]span // newest first
	count  int

	total     uint64 // bytes on the link
	packets   uint64
	ce        uint64
	largestAt mono.Time
	atLargest uint64 // total when the largest came

	pending      int
	pendingSince mono.Time
	urgent       bool
	lastAck      mono.Time
	heard        mono.Time
	late         time.Duration
	frames       int
}

type span struct {
	wire.Range
	at     mono.Time // when the newest number of the range came
	opened mono.Time // when its first number came: since then the gap below it has been open
}

// Newer reports that the number is greater than all before it.
func (r *Received) Newer(n uint64) bool { return r.count == 0 || n > r.ranges[0].Last }

// On takes a datagram that was accepted by the replay window. at is when it came, wireBytes its size on the link.
func (r *Received) On(now, at mono.Time, number uint64, wireBytes int, ce, eliciting bool) {
	first := r.count == 0
	idle := now.Sub(r.heard) > time.Second
	r.total += uint64(wireBytes)
	r.packets++
	r.heard = now
	if ce {
		r.ce++
	}
	gap := r.insert(at, number)
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

// insert puts the number into its range; gap reports that it leaves or fills a hole.
func (r *Received) insert(at mono.Time, n uint64) (gap bool) {
	if r.count == 0 || n > r.ranges[0].Last {
		r.largestAt, r.atLargest = at, r.total
		if r.count > 0 && n == r.ranges[0].Last+1 {
			r.ranges[0].Last, r.ranges[0].at = n, at
			return false
		}
		gap = r.count > 0
		r.open(0, n, at)
		return gap
	}
	late := time.Duration(0)
	for i := range r.count {
		s := &r.ranges[i]
		if n >= s.First && n <= s.Last {
			return true
		}
		if n < s.First {
			// How late it is shows the oldest number behind the gap: newer ones go on coming all the time.
			late = at.Sub(s.opened)
		}
		switch {
		case n == s.First-1:
			s.First = n
			if i+1 < r.count && r.ranges[i+1].Last+1 == n {
				s.First, s.opened = r.ranges[i+1].First, mono.Min(s.opened, r.ranges[i+1].opened)
				r.close(i + 1)
			}
			r.lateBy(late)
			return true
		case n == s.Last+1:
			s.Last, s.at = n, at
			r.lateBy(late)
			return true
		case n > s.Last:
			r.open(i, n, at)
			r.lateBy(late)
			return true
		}
	}
	r.lateBy(late)
	if r.count < len(r.ranges) {
		r.open(r.count, n, at)
	}
	return true
}

// lateBy notes by how much a number came behind newer ones.
func (r *Received) lateBy(by time.Duration) { r.late = max(r.late, min(by, maxLate)) }

func (r *Received) open(i int, n uint64, at mono.Time) {
	if r.count < len(r.ranges) {
		r.count++
	}
	copy(r.ranges[i+1:r.count], r.ranges[i:r.count-1])
	r.ranges[i] = span{wire.Range{First: n, Last: n}, at, at}
}

func (r *Received) close(i int) {
	copy(r.ranges[i:r.count], r.ranges[i+1:r.count])
	r.count--
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

// Fill makes f the acknowledgement of all that came. It is false if nothing came yet. Old ranges are left out: they
// were reported many times; every eighth frame carries all that are left.
func (r *Received) Fill(now mono.Time, id uint32, rtt time.Duration, f *wire.AckFrame) bool {
	if r.count == 0 {
		return false
	}
	for r.count > 1 && now.Sub(r.ranges[r.count-1].at) > rangeMaxAge+2*rtt {
		r.count--
	}
	limit := 12
	if r.frames++; r.frames%8 == 0 {
		limit = len(r.ranges)
	}
	f.Reset()
	f.Path, f.CE, f.Received, f.ReceivedAt = id, r.ce, r.atLargest, r.largestAt.Micros()
	f.DelayMicros = uint32(min(max(now.Sub(r.largestAt), 0), time.Minute) / time.Microsecond)
	for i := range min(r.count, limit) {
		f.AddRange(r.ranges[i].First, r.ranges[i].Last)
	}
	return true
}

// Acked says that an acknowledgement was sent.
func (r *Received) Acked(now mono.Time) {
	r.pending, r.urgent, r.lastAck = 0, false, now
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
