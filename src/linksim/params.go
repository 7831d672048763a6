package linksim

import (
	"time"

	"mpproxy/src/engine/mono"
)

// DefaultQueue is the drop-tail queue of a link that names none, as time at its rate: what home routers and
// cellular schedulers hold at least, and what all yardsticks are measured with.
const DefaultQueue = 100 * time.Millisecond

// Params describes one direction of a link. The zero value is a perfect link: no limit, no delay, no loss.
type Params struct {
	// Rate is in bit/s of IP bytes; 0 = unlimited (then there is no queue).
	Rate int64
	// Queue is the drop-tail queue as time at the current rate; 0 = DefaultQueue.
	Queue time.Duration
	// QueueBytes, if not 0, is the queue in bytes whatever the rate, and overrides Queue.
	QueueBytes int
	// Delay is one way, added after serialisation.
	Delay time.Duration
	// Jitter is the standard deviation of a normal added to Delay, drawn per packet; the sum is never below 0.
	Jitter time.Duration
	// Reorder says what jitter does to the order: true lets packets overtake each other, false keeps the order
	// (a packet is delivered with or after its predecessor).
	Reorder bool
	// Loss is the probability of random loss before the queue, 0..1.
	Loss float64
	// Burst is loss in bursts before the queue, beside Loss.
	Burst BurstLoss
	// LoseList has the numbers of packets to drop; a number counts the packets offered, from 0, over the Link's life.
	LoseList []uint64
	// Outages are the times in which the link is silently dead: what is offered or under way then is lost.
	Outages []Window
	// Rates change Rate at given instants. Every step holds until the next.
	Rates []RateStep
	// StopAfter drops everything after so many packets offered; 0 = never.
	StopAfter uint64
	// Policer drops what exceeds a token bucket, without a queue; rate 0 = none.
	Policer Policer
}

// BurstLoss is the Gilbert-Elliott model: the link is good or bad, and may change before each packet.
type BurstLoss struct {
	ToBad, ToGood float64 // probability per packet of good->bad and of bad->good, 0..1
	Loss          float64 // probability of loss while bad, 0..1
}

// Window is the time [From, To).
type Window struct{ From, To mono.Time }

// RateStep sets the rate (bit/s, 0 = unlimited) from an instant on.
type RateStep struct {
	At   mono.Time
	Rate int64
}

// Policer is a token bucket: rate in bit/s of IP bytes, depth in bytes. The bucket starts full.
type Policer struct {
	Rate  int64
	Burst int
}

// Stats counts what became of the packets. Offered = Delivered + all drops + what is under way.
type Stats struct {
	Offered, OfferedBytes     uint64
	Delivered, DeliveredBytes uint64
	Random                    uint64 // lost at random or in a burst
	Listed                    uint64 // dropped by LoseList or StopAfter
	Policed                   uint64 // dropped by the policer
	Overflow                  uint64 // dropped because the queue was full
	Outage                    uint64 // lost in an outage or by Cut
	QueuedBytes               int    // not yet serialised, as of the last call of Send, Set or Queued
	MaxQueuedBytes            int    // the most that was ever queued
	UnderWay                  int    // accepted and neither delivered nor lost, packets
}

// Lost returns all drops together.
func (s Stats) Lost() uint64 { return s.Random + s.Listed + s.Policed + s.Overflow + s.Outage }
