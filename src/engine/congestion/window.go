package congestion

import (
	"math"
	"time"

	"mpproxy/src/engine/mono"
)

// window is what controllers that are driven by loss have in common: RFC 9002 section 7 and appendix B. A congestion event
// is the loss of packets sent after the last event began; what was sent before belongs to that one.
type window struct {
	bytes     float64 // congestion window
	threshold float64 // slow start ends there; infinite until the first event
	least     float64 // smallest window
	event     mono.Time
	lost      int64 // bytes lost in this event that did not come after all
	before    saved

	rtt, minRTT time.Duration
	handshake   time.Duration
	delivery    maxFilter
	rounds      int // since the filter moved on
	usedAt      mono.Time
}

// saved is the window as it was before an event, in case the event turns out to be none.
type saved struct {
	bytes, threshold float64
	valid            bool
}

func newWindow(rtt time.Duration) window {
	if rtt <= 0 {
		rtt = 100 * time.Millisecond
	}
	return window{bytes: InitialWindow, threshold: math.Inf(1), least: MinWindowSlow, rtt: rtt, minRTT: rtt, handshake: rtt}
}

// measure takes what is the same for all: round trip and delivery rate. used reports that the window was (nearly) full, so
// that it may grow (RFC 9002 section 7.8).
func (w *window) measure(s Sample) (used bool) {
	w.rtt, w.minRTT = s.RTT, s.MinRTT
	if s.Rate > 0 && (!s.AppLimited || s.Rate > w.delivery.get()) {
		w.delivery.update(s.Rate)
	}
	if s.Round {
		if w.rounds++; w.rounds >= deliveryRounds {
			w.rounds = 0
			w.delivery.advance()
		}
	}
	before := float64(s.Inflight + s.Acked + s.Lost)
	if before+fullSlack >= w.bytes || w.slowStart() && 2*before >= w.bytes {
		w.usedAt = s.Now
	}
	return w.usedAt != 0 && s.Now.Sub(w.usedAt) <= s.RTT
}

func (w *window) slowStart() bool { return w.bytes < w.threshold }

// congested reports that the sample begins a congestion event, and notes it.
func (w *window) congested(s Sample) bool {
	if s.Lost == 0 {
		return false
	}
	if w.event != 0 && s.LostSent <= w.event {
		w.lost += s.Lost
		return false
	}
	w.event, w.lost = s.Now, s.Lost
	w.before = saved{w.bytes, w.threshold, true}
	return true
}

// innocent reports that all losses of the last event were none: their packets only came late.
func (w *window) innocent(s Sample) bool {
	if s.Spurious == 0 || !w.before.valid {
		return false
	}
	w.lost -= s.Spurious
	return w.lost <= 0
}

// restore takes the last event back.
func (w *window) restore() {
	w.bytes, w.threshold = max(w.bytes, w.before.bytes), max(w.threshold, w.before.threshold)
	w.before.valid = false
}

// recovering reports that the newest packet acknowledged was sent before the last event: it does not let the window grow.
func (w *window) recovering(s Sample) bool { return w.event != 0 && s.AckedSent <= w.event }

// shrink is the reaction to an event.
func (w *window) shrink(factor float64) {
	w.bytes = max(w.bytes*factor, w.least)
	w.threshold = w.bytes
}

// Window is how many bytes may be on the way.
func (w *window) Window() int64 { return int64(w.bytes) }

// Bandwidth is the largest delivery rate of the last rounds: a window that is filled keeps the link busy.
func (w *window) Bandwidth() int64 { return w.delivery.get() }

// PacingRate spreads the window over a round trip, with room to fill it (RFC 9002 section 7.7).
func (w *window) PacingRate() int64 {
	if w.delivery.get() == 0 && w.bytes == InitialWindow {
		return perSecond(InitialWindow, min(w.handshake, initialSpread))
	}
	gain := paceAvoidance
	if w.slowStart() {
		gain = paceSlowStart
	}
	return perSecond(int64(w.bytes*gain), w.rtt)
}

// Searching reports slow start before anything was lost.
func (w *window) Searching() bool { return math.IsInf(w.threshold, 1) }

// Resume starts slow start's end at what was known before.
func (w *window) Resume(bandwidth int64) {
	if bandwidth <= 0 {
		return
	}
	w.bytes = max(float64(bytesIn(bandwidth, w.rtt)), InitialWindow)
	w.delivery.set(bandwidth)
}

// decay halves an unused window (RFC 2861): slow start may win it back.
func (w *window) decay() {
	if w.bytes <= InitialWindow {
		return
	}
	w.threshold = max(w.bytes*3/4, w.least)
	w.bytes = max(w.bytes/2, InitialWindow)
}
