package congestion

import (
	"time"
)

// hystart ends slow start before it overflows the path's buffer (RFC 9406, HyStart++): when the round trip of a round
// is clearly longer than that of the round before, growth slows down for some rounds, and unless the delay goes away
// again slow start is over. Sending is paced, so the RFC's limit L of growth per acknowledgement is infinite. The zero value
// is ready.
type hystart struct {
	last, current time.Duration // least round trip of the last round and of this one; 0 if none
	samples       int
	careful       bool // conservative slow start
	rounds        int  // of it
	baseline      time.Duration
}

// grow returns how much acked bytes let the window grow, and whether slow start is over. rtt is the latest sample.
func (h *hystart) grow(acked int64, rtt time.Duration, round bool) (by float64, over bool) {
	if rtt > 0 {
		if h.current == 0 || rtt < h.current {
			h.current = rtt
		}
		h.samples++
	}
	by = float64(acked)
	if h.careful {
		by /= hystartSlower
	}
	h.judge()
	if round {
		if h.careful {
			h.rounds++
		}
		h.last, h.current, h.samples = h.current, 0, 0
	}
	return by, h.careful && h.rounds >= hystartRounds
}

// judge looks whether the delay of this round began to grow, or whether that was a false alarm.
func (h *hystart) judge() {
	if h.samples < hystartSamples || h.current == 0 || h.last == 0 {
		return
	}
	if h.careful {
		if h.current < h.baseline {
			*h = hystart{last: h.last, current: h.current, samples: h.samples}
		}
		return
	}
	limit := min(max(h.last/8, hystartMin), hystartMax)
	if h.current >= h.last+limit {
		h.careful, h.rounds, h.baseline = true, 0, h.current
	}
}
