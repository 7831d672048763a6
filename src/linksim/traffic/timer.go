package traffic

import (
	"time"

	"mpproxy/src/engine/mono"
)

const (
	rtoMin = 200 * time.Millisecond // Linux adds at least this to the smoothed round trip
	rtoMax = 120 * time.Second
)

type timerKind uint8

const (
	timerNone timerKind = iota
	timerSYN
	timerRTO
	timerProbe
	timerReorder
)

// timer is the one timer that Linux has for retransmission, probe and reordering.
type timer struct {
	kind timerKind
	at   mono.Time
}

// tlp is the tail loss probe (RFC 8985): at most one is out.
type tlp struct {
	high    uint64 // nxt after the probe; 0 = none is out
	retrans bool   // it was a retransmission
	send    bool   // Poll is to send one
}

func (t *tlp) isProbe(k span) bool { return t.retrans && t.high == k.to }

// NextTimeout returns when OnTimeout is due, or mono.Never.
func (s *Sender) NextTimeout() mono.Time {
	if s.pacer.held {
		return mono.Min(s.timer.at, s.pacer.next)
	}
	return s.timer.at
}

// OnTimeout does what is due.
func (s *Sender) OnTimeout(now mono.Time) {
	if now < s.timer.at {
		return
	}
	kind := s.timer.kind
	s.timer = timer{at: mono.Never}
	switch {
	case kind == timerSYN && !s.open:
		s.synSent = false
		s.synWait *= 2
	case s.board.out() == 0:
	case kind == timerRTO:
		s.onRTO(now)
	case kind == timerProbe:
		s.tlp.send = s.tlp.high == 0
		s.armRTO(now)
	case kind == timerReorder:
		s.onReorderTimer(now)
	}
}

// onRTO takes everything overdue as lost and starts again with one segment.
func (s *Sender) onRTO(now mono.Time) {
	s.Timeouts++
	s.frto = s.state < caRecovery || s.backoff > 0
	if s.state <= caDisorder || s.una >= s.highSeq || s.state == caLoss && s.backoff == 0 {
		s.undo.priorThreshold = s.keptThreshold()
		if s.state <= caDisorder && s.board.sackedOut >= s.reordering {
			s.reordering = min(s.reordering, baseReordering) // so much reordering there is not
		}
		s.startReduction()
		s.initUndo()
	}
	for n := s.board.head; n < s.board.tail; n++ {
		if n == s.board.head || s.rack.rtt-now.Sub(s.board.get(n).at) <= 0 {
			s.board.markLost(n)
		}
	}
	s.cwnd = s.board.inFlight() + 1
	s.credit, s.tlp = 0, tlp{}
	s.state, s.highSeq = caLoss, s.nxt
	s.cubic.timeout(now, s.nxt)
	s.bbr.timeout()
	s.backoff++
	s.armRTO(now)
}

func (s *Sender) onReorderTimer(now mono.Time) {
	before := s.board.losses
	s.detectLoss(now)
	if s.board.losses > before {
		if s.state != caRecovery {
			s.enterRecovery()
		}
		if s.cfg.Control == Cubic {
			s.reduce(1, false)
		}
	}
	s.timer = timer{timerRTO, mono.Max(now+1, s.board.get(s.board.head).at.Add(s.rtoNow()))}
}

func (s *Sender) rtoNow() time.Duration { return min(s.rtt.rto()<<min(s.backoff, 16), rtoMax) }

// armRTO sets the retransmission timer anew, or none if nothing is out.
func (s *Sender) armRTO(now mono.Time) {
	if s.board.out() == 0 {
		s.timer = timer{at: mono.Never}
		return
	}
	s.timer = timer{timerRTO, now.Add(s.rtoNow())}
}

// armTimer sets the probe if one may be sent, else the retransmission timer.
func (s *Sender) armTimer(now mono.Time) {
	if !s.armProbe(now, true) {
		s.armRTO(now)
	}
}

// armProbe sets the probe's timer to two round trips, but not beyond the retransmission timeout.
func (s *Sender) armProbe(now mono.Time, advanced bool) bool {
	if s.board.out() == 0 || s.state != caOpen && s.state != caCWR {
		return false
	}
	wait := time.Second
	if s.rtt.srtt > 0 {
		wait = 2*s.rtt.srtt + timeoutMin
		if s.board.out() == 1 {
			wait = 2*s.rtt.srtt + rtoMin // the acknowledgement may be delayed
		}
	}
	rto := s.rtoNow()
	if !advanced {
		rto -= now.Sub(s.board.get(s.board.head).at)
	}
	if rto > 0 {
		wait = min(wait, rto)
	}
	s.timer = timer{timerProbe, now.Add(wait)}
	return true
}

// probe sends a segment beyond the window, a new one if there is one, so that a loss at the tail shows.
func (s *Sender) probe(now mono.Time, buf []byte) int {
	if s.board.out() == 0 {
		return 0
	}
	s.Probes++
	var n int
	if s.tlp.retrans = !s.mayGrow(); s.tlp.retrans {
		n = s.resend(now, buf, s.board.tail-1)
	} else {
		n = s.sendNew(now, buf)
	}
	s.tlp.high = s.nxt
	s.armRTO(now)
	return n
}

// tlpAck ends the probe's episode, and reduces the window if the probe was what filled the hole.
func (s *Sender) tlpAck(e *ackEvent, ack uint64) {
	if s.tlp.high == 0 || ack < s.tlp.high {
		return
	}
	switch {
	case !s.tlp.retrans || e.dsacks > 0:
		s.tlp.high = 0
	case ack > s.tlp.high:
		s.undo.priorThreshold = 0
		s.startReduction()
		s.state = caCWR
		s.endReduction()
		s.keepOpen()
	case !e.advanced && !e.sacked:
		s.tlp.high = 0 // a plain duplicate: both copies came
	}
}
