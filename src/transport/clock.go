package transport

import (
	"time"

	"mpproxy/src/engine/mono"
)

// Clock is the daemon's monotonic clock. Every room of one daemon must be given times of the same Clock. The zero value
// is not usable. A Clock is a small value, safe for concurrent use.
type Clock struct{ base time.Time }

// NewClock returns a Clock that stands at a little more than maxStampAge, so that no time it gives is zero or negative.
func NewClock() Clock { return Clock{base: time.Now().Add(-2 * maxStampAge)} }

// Now reads the clock.
func (c Clock) Now() mono.Time { return mono.Time(time.Since(c.base)) }

// At converts a Go time that has a monotonic reading.
func (c Clock) At(t time.Time) mono.Time { return mono.Time(t.Sub(c.base)) }

// stamps maps receive times of the wall clock onto a Clock. The zero value is ready.
type stamps struct {
	now    mono.Time // when the batch was read, monotonic
	offset int64     // wall clock less monotonic clock in ns, now
	before int64     // the same before the wall clock jumped; equal to offset if it did not
}

// begin notes both clocks, to be called once per batch right after reading it.
func (s *stamps) begin(now mono.Time, wallNanos int64) {
	offset := wallNanos - int64(now)
	s.before = offset
	if jump := offset - s.offset; s.now != 0 && (jump > int64(clockJump) || jump < -int64(clockJump)) {
		s.before = s.offset // stamps of this batch may still be of the time before the jump
	}
	s.now, s.offset = now, offset
}

// mono converts the wall clock time of a receive stamp. The result lies in [now - maxStampAge, now]; a stamp that makes
// no sense with the wall clock as it is, nor as it was before it jumped, becomes now.
func (s *stamps) mono(wallNanos int64) mono.Time {
	for _, offset := range [2]int64{s.offset, s.before} {
		if t := mono.Time(wallNanos - offset); !t.After(s.now) && s.now.Sub(t) <= maxStampAge {
			return t
		}
	}
	return s.now
}
