package traffic

import (
	"math"
	"time"

	"mpproxy/src/engine/mono"
)

const (
	cubicBeta = 0.7 // RFC 9438
	cubicC    = 0.4
	// friendlyAcks is how many windows of acknowledgements Reno with cubicBeta needs for one segment more.
	friendlyAcks = (1 + cubicBeta) / (1 - cubicBeta) / 3

	hystartLowWindow = 16 // segments
	hystartSamples   = 8
	hystartMinStep   = 4 * time.Millisecond
	hystartMaxStep   = 16 * time.Millisecond
	hystartAckGap    = 2 * time.Millisecond
	hystartAckDelay  = time.Millisecond // of the peer, at most
)

// cubic is Linux's tcp_cubic: how fast the window grows, what it shrinks to, and when slow start ends. Windows are in
// segments.
type cubic struct {
	lastMax, origin, k float64
	epoch              mono.Time
	delayMin           time.Duration
	acks, friendly     float64

	// HyStart, per round trip.
	found               bool
	roundStart, lastAck mono.Time
	roundEnd            uint64
	roundRTT            time.Duration
	samples             int
	noTrain             bool // only the delay counts
}

// perAck returns how many acknowledged segments it takes for the window to grow by one.
func (c *cubic) perAck(now mono.Time, cwnd, acked int) float64 {
	w := float64(cwnd)
	c.acks += float64(acked)
	if c.epoch == 0 {
		c.epoch, c.acks, c.friendly = now, float64(acked), w
		c.k, c.origin = 0, w
		if c.lastMax > w {
			c.k, c.origin = math.Cbrt((c.lastMax-w)/cubicC), c.lastMax
		}
	}
	t := (now.Sub(c.epoch) + c.delayMin).Seconds() - c.k
	target := c.origin + cubicC*t*t*t
	count := 100 * w
	if target > w {
		count = w / (target - w)
	}
	if c.lastMax == 0 {
		count = min(count, 20)
	}
	for step := w * friendlyAcks; c.acks > step; c.acks -= step {
		c.friendly++
	}
	if c.friendly > w {
		count = min(count, w/(c.friendly-w))
	}
	return max(count, 2)
}

// reduce returns the slow start threshold after a loss.
func (c *cubic) reduce(cwnd int) int {
	c.epoch = 0
	w := float64(cwnd)
	if w < c.lastMax {
		w *= (1 + cubicBeta) / 2 // fast convergence
	}
	c.lastMax = w
	return max(2, int(float64(cwnd)*cubicBeta))
}

// timeout forgets the path, as Linux does on entering Loss.
func (c *cubic) timeout(now mono.Time, nxt uint64) {
	*c = cubic{noTrain: c.noTrain}
	c.round(now, nxt)
}

// round starts a round trip of HyStart's.
func (c *cubic) round(now mono.Time, nxt uint64) {
	c.roundStart, c.lastAck, c.roundEnd = now, now, nxt
	c.roundRTT, c.samples = math.MaxInt64, 0
}

// sample takes a round trip time, and reports whether slow start should end now.
func (c *cubic) sample(now mono.Time, rtt time.Duration, cwnd int, slowStart bool, una, nxt uint64) bool {
	if c.epoch != 0 && now.Sub(c.epoch) < time.Second {
		return false // the delay just after a recovery says nothing
	}
	if c.delayMin == 0 || rtt < c.delayMin {
		c.delayMin = rtt
	}
	if c.found || !slowStart || cwnd < hystartLowWindow {
		return false
	}
	if una > c.roundEnd {
		c.round(now, nxt)
	}
	if now.Sub(c.lastAck) <= hystartAckGap { // a train of acknowledgements half a round trip long
		c.lastAck = now
		if !c.noTrain && now.Sub(c.roundStart) > (c.delayMin+hystartAckDelay)/2 {
			c.found = true
		}
	}
	c.roundRTT = min(c.roundRTT, rtt)
	if c.samples < hystartSamples {
		c.samples++
	} else if c.roundRTT > c.delayMin+min(max(c.delayMin/8, hystartMinStep), hystartMaxStep) {
		c.found = true
	}
	return c.found
}
