package path

import (
	"time"

	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/recovery"
)

// answer notes that the other side acknowledged something new.
func (p *Path) answer(now mono.Time) {
	switch p.state {
	case Opening:
		p.enter(now, Up)
	case Suspect:
		p.enter(now, Up)
	case Down:
		if p.answers == 0 || now.Sub(p.latest) > p.silence() {
			p.answers, p.answered = 0, now
		}
		p.latest = now
		p.answers++
		if p.answers >= answersToRise && now.Sub(p.answered) >= p.clean() {
			bandwidth := p.Known()
			p.enter(now, Up)
			p.newController(now, p.Sent.RTT.Latest(), bandwidth/2)
		}
	}
}

// clean is how long a path must answer, without a silence in between, before it is trusted again.
func (p *Path) clean() time.Duration {
	oldest := p.flips[p.flip%flipMax]
	if p.flip >= flipMax && p.since.Sub(oldest) < flipWindow {
		return cleanAfterFlips
	}
	return p.Sent.RTT.Latest() / 2
}

// silence is how long the path may be silent with packets outstanding before it is suspect.
func (p *Path) silence() time.Duration {
	r := &p.Sent.RTT
	return max(suspectMin, r.Smoothed()+r.Smoothed()/4+4*r.Variation()+recovery.MaxAckDelay)
}

// Check judges the silence of the path. othersHeard is when any path of the tunnel last brought a new acknowledgement.
// changed reports that the path stopped being Up: its outstanding packets are to be sent elsewhere.
func (p *Path) Check(now, othersHeard mono.Time) (changed bool) {
	switch p.state {
	case Up:
		if at := p.suspectAt(now, othersHeard); now >= at {
			p.enter(now, Suspect)
			p.CC.OnSilence(now)
			return true
		}
	case Suspect:
		if now >= p.downAt() {
			p.Fail(now)
		}
	}
	return false
}

// Fail takes the path down at once: no carrier, or silent for too long.
func (p *Path) Fail(now mono.Time) {
	if p.state == Down {
		return
	}
	p.flips[p.flip%flipMax] = now
	p.flip++
	p.enter(now, Down)
}

func (p *Path) enter(now mono.Time, s State) {
	p.state, p.since, p.answers = s, now, 0
}

// Overdue reports that packets on the way should have been answered by now: the path may be about to be suspect.
func (p *Path) Overdue(now mono.Time) bool {
	_, packets := p.Sent.Inflight()
	return p.state == Up && !p.held && packets >= 2 && now >= mono.Max(p.Sent.Oldest(), p.Sent.LastAck()).Add(p.silence())
}

// suspectAt is when the silence is too long, or mono.Never.
func (p *Path) suspectAt(now, othersHeard mono.Time) mono.Time {
	_, packets := p.Sent.Inflight()
	if packets < 2 {
		return mono.Never
	}
	limit := p.silence() + min(p.Queue(now), suspectQueueMax)
	if now.Sub(p.Rx.Heard()) < heardLately {
		// The path brings packets: more likely what we sent, or its acknowledgement, stands in a queue.
		limit += limit/2 + heardLately
	}
	start := mono.Max(mono.Max(p.Sent.Oldest(), p.Sent.LastAck()), p.heldUntil)
	if othersHeard <= start {
		limit += stallGrace
	}
	return start.Add(limit)
}

func (p *Path) downAt() mono.Time {
	return p.since.Add(min(downPTOs*p.Sent.RTT.PTO(), downAfter))
}

// NextCheck is when Check or Probe is to be called next, as seen now.
func (p *Path) NextCheck(now, othersHeard, lastData mono.Time) mono.Time {
	at := p.probeAt(lastData)
	switch p.state {
	case Up:
		at = mono.Min(at, p.suspectAt(now, othersHeard))
		if _, packets := p.Sent.Inflight(); packets >= 2 && now.Sub(p.Rx.Heard()) < heardLately {
			at = mono.Min(at, p.Rx.Heard().Add(heardLately)) // the limit shrinks then
		}
	case Suspect:
		at = mono.Min(at, p.downAt())
	}
	return at
}

// TailAt is when the last data on the path, if nothing follows it, is to be followed by a probe: without one a loss at
// the end of a burst would be seen only after a probe timeout. The caller asks only while nothing waits to be sent.
func (p *Path) TailAt() mono.Time {
	if p.tail == 0 || p.state != Up {
		return mono.Never
	}
	return p.tail.Add(max(p.Sent.RTT.Smoothed()/4, tailMin, p.packetTimes(3)))
}

func (p *Path) packetTimes(n int64) time.Duration {
	return time.Duration(n * congestion.MTU * int64(time.Second) / max(p.Rate(), 1))
}

// Probe reports that a probe is due now, and takes it for sent.
func (p *Path) Probe(now, lastData mono.Time) bool {
	if now < p.probeAt(lastData) {
		return false
	}
	p.probed, p.asked = now, false
	return true
}

// ProbeNow makes a probe due.
func (p *Path) ProbeNow() { p.asked = true }

// probeAt is when the next probe is due: often while the path's fate is open, seldom while all is quiet.
// lastData is when the tunnel last carried inner packets. Never, while no probe may go to the address.
func (p *Path) probeAt(lastData mono.Time) mono.Time {
	if !p.Peer.Remote.IsValid() || !p.Peer.Allows(probeAllowance) {
		return mono.Never
	}
	switch p.state {
	case Opening:
		if p.probed.Sub(p.opened) > openPatience {
			return p.probed.Add(downEverySlow)
		}
		return p.probed.Add(openEvery)
	case Suspect:
		return p.probed.Add(max(p.Sent.RTT.Smoothed(), 10*time.Millisecond))
	case Down:
		if p.answers > 0 {
			return p.probed.Add(max(p.Sent.RTT.Latest()/2, 20*time.Millisecond))
		}
		if p.probed.Sub(p.since) > downPatience {
			if p.Metered {
				return p.probed.Add(meteredProbe)
			}
			return p.probed.Add(downEverySlow)
		}
		return p.probed.Add(downEvery)
	}
	last := mono.Max(p.probed, p.Sent.LastSent())
	if p.asked {
		return p.probed
	}
	if p.held && !p.Metered {
		return p.probed.Add(heldEvery)
	}
	switch {
	case last.Sub(lastData) > idleAfter:
		return last.Add(keepalive)
	case p.Metered:
		return last.Add(meteredProbe)
	case p.Standby:
		return last.Add(backupProbe)
	default:
		return last.Add(activeProbe)
	}
}

// SetUse sets how a path is to be used. The router tells the peer.
func (p *Path) SetUse(u Use) {
	if u == p.Config.Use {
		return
	}
	p.Config.Use, p.useTold, p.useSent = u, false, 0
}

// UseTold says that the peer knows; with false it is to be told again.
func (p *Path) UseTold(told bool) { p.useTold = told }

// TellAt is when the peer is to be told (again), or mono.Never.
func (p *Path) TellAt() mono.Time {
	if p.useTold || p.state != Up {
		return mono.Never
	}
	return p.useSent.Add(p.Sent.RTT.PTO())
}

// Telling notes that the peer is being told now.
func (p *Path) Telling(now mono.Time) { p.useSent = now }
