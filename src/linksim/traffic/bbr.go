package traffic

import (
	"math"
	"time"

	"mpproxy/src/engine/mono"
)

// Constants of Linux's tcp_bbr.
const (
	bbrHighGain    = 2.0/math.Ln2 + 0.004
	bbrDrainGain   = 1 / bbrHighGain
	bbrWindowGain  = 2
	bbrRounds      = 10 // a bandwidth counts so long
	bbrMinWindow   = 4
	bbrMinRTTFor   = 10 * time.Second
	bbrProbeRTT    = 200 * time.Millisecond
	bbrFullGrowth  = 1.25
	bbrFullRounds  = 3
	bbrMargin      = 0.99 // of the rate is paced
	bbrExtraRounds = 5
	bbrExtraMost   = 100 * time.Millisecond
)

var bbrCycle = [8]float64{1.25, 0.75, 1, 1, 1, 1, 1, 1}

type bbrMode uint8

const (
	bbrStartup bbrMode = iota
	bbrDrain
	bbrProbeBW
	bbrProbeRTTMode
)

// rateSample is Linux's measurement of the delivery rate: between the sending and the arrival of one segment.
type rateSample struct {
	priorDelivered int
	priorAt        mono.Time
	sendFor        time.Duration
	valid          bool
}

// take looks whether an arrived segment is the one that was sent last.
func (r *rateSample) take(p *sent) bool {
	if p.deliveredAt == 0 || r.valid && p.delivered <= r.priorDelivered {
		return false
	}
	*r = rateSample{p.delivered, p.deliveredAt, p.at.Sub(p.firstAt), true}
	return true
}

// bbr is Linux's tcp_bbr but for its guess at policers. Windows are in segments, bandwidths in segments per second.
type bbr struct {
	mode         bbrMode
	rate         float64 // paced, bytes per second
	bandwidth    [bbrRounds]float64
	round        int
	roundEnd     int // segments delivered
	roundStart   bool
	full         float64
	fullRounds   int
	filled       bool
	minRTT       time.Duration
	minAt        mono.Time
	probeDone    mono.Time
	probeRound   bool
	cycle        int
	cycleAt      mono.Time
	prior        int // window before a loss or a probe
	before       caState
	conserve     bool
	extra        [2]int // most segments beyond the bandwidth, this window of rounds and the last
	extraRounds  int
	extraFrom    mono.Time
	extraCounted int
}

func (b *bbr) max() float64 {
	most := 0.0
	for _, v := range b.bandwidth {
		most = max(most, v)
	}
	return most
}

// saveWindow remembers the window before it shrinks.
func (b *bbr) saveWindow(s *Sender) {
	if s.state < caRecovery && b.mode != bbrProbeRTTMode {
		b.prior = s.cwnd
	} else {
		b.prior = max(b.prior, s.cwnd)
	}
}

// timeout is what a retransmission timeout changes.
func (b *bbr) timeout() { b.before, b.full, b.roundStart = caLoss, 0, true }

// undone looks for the bandwidth anew when a loss turns out to be none.
func (b *bbr) undone() { b.full, b.fullRounds = 0, 0 }

// onAck updates the model, the rate and the window (Linux bbr_main).
func (b *bbr) onAck(s *Sender, e *ackEvent) {
	acked := s.delivered - e.delivered
	b.measure(s, e)
	b.aggregate(s, e, acked)
	b.turn(s, e)
	b.looksFull()
	b.drain(s, e.now)
	b.probeRTT(s, e)
	b.pace(s)
	b.window(s, e, acked)
}

// measure takes the delivery rate.
func (b *bbr) measure(s *Sender, e *ackEvent) {
	b.roundStart = false
	r := &e.rate
	if !r.valid {
		return
	}
	took := max(r.sendFor, e.now.Sub(r.priorAt))
	if r.priorDelivered >= b.roundEnd {
		b.roundEnd = s.delivered
		b.round++
		b.roundStart, b.conserve = true, false
		b.bandwidth[b.round%bbrRounds] = 0
	}
	if took < s.rtt.least || took <= 0 {
		return
	}
	slot := &b.bandwidth[b.round%bbrRounds]
	*slot = max(*slot, float64(s.delivered-r.priorDelivered)/took.Seconds())
}

// aggregate measures by how much acknowledgements come in lumps.
func (b *bbr) aggregate(s *Sender, e *ackEvent, acked int) {
	if acked <= 0 {
		return
	}
	if b.roundStart {
		if b.extraRounds++; b.extraRounds >= bbrExtraRounds {
			b.extraRounds = 0
			b.extra[1], b.extra[0] = b.extra[0], 0
		}
	}
	expected := int(b.max() * e.now.Sub(b.extraFrom).Seconds())
	if b.extraFrom == 0 || b.extraCounted <= expected {
		b.extraFrom, b.extraCounted, expected = e.now, 0, 0
	}
	b.extraCounted += acked
	b.extra[0] = max(b.extra[0], min(b.extraCounted-expected, s.cwnd))
}

// inflight is what the path holds, times gain.
func (b *bbr) inflight(s *Sender, gain float64) int {
	if b.minRTT == 0 {
		return initialWindow
	}
	w := int(math.Ceil(b.max() * b.minRTT.Seconds() * gain))
	w += 3 * max(2, min(int(b.rate)>>10/s.mss, 44))
	if w = (w + 1) &^ 1; b.mode == bbrProbeBW && b.cycle == 0 {
		w += 2
	}
	return w
}

