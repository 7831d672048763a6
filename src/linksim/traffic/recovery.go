package traffic

import "mpproxy/src/engine/mono"

// reduction is proportional rate reduction (RFC 6937) in states CWR and Recovery.
type reduction struct {
	priorCwnd      int
	delivered, out int // segments since
}

// undo is what is needed to take a reduction back.
type undo struct {
	marker         uint64 // una at the reduction; 0 = nothing to undo
	resends        int    // not yet reported as duplicates; -1 = none was made
	stamp          uint32 // of the first retransmission
	priorThreshold int    // 0 = the reduction began for another reason
}

func (u *undo) onResend(now mono.Time) {
	u.resends = max(u.resends, 0) + 1
	if u.stamp == 0 {
		u.stamp = stampOf(now)
	}
}

func (u *undo) onDSACK(k span, n int) {
	if u.marker != 0 && u.resends > 0 && k.to > u.marker {
		u.resends = max(0, u.resends-n)
	}
}

// delayed reports whether the acknowledgement echoes an original: it was late, not lost (Eifel, RFC 3522).
func (u *undo) delayed(echo uint32) bool { return u.stamp != 0 && echo != 0 && int32(echo-u.stamp) < 0 }

func (u *undo) may(echo uint32) bool { return u.marker != 0 && (u.resends == 0 || u.delayed(echo)) }

func (s *Sender) initUndo() {
	if s.cfg.Control == QUIC {
		return // takes nothing back
	}
	s.undo.marker, s.undo.resends = s.una, -1
	if s.board.retransOut > 0 {
		s.undo.resends = s.board.retransOut
	}
}

// startReduction begins a window's reduction by the congestion control's factor.
func (s *Sender) startReduction() {
	s.highSeq = s.nxt
	s.tlp.high = 0
	s.credit = 0
	s.reduction = reduction{priorCwnd: s.cwnd}
	switch s.cfg.Control {
	case BBR:
		s.bbr.saveWindow(s)
	case QUIC:
		s.ssthresh = s.quicThreshold()
		s.cwnd = s.ssthresh
	default:
		s.ssthresh = s.cubic.reduce(s.cwnd)
	}
}

// endReduction brings the window to the threshold, unless it was undone.
func (s *Sender) endReduction() {
	if s.cfg.Control == Cubic && s.ssthresh < infinite && (s.state == caCWR || s.undo.marker != 0) {
		s.cwnd = s.ssthresh
	}
}

// undoReduction restores what was before.
func (s *Sender) undoReduction(forgive bool) {
	if forgive {
		s.board.forgive()
	}
	if s.cfg.Control == BBR {
		s.bbr.undone()
	} else if s.undo.priorThreshold > 0 {
		s.cwnd = max(s.cwnd, s.reduction.priorCwnd)
		s.ssthresh = max(s.ssthresh, s.undo.priorThreshold)
	}
	s.undo.marker = 0
	s.rack.advanced = true
	s.Undos++
}

// alert is the state machine (Linux tcp_fastretrans_alert).
func (s *Sender) alert(e *ackEvent) {
	if s.state != caOpen && s.state != caLoss && s.una >= s.highSeq {
		switch s.state {
		case caCWR:
			if s.una > s.highSeq { // something beyond, so that CWR has arrived
				s.endReduction()
				s.state = caOpen
			}
		case caRecovery:
			s.leave(e)
		}
	}
	switch s.state {
	case caRecovery:
		s.inRecovery(e)
		return
	case caLoss:
		s.inLoss(e)
		s.identifyLosses(e)
		if s.state != caOpen {
			return
		}
	default:
		if s.state <= caDisorder {
			s.undoByDSACK()
		}
		s.identifyLosses(e)
	}
	if s.board.lostOut == 0 {
		s.tryOpen(e)
		return
	}
	s.enterRecovery()
}

// leave ends Recovery or Loss when all that was out at its start has been acknowledged.
func (s *Sender) leave(e *ackEvent) {
	if s.undo.may(e.echo) {
		s.undoReduction(false)
	}
	if s.state == caRecovery {
		s.endReduction()
	}
	s.state = caOpen
	s.rack.persist = max(0, s.rack.persist-1)
}

