package traffic

import (
	"slices"
	"time"

	"mpproxy/src/engine/mono"
)

// Control is what decides how much a Sender sends.
type Control uint8

const (
	// Cubic is Linux's usual one, unpaced.
	Cubic Control = iota
	// BBR is Linux's tcp_bbr (version 1).
	BBR
	// QUIC is quic-go 0.65: Reno with a factor of 0.7 and a window of 32 packets at first, paced, losses told by three later packets or
	// 9/8 of a round trip (RFC 9002). What it leaves out: that a loss which turns out to be none is taken back.
	QUIC
)

// controls are their names.
var controls = [...]string{"cubic", "bbr", "quic"}

// String is the control's name.
func (c Control) String() string { return controls[min(int(c), len(controls)-1)] }

// ParseControl is the reverse of String; ok is false for a name that is none.
func ParseControl(name string) (c Control, ok bool) {
	i := slices.Index(controls[:], name)
	return Control(max(i, 0)), i >= 0
}

const (
	quicReordering = 3    // packets, RFC 9002 section 6.1.1
	quicPacing     = 1.25 // of window per round trip
	quicSlowStart  = 2.0  // the same in slow start
	quicBurst      = 10   // packets, or
	quicBurstTime  = 2 * time.Millisecond
	quicWindow     = 32 // packets at first
	quicSlack      = 3  // packets by which the window may be free and yet hold the sender back
	tcpBurst       = time.Millisecond
)

// pacer holds packets back so that they leave at a rate.
type pacer struct {
	rate float64 // bytes per second; 0 = unpaced
	next mono.Time
	held bool // something waits for next
}

// may reports whether a packet may leave.
func (p *pacer) may(now mono.Time) bool {
	p.held = p.rate > 0 && now < p.next
	return !p.held
}

// took notes that n bytes left; what was not used within burst is gone.
func (p *pacer) took(now mono.Time, n int, burst time.Duration) {
	if p.rate > 0 {
		p.next = mono.Max(p.next, now.Add(-burst)).Add(time.Duration(float64(n) / p.rate * 1e9))
	}
}

// paced notes a segment of n bytes for the pacer.
func (s *Sender) paced(now mono.Time, n int) {
	switch s.cfg.Control {
	case BBR:
		s.pacer.rate = s.bbr.rate
		s.pacer.took(now, n, tcpBurst)
	case QUIC:
		if s.rtt.srtt > 0 {
			gain := quicPacing
			if s.cwnd < s.ssthresh {
				gain = quicSlowStart
			}
			s.pacer.rate = gain * float64(s.cwnd*s.mss) / s.rtt.srtt.Seconds()
			s.pacer.took(now, n, max(quicBurstTime, time.Duration(quicBurst*float64(s.mss)/s.pacer.rate*1e9)))
		}
	}
}

// quicLoss reports whether a segment is lost by the rules of RFC 9002, else how long it may still be on its way.
func (s *Sender) quicLoss(now mono.Time, p *sent) (lost bool, left time.Duration) {
	left = max(s.rack.rtt, s.rtt.srtt)*9/8 - now.Sub(p.at)
	passed := !p.ever && s.rack.highest >= p.to+quicReordering*uint64(s.mss)
	return passed || left <= 0, left
}

// quicThreshold is Reno's answer to a loss.
func (s *Sender) quicThreshold() int { return max(2, int(float64(s.cwnd)*cubicBeta)) }

// quicControl is Reno's growth. It goes on only while the window is full, or in slow start half full, when an acknowledgement
// comes: what is acknowledged while the pacer still holds the sender back after a lump of acknowledgements does not count.
func (s *Sender) quicControl(acked, flight int) {
	slow := s.cwnd < s.ssthresh
	if s.state >= caCWR || acked == 0 || flight+quicSlack < s.cwnd && !(slow && flight > s.cwnd/2) {
		return
	}
	if slow {
		s.cwnd += min(acked, s.ssthresh-s.cwnd)
		return
	}
	if s.credit += acked; s.credit >= s.cwnd {
		s.credit -= s.cwnd
		s.cwnd++
	}
}
