package congestion

import (
	"time"

	"mpproxy/src/engine/mono"
)

// NewReno is the controller of RFC 9002 appendix B: one packet more each round trip, half at each loss. Its only merit is
// that everybody knows it. Make it with NewNewReno.
type NewReno struct{ window }

var _ Controller = (*NewReno)(nil)

// NewNewReno returns a controller that paces its first window over the given round trip (0 if unknown).
func NewNewReno(_ mono.Time, rtt time.Duration) *NewReno { return &NewReno{newWindow(rtt)} }

// OnAck grows or halves the window.
func (r *NewReno) OnAck(s Sample) {
	used := r.measure(s)
	if r.innocent(s) {
		r.restore()
	}
	if r.congested(s) {
		r.shrink(renoShrink)
		return
	}
	switch {
	case !used || s.Acked == 0 || r.recovering(s):
	case r.slowStart():
		r.bytes += float64(s.Acked)
	default:
		r.bytes += MTU * float64(s.Acked) / r.bytes
	}
}

// OnSilence takes all that is on the way for lost.
func (r *NewReno) OnSilence(now mono.Time) {
	r.event = now
	r.shrink(renoShrink)
}

// OnIdle halves the window after a long pause.
func (r *NewReno) OnIdle(_ mono.Time, idle time.Duration) {
	if idle > longIdle {
		r.decay()
	}
}

// State names the phase.
func (r *NewReno) State() string {
	if r.slowStart() {
		return "slow-start"
	}
	return "avoidance"
}
