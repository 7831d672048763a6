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

// Delay follows the relative one-way delay of one path. Make it with NewDelay.
type Delay struct {
	offset    *Offset
	buckets   [floorBuckets]time.Duration
	used      [floorBuckets]bool
	bucket    int
	bucketEnd mono.Time
	floor     time.Duration
	known     bool
	smoothed  time.Duration
	deviation time.Duration
	last      time.Duration
	lastSent  mono.Time
	sentAt    int64 // bytes sent up to the measured packet
	updated   mono.Time
	roundMin  time.Duration
	lastRound time.Duration
}

// NewDelay returns a Delay on the tunnel's common scale.
func NewDelay(o *Offset) Delay { return Delay{offset: o, roundMin: -1} }

// update takes the delay of a packet sent at sent after sentBytes bytes (it included).
func (d *Delay) update(now, sent mono.Time, received uint32, sentBytes int64) {
	v := d.offset.relative(sent, received)
	if !d.known {
		d.known, d.smoothed, d.floor = true, v, v
		d.bucketEnd = now.Add(floorBucket)
	}
	for now >= d.bucketEnd {
		d.bucket = (d.bucket + 1) % floorBuckets
		d.used[d.bucket] = false
		d.bucketEnd = d.bucketEnd.Add(floorBucket)
		if now.Sub(d.bucketEnd) > floorBuckets*floorBucket {
			d.used = [floorBuckets]bool{}
			d.bucketEnd = now.Add(floorBucket)
		}
	}
	if !d.used[d.bucket] || v < d.buckets[d.bucket] {
		d.used[d.bucket], d.buckets[d.bucket] = true, v
	}
	d.refloor()
	off := v - d.smoothed
	d.smoothed += off / 8
	if off < 0 {
		off = -off
	}
	d.deviation += (off - d.deviation) / 16
	d.last, d.lastSent, d.sentAt, d.updated = v, sent, sentBytes, now
	if q := v - d.floor; d.roundMin < 0 || q < d.roundMin {
		d.roundMin = q
	}
}

func (d *Delay) refloor() {
	first := true
	for i, v := range d.buckets {
		if d.used[i] && (first || v < d.floor) {
			d.floor, first = v, false
		}
	}
}

// Rebase takes the present delay for the floor: the path has become longer, what stands in it is not our queue.
func (d *Delay) Rebase() {
	d.used = [floorBuckets]bool{}
	d.used[d.bucket], d.buckets[d.bucket] = true, d.floor+max(d.lastRound, 0)
	d.refloor()
}

// endRound closes a round trip and returns the smallest queue delay seen in it.
func (d *Delay) endRound() time.Duration {
	if d.roundMin >= 0 {
		d.lastRound = d.roundMin
	}
	d.roundMin = -1
	return d.lastRound
}

// Known reports whether there was any sample.
func (d *Delay) Known() bool { return d.known }

// Floor is the smallest relative delay of the last 10 seconds: what the path itself takes.
func (d *Delay) Floor() time.Duration { return d.floor }

// Recent is the moving average of the delay, the path's queue included.
func (d *Delay) Recent() time.Duration { return d.smoothed }

// Deviation is the mean deviation of the delay.
func (d *Delay) Deviation() time.Duration { return d.deviation }

// Age is the time since the last sample.
func (d *Delay) Age(now mono.Time) time.Duration { return now.Sub(d.updated) }

// Queue predicts how long a packet sent now waits in the path's queue: what the last measured packet
// waited, plus what was sent since, minus what drained since. rate is in bytes per second.
func (d *Delay) Queue(now mono.Time, sentBytes, rate int64) time.Duration {
	if !d.known {
		return 0
	}
	q := d.last - d.floor - now.Sub(d.lastSent)
	if rate > 0 {
		q += time.Duration((sentBytes - d.sentAt) * int64(time.Second) / rate)
	}
	return max(q, 0)
}
