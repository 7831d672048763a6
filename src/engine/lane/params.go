package lane

import "time"

const (
	// MaxLanes is the number of lanes of one direction; ids at or above it are malformed.
	MaxLanes = 4096
	// SeqBits is the width of a lane sequence on the wire.
	SeqBits = 24

	seqMask = 1<<SeqBits - 1
	// firstSeq is the internal number of sequence 0: one turn up, so that numbers below it do not wrap.
	firstSeq = 1 << SeqBits

	// window is how far apart the oldest missing and the newest packet may be, and how far back duplicates are
	// known: 400 ms at 240 Mbit/s.
	window = 8192
	// minSlots is the smallest hold buffer.
	minSlots = 64
	// ringClasses are the sizes of hold buffers, 64 to 8192 slots.
	ringClasses = 8
	// spareSmall and spareLarge bound the hold buffers kept for reuse, up to and above 512 slots (1.1 MiB in all).
	spareSmall, spareLarge = 16, 2

	// defaultLimitBytes bounds what all lanes of one Receiver hold.
	defaultLimitBytes = 8 << 20
	// minCostBytes is the least a held packet counts: a Buf takes 2 KiB however short its packet.
	minCostBytes = 1024
	// maxPaths bounds the paths remembered; ids are never reused, so those that are down make room.
	maxPaths = 32

	// capMax is the longest hold of all: beyond lies the inner sender's timeout.
	capMax = 600 * time.Millisecond
	// capMargin is how much longer than the lane's recent delay and a round trip a packet may be held: less than the 200 ms by
	// which an inner TCP's timeout exceeds its round trip.
	capMargin = 150 * time.Millisecond
	// waitMargin is for timers and batches at both ends.
	waitMargin = 3 * time.Millisecond
	// repairRounds is for how many repairs a lost packet waits.
	repairRounds = 2
	// suspectMin and suspectMargin are the sender's own: the least silence it takes for suspicious, and what
	// acknowledgements and timers add.
	suspectMin    = 30 * time.Millisecond
	suspectMargin = 20 * time.Millisecond
	// pathSlack is added to how long a path may be silent: a batch of the sender's and one of ours.
	pathSlack = 2 * time.Millisecond
	// defaultRepairWait is assumed until SetRepairWait.
	defaultRepairWait = 50 * time.Millisecond
	// idleLane is after what silence a lane counts as newly used.
	idleLane = time.Second
	// delayDecay: with each packet delivered a lane's recent delay loses 1/64 of its excess.
	delayDecay = 64
)

// Params are what a Receiver is made with; the zero value is usable.
type Params struct {
	// LimitBytes bounds held packets (each counts as at least 1024 bytes) and hold buffers. 0 means 8 MiB.
	LimitBytes int
}
