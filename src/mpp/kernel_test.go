package mpp

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"mpproxy/src/engine/mono"
)

const (
	kernelPacket = 1400
	kernelQueue  = 100 * time.Millisecond // of the link, drop-tail
	// kernelBuffer is what a socket holds by itself: tcp_wmem's 4 MB, of which two thirds are filled.
	kernelBuffer = 8 << 20 / 3
	startupGain  = 2.885
	kernelDelay  = 40 * time.Millisecond // of an acknowledgement
)

// kernel is a TCP connection with bbr as Linux has it, packet by packet: start-up until three rounds brought no growth,
// rounds in which it ran dry not counted; a drop-tail queue; losses that hold all behind them up until they were repaired.
type kernel struct {
	pipeParams
	rng *rand.Rand

	// The stream: base <= nxt <= end.
	bytes          []byte
	base, nxt, end uint64
	tail           int  // bytes that may wait unsent
	dry            bool // waits until half of the tail is unsent
	endless        bool // always has something to send: a connection alone

	// patient says that the other end acknowledges a packet that comes alone late, or with what it sends itself: back. held
	// is the last one while that is open.
	patient bool
	back    *kernel
	held    *packet
	hasty   int // packets that the other end acknowledges at once all the same

	// The link.
	free, lastArrival, lastAck mono.Time
	wire                       []*packet // sent and neither acknowledged nor lost, in order of sending
	arrivals, acks             []*packet
	lost                       []*packet
	early                      spans
	out                        []parcel

	// bbr.
	sent                     int // packets
	delivered, inflight      int
	deliveredAt, firstSent   mono.Time
	limited                  int // up to this delivered, samples say less than the link can
	nextRound                int
	bw                       [10]float64 // most of each round
	round, pushed            int
	fullBW                   float64
	fullRounds               int
	full, drained            bool
	least                    time.Duration
	leastAt, probeEnd, cycle mono.Time
	phase                    int
	nextSend                 mono.Time
	paced                    float64 // see pace
	window                   int
	epoch                    mono.Time
	epochAcked, extraRound   int
	extra                    [2]int
}

type packet struct {
	Span
	number                 int // of sending
	at, arrives, acked     mono.Time
	delivered              int
	deliveredAt, firstSent mono.Time
	limited                bool
	done                   bool
}

func newKernel(p pipeParams, rng *rand.Rand) *kernel {
	k := &kernel{pipeParams: p, rng: rng, tail: 16 << 10, window: 10 * kernelPacket, leastAt: 1}
	k.least = k.handshake()
	return k
}

// handshake is how long the connection took to set up; bbr begins with that.
func (k *kernel) handshake() time.Duration {
	return max(100*time.Microsecond, 2*k.delay+k.jittered()+k.jittered())
}

func (k *kernel) rateNow() float64 {
	if most := slices.Max(k.bw[:]); most > 0 {
		return most
	}
	return 10 * kernelPacket / (2 * k.delay).Seconds()
}

// gain is what the pace is multiplied with.
func (k *kernel) gain() float64 {
	switch {
	case !k.full:
		return startupGain
	case !k.drained:
		return 1 / startupGain
	case k.phase == 0:
		return 1.25
	case k.phase == 1:
		return 0.75
	}
	return 1
}

func (k *kernel) mayWrite() bool {
	unsent, most := int(k.end-k.nxt), k.tail
	if k.dry {
		most /= 2
	}
	k.dry = unsent >= most
	return !k.dry && (k.wide || int(k.end-k.base) < kernelBuffer)
}

func (k *kernel) write(b []byte) {
	if k.nxt == k.end && len(k.lost) == 0 && k.inflight < k.window {
		k.limited = max(1, k.delivered+k.inflight)
	}
	k.bytes = append(k.bytes, b...)
	k.end += uint64(len(b))
}

