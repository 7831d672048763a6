package recovery

import (
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/wire"
)

// Payload is what a datagram carried that must not get lost silently.
type Payload struct {
	// Buf is the inner packet; the history owns one reference from Sent until it hands the Payload back.
	Buf *packet.Buf
	// Born is when the packet came into the tunnel.
	Born mono.Time
	// FromPath and FromNumber name the datagram that carried the packet first; FromPath 0: not known.
	FromPath   uint32
	FromNumber uint32
	// Until is when sending it again stops being of use; set once it has been.
	Until mono.Time
	// Control are the engine's own bits for control frames in the datagram.
	Control uint32
	// PartID is common to the two halves of a packet that went in two datagrams; 0 for a whole one.
	PartID uint16
	// Lane and Seq are the packet's place, while Laned.
	Seq    uint32
	Lane   uint16
	Laned  bool
	Urgent bool
	// Copies counts how often the packet was sent before.
	Copies uint8
}

// Packet is one datagram on the way.
type Packet struct {
	Payload
	// Number is its packet number on the path, Sent when it was sent, Wire its bytes on the link.
	Number uint64
	Sent   mono.Time
	Wire   int32

	total       int64 // bytes sent on the path up to and with this one
	delivered   uint64
	deliveredAt uint32
	based       bool
	firstSent   mono.Time
	state       fate
	limited     bool
}

type fate uint8

const (
	untracked   fate = iota // not ack-eliciting, or forgotten
	outstanding             // fate unknown
	acknowledged
	lost // declared lost; an acknowledgement may still come
)

// Result is what an acknowledgement or a timer brought. The slices are valid until the next call.
type Result struct {
	// Acked and Lost are packets whose Payload now belongs to the caller.
	Acked, Lost []Packet
	// Late counts packets that had been declared lost and came after all; their Payload was handed back before.
	Late int
	// New reports whether the acknowledgement told anything new.
	New bool
	// Probe reports that a probe timeout passed: nothing was acknowledged for too long.
	Probe bool
	// Rate is the delivery rate by the receiver's clock and SendRate the rate of sending over the same packets, in bytes
	// per second; 0 without a sample. Limited says that there was too little to send for Rate to show the capacity.
	Rate, SendRate int64
	Limited        bool
	// Span is the time over which Rate was measured.
	Span time.Duration
	// Round reports that a round trip has passed, RoundQueue the smallest queue delay seen in it.
	Round      bool
	RoundQueue time.Duration
	// AckedBytes and LostBytes are those of Acked and Lost on the link, CE is the receiver's counter.
	AckedBytes, LostBytes int64
	CE                    uint64
}

// History keeps the packets of one path; see New.
type History struct {
	// RTT and Delay are fed by OnAck.
	RTT   RTT
	Delay Delay
	// Hasty asks for rates over two round trips at most, however much the delay varies: while the capacity is still being
	// looked for a rough answer now is worth more than a good one later.
	Hasty bool

	ring     []Packet
	base     uint64 // no number below is outstanding
	next     uint64
	largest  uint64 // acknowledged
	anyAck   bool
	inflight int64
	count    int // outstanding packets

	total        int64
	told         uint64 // bytes that the receiver had by its last word
	toldTotal    int64  // total with the packet that brought it
	received     uint64 // bytes that the receiver had, or has, at receivedAt: where samples begin
	receivedAt   uint32
	based        bool      // those two mean something
	largestSent  mono.Time // of the packet sent last among the acknowledged
	firstSent    mono.Time
	lastSent     mono.Time
	limitedUntil uint64
	limited      bool
	roundEnd     uint64

	span      span
	now       mono.Time // of the acknowledgement being taken
	flight    time.Duration
	busy      time.Duration // mean flight of rounds with enough packets to tell, and hardly any queue
	roundSum  time.Duration // of this round's flights
	roundAcks int64
	late      time.Duration // how much later than others packets still came
	lossTimer mono.Time
	probed    mono.Time // last probe timeout
	backoff   int
	lastAck   mono.Time
	ageAt     mono.Time

	result Result
}

