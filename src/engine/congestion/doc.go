// Package congestion decides how fast a path may send, and how much may be on the way.
//
// No clock, no randomness of its own, no goroutine, no log, no I/O; not safe for concurrent use. Time and
// measurements are arguments. Rates are bytes per second and sizes bytes as they stand on the link, outer
// headers included.
//
// BBR here is a descendant of BBRv3 (draft-ietf-ccwg-bbr) that has better instruments than a TCP sender: the receiver
// reports when each datagram came and how many bytes came in all, so delivery rates do not depend on the way
// back, and the difference of one-way delays shows the queue that the path holds. Thus
//   - while a queue stands, the delivery rate *is* the capacity, also when it fell;
//   - while none stands, the estimate is kept, and probing raises it;
//   - the queue is steered to a few milliseconds instead of being filled and drained blindly.
package congestion

import (
	"time"

	"mpproxy/src/engine/mono"
)

// Sample is what one acknowledgement tells about a path.
type Sample struct {
	Now mono.Time
	// Acked and Lost are the bytes newly acknowledged and newly declared lost.
	Acked, Lost int64
	// Spurious are bytes declared lost before that came after all.
	Spurious int64
	// AckedSent and LostSent are when the newest of the packets acknowledged and of those lost were sent; 0 if there are none.
	AckedSent, LostSent mono.Time
	// Inflight is what is still on the way afterwards.
	Inflight int64
	// Rate is the delivery rate over about one round trip; 0 if this acknowledgement gives none.
	Rate int64
	// SendRate is the rate at which the bytes behind Rate were sent.
	SendRate int64
	// Span is the time over which Rate was measured: longer than a round trip where the delay jitters.
	Span time.Duration
	// AppLimited says that there was not enough to send, so Rate is only a lower bound of the capacity.
	AppLimited bool
	// Round says that a round trip has passed since the last Sample with Round.
	Round bool
	// RTT is the smoothed round trip, MinRTT its floor, Latest the last sample of it.
	RTT, MinRTT, Latest time.Duration
	// Queue is the delay that the path's queue adds now, as predicted from the last measurement and what was sent since.
	Queue time.Duration
	// Flight is how long packets are on the way until they are acknowledged, in the mean.
	Flight time.Duration
	// Busy is the mean Flight under load while hardly anything queues; 0 if not known.
	Busy time.Duration
	// Deviation is how much the delay varies.
	Deviation time.Duration
	// RoundQueue is the smallest queue delay measured over the last whole round.
	RoundQueue time.Duration
	// Crowded says that others have just been found to fill the queue: it stays although less is sent than the path carries.
	Crowded bool
}

// Controller is a congestion control algorithm for one path.
type Controller interface {
	// OnAck takes the measurements of one acknowledgement.
	OnAck(s Sample)
	// OnSilence says that nothing was acknowledged for a probe timeout: what is on the way is probably gone.
	OnSilence(now mono.Time)
	// OnIdle says that the path sends again after having nothing on the way for the given time.
	OnIdle(now mono.Time, idle time.Duration)
	// PacingRate is the sending rate in bytes per second.
	PacingRate() int64
	// Window is how many bytes may be on the way.
	Window() int64
	// Bandwidth is the capacity estimate in bytes per second; 0 while nothing is known.
	Bandwidth() int64
	// Searching reports that the capacity is still being looked for.
	Searching() bool
	// State names what the algorithm does now, for status and traces.
	State() string
	// Resume starts from a bandwidth known from before, in bytes per second; 0 changes nothing.
	Resume(bandwidth int64)
}