// run does all that is due, and returns when something is next.
func (k *kernel) run(now mono.Time) mono.Time {
	for {
		at := mono.Never
		if len(k.arrivals) > 0 {
			at = mono.Min(at, k.arrivals[0].arrives)
		}
		if len(k.acks) > 0 {
			at = mono.Min(at, k.acks[0].acked)
		}
		if k.maySend() {
			at = mono.Min(at, mono.Max(k.nextSend, 1))
		} else if len(k.acks) == 0 && len(k.wire) > 0 { // the last ones were lost
			at = mono.Min(at, k.wire[len(k.wire)-1].at.Add(2*k.least+kernelQueue))
		}
		if at > now {
			return at
		}
		switch {
		case len(k.arrivals) > 0 && k.arrivals[0].arrives <= now:
			k.arrive(k.arrivals[0])
			k.arrivals = k.arrivals[1:]
		case len(k.acks) > 0 && k.acks[0].acked <= now:
			k.acknowledge(k.acks[0])
			k.acks = k.acks[1:]
		case k.maySend():
			k.send(mono.Max(k.nextSend, 1), now)
		default:
			k.lose(len(k.wire))
		}
	}
}

func (k *kernel) maySend() bool {
	return k.inflight < k.allowed() && (len(k.lost) > 0 || k.nxt < k.end || k.endless)
}

func (k *kernel) allowed() int {
	if k.probeEnd != 0 {
		return 4 * kernelPacket
	}
	return k.window
}

// send sends one packet.
func (k *kernel) send(_, now mono.Time) {
	var p *packet
	if len(k.lost) > 0 {
		p = &packet{Span: k.lost[0].Span}
		k.lost = k.lost[1:]
	} else {
		if k.endless {
			k.end = k.nxt + kernelPacket
		}
		p = &packet{Span: Span{k.nxt, min(k.end, k.nxt+kernelPacket)}}
		k.nxt = p.To
	}
	size := int(p.To - p.From)
	k.sent++
	p.number = k.sent
	if k.inflight == 0 {
		k.firstSent, k.deliveredAt = now, now
	}
	p.at, p.delivered, p.deliveredAt, p.firstSent, p.limited = now, k.delivered, k.deliveredAt, k.firstSent, k.limited > 0
	k.inflight += size
	k.nextSend = mono.Max(k.nextSend, now.Add(-time.Millisecond)).Add(time.Duration(float64(size) / (0.99 * k.pace()) * 1e9))
	k.wire = append(k.wire, p)
	left := mono.Max(now, k.free).Add(time.Duration(float64(size+60) / k.rate * 1e9))
	if left.Sub(now) > kernelQueue {
		return // no room in the queue
	}
	k.free = left
	if k.rng.Float64() < k.hold {
		return
	}
	p.arrives = mono.Max(k.lastArrival, left.Add(k.delay+k.jittered()))
	k.lastArrival = p.arrives
	k.answer(p)
	k.arrivals, k.acks = append(k.arrivals, p), append(k.acks, p)
	if b := k.back; b != nil && b.held != nil && b.held.arrives <= now {
		if b.held.acked > p.arrives {
			b.held.acked = mono.Max(b.lastAck, p.arrives)
		}
		b.lastAck, b.held = b.held.acked, nil
	}
}

// answer finds when a packet's acknowledgement is there. A patient end acknowledges every other one, and one that is alone
// after a while; the first it did not await.
func (k *kernel) answer(p *packet) {
	way := k.delay + k.jittered()
	if k.held != nil && p.arrives.Sub(k.held.arrives) > kernelDelay {
		k.lastAck, k.held = k.held.acked, nil
	}
	switch {
	case k.held != nil:
		p.acked = mono.Max(k.lastAck, p.arrives.Add(way))
		k.held.acked = p.acked
	case k.patient && k.sent > k.hasty:
		p.acked = mono.Max(k.lastAck, p.arrives.Add(kernelDelay+way))
		k.held = p
		return
	default:
		p.acked = mono.Max(k.lastAck, p.arrives.Add(way))
	}
	k.lastAck, k.held = p.acked, nil
}

func (k *kernel) jittered() time.Duration {
	if k.jitter == 0 {
		return 0
	}
	return max(-k.delay, time.Duration(k.rng.NormFloat64()*float64(k.jitter)))
}

// arrive puts a packet in order at the other end.
func (k *kernel) arrive(p *packet) {
	if p.To <= k.base {
		return
	}
	k.early.add(p.Span, math.MaxInt)
	if k.early[0].From > k.base {
		return
	}
	n := k.early[0].To - k.base
	k.early = slices.Delete(k.early, 0, 1)
	k.base += n
	if !k.endless {
		k.out = append(k.out, parcel{p.arrives, k.bytes[:n]})
		k.bytes = k.bytes[n:]
	}
}