// inRecovery goes on in fast recovery, or undoes it.
func (s *Sender) inRecovery(e *ackEvent) {
	if e.advanced && s.undo.marker != 0 && s.undo.delayed(e.echo) { // a late original filled the hole
		s.noteReordering(e.unaBefore)
		if s.board.retransOut > 0 {
			return
		}
		s.undoReduction(true)
		s.keepOpen()
		return
	}
	if s.undoByDSACK() {
		s.tryOpen(e)
	}
	s.identifyLosses(e)
}

// undoByDSACK undoes a reduction all of whose retransmissions were reported as duplicates.
func (s *Sender) undoByDSACK() bool {
	if s.undo.marker == 0 || s.undo.resends != 0 {
		return false
	}
	s.rack.persist = min(rackPersist, s.rack.persist+1)
	s.undoReduction(false)
	return true
}

// inLoss goes on after a timeout; a timeout with which nothing had been lost is undone (F-RTO, RFC 5682; Eifel).
func (s *Sender) inLoss(e *ackEvent) {
	spurious := s.frto && e.original
	if spurious || e.advanced && s.undo.may(e.echo) {
		s.undoReduction(true)
		s.backoff = 0
		s.state = caOpen
		return
	}
	if s.una >= s.highSeq {
		s.leave(e)
		return
	}
	if e.sacked {
		s.frto = false
	}
}

func (s *Sender) tryOpen(e *ackEvent) {
	if !s.board.anyRetrans() {
		s.undo.stamp = 0
	}
	if e.ece && s.state < caCWR {
		s.undo.marker = 0
		s.startReduction()
		s.state, s.cwr = caCWR, true
		s.ECNs++
	}
	if s.state != caCWR {
		s.keepOpen()
	}
}

// keepOpen is Open, or Disorder while something is SACKed or lost.
func (s *Sender) keepOpen() {
	state := caOpen
	if s.board.sackedOut+s.board.lostOut > 0 || s.board.anyRetrans() {
		state = caDisorder
	}
	if s.state != state {
		s.state, s.highSeq = state, s.nxt
	}
}

func (s *Sender) enterRecovery() {
	s.undo.priorThreshold = 0
	s.initUndo()
	if s.state < caCWR {
		s.undo.priorThreshold = s.keptThreshold()
		s.startReduction()
	}
	s.highSeq = s.nxt
	s.state = caRecovery
	s.Recoveries++
}

// keptThreshold is the threshold an undo restores: slow start must not go further than it would have.
func (s *Sender) keptThreshold() int { return max(s.ssthresh, s.cwnd*3/4) }

// control moves the window: by PRR in a reduction, else by slow start and CUBIC.
func (s *Sender) control(e *ackEvent) {
	acked := s.delivered - e.delivered
	switch s.cfg.Control {
	case BBR:
		s.bbr.onAck(s, e)
		return
	case QUIC:
		s.quicControl(acked, e.flight)
		return
	}
	if s.state == caCWR || s.state == caRecovery {
		s.reduce(acked, e.advanced && s.board.losses == e.losses)
		return
	}
	if acked == 0 || s.reordering <= baseReordering && !e.advanced {
		return
	}
	s.raise(e.now, acked)
}

func (s *Sender) reduce(acked int, safe bool) {
	r := &s.reduction
	if acked <= 0 || r.priorCwnd == 0 {
		return
	}
	r.delivered += acked
	flight := s.board.inFlight()
	var send int
	if room := s.ssthresh - flight; room < 0 {
		send = (s.ssthresh*r.delivered+r.priorCwnd-1)/r.priorCwnd - r.out
	} else {
		send = max(r.delivered-r.out, acked)
		if safe {
			send++
		}
		send = min(room, send)
	}
	if r.out == 0 {
		send = max(send, 1) // the first retransmission goes at once
	}
	s.cwnd = flight + max(send, 0)
}

func (s *Sender) raise(now mono.Time, acked int) {
	slow := s.cwnd < s.ssthresh
	if slow && s.cwnd >= 2*s.maxOut || !slow && !s.limited {
		return // the window is not what holds us back
	}
	if slow {
		step := min(acked, s.ssthresh-s.cwnd)
		s.cwnd += step
		if acked -= step; acked == 0 {
			return
		}
	}
	per := int(s.cubic.perAck(now, s.cwnd, acked))
	if s.credit >= per {
		s.credit = 0
		s.cwnd++
	}
	s.credit += acked
	s.cwnd += s.credit / per
	s.credit %= per
}
