package engine

import (
	"time"

	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/sched"
)

const (
	// FrameBytes is what stands in front of a full packet inside a datagram: type, lane, lane sequence, stamp.
	FrameBytes = 8
	// DefaultMTU of the inner packets fits a 1500 byte link under IPv6 too.
	DefaultMTU = 1420

	// defaultRepairBytes bounds the packets kept for repair.
	defaultRepairBytes = 8 << 20
	// repairLife is how long after its loss was seen a packet is still worth sending again: the lanes wait no longer.
	repairLife = 600 * time.Millisecond
	// urgentLife is the same for calls: later they are of no use to anybody.
	urgentLife = 150 * time.Millisecond
	// maxRepairs bounds the queue of packets to repair.
	maxRepairs = 16384

	// ackCopyMin and ackCopyMax bound how often acknowledgements travel on a second path too.
	ackCopyMin = 25 * time.Millisecond
	ackCopyMax = 100 * time.Millisecond
	// ackCost bytes per acknowledgement keep those (some 100 bytes each) to a tenth of what the paths carry, as far as that is known,
	// with at most ackSpacingMax between two.
	ackCost       = 1000
	ackSpacingMax = 10 * time.Millisecond
	// ackPingEvery makes the path of the acknowledgements prove that it is alive.
	ackPingEvery = 25 * time.Millisecond

	// refreshEvery is how often slow decisions are made anew: budget, CoDel targets, idle lanes.
	refreshEvery = 50 * time.Millisecond
	// delaysEvery is how often the receiver is told what it needs to know about delays.
	delaysEvery = 100 * time.Millisecond
	// searchPatience at the known capacity, at least searchBacklog bytes, may queue while some path still looks for its own.
	searchPatience = 200 * time.Millisecond
	searchBacklog  = 128 << 10
	// lossyShare of a path's packets (in 1/65536: 0.1 %) makes gaps in the lanes a part of life.
	lossyShare = 65
	// brokenShare of a path's packets (in 1/65536: a fifth) is more than repairs make good in time: a path that loses as much
	// does not work as its metric promises. mostLoss is the most that is reckoned with.
	brokenShare = 65536 / 5
	mostLoss    = 65536 * 15 / 16
	// laneIdle is how long a flow keeps its lane without sending.
	laneIdle = 2 * time.Second
	// calmDeviation of the delay is what queues of our own make; above it a path jitters.
	calmDeviation = 3 * time.Millisecond
	// configEvery is how often the session's configuration is repeated until it is acknowledged.
	configEvery = 200 * time.Millisecond
	// pardon is how long no flow is asked to slow down after a path was lost: what queues then is the failure's doing, and
	// a drop would make the failure a loss. pardonPause is the least time between two pardons.
	pardon      = 5 * time.Second
	pardonPause = 15 * time.Second
	// pardonAgain is what a path lost sooner than that is worth: what it had on the way goes ahead of new packets.
	pardonAgain = time.Second
	// pardonFalse is what remains of a pardon when the path was only slow.
	pardonFalse = 200 * time.Millisecond
	// partLife is how long one half of a packet waits for the other, and maxParts how many may.
	partLife = 500 * time.Millisecond
	maxParts = 64

	// MaxPaths bounds the paths of a tunnel.
	MaxPaths = 16
	// maxBatch bounds the descriptors of one Poll, so that acknowledgements are looked at in between.
	maxBatch = 128
	// challengeFrameBytes is the length of a CHALLENGE frame.
	challengeFrameBytes = 9
	// probeBytes is the size of a path's first probes: room for the answers before the address is proven.
	probeBytes = 1200

	// jointMemory is how long ago the other path may have taken a queue for its own delay for the two to be suspected.
	jointMemory = 5 * time.Second
	// jointRounds is how long a trial lasts: one round trip for the queue to go, one to see it, one for acknowledgements that are late.
	jointRounds = 3
	// jointLeast, beside jointNoise deviations, is the least delay that counts; jointShare of the round trip above its floor, in
	// percent, must go: with others in the queue three quarters of our part of it go.
	jointLeast = 5 * time.Millisecond
	jointNoise = 4
	jointShare = 60
	// jointBelief is for how long a trial is believed, jointAgain after what time the next lets the floor of the delay be seen, which
	// is forgotten after ten seconds.
	jointBelief = time.Minute
	jointAgain  = 8 * time.Second
	// jointPause to jointPauseMost is the time between trials that find nothing.
	jointPause     = 10 * time.Second
	jointPauseMost = 5 * time.Minute
)

// Params are what a Tunnel is made with.
type Params struct {
	// Initiator is true at the router, which opens paths and knows the peer's addresses.
	Initiator bool
	// MTU is the inner MTU in bytes; 0 means DefaultMTU.
	MTU int
	// Profile sets how much delay throughput may cost.
	Profile flowq.Profile
	// Scheduler by name.
	Scheduler sched.Kind
	// Congestion is the congestion control of paths that do not ask for another; none needs the scheduler "weighted".
	Congestion congestion.Kind
	// KeepPaths has the gain measured only: no path is taken from flows because of it.
	KeepPaths bool
	// CopyMetered lets the scheduler "redundant" send copies over metered links, too.
	CopyMetered bool
	// QueueBytes, RepairBytes and LaneBytes bound the memory; 0 means the defaults.
	QueueBytes, RepairBytes, LaneBytes int
	// Random gives unpredictable numbers: challenges and the like.
	Random func() uint64
	// Seed keys the hash of flows.
	Seed uint64
	// Pool lends buffers for packets that have to be copied.
	Pool *packet.Pool
}

// budget is how much later than on the fastest path a spread packet may arrive.
func budget(p flowq.Profile) time.Duration {
	switch p {
	case flowq.Latency:
		return 10 * time.Millisecond
	case flowq.Throughput:
		return 400 * time.Millisecond
	}
	return 120 * time.Millisecond
}

// PathSpec is a path to be opened or accepted.
type PathSpec struct {
	// ID, Link and Overhead are as in path.Config.
	ID, Link uint32
	Overhead int
	path.Use
	// RTT and Bandwidth (bytes per second) are what is known from before; 0 if nothing.
	RTT       time.Duration
	Bandwidth int64
}

// noTime is shorter to read than mono.Never.
const noTime = mono.Never
