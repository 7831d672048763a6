package traffic

import (
	"time"

	"mpproxy/src/engine/mono"
)

// rackPersist is for how many recoveries a widened reordering window is kept (RFC 8985).
const rackPersist = 16

// timeoutMin is the least time Linux sets a reordering or probe timer to, over what it waits for.
const timeoutMin = 2 * time.Millisecond

// rack is the loss detection by time of RFC 8985, as Linux has it.
type rack struct {
	at        mono.Time // when the segment sent last among those delivered was sent
	end       uint64
	rtt       time.Duration // its round trip
	advanced  bool
	highest   uint64 // end of the highest SACKed segment; una if none is
	dsackSeen bool
	steps     int // the reordering window in quarters of the least round trip
	persist   int
	adaptedAt int // segments delivered when steps grew last
}

func sentAfter(at mono.Time, end uint64, at2 mono.Time, end2 uint64) bool {
	return at > at2 || at == at2 && end > end2
}

// onDelivered takes a segment that arrived.
func (r *rack) onDelivered(now mono.Time, p *sent, least time.Duration) {
	rtt := now.Sub(p.at)
	if p.ever && rtt < least {
		return // the first copy came, not the second
	}
	r.advanced, r.rtt = true, rtt
	if sentAfter(p.at, p.to, r.at, r.end) {
		r.at, r.end = p.at, p.to
	}
}

// adapt widens the reordering window by a quarter of the least round trip for each round trip with a DSACK.
// priorSent is how many segments had been delivered when those that arrived now were sent.
func (r *rack) adapt(priorSent, delivered int) {
	if priorSent == 0 {
		return
	}
	switch {
	case r.dsackSeen && priorSent >= r.adaptedAt:
		r.steps, r.persist, r.adaptedAt = min(255, r.steps+1), rackPersist, delivered
	case r.persist == 0:
		r.steps = 1
	}
	r.dsackSeen = false
}

// reorderingWindow returns how much later than its successors a segment may come.
func (s *Sender) reorderingWindow() time.Duration {
	if !s.reorderSeen && (s.state >= caRecovery || s.board.sackedOut >= s.reordering) {
		return 0
	}
	return min(s.rtt.least/4*time.Duration(s.rack.steps), s.rtt.srtt)
}

// detectLoss marks what is overdue, and returns after how long the next will be, 0 if nothing waits.
func (s *Sender) detectLoss(now mono.Time) time.Duration {
	window := s.reorderingWindow()
	var wait time.Duration
	for n := s.board.first; n != none; {
		p := s.board.get(n)
		next := p.next
		if !sentAfter(s.rack.at, s.rack.end, p.at, p.to) {
			break
		}
		left := s.rack.rtt + window - now.Sub(p.at)
		lost := left <= 0
		if s.cfg.Control == QUIC {
			lost, left = s.quicLoss(now, p)
		}
		if lost {
			s.board.markLost(n)
		} else {
			wait = max(wait, left)
		}
		n = next
	}
	return wait
}

// identifyLosses looks for losses if something new arrived, and sets the timer for those not yet due.
func (s *Sender) identifyLosses(e *ackEvent) {
	if !s.rack.advanced {
		return
	}
	s.rack.advanced = false
	if wait := s.detectLoss(e.now); wait > 0 {
		s.timer = timer{timerReorder, e.now.Add(wait + timeoutMin)}
		e.setTimer = false
	}
}