// acknowledge learns from an acknowledgement, and finds what was lost before it.
func (k *kernel) acknowledge(p *packet) {
	if p.done {
		return
	}
	i := slices.Index(k.wire, p)
	size := int(p.To - p.From)
	k.delivered += size
	k.inflight -= size
	k.wire = slices.Delete(k.wire, i, i+1)
	n := 0
	for n < i && k.wire[n].number+3 <= p.number {
		n++
	}
	k.lose(n)
	now := p.acked
	if rtt := now.Sub(p.at); rtt <= k.least || now.Sub(k.leastAt) > 10*time.Second {
		if rtt > k.least && k.full {
			k.probeEnd = now.Add(200*time.Millisecond + rtt)
		}
		k.least, k.leastAt = rtt, now
	}
	if k.probeEnd != 0 {
		k.limited = max(1, k.delivered+k.inflight)
		if now > k.probeEnd {
			k.probeEnd = 0
		}
	}
	if k.limited > 0 && k.delivered > k.limited {
		k.limited = 0
	}
	begins := p.delivered >= k.nextRound
	if begins {
		k.nextRound = k.delivered
		k.round++
	}
	k.firstSent = p.at
	if span := max(now.Sub(p.deliveredAt), p.at.Sub(p.firstSent)); span >= k.least {
		if rate := float64(k.delivered-p.delivered) / span.Seconds(); !p.limited || rate >= k.rateNow() {
			for ; k.pushed < k.round; k.pushed++ { // what was not measured does not age
				k.bw[(k.pushed+1)%len(k.bw)] = 0
			}
			k.bw[k.round%len(k.bw)] = max(k.bw[k.round%len(k.bw)], rate)
		}
	}
	k.deliveredAt = now
	k.adapt(now, begins && !p.limited, size)
}

// adapt is bbr's state machine.
func (k *kernel) adapt(now mono.Time, counts bool, size int) {
	bdp := k.rateNow() * k.least.Seconds()
	switch {
	case !k.full && counts:
		if k.rateNow() >= 1.25*k.fullBW {
			k.fullBW, k.fullRounds = k.rateNow(), 0
		} else if k.fullRounds++; k.fullRounds >= 3 {
			k.full = true
		}
	case k.full && !k.drained:
		if float64(k.inflight) <= bdp {
			k.drained, k.cycle, k.phase = true, now, 2+k.rng.IntN(6)
		}
	case k.drained && now.Sub(k.cycle) > k.least:
		k.cycle, k.phase = now, (k.phase+1)%8
	}
	target := 6*kernelPacket + k.aggregated(now, size)
	if k.full {
		k.window = min(k.window+size, target+int(2*bdp))
	} else if k.window < target+int(startupGain*bdp) || k.delivered < 10*kernelPacket {
		k.window += size
	}
	k.window = max(k.window, 4*kernelPacket)
}

// aggregated is by how much acknowledgements came ahead of the rate lately, as where they come in bursts.
func (k *kernel) aggregated(now mono.Time, size int) int {
	expected := k.rateNow() * now.Sub(k.epoch).Seconds()
	if float64(k.epochAcked) <= expected {
		k.epoch, k.epochAcked, expected = now, 0, 0
	}
	k.epochAcked += size
	if k.round-k.extraRound >= 5 {
		k.extraRound, k.extra[0], k.extra[1] = k.round, k.extra[1], 0
	}
	k.extra[1] = max(k.extra[1], min(k.epochAcked-int(expected), k.window))
	if !k.full {
		return 0
	}
	return min(max(k.extra[0], k.extra[1]), int(k.rateNow()/10))
}

// lose takes the first n packets that are under way as lost.
func (k *kernel) lose(n int) {
	for _, p := range k.wire[:max(0, n)] {
		p.done = true
		k.inflight -= int(p.To - p.From)
		if p.To > k.base {
			k.lost = append(k.lost, p)
		}
	}
	k.wire = slices.Delete(k.wire, 0, max(0, n))
}

// pace is what the congestion control sends with now, in bytes per second.
// It does not fall in the start-up.
func (k *kernel) pace() float64 {
	rate := k.gain() * k.rateNow()
	if !k.full {
		k.paced = max(k.paced, rate)
		return k.paced
	}
	return rate
}