// New returns an empty history. offset is shared by the tunnel's paths.
func New(offset *Offset) *History {
	return &History{ring: make([]Packet, 64), Delay: NewDelay(offset), lossTimer: mono.Never}
}

// Next returns the number of the next packet.
func (h *History) Next() uint64 { return h.next }

// Inflight returns the bytes on the way, and in how many packets.
func (h *History) Inflight() (bytes int64, packets int) { return h.inflight, h.count }

// Total returns all bytes ever sent on the path.
func (h *History) Total() int64 { return h.total }

// LastAck returns when the last new acknowledgement came.
func (h *History) LastAck() mono.Time { return h.lastAck }

// LastSent returns when the last ack-eliciting packet was sent.
func (h *History) LastSent() mono.Time { return h.lastSent }

// Reordered reports whether the path has shown reordering lately, and how much.
func (h *History) Reordered() time.Duration { return h.late }

// Flight is how long packets are on the way until they are acknowledged, in the mean over all of them. Where packets overtake
// each other it is longer than the round trip, which the overtaking ones tell.
func (h *History) Flight() time.Duration { return h.flight }

// Busy is the mean time of flight under load: what the path takes without a queue, but with all the jitter that it shows. 0 if
// there was no busy round.
func (h *History) Busy() time.Duration { return h.busy }

// Full reports that no more packets can be kept.
func (h *History) Full() bool { return h.next-h.base >= maxOutstanding-1 }

// Oldest returns when the oldest outstanding packet was sent, or mono.Never.
func (h *History) Oldest() mono.Time {
	h.advance()
	if h.count == 0 {
		return mono.Never
	}
	return h.at(h.base).Sent
}

// MarkLimited says that there was nothing more to send though there was room (draft-ietf-ccwg-bbr, application-limited):
// what is sent until a packet sent after this is acknowledged tells only a lower bound of the rate.
func (h *History) MarkLimited() {
	h.limited, h.limitedUntil = true, h.next
}

// Sent records a datagram of wire bytes under the number Next. Only ack-eliciting datagrams are watched;
// p.Buf belongs to the history then, and must be nil otherwise.
func (h *History) Sent(now mono.Time, wireBytes int, eliciting bool, p Payload) {
	n := h.next
	h.next++
	h.total += int64(wireBytes)
	if n-h.base >= uint64(len(h.ring)) {
		h.grow()
	}
	s := h.at(n)
	if !eliciting {
		*s = Packet{Number: n}
		return
	}
	if h.count == 0 {
		h.restart(now, wireBytes)
	}
	if h.limited && h.anyAck && h.largest >= h.limitedUntil {
		h.limited = false
	}
	*s = Packet{
		Payload: p, Number: n, Sent: now, Wire: int32(wireBytes), total: h.total, state: outstanding,
		delivered: h.received, deliveredAt: h.receivedAt, based: h.based, firstSent: h.firstSent, limited: h.limited || p.Buf == nil,
	}
	if h.limited {
		h.span.limited = now
	}
	h.inflight += int64(wireBytes)
	h.count++
	h.lastSent = now
}

// restart begins a new flight with a packet of wireBytes after nothing was on the way. Its first samples count from the
// arrival of that packet, as far as the floor of the delay foretells it, and from what was sent before it; they are too high
// by at most that packet.
func (h *History) restart(now mono.Time, wireBytes int) {
	h.firstSent = now
	if h.based = h.Delay.known; h.based {
		h.receivedAt = h.Delay.offset.stamp(now, h.Delay.Floor())
		h.received = h.told + uint64(max(h.total-h.toldTotal-int64(wireBytes), 0))
	}
	if h.based {
		h.span.restart(checkpoint{now, h.total, h.received, h.receivedAt})
	}
	h.base = max(h.base, h.next-1)
	h.roundEnd = h.next - 1
}

func (h *History) at(n uint64) *Packet { return &h.ring[n&uint64(len(h.ring)-1)] }

// advance moves base over everything that is not outstanding.
func (h *History) advance() {
	for h.base < h.next && h.at(h.base).state != outstanding {
		h.base++
	}
}

