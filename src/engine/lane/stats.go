package lane

import (
	"math/bits"
	"time"
)

// HoldBuckets is the number of buckets in Stats.Holds.
const HoldBuckets = 12

// Stats is a Receiver's state and its counters since it was made.
type Stats struct {
	// Lanes, HeldPackets and HeldBytes are now; HeldBytes counts payload.
	Lanes, HeldPackets, HeldBytes int
	// Delivered counts packets returned, those below included.
	Delivered uint64
	// Held counts packets that had to wait before they were returned.
	Held uint64
	// Late counts packets returned after their place had been released.
	Late uint64
	// Gaps counts releases of missing packets by waiting in vain, Skipped the packets missing in them.
	Gaps, Skipped uint64
	// GaveUp counts missing packets released because the sender gave them up.
	GaveUp uint64
	// Pressure counts gaps released because memory or the window was full; they are in Gaps too.
	Pressure uint64
	// Jumps counts sequences that leapt beyond the window.
	Jumps uint64
	// Duplicates, TooOld (more than 8192 behind) and Malformed (no such lane) count packets dropped.
	Duplicates, TooOld, Malformed uint64
	// LongestHold is the longest time a packet was held.
	LongestHold time.Duration
	// Holds counts held packets by how long: bucket i is for holds below HoldBound(i), the last one for all others.
	Holds [HoldBuckets]uint64
}

// HoldBound returns the upper bound of a bucket of Stats.Holds: 0.5 ms, 1 ms, 2 ms ... 512 ms.
func HoldBound(bucket int) time.Duration { return 500 * time.Microsecond << bucket }

// heldFor counts one held packet.
func (s *Stats) heldFor(d time.Duration) {
	s.Held++
	s.LongestHold = max(s.LongestHold, d)
	bucket := bits.Len64(uint64(max(d, 0) / (500 * time.Microsecond)))
	s.Holds[min(bucket, HoldBuckets-1)]++
}
