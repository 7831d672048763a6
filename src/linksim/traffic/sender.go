package traffic

import (
	"math"
	"net/netip"
	"time"

	"mpproxy/src/engine/mono"
)

const (
	initialWindow = 10 // segments, RFC 6928
	infinite      = math.MaxInt32
	// baseReordering is Linux's tcp_reordering: so many SACKed segments make a loss while no reordering was seen.
	baseReordering = 3
	maxReordering  = 300
)

// Config describes the sending end of a TCP connection.
type Config struct {
	// Local and Remote are of one IP version. The sender opens the connection.
	Local, Remote netip.AddrPort
	// MTU is the longest packet in bytes; a segment carries 52 less over IPv4, 72 less over IPv6, with QUIC 8 less again.
	MTU int
	// Start is when the SYN is sent.
	Start mono.Time
	// Bytes is how much to send; 0 = without end.
	Bytes int64
	// DSCP of all packets, 0..63.
	DSCP uint8
	// Control is the congestion control; Cubic if not set. With QUIC the other end is to be told (Receiver.LikeQUIC).
	Control Control
	// ECN asks for explicit congestion notification (RFC 3168).
	ECN bool
	// TraceEvery is the least time between two points of Sender.Trace; 0 = no trace.
	TraceEvery time.Duration
}

// Counters says what a Sender went through.
type Counters struct {
	Sent, Retransmits uint64 // data segments
	Spurious          uint64 // segments the receiver had already, as DSACK tells
	Recoveries        uint64 // entries into fast recovery
	Timeouts          uint64 // RTOs
	Probes            uint64 // tail loss probes
	Undos             uint64 // reductions taken back because nothing had been lost
	ECNs              uint64 // reductions because of ECE
	Corrupt           uint64 // packets damaged or not for us
}

// TracePoint is the state at one instant; windows in segments.
type TracePoint struct {
	At                       mono.Time
	Window, Threshold, Flown int
	SRTT                     time.Duration
}

// caState is Linux's congestion avoidance state; the order matters.
type caState uint8

const (
	caOpen caState = iota
	caDisorder
	caCWR
	caRecovery
	caLoss
)

// Sender is the opening, sending end of a bulk TCP connection. Make it with NewSender.
type Sender struct {
	Counters
	// Trace has the window over time, if the Config asks for it.
	Trace []TracePoint

	cfg  Config
	ends ends
	mss  int // payload bytes of a segment

	synSent, open bool
	synAt         mono.Time
	synWait       time.Duration
	ackNow        bool
	peerStamp     uint32
	ecn, cwr      bool

	board              scoreboard
	una, nxt, wndEnd   uint64
	limit              uint64 // end of the data
	rtt                rttEstimate
	rack               rack
	cubic              cubic
	bbr                bbr
	pacer              pacer
	arrivedAt, firstAt mono.Time // when a segment was delivered last, and when the sample's first was sent
	state              caState
	cwnd, ssthresh     int
	credit             int // acknowledged segments towards the next step of cwnd
	highSeq            uint64
	reduction          reduction
	undo               undo
	tlp                tlp
	delivered          int // segments, ever
	reordering         int // segments
	reorderSeen        bool
	frto               bool
	timer              timer
	backoff            int
	limited            bool // by cwnd, lately
	maxOut             int
	usageSeq           uint64
	sentSinceLastCheck bool
}

// NewSender returns an end that opens its connection at cfg.Start.
func NewSender(cfg Config) *Sender {
	s := &Sender{cfg: cfg, ends: ends{local: cfg.Local, remote: cfg.Remote, dscp: cfg.DSCP}}
	s.ends.quic = cfg.Control == QUIC
	s.mss = cfg.MTU - s.ends.headerBytes() - s.ends.shimBytes() - tcpBytes - stampBytes
	s.board = newScoreboard()
	s.cwnd, s.ssthresh, s.reordering = initialWindow, infinite, baseReordering
	if cfg.Control == QUIC {
		s.cwnd = quicWindow
	}
	s.limit = math.MaxInt64
	if cfg.Bytes > 0 {
		s.limit = 1 + uint64(cfg.Bytes)
	}
	s.synWait = time.Second
	s.timer = timer{at: cfg.Start}
	s.rack.steps, s.rack.highest = 1, 1
	return s
}

// End sends nothing more than what has been sent already.
func (s *Sender) End() { s.limit = min(s.limit, max(s.nxt, 1)) }

// Done reports whether everything has been acknowledged.
func (s *Sender) Done() bool { return s.open && s.una >= s.limit }

// Window returns the congestion window, the slow start threshold and what is in flight, in segments.
func (s *Sender) Window() (cwnd, ssthresh, inFlight int) {
	return s.cwnd, s.ssthresh, s.board.inFlight()
}

// SRTT returns the smoothed round trip time and the least one.
func (s *Sender) SRTT() (smoothed, least time.Duration) { return s.rtt.srtt, s.rtt.least }

// MSS returns the payload of a full segment in bytes.
func (s *Sender) MSS() int { return s.mss }

// Acknowledged returns how many bytes the receiver has acknowledged.
func (s *Sender) Acknowledged() int64 { return max(0, int64(s.una)-1) }

