package recovery

import "time"

const (
	// PacketThreshold later packets acknowledged make a packet lost while the path has never reordered (RFC 9002 section 6.1.1).
	PacketThreshold = 3
	// MaxAckDelay is how long a receiver holds an acknowledgement back at most.
	MaxAckDelay = 10 * time.Millisecond
	// granularity is the least time that timers tell apart.
	granularity = time.Millisecond
	// initialRTT is assumed before the first sample.
	initialRTT = 200 * time.Millisecond
	// maxReorderWindow bounds what a reordering path can make us wait.
	maxReorderWindow = 400 * time.Millisecond
	// reorderDecayRounds is how many round trips the memory of reordering lasts (RFC 8985 section 6.2).
	reorderDecayRounds = 16
	// maxOutstanding bounds the history: 65536 packets are 500 ms at 1.5 Gbit/s.
	maxOutstanding = 1 << 16
	// floorBuckets of floorBucket each are the window of the delay floor.
	floorBuckets = 10
	floorBucket  = time.Second
	// maxBackoff bounds the doubling of the probe timeout.
	maxBackoff = 6
)
