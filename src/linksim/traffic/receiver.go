package traffic

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"mpproxy/src/engine/mono"
)

const (
	// delayedAck is Linux's least time before a lone segment is acknowledged.
	delayedAck = 40 * time.Millisecond
	// quickAcks is how many segments Linux acknowledges at once at the start and after a duplicate, so that the
	// sender's window opens fast.
	quickAcks = 16
	// receiveWindow is what an autotuned Linux receiver reaches.
	receiveWindow = 16 << 20
	// SeriesStep is the width of one value of Receiver.Series.
	SeriesStep = 100 * time.Millisecond
)

// Receiver is the listening, receiving end of a bulk TCP connection. Make it with NewReceiver.
type Receiver struct {
	// Series has the bytes that came in order, per SeriesStep since the first packet.
	Series []int64
	// Duplicates counts segments that had arrived before, Corrupt packets that are damaged or not ours, and
	// OutOfOrder segments that came before their predecessors.
	Duplicates, Corrupt, OutOfOrder uint64
	// LongestGap is the longest time without progress of the stream since its first byte.
	LongestGap time.Duration

	ends     ends
	mss      int
	open     bool
	next     uint64 // the next byte that is missing
	start    mono.Time
	advanced mono.Time // when next grew last
	early    []early   // what came early, ascending, never touching
	touches  uint64
	dsack    span
	ack      bool // send an acknowledgement now
	synAck   bool
	due      mono.Time // delayed acknowledgement
	acked    uint64    // what the last acknowledgement said
	quick    int
	echo     uint32 // timestamp to return
	ecn, ece bool
	inbox    *inbox // as quic-go has it; nil: none
}

// early is a range that came early; touched tells which was extended last.
type early struct {
	span
	touched uint64
}

// NewReceiver returns an end that waits for a connection from remote to local, both of one IP version, over packets
// of at most mtu bytes.
func NewReceiver(local, remote netip.AddrPort, mtu int) *Receiver {
	r := &Receiver{ends: ends{local: local, remote: remote}, due: mono.Never, quick: quickAcks}
	r.mss = mtu - r.ends.headerBytes() - tcpBytes
	return r
}

// Delivered returns how many bytes have come in order.
func (r *Receiver) Delivered() int64 {
	if r.next == 0 {
		return 0
	}
	return int64(r.next - 1)
}

// NextTimeout returns when OnTimeout is due, or mono.Never.
func (r *Receiver) NextTimeout() mono.Time {
	if r.inbox != nil && len(r.inbox.queue) > 0 {
		return mono.Min(r.due, r.inbox.busy)
	}
	return r.due
}

// OnTimeout sends the delayed acknowledgement if it is due.
func (r *Receiver) OnTimeout(now mono.Time) {
	if r.inbox != nil {
		r.work(now)
	}
	if now >= r.due {
		r.ack, r.due = true, mono.Never
	}
}

// Poll writes the next packet to send into buf, which must have room for the MTU, and returns its length, 0 if none.
func (r *Receiver) Poll(now mono.Time, buf []byte) int {
	s := segment{ack: r.next, flags: flagACK, window: receiveWindow, stamp: stampOf(now), echo: r.echo}
	switch {
	case r.synAck:
		r.synAck = false
		s.flags |= flagSYN
		s.mss = r.mss
		if r.ecn {
			s.flags |= flagECE
		}
		return s.put(&r.ends, buf)
	case !r.ack:
		return 0
	}
	s.seq = 1
	if r.ece {
		s.flags |= flagECE
	}
	r.sacks(&s)
	r.ack, r.due, r.acked = false, mono.Never, r.next
	return s.put(&r.ends, buf)
}

// sacks fills in the duplicate, if any, and then the ranges that grew last (RFC 2018, RFC 2883).
func (r *Receiver) sacks(s *segment) {
	if r.dsack != (span{}) {
		s.sacks[0], s.sackCount, r.dsack = r.dsack, 1, span{}
	}
	for below := r.touches + 1; s.sackCount < maxSacks; s.sackCount++ {
		var best early
		for _, e := range r.early {
			if e.touched < below && e.touched > best.touched {
				best = e
			}
		}
		if best.touched == 0 {
			return
		}
		s.sacks[s.sackCount], below = best.span, best.touched
	}
}

