package recovery

import (
	"time"

	"mpproxy/src/engine/wire"
)

// sampleRate gives the delivery rate between the flight that newest belongs to and now, by the receiver's clock; over a longer
// time where the delay jitters.
func (h *History) sampleRate(f *wire.AckFrame, newest Packet) {
	from := checkpoint{newest.firstSent, 0, newest.delivered, newest.deliveredAt}
	limited := newest.limited
	need := min(rateDeviations*h.Delay.Deviation(), rateLongest)
	if h.Hasty {
		need = min(need, 2*h.RTT.Smoothed())
	}
	based := newest.based
	if need > h.RTT.Smoothed() && elapsed(from.at, f.ReceivedAt) < need {
		if c, ok := h.span.back(f.ReceivedAt, need); ok && elapsed(c.at, f.ReceivedAt) > elapsed(from.at, f.ReceivedAt) {
			from, based = *c, true
			limited = limited || h.span.limited >= c.sent
		}
	}
	if f.Received > h.told {
		h.told, h.toldTotal = f.Received, newest.total
		h.received, h.receivedAt, h.based = f.Received, f.ReceivedAt, true
		h.firstSent = newest.Sent
		h.span.note(checkpoint{newest.Sent, newest.total, f.Received, f.ReceivedAt}, need/spanSteps)
	}
	bytes := int64(f.Received - from.received)
	sent := newest.Sent.Sub(from.sent)
	over := max(elapsed(from.at, f.ReceivedAt), sent)
	if !based || bytes <= 0 || bytes > maxSampleBytes || over <= 0 || over < max(h.RTT.Min()*3/4, h.flight/2) {
		return
	}
	h.result.Rate = bytes * int64(time.Second) / int64(over)
	h.result.SendRate = bytes * int64(time.Second) / int64(max(sent, time.Microsecond))
	h.result.Limited, h.result.Span = limited, over
}
