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
	// reorderDecayRounds is the time constant, in round trips, with which the memory of reordering fades (16 as in
	// RFC 8985 section 6.2, where it ends at once).
	reorderDecayRounds = 16
	// reorderForgotten is the lateness below which a path counts as one that keeps order.
	reorderForgotten = 100 * time.Microsecond
	// reorderSpan is how far below the oldest outstanding packet late arrivals of packets declared lost are looked for.
	reorderSpan = 256
	// reorderSpanLong is the same on a path that has shown reordering.
	reorderSpanLong = 2048
	// maxSampleBytes is more than any path holds: a receiver that claims more is wrong.
	maxSampleBytes = 1 << 33
	// maxOutstanding bounds the history: 65536 packets are 500 ms at 1.5 Gbit/s.
	maxOutstanding = 1 << 16
	// floorBuckets of floorBucket each are the window of the delay floor.
	floorBuckets = 10
	floorBucket  = time.Second
	// levelSteady is the deviation at which a sample counts half in the averaged delay.
	levelSteady = 2 * time.Millisecond
	// usualDeviations bounds what may count as jitter: packets that keep order behind a late one are late by several deviations.
	usualDeviations = 6
	// shorterDeviations below what is usual the average delay is that of a path that has become shorter.
	shorterDeviations = 2
	// blockSamples are needed for a mean delay to be told from chance on a path that varies by blockDeviation or more.
	blockSamples   = 24
	blockDeviation = time.Millisecond
	// fewSamples do not tell how much a path varies.
	fewSamples = 8
	// rateDeviations is how many deviations of the delay a rate must be measured over: then jitter at both ends makes
	// an error of a few percent.
	rateDeviations = 40
	// busyRound is how many packets a round must have for its mean flight to be that of a busy path.
	busyRound = 12
	// busyCalm is the queue up to which, and busyWeight the inverse weight with which, a round counts for that.
	busyCalm   = 3 * time.Millisecond
	busyWeight = 8
	// flightWeight is the share of one packet in the mean time of flight.
	flightWeight = 64
	// spanSteps is in how many steps that time is remembered.
	spanSteps = 32
	// rateLongest bounds that.
	rateLongest = 800 * time.Millisecond
	// maxBackoff bounds the doubling of the probe timeout, and maxPTO what comes of it (RFC 6298 section 2.5).
	maxBackoff = 6
	maxPTO     = time.Minute
)
