package recovery

import (
	"time"

	"mpproxy/src/engine/mono"
)

// Offset makes one-way delays of all paths of one direction comparable: they are the receiver's clock less
// the sender's, and only differences between paths mean anything. All paths of a tunnel share one Offset.
type Offset struct {
	base uint32
	set  bool
}

// relative turns the receiver's stamp and the sender's time into a delay on the common scale.
func (o *Offset) relative(sent mono.Time, received uint32) time.Duration {
	diff := received - sent.Micros()
	if !o.set {
		o.set, o.base = true, diff
	}
	return time.Duration(int32(diff-o.base)) * time.Microsecond
}

// stamp is the receiver's clock at which something sent now arrives after the given relative delay.
func (o *Offset) stamp(sent mono.Time, delay time.Duration) uint32 {
	return sent.Micros() + o.base + uint32(int32(delay/time.Microsecond))
}

// Delay follows the relative one-way delay of one path: what the path itself takes, how much it varies by itself, and
// what its queue adds. Make it with NewDelay.
//
// On a link that jitters a single sample says little about the queue. So samples are averaged the longer the more they
// vary, and the average excess over the floor that is there without any queue (usual) is told from a queue by this: it is the
// least of the last seconds, and it does not go away when less is sent (Rebase).
type Delay struct {
	offset    *Offset
	least     windowMin // of the samples
	calm      windowMin // of the blocks' means
	calmed    bool      // there was a block
	seen      int       // samples, up to fewSamples
	known     bool
	smoothed  time.Duration
	deviation time.Duration
	level     time.Duration // moving average, the slower the more samples vary
	lastSent  mono.Time
	sentAt    int64 // bytes sent up to the measured packet
	updated   mono.Time

	roundMin   time.Duration
	roundSum   time.Duration
	roundCount time.Duration
	blockSum   time.Duration // of the samples since calm was last fed
	blockCount time.Duration
	lastMean   time.Duration // of the last round, above the floor
	lastRound  time.Duration
}

// NewDelay returns a Delay on the tunnel's common scale.
func NewDelay(o *Offset) Delay { return Delay{offset: o} }

// update takes the delay of a packet sent at sent after sentBytes bytes (it included).
func (d *Delay) update(now, sent mono.Time, received uint32, sentBytes int64) {
	v := d.offset.relative(sent, received)
	if !d.known {
		d.known, d.smoothed, d.level = true, v, v
	}
	d.least.update(now, v)
	d.level += (v - d.level) * levelSteady / (levelSteady + d.deviation)
	off := v - d.smoothed
	d.smoothed += off / 8
	if off < 0 {
		off = -off
	}
	d.deviation += (off - d.deviation) / 16
	if d.calmed && d.level < d.calm.least-shorterDeviations*d.deviation {
		d.calm.reset(d.level) // the path has become shorter
		d.blockSum, d.blockCount = 0, 0
		d.roundSum, d.roundCount = 0, 0
	}
	d.lastSent, d.sentAt, d.updated = sent, sentBytes, now
	if d.roundCount == 0 || v < d.roundMin {
		d.roundMin = v
	}
	d.roundSum += v
	d.roundCount++
	d.seen = min(d.seen+1, fewSamples)
}

// usual is the excess over the floor that is no queue. Only where samples vary there is any.
func (d *Delay) usual() time.Duration {
	if !d.calmed {
		return 0
	}
	return max(min(d.calm.least-d.least.least, usualDeviations*d.deviation), 0)
}

// Rebase takes the present delay for the usual one: less was sent and it did not go away, so the path has become longer
// or jitters more, or others fill its queue.
func (d *Delay) Rebase(now mono.Time) {
	if !d.known {
		return
	}
	d.least.update(now, d.smoothed)
	d.least.reset(d.least.least + max(d.lastRound, 0))
	d.calm.reset(d.least.least + max(d.lastMean-max(d.lastRound, 0), 0))
	d.calmed = true
	d.lastRound = 0
}

// endRound closes a round trip and returns the queue delay that stood in it all the time.
func (d *Delay) endRound(now mono.Time) time.Duration {
	if d.roundCount > 0 {
		mean := d.roundSum / d.roundCount
		d.lastMean = mean - d.least.least
		d.blockSum, d.blockCount = d.blockSum+d.roundSum, d.blockCount+d.roundCount
		if d.blockCount >= blockSamples || d.deviation < blockDeviation && d.seen >= fewSamples {
			d.calmed = true
			d.calm.update(now, d.blockSum/d.blockCount)
			d.blockSum, d.blockCount = 0, 0
		}
		d.lastRound = max(min(d.roundMin-d.Floor(), d.lastMean-d.usual()), 0)
	}
	d.roundSum, d.roundCount = 0, 0
	return d.lastRound
}

// Known reports whether there was any sample.
func (d *Delay) Known() bool { return d.known }

// Floor is the smallest relative delay of the last 10 seconds: what the path itself takes.
func (d *Delay) Floor() time.Duration { return d.least.least }

// Base is what a packet usually takes while nothing is queued: the floor and the mean of the jitter.
func (d *Delay) Base() time.Duration { return d.least.least + d.usual() }

// Recent is the moving average of the delay, the path's queue included.
func (d *Delay) Recent() time.Duration { return d.smoothed }

// Deviation is the mean deviation of the delay.
func (d *Delay) Deviation() time.Duration { return d.deviation }

// Above is the averaged delay above what is usual: a queue, as it was when the last measured packet was sent.
func (d *Delay) Above() time.Duration { return max(d.level-d.Base(), 0) }

// Age is the time since the last sample.
func (d *Delay) Age(now mono.Time) time.Duration { return now.Sub(d.updated) }

// Queue predicts how long a packet sent now waits in the path's queue: what the last measured packet
// waited, plus what was sent since, minus what drained since. rate is in bytes per second.
func (d *Delay) Queue(now mono.Time, sentBytes, rate int64) time.Duration {
	if !d.known {
		return 0
	}
	q := d.level - d.Base() - now.Sub(d.lastSent)
	if rate > 0 {
		q += time.Duration((sentBytes - d.sentAt) * int64(time.Second) / rate)
	}
	return max(q, 0)
}
