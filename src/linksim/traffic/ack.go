package traffic

import (
	"time"

	"mpproxy/src/engine/mono"
)

// ackEvent collects what one acknowledgement tells.
type ackEvent struct {
	now           mono.Time
	echo          uint32
	unaBefore     uint64
	highestBefore uint64 // end of what was SACKed
	delivered     int    // before
	losses        int    // before
	priorSent     int    // segments delivered when what arrived now was sent
	dsacks        int
	advanced      bool
	sacked        bool
	original      bool // something sent before highSeq and never again arrived
	ece           bool
	setTimer      bool
	reordered     uint64 // lowest offset that arrived late without having been sent again

	firstAcked, lastAcked   mono.Time // times of sending, never retransmitted
	firstSacked, lastSacked mono.Time
	retransAcked            bool
	rate                    rateSample
	rtt                     time.Duration // the newest segment's; 0 = none
	flight                  int           // segments, before
}

// onAck goes through an acknowledgement in Linux's order: SACKs, the cumulative part, the round trip, losses and
// state, the timer, the window.
func (s *Sender) onAck(now mono.Time, seg *segment) {
	if seg.ack > s.nxt {
		s.Corrupt++
		return
	}
	e := &ackEvent{now: now, echo: seg.echo, unaBefore: s.una, delivered: s.delivered, losses: s.board.losses,
		ece: s.ecn && seg.flags&flagECE != 0, reordered: s.nxt, highestBefore: s.rack.highest, flight: s.board.inFlight()}
	ack := max(seg.ack, s.una)
	s.wndEnd = max(s.wndEnd, seg.ack+seg.window)
	blocks := s.takeDSACK(e, seg)
	s.takeSACKs(e, blocks)
	s.takeAck(e, ack)
	s.takeRTT(e)
	s.rack.adapt(e.priorSent, s.delivered)
	s.tlpAck(e, ack)
	if e.sacked || e.dsacks > 0 || e.ece || s.state != caOpen {
		s.alert(e)
	}
	if e.setTimer {
		s.armTimer(now)
	}
	s.control(e)
	s.trace(now)
}

// takeDSACK takes the report of a duplicate off the SACK blocks (RFC 2883).
func (s *Sender) takeDSACK(e *ackEvent, seg *segment) []span {
	blocks := seg.sacks[:seg.sackCount]
	if len(blocks) == 0 {
		return nil
	}
	k := blocks[0]
	if !(k.from < seg.ack || len(blocks) > 1 && blocks[1].from <= k.from && k.to <= blocks[1].to) {
		return blocks
	}
	e.dsacks = max(1, int(k.to-k.from)/s.mss)
	s.Spurious += uint64(e.dsacks)
	if s.Spurious <= s.Retransmits { // else the network doubled it
		s.rack.dsackSeen = s.rack.dsackSeen || s.reorderSeen && !s.tlp.isProbe(k)
		s.undo.onDSACK(k, e.dsacks)
	}
	return blocks[1:]
}

// takeSACKs marks what arrived out of order.
func (s *Sender) takeSACKs(e *ackEvent, blocks []span) {
	for i := 1; i < len(blocks); i++ {
		for j := i; j > 0 && blocks[j].from < blocks[j-1].from; j-- {
			blocks[j], blocks[j-1] = blocks[j-1], blocks[j]
		}
	}
	for _, k := range blocks {
		if k.to > s.nxt {
			continue
		}
		for n := s.board.search(k.from); n < s.board.tail && s.board.get(n).to <= k.to; n++ {
			if !s.board.get(n).sacked {
				s.sackOne(e, n)
			}
		}
	}
	if e.reordered < s.nxt {
		s.noteReordering(e.reordered)
	}
}

func (s *Sender) sackOne(e *ackEvent, n int64) {
	p := s.board.get(n)
	if !p.ever {
		if p.from < s.rack.highest {
			e.reordered = min(e.reordered, p.from)
		}
		e.original = e.original || p.to <= s.highSeq
		if e.firstSacked == 0 {
			e.firstSacked = p.at
		}
		e.lastSacked = p.at
	}
	s.arrived(e, p)
	s.board.markSacked(n)
	s.rack.highest = max(s.rack.highest, p.to)
	e.sacked = true
}

// arrived books a segment that the receiver has for the first time.
func (s *Sender) arrived(e *ackEvent, p *sent) {
	s.delivered++
	if e.rate.take(p) {
		s.firstAt = p.at
	}
	s.arrivedAt = e.now
	e.priorSent = max(e.priorSent, p.delivered)
	s.rack.onDelivered(e.now, p, s.rtt.least)
}

// takeAck removes what is acknowledged cumulatively.
func (s *Sender) takeAck(e *ackEvent, ack uint64) {
	late := s.nxt
	for s.board.out() > 0 && s.board.get(s.board.head).to <= ack {
		p := s.board.pop()
		switch {
		case p.ever:
			e.retransAcked = true
		case !p.sacked:
			if e.firstAcked == 0 {
				e.firstAcked = p.at
			}
			e.lastAcked = p.at
			late = min(late, p.from)
			e.original = e.original || p.to <= s.highSeq
		}
		if !p.sacked {
			s.arrived(e, &p)
		}
		e.advanced, e.setTimer = true, true
	}
	s.una = max(s.una, ack)
	if late < e.highestBefore {
		s.noteReordering(late)
	}
	s.rack.highest = max(s.rack.highest, s.una)
	if e.advanced {
		s.backoff = 0
	}
	if !e.advanced && e.lastSacked != 0 && s.board.out() > 0 && e.lastSacked > s.board.get(s.board.head).at {
		e.setTimer = true // sent after the head and arrived: the path lives
	}
}

// noteReordering learns from an offset that came after higher ones (Linux tcp_check_sack_reordering).
func (s *Sender) noteReordering(low uint64) {
	if s.rack.highest <= low {
		return
	}
	metric := int(s.rack.highest-low+uint64(s.mss)-1) / s.mss
	s.reordering = min(max(s.reordering, metric), maxReordering)
	s.reorderSeen = true
}

// takeRTT takes the round trip, never from what was sent twice (Karn).
func (s *Sender) takeRTT(e *ackEvent) {
	var long, short time.Duration
	switch {
	case e.firstAcked != 0 && !e.retransAcked:
		long, short = e.now.Sub(e.firstAcked), e.now.Sub(e.lastAcked)
	case e.firstSacked != 0:
		long, short = e.now.Sub(e.firstSacked), e.now.Sub(e.lastSacked)
	default:
		return
	}
	if s.rtt.least == 0 || short < s.rtt.least {
		s.rtt.least = short
	}
	e.rtt = short
	s.rtt.sample(long, s.una, s.nxt)
	if s.cfg.Control == BBR {
		return
	}
	s.cubic.noTrain = s.cfg.Control == QUIC
	if s.cubic.sample(e.now, short, s.cwnd, s.cwnd < s.ssthresh, s.una, s.nxt) && s.cwnd < s.ssthresh {
		s.ssthresh = s.cwnd
	}
}

func (s *Sender) trace(now mono.Time) {
	every := s.cfg.TraceEvery
	if n := len(s.Trace); every == 0 || n > 0 && now.Sub(s.Trace[n-1].At) < every {
		return
	}
	s.Trace = append(s.Trace, TracePoint{now, s.cwnd, s.ssthresh, s.board.inFlight(), s.rtt.srtt})
}
