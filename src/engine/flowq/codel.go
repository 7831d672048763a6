package flowq

import (
	"math"
	"time"

	"mpproxy/src/engine/mono"
)

// codel is the state of one flow's controlled delay (RFC 8289 section 5, whose names it keeps).
type codel struct {
	firstAbove mono.Time // when the head will have been above target for an interval; zero: it is not above
	dropNext   mono.Time
	count      uint32
	lastCount  uint32
	dropping   bool
}

// bounds is what codel compares with.
type bounds struct{ target, interval time.Duration }

// boundsFor returns CoDel's target and interval for an expected inner round trip. The interval is two of them, so that a
// sender can have answered the last drop before the next is due. ahead is added to the target: packets that slower paths
// will take from the depth of the queue have to stand there.
func boundsFor(p Profile, rtt, ahead time.Duration) bounds {
	low, high := p.bounds()
	target := min(max(rtt/targetShare, low), high)
	return bounds{target: target + ahead, interval: max(minInterval, 2*rtt)}
}

// above notes the head's time in the queue and reports whether it has been above target for an interval.
func (c *codel) above(now mono.Time, sojourn time.Duration, bytes int, b bounds) bool {
	if sojourn < b.target || bytes <= codelFloorBytes {
		c.firstAbove = 0
		return false
	}
	if c.firstAbove.IsZero() {
		c.firstAbove = now.Add(b.interval)
		return false
	}
	return now >= c.firstAbove
}

// hold keeps a flow that drops from catching up on drops it did not make while some path had room.
func (c *codel) hold(now mono.Time) {
	if c.dropping && c.dropNext < now {
		c.dropNext = now
	}
}

// enter begins to drop, nearly as fast as last time if that was not long ago.
func (c *codel) enter(now mono.Time, b bounds) {
	c.dropping = true
	delta := c.count - c.lastCount
	if delta > 1 && now.Sub(c.dropNext) < codelMemory*b.interval {
		c.count = delta
	} else {
		c.count = 1
	}
	c.dropNext = c.law(now, b)
	c.lastCount = c.count
}

// law returns when the next drop is due after one at t.
func (c *codel) law(t mono.Time, b bounds) mono.Time {
	return t.Add(time.Duration(float64(b.interval) / math.Sqrt(float64(c.count))))
}

// control applies CoDel to f's head. It marks or drops what is due; afterwards f may be empty or in another list.
func (q *Queue) control(now mono.Time, f *Flow, full bool) {
	c, b := &f.codel, q.boundsOf(f)
	if f.verdict.Way != (Way{}) {
		full = q.Full(now, f.verdict.Way)
	}
	ok := c.above(now, now.Sub(f.head.Enqueued), f.bytes, b)
	if !full {
		c.dropping = c.dropping && ok
		c.hold(now)
		return
	}
	switch {
	case c.dropping && !ok:
		c.dropping = false
	case c.dropping:
		for c.dropping && now >= c.dropNext {
			c.count++
			marked := q.signal(f)
			if f.head == nil {
				c.firstAbove, c.dropping = 0, false
				return
			}
			c.dropping = marked || c.above(now, now.Sub(f.head.Enqueued), f.bytes, b)
			c.dropNext = c.law(c.dropNext, b)
			if marked {
				return
			}
		}
	case ok:
		q.signal(f)
		c.enter(now, b)
	}
}

// signal tells f's sender to slow down: it marks the head, or drops it and is false.
func (q *Queue) signal(f *Flow) (marked bool) {
	if !f.head.Shared() && MarkCE(f.head.Bytes()) {
		q.counts.Marked++
		return true
	}
	q.dropHead(f, &q.counts.DroppedDelay)
	return false
}