// OnPacket takes a packet.
func (s *Sender) OnPacket(now mono.Time, pkt []byte) {
	var seg segment
	if !seg.parse(&s.ends, pkt, 0, s.una) {
		s.Corrupt++
		return
	}
	s.peerStamp = seg.stamp
	switch {
	case seg.flags&flagSYN != 0:
		s.onSynAck(now, &seg)
	case s.open && seg.flags&flagACK != 0:
		s.onAck(now, &seg)
	}
}

func (s *Sender) onSynAck(now mono.Time, seg *segment) {
	s.ackNow = true
	if s.open || !s.synSent {
		return
	}
	s.open = true
	if seg.mss > 0 {
		s.mss = min(s.mss, seg.mss-stampBytes)
	}
	s.ecn = s.cfg.ECN && seg.flags&flagECE != 0
	s.una, s.nxt, s.wndEnd = 1, 1, 1+seg.window
	s.highSeq = s.nxt
	s.timer = timer{at: mono.Never}
	if seg.echo != 0 {
		s.rtt.sample(now.Sub(s.synAt), s.una, s.nxt)
	}
	s.cubic.round(now, s.nxt)
}

// Poll writes the next packet to send into buf, which must have room for the MTU, and returns its length, 0 if none.
func (s *Sender) Poll(now mono.Time, buf []byte) int {
	s.pacer.held = false
	switch {
	case !s.open:
		return s.pollSyn(now, buf)
	case s.ackNow:
		s.ackNow = false
		return s.put(now, buf, &segment{seq: s.nxt})
	case s.tlp.send:
		s.tlp.send = false
		return s.probe(now, buf)
	case s.board.inFlight() >= s.cwnd:
		s.checkUse(true)
		return 0
	case !s.pacer.may(now):
		return 0
	}
	if n := s.board.nextLost(); n != none {
		return s.resend(now, buf, n)
	}
	if s.mayGrow() {
		return s.sendNew(now, buf)
	}
	s.checkUse(false)
	return 0
}

func (s *Sender) pollSyn(now mono.Time, buf []byte) int {
	if s.synSent || now < s.cfg.Start {
		return 0
	}
	s.synSent, s.synAt = true, now
	s.timer = timer{kind: timerSYN, at: now.Add(s.synWait)}
	seg := segment{flags: flagSYN, mss: s.mss + stampBytes, stamp: stampOf(now), window: 0xffff}
	if s.cfg.ECN {
		seg.flags |= flagECE | flagCWR
	}
	return seg.put(&s.ends, buf)
}

// mayGrow reports whether there is new data and the receiver has room for it.
func (s *Sender) mayGrow() bool {
	end := min(s.nxt+uint64(s.mss), s.limit)
	return end > s.nxt && end <= s.wndEnd
}

// sendNew sends the next segment of the stream.
func (s *Sender) sendNew(now mono.Time, buf []byte) int {
	k := span{s.nxt, min(s.nxt+uint64(s.mss), s.limit)}
	first := s.board.out() == 0
	s.board.add(k, now, s.mark(now))
	s.nxt = k.to
	s.countOut()
	if first || s.timer.kind == timerProbe {
		s.armRTO(now)
	}
	s.armProbe(now, false)
	seg := segment{seq: k.from, payload: int(k.to - k.from)}
	if s.ecn {
		seg.ecn = ecnECT0
		if s.cwr {
			s.cwr = false
			seg.flags = flagCWR
		}
	}
	return s.put(now, buf, &seg)
}

// resend sends a segment again.
func (s *Sender) resend(now mono.Time, buf []byte, n int64) int {
	s.board.markSent(n, now, s.mark(now))
	s.countOut()
	s.Retransmits++
	s.undo.onResend(now)
	if n == s.board.head && s.timer.kind != timerReorder {
		s.armRTO(now)
	}
	k := s.board.get(n).span
	return s.put(now, buf, &segment{seq: k.from, payload: int(k.to - k.from)})
}

// mark is what a segment carries for the measurement of the rate.
func (s *Sender) mark(now mono.Time) mark {
	if s.board.inFlight() == 0 {
		s.arrivedAt, s.firstAt = now, now
	}
	return mark{s.delivered, s.arrivedAt, s.firstAt}
}

func (s *Sender) countOut() {
	s.Sent++
	s.sentSinceLastCheck = true
	s.reduction.out++
}

func (s *Sender) put(now mono.Time, buf []byte, seg *segment) int {
	seg.flags |= flagACK
	seg.ack, seg.window, seg.stamp, seg.echo = 1, 0xffff, stampOf(now), s.peerStamp
	n := seg.put(&s.ends, buf)
	if seg.payload > 0 {
		s.paced(now, n)
	}
	return n
}

// checkUse notes whether the window is what holds the sender back; only then may it grow (Linux tcp_cwnd_validate).
func (s *Sender) checkUse(limited bool) {
	if !s.sentSinceLastCheck && !limited {
		return
	}
	s.sentSinceLastCheck = false
	if s.una >= s.usageSeq || limited || !s.limited && s.board.out() > s.maxOut {
		s.limited, s.maxOut, s.usageSeq = limited, s.board.out(), s.nxt
	}
}
