package congestion

import (
	"time"

	"mpproxy/src/engine/mono"
)

// rival lets BBR hold its own in a queue that others keep full: beside it runs CUBIC (RFC 9438), and the larger of the two decides.
// Who only keeps his own queue short is left next to nothing there. The bound of the delay is given up for it; the queue is full anyway.
//
// The tunnel carries many flows that have a congestion control each, so that the path need not be the strictest: it takes what
// rivalFlows flows of CUBIC would.
//
// Alone, the same would fill the queue for nothing. If the round trip falls to where it was, the others have gone. Otherwise a part
// of what is on the way is left out now and then (a trial): what comes through then falls nearly as much if others take the room,
// and stays the same if the queue was our own. Copa's mode switching (NSDI 2018) asks whether the queue ever empties instead; beside
// CUBIC in a buffer a second deep, and beside itself, it does not.
//
// The zero value is ready: off.
type rival struct {
	cubic  *Cubic        // nil: off
	least  time.Duration // the round trip's floor before the others came
	until  mono.Time     // never longer than this; if the others are still there, that shows again
	banned mono.Time     // not before
	ban    time.Duration // how long that was

	next   mono.Time // when a trial is due
	trial  int       // rounds of it that are left
	alone  int       // trials in a row that said so
	window int64     // during the trial
	rate   int64     // what came through before it, in bytes per second

	began mono.Time // of this round
	acked int64     // bytes in it
}

// on reports that the mode is on.
func (r *rival) on() bool { return r.cubic != nil }

// begin switches the mode on: window is what may be on the way so far.
func (r *rival) begin(s Sample, window int64) {
	if r.on() || s.Now < r.banned {
		return
	}
	c := NewCubic(s.Now, s.RTT)
	c.bytes = float64(max(window/rivalFlows, s.Inflight, InitialWindow))
	c.threshold, c.most = c.bytes, c.bytes
	*r = rival{cubic: c, least: s.MinRTT, until: s.Now.Add(rivalLife), next: s.Now.Add(rivalEvery), ban: r.ban, began: s.Now}
}

// end switches it off and keeps it off for a while, each time longer.
func (r *rival) end(now mono.Time) {
	r.ban = min(max(2*r.ban, rivalBan), rivalBanMost)
	r.cubic, r.trial, r.banned = nil, 0, now.Add(r.ban)
}

// onAck moves CUBIC's window, makes the trials, and ends the mode. It reports that the mode has ended with a queue of our own.
func (r *rival) onAck(s Sample) (queue bool) {
	if !r.on() {
		return false
	}
	if r.trial == 0 {
		r.cubic.OnAck(s)
	}
	r.acked += s.Acked
	if !s.Round {
		return false
	}
	// Delivery rates of the controller's samples are bounded by what was sent, and less is sent in a trial.
	rate := perSecond(r.acked, s.Now.Sub(r.began))
	r.began, r.acked = s.Now, 0
	switch {
	case s.Now >= r.until || s.RTT < r.least*rivalGone/100:
		r.cubic, r.trial = nil, 0
	case r.trial > 1:
		r.trial--
	case r.trial == 1:
		r.trial = 0
		return r.judge(s, rate)
	case s.Now >= r.next:
		r.trial, r.window, r.rate = rivalRounds, max(s.Inflight*rivalLess/100, MinWindow), rate
	}
	return false
}

// judge ends a trial, and with the last of them the mode. One that says "alone" is made again at once: the others may just have
// stepped back themselves.
func (r *rival) judge(s Sample, rate int64) (ended bool) {
	r.next = s.Now.Add(rivalEvery)
	if rate*100 < r.rate*rivalAlone {
		r.alone = 0
		return false
	}
	r.next = s.Now.Add(2 * s.RTT)
	if r.alone++; r.alone < rivalSure {
		return false
	}
	r.end(s.Now)
	return true
}

// floor is the round trip without a queue: what it was before the mode last began, if that is less than what is given.
func (r *rival) floor(given time.Duration) time.Duration {
	if r.least > 0 {
		return min(r.least, given)
	}
	return given
}

// pace and share are the rate and the window while the mode is on, where BBR alone would have those given.
func (r *rival) pace(bbr int64) int64 {
	if !r.on() || r.trial > 0 {
		return bbr
	}
	return max(bbr, rivalFlows*r.cubic.PacingRate())
}

func (r *rival) share(bbr int64) int64 {
	switch {
	case !r.on():
		return bbr
	case r.trial > 0:
		return r.window
	}
	return max(bbr, rivalFlows*r.cubic.Window())
}
