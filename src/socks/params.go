package socks

import "time"

const (
	// version5 is SOCKS, version1 its subnegotiation of users and passwords.
	version5 = 5
	version1 = 1
	// handshakeTime is what a client has for methods, password and request together.
	handshakeTime = 10 * time.Second
	// dialTime is what a connection to a destination may take, hopTime one more relay on the way.
	dialTime = 30 * time.Second
	hopTime  = 10 * time.Second
	// bindTime is how long a BIND waits for its peer: what active FTP servers need.
	bindTime = 2 * time.Minute
	// refusedPause makes guessing passwords slow.
	refusedPause = time.Second
	// DefaultIdle ends connections on which nothing moves.
	DefaultIdle = time.Hour
	// DefaultMaxConnections bounds a server's clients.
	DefaultMaxConnections = 10000
	// pipeBytes is what a pipe can hold: the kernel's limit for programs without special rights. Each call then moves as much, if
	// that takes no longer than callTime: nothing else of this program runs on the processor meanwhile.
	pipeBytes = 1 << 20
	callTime  = 500 * time.Microsecond
	// MaxPipes bounds the pipes that have something in them, two files each. A pipe is used only while something is moved, or a
	// target stalls; what is moved while all are in use is copied.
	MaxPipes = 256
	// keptPipes are those that wait for the next connection with something to move.
	keptPipes = 32
	// pipeMemory is what all pipes share, so that many targets that stall do not keep much in them; leastChunk each has.
	pipeMemory = 16 << 20
	leastChunk = 4 << 10
	// copyBytes is the buffer where the kernel cannot copy. A target that was waited for is given slowBytes at a time, and as
	// much as it takes at once when it has taken slowChunks of them: what it has no room for would stay in memory.
	copyBytes  = 64 << 10
	slowBytes  = 16 << 10
	slowChunks = 16
	// stallLook is how often it is looked, while a target takes nothing, whether the other side is still there.
	stallLook = 5 * time.Second
	// maxAsking bounds the clients of one address that have not asked for anything yet: slow ones, or those that guess
	// passwords, leave room for others.
	maxAsking = 256
	// firstPatience is how long a goroutine waits for more on a connection that was idle before it is parked; every time that
	// something comes it is twice as long, up to lastPatience.
	firstPatience = 50 * time.Millisecond
	lastPatience  = 2 * time.Second
	// udpPeers bounds the destinations of an association.
	udpPeers = 1024
	// maxLookUps bounds the names that an association looks up at a time, keptBytes what waits for them: some resolvers take seconds
	// to say no. A name that failed is not asked again before failedAgain: clients repeat themselves.
	// Each datagram counts keptCost more than its payload, so that empty ones are bounded, too.
	maxLookUps  = 8
	keptBytes   = 64 << 10
	keptCost    = 64
	failedAgain = 5 * time.Second
	// lateAnswers is how long a socket that is not the right one any more still hears answers.
	lateAnswers = 5 * time.Second
	// acceptPause is how long to wait when the system has no more descriptors.
	acceptPause = 50 * time.Millisecond
)