func (h *History) grow() {
	h.advance()
	if h.next-1-h.base < uint64(len(h.ring)) {
		return
	}
	bigger := make([]Packet, 2*len(h.ring))
	for i := range h.ring {
		p := h.ring[i]
		bigger[p.Number&uint64(len(bigger)-1)] = p
	}
	h.ring = bigger
}

// OnAck takes an acknowledgement of this path's packets. An acknowledgement of packets never sent is refused
// with ok false: the peer is broken.
func (h *History) OnAck(now mono.Time, f *wire.AckFrame) (r *Result, ok bool) {
	h.reset()
	h.now = now
	if f.Largest() >= h.next {
		return &h.result, false
	}
	h.advance()
	newest, sample := h.take(now, f)
	if h.result.New {
		h.lastAck, h.backoff = now, 0
	}
	if sample && now.Sub(newest.Sent) < maxPTO { // longer ones are a clock that jumped, or a machine that slept
		h.RTT.Update(now.Sub(newest.Sent), time.Duration(f.DelayMicros)*time.Microsecond)
		h.Delay.update(now, newest.Sent, f.ReceivedAt, newest.total)
		h.sampleRate(f, newest)
		h.endRound(now, f.Largest())
	}
	h.result.CE = f.CE
	h.detect(now)
	h.advance()
	return &h.result, true
}

func (h *History) reset() {
	clear(h.result.Acked)
	clear(h.result.Lost)
	h.result = Result{Acked: h.result.Acked[:0], Lost: h.result.Lost[:0]}
}

// take marks what the frame acknowledges and returns the newest packet of it, and whether that one is a measurement.
func (h *History) take(now mono.Time, f *wire.AckFrame) (newest Packet, sample bool) {
	// Within one frame the newest come first: only what was acknowledged before shows that the path reorders.
	before := h.largestSent
	oldest := uint64(0)
	if h.next > uint64(len(h.ring)) {
		oldest = h.next - uint64(len(h.ring))
	}
	for i := range f.Count {
		r := f.Ranges[i]
		if r.Last < oldest {
			break
		}
		// Below base only packets declared lost are of interest, and those are near.
		for n := r.Last + 1; n > max(r.First, oldest); n-- {
			p := h.at(n - 1)
			if p.Number != n-1 {
				break
			}
			if n-1 == f.Sample() && (p.state == outstanding || p.state == lost) {
				newest, sample = *p, true
			}
			if p.state == lost {
				h.foundLate(p, before)
			}
			if p.state == outstanding {
				h.acked(p, before)
			} else if n-1 < h.base && h.base-n > h.lookBack() {
				break
			}
		}
	}
	if largest := f.Largest(); !h.anyAck || largest > h.largest {
		h.largest, h.anyAck = largest, true
	}
	return newest, sample
}

// lookBack is how far below base packets declared lost may still turn up.
func (h *History) lookBack() uint64 {
	if h.late > 0 {
		return reorderSpanLong
	}
	return reorderSpan
}

func (h *History) acked(p *Packet, before mono.Time) {
	if p.Sent < before {
		h.reordered(before.Sub(p.Sent))
	}
	h.largestSent = mono.Max(h.largestSent, p.Sent)
	h.inflight -= int64(p.Wire)
	h.count--
	h.result.New = true
	f := h.now.Sub(p.Sent)
	if h.flight == 0 {
		h.flight = f
	} else {
		h.flight += (f - h.flight) / flightWeight
	}
	h.roundSum += f
	h.roundAcks++
	h.result.AckedBytes += int64(p.Wire)
	h.result.Acked = append(h.result.Acked, *p)
	p.state, p.Buf = acknowledged, nil
}

func (h *History) foundLate(p *Packet, before mono.Time) {
	p.state = acknowledged
	h.result.Late++
	h.reordered(max(before.Sub(p.Sent), 0))
}

func (h *History) reordered(by time.Duration) {
	if by > h.late {
		h.late = min(by, maxReorderWindow)
	}
}

// Patience is how much later than a packet sent after it a packet may come before it counts as lost; 0 while the path has
// kept order.
func (h *History) Patience() time.Duration {
	if h.late == 0 {
		return 0
	}
	return h.window()
}