// turn goes on in the cycle of gains.
func (b *bbr) turn(s *Sender, e *ackEvent) {
	if b.mode != bbrProbeBW {
		return
	}
	past := e.now.Sub(b.cycleAt) > b.minRTT
	switch gain := bbrCycle[b.cycle]; {
	case gain > 1:
		past = past && (s.board.losses > e.losses || e.flight >= b.inflight(s, gain))
	case gain < 1:
		past = past || e.flight <= b.inflight(s, 1)
	}
	if past {
		b.cycle, b.cycleAt = (b.cycle+1)%len(bbrCycle), e.now
	}
}

// looksFull ends start-up when three rounds brought no quarter more.
func (b *bbr) looksFull() {
	if b.filled || !b.roundStart {
		return
	}
	if b.max() >= b.full*bbrFullGrowth {
		b.full, b.fullRounds = b.max(), 0
		return
	}
	b.fullRounds++
	b.filled = b.fullRounds >= bbrFullRounds
}

func (b *bbr) drain(s *Sender, now mono.Time) {
	if b.mode == bbrStartup && b.filled {
		b.mode = bbrDrain
	}
	if b.mode == bbrDrain && s.board.inFlight() <= b.inflight(s, 1) {
		b.probeBW(s, now)
	}
}

// probeBW begins the cycle, where Linux draws lots: here the connection's age decides.
func (b *bbr) probeBW(s *Sender, now mono.Time) {
	b.mode = bbrProbeBW
	b.cycle, b.cycleAt = (2+s.delivered%7)%len(bbrCycle), now
}

// probeRTT empties the path every ten seconds unless the round trip was as short since.
func (b *bbr) probeRTT(s *Sender, e *ackEvent) {
	expired := b.minAt != 0 && e.now.Sub(b.minAt) > bbrMinRTTFor
	if e.rtt > 0 && (b.minRTT == 0 || e.rtt < b.minRTT || expired) {
		b.minRTT, b.minAt = e.rtt, e.now
	}
	if expired && b.mode != bbrProbeRTTMode {
		b.saveWindow(s)
		b.mode, b.probeDone = bbrProbeRTTMode, 0
	}
	if b.mode != bbrProbeRTTMode {
		return
	}
	if b.probeDone == 0 {
		if s.board.inFlight() <= bbrMinWindow {
			b.probeDone, b.probeRound, b.roundEnd = e.now.Add(bbrProbeRTT), false, s.delivered
		}
		return
	}
	b.probeRound = b.probeRound || b.roundStart
	if b.probeRound && e.now >= b.probeDone {
		b.minAt = e.now
		s.cwnd = max(s.cwnd, b.prior)
		if b.mode = bbrStartup; b.filled {
			b.probeBW(s, e.now)
		}
	}
}

func (b *bbr) pacingGain() float64 {
	switch b.mode {
	case bbrStartup:
		return bbrHighGain
	case bbrDrain:
		return bbrDrainGain
	case bbrProbeBW:
		return bbrCycle[b.cycle]
	}
	return 1
}

// pace sets the rate; before the path is full it only rises.
func (b *bbr) pace(s *Sender) {
	rate := b.max() * float64(s.mss+tcpBytes+stampBytes) * b.pacingGain() * bbrMargin
	if b.max() == 0 {
		rate = bbrHighGain * float64(s.cwnd*s.mss) / max(s.rtt.srtt, time.Millisecond).Seconds()
	}
	if b.filled || rate > b.rate {
		b.rate = rate
	}
}

// window sets the congestion window.
func (b *bbr) window(s *Sender, e *ackEvent, acked int) {
	defer func() {
		if b.mode == bbrProbeRTTMode {
			s.cwnd = min(s.cwnd, bbrMinWindow)
		}
	}()
	if acked <= 0 || b.recovers(s, e, acked) {
		return
	}
	gain := bbrWindowGain + 0.0
	switch b.mode {
	case bbrStartup, bbrDrain:
		gain = bbrHighGain
	case bbrProbeRTTMode:
		gain = 1
	}
	target := b.inflight(s, gain)
	if b.filled {
		target += min(max(b.extra[0], b.extra[1]), int(b.max()*bbrExtraMost.Seconds()))
		s.cwnd = min(s.cwnd+acked, target)
	} else if s.cwnd < target || s.delivered < initialWindow {
		s.cwnd += acked
	}
	s.cwnd = max(s.cwnd, bbrMinWindow)
}

// recovers holds the window to what arrives for the first round of a recovery, and brings it back afterwards.
func (b *bbr) recovers(s *Sender, e *ackEvent, acked int) bool {
	if lost := s.board.losses - e.losses; lost > 0 {
		s.cwnd = max(s.cwnd-lost, 1)
	}
	before := b.before
	b.before = s.state
	switch {
	case s.state == caRecovery && before != caRecovery:
		b.conserve, b.roundEnd = true, s.delivered
		s.cwnd = s.board.inFlight() + acked
	case before >= caRecovery && s.state < caRecovery:
		b.conserve = false
		s.cwnd = max(s.cwnd, b.prior)
	}
	if b.conserve {
		s.cwnd = max(s.cwnd, s.board.inFlight()+acked)
	}
	return b.conserve
}