// OnPacket takes a packet.
func (r *Receiver) OnPacket(now mono.Time, pkt []byte) {
	var s segment
	if !s.parse(&r.ends, pkt, r.next, 1) {
		r.Corrupt++
		return
	}
	if s.flags&flagSYN != 0 {
		if !r.open {
			r.open, r.next, r.start = true, 1, now
			r.ecn = s.flags&(flagECE|flagCWR) == flagECE|flagCWR
		}
		r.synAck, r.echo = true, s.stamp
		return
	}
	if !r.open || s.payload == 0 {
		return
	}
	if s.payload >= 8 && [8]byte(s.data) != bigEndian(s.seq) {
		r.Corrupt++
		return
	}
	if r.inbox != nil {
		s.data = nil
		r.post(now, &s)
		return
	}
	r.segment(now, &s)
}

// segment takes a segment of the open connection.
func (r *Receiver) segment(now mono.Time, s *segment) {
	r.noteECN(s)
	if (s.seq <= r.acked || r.acked == 0) && int32(s.stamp-r.echo) >= 0 { // RFC 7323: the oldest not yet acknowledged
		r.echo = s.stamp
	}
	r.data(now, span{s.seq, s.seq + uint64(s.payload)})
}

func (r *Receiver) noteECN(s *segment) {
	if s.flags&flagCWR != 0 {
		r.ece = false
	}
	if r.ecn && s.ecn == ecnCE {
		r.ece = true
		r.ack = true
	}
}

// data takes a range of the stream and decides when to acknowledge it.
func (r *Receiver) data(now mono.Time, k span) {
	switch {
	case k.to <= r.next || r.has(k):
		r.Duplicates++
		r.dsack, r.quick, r.ack = k, quickAcks, true
		return
	case k.from > r.next:
		r.OutOfOrder++
		r.insert(k)
		r.ack = true
		return
	}
	gap := len(r.early) > 0
	before := r.next
	r.next = k.to
	for len(r.early) > 0 && r.early[0].from <= r.next {
		r.next = max(r.next, r.early[0].to)
		r.early = slices.Delete(r.early, 0, 1)
	}
	r.progress(now, int64(r.next-before))
	switch {
	case gap, r.quick > 0, r.next-r.acked > uint64(k.to-k.from):
		r.quick = max(0, r.quick-1)
		r.ack = true
	case r.due == mono.Never:
		r.due = now.Add(delayedAck)
	}
}

func (r *Receiver) has(k span) bool {
	for _, e := range r.early {
		if e.from <= k.from && k.to <= e.to {
			return true
		}
	}
	return false
}

// insert adds a range that came early and joins it with those it touches.
func (r *Receiver) insert(k span) {
	i, _ := slices.BinarySearchFunc(r.early, k.from, func(e early, from uint64) int {
		if e.to < from {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(r.early) && r.early[j].from <= k.to; j++ {
		k = span{min(k.from, r.early[j].from), max(k.to, r.early[j].to)}
	}
	r.touches++
	r.early = slices.Replace(r.early, i, j, early{k, r.touches})
}

// progress books bytes that came in order.
func (r *Receiver) progress(now mono.Time, n int64) {
	if r.advanced != 0 {
		r.LongestGap = max(r.LongestGap, now.Sub(r.advanced))
	}
	r.advanced = now
	slot := int(now.Sub(r.start) / SeriesStep)
	for len(r.Series) <= slot {
		r.Series = append(r.Series, 0)
	}
	r.Series[slot] += n
}

// stampOf returns the timestamps option's clock.
func stampOf(now mono.Time) uint32 { return uint32(int64(now)/int64(time.Millisecond)) + 1 }

func bigEndian(v uint64) (b [8]byte) {
	binary.BigEndian.PutUint64(b[:], v)
	return b
}
