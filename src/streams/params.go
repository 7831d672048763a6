package streams

import (
	"time"

	"mpproxy/src/mpp"
)

const (
	// helloTime is what a stranger has for a hello and a first record.
	helloTime = 10 * time.Second
	// refuseTime is what a peer has to hear a refusal.
	refuseTime = 2 * time.Second
	// secretTime is how long a hello waits for its secret: our own handshake may be a moment behind.
	secretTime = time.Second
	// keptSecrets is how many secrets of a peer are good at a time: the session's newest and what is still under way, and
	// those that each of several subflows made without a session.
	keptSecrets = 8
	// keptInstances is how many starts of a router are remembered for its MIDs.
	keptInstances = 4
	// maxStrangers bounds connections without a valid hello; the oldest makes room.
	maxStrangers = 256
	// maxWaiting bounds a peer's subflows that wait for a stream: two for each of its ways.
	maxWaiting = 256
	// lingerTime is how long an ended stream answers what was still under way.
	lingerTime = 5 * time.Second
	// orphanTime is how long a stream lives without any subflow.
	orphanTime = time.Minute
	// dialTime bounds the setting up of a subflow, its relays included.
	dialTime = 15 * time.Second
	// firstPatience is how long a goroutine waits for more on a subflow that was idle before it is parked; every time that
	// something comes it is twice as long, up to lastPatience.
	firstPatience = 50 * time.Millisecond
	lastPatience  = 2 * time.Second
	// streamBytes is what a stream takes of the pool for as long as it lives, with one subflow, and subflowBytes what each
	// further one does: what they take at rest, with what those keep of them who relay them.
	streamBytes  = 2 << 10
	subflowBytes = 512
	// liveBytes is what it takes beside that while it does not rest: stacks above all, keys, timers, the begin of a record.
	liveBytes = 12 << 10
	// firstRedial to lastRedial: a way that failed is tried again, ever more seldom.
	firstRedial = 250 * time.Millisecond
	lastRedial  = 30 * time.Second
	// recordBytes holds a handshake, a hello and a record, bufferBytes several, so that one call moves what is there.
	recordBytes = 2048 + mpp.MaxRecord + mpp.Overhead
	bufferBytes = 128 << 10
	// buffersElse and, for each processor, buffersEach are how many buffers of a kind are in use at a time.
	buffersElse = 4
	buffersEach = 2
	// quickTail is the unsent tail of subflows (200 Mbit/s and more) that send several records at a time.
	quickTail = 256 << 10
	// tailTime is how much of a subflow's rate may wait unsent in its socket; between minTail and maxTail bytes.
	tailTime = 10 * time.Millisecond
	minTail  = 16 << 10
	maxTail  = 1 << 20
	// tuneFrom is how much a subflow must have sent until its socket is looked at: most never do.
	tuneFrom = 64 << 10
	// retune is how often the unsent tail follows the rate.
	retune = 100 * time.Millisecond
	// retuneSoon is how often while it changes.
	retuneSoon = 10 * time.Millisecond
	// startGain is a pacing gain, of 256, that bbr has in its start-up only.
	startGain = 512
	// maxPace, in bytes per second, is more than any: without pacing the kernel says the greatest number.
	maxPace = 1 << 40
	// packetCost is what the kernel counts for a packet in a socket beside its payload.
	packetCost = 900
	// minSend is where the kernel's own growth of a socket ends at the soonest; maxSend bounds ours: 200 Mbit/s over
	// 300 ms, three times.
	minSend = 2 << 20
	maxSend = 24 << 20
)