// window is how much later than a packet sent after it a packet may come before it counts as lost.
func (h *History) window() time.Duration {
	return min(max(h.RTT.Smoothed()/8, granularity, h.late+h.late/4), maxReorderWindow)
}

// endRound notices that a round trip has passed.
func (h *History) endRound(now mono.Time, n uint64) {
	if n < h.roundEnd {
		return
	}
	h.roundEnd = h.next
	h.result.Round = true
	h.result.RoundQueue = h.Delay.endRound(now)
	if h.roundAcks >= busyRound {
		h.noteBusy(h.roundSum / time.Duration(h.roundAcks))
	}
	h.roundSum, h.roundAcks = 0, 0
	h.late -= h.late / reorderDecayRounds
	if h.late < reorderForgotten {
		h.late = 0
	}
	if now > h.ageAt {
		h.RTT.Age()
		h.ageAt = now.Add(floorBuckets * floorBucket / 2)
	}
}

// noteBusy takes the mean flight of a busy round.
func (h *History) noteBusy(mean time.Duration) {
	calm := h.result.RoundQueue <= max(busyCalm, h.Delay.Deviation())
	switch {
	case h.busy == 0:
		h.busy = mean
	case calm || mean < h.busy:
		h.busy += (mean - h.busy) / busyWeight
	}
}

// detect declares packets lost (RFC 9002 section 6.1) and arms the loss timer for the others.
func (h *History) detect(now mono.Time) {
	h.lossTimer = mono.Never
	if !h.anyAck {
		return
	}
	window := h.window()
	// The latest sample too: a round trip that jumps up must not turn all that waits behind into losses.
	wait := max(h.RTT.Smoothed(), h.RTT.Latest()) + window
	for n := h.base; n < h.largest; n++ {
		p := h.at(n)
		if p.state != outstanding {
			continue
		}
		due := p.Sent.Add(wait)
		switch {
		case h.late == 0 && h.largest-n >= PacketThreshold, h.largestSent.Sub(p.Sent) > window, now >= due:
			h.lose(p)
		default:
			h.lossTimer = mono.Min(h.lossTimer, due)
		}
	}
}

func (h *History) lose(p *Packet) {
	h.inflight -= int64(p.Wire)
	h.count--
	h.result.LostBytes += int64(p.Wire)
	h.result.Lost = append(h.result.Lost, *p)
	p.state, p.Buf = lost, nil
}

// NextTimeout returns when OnTimeout wants to be called: for a loss or for a probe timeout.
func (h *History) NextTimeout() mono.Time {
	if h.count == 0 {
		return mono.Never
	}
	if h.lossTimer != mono.Never {
		return h.lossTimer
	}
	return mono.Max(h.lastSent, h.probed).Add(min(h.RTT.PTO()<<h.backoff, maxPTO))
}

// OnTimeout declares losses that time has decided, or reports a probe timeout.
func (h *History) OnTimeout(now mono.Time) *Result {
	h.reset()
	switch {
	case now < h.NextTimeout():
	case h.lossTimer != mono.Never:
		h.detect(now)
		h.advance()
	default:
		h.result.Probe, h.probed = true, now
		h.backoff = min(h.backoff+1, maxBackoff)
	}
	return &h.result
}

// Abandon hands all outstanding packets back as lost: the path is gone or not trusted any more. Acknowledgements
// that still come for the last of them count as late.
func (h *History) Abandon() *Result {
	h.reset()
	for n := h.base; n < h.next; n++ {
		if p := h.at(n); p.state == outstanding {
			h.lose(p)
		}
	}
	h.advance()
	h.lossTimer, h.backoff = mono.Never, 0
	return &h.result
}

// EachOutstanding calls fn for each packet on the way, oldest first, until it returns false. fn must not keep it.
func (h *History) EachOutstanding(fn func(*Packet) bool) {
	for n := h.base; n < h.next; n++ {
		if p := h.at(n); p.state == outstanding && !fn(p) {
			return
		}
	}
}
