// Package mono has the engine's clock value: an instant on a monotonic clock whose zero is arbitrary.
//
// Pure rooms take instants as arguments and never read a clock, so a whole tunnel runs in virtual time.
package mono

import (
	"math"
	"time"
)

// Time is an instant in nanoseconds since an arbitrary start. Zero means "not set".
type Time int64

// Never is later than every instant; a timer set to it does not fire.
const Never Time = math.MaxInt64

// Add returns the instant d later, or Never if t is Never.
func (t Time) Add(d time.Duration) Time {
	if t == Never {
		return Never
	}
	return t + Time(d)
}

// Sub returns the time from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Before reports whether t is earlier than u.
func (t Time) Before(u Time) bool { return t < u }

// After reports whether t is later than u.
func (t Time) After(u Time) bool { return t > u }

// IsZero reports whether t was never set.
func (t Time) IsZero() bool { return t == 0 }

// Micros returns the low 32 bits of t in microseconds, as acknowledgements carry it.
func (t Time) Micros() uint32 { return uint32(uint64(t) / 1000) }

// Min returns the earlier of two instants.
func Min(a, b Time) Time {
	if a < b {
		return a
	}
	return b
}

// Max returns the later of two instants.
func Max(a, b Time) Time {
	if a > b {
		return a
	}
	return b
}
