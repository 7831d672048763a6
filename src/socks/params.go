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
	// spliceChunk and spliceTime are after how much the idle clock is looked at, and the pipe given back: the kernel
	// tells only then how much it has copied.
	spliceChunk = 4 << 20
	spliceTime  = time.Second
	// copyBytes is the buffer where the kernel cannot copy: what a connection has received in one go, mostly.
	copyBytes = 64 << 10
	// udpPeers bounds the destinations of an association, udpBytes is the largest datagram.
	udpPeers = 1024
	udpBytes = 64 << 10
	// acceptPause is how long to wait when the system has no more descriptors.
	acceptPause = 50 * time.Millisecond
)
