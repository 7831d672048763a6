// Package node is one portal's whole end of the protocol as a value: handshakes, sessions, and the tunnels they carry. Local is
// the router's, with one server; Remote the server's, with all its routers.
//
//	handshake datagrams --> Handshake --> handshake.Initiator / Responder --> Batch.Raws
//	data datagrams --(opened by the caller with Table)--> Receive --> engine.Tunnel --> Delivered
//	inner packets --> Enqueue --> engine.Tunnel --> Poll --> Batch.Datagrams --(sealed by the caller)-->
//
// No clock, no goroutine, no log, no I/O; randomness is an io.Reader. Not safe for concurrent use, except that Table
// and the keys in descriptors may be used by I/O goroutines meanwhile.
package node

import "time"

const (
	// hedgeSlow is the pause between initiations once the server has been silent for hedgePatience.
	hedgeSlow     = time.Second
	hedgePatience = 10 * time.Second
	// attemptLife is how long one initiation is repeated before a fresh one is made.
	attemptLife = 4 * time.Second
	// allDownPatience is how long no path may answer before a new session is asked for.
	allDownPatience = time.Second
	// staleLife is how long a replaced session is remembered: a router that still uses it is another one with the same key.
	staleLife = 10 * time.Second
	// conflictWindow and conflictMax: so many such meetings in this time are told to people.
	conflictWindow = 10 * time.Minute
	conflictMax    = 3
	// keyLifetimes of the greatest round trip the keys of the previous epoch stay valid, at least keyLifetimeMin.
	keyLifetimes   = 3
	keyLifetimeMin = time.Second
	// pathsAhead is how many path ids beyond the greatest seen are known to the table.
	pathsAhead = 16
	// textConflict is what a router with a doubled key is told.
	textConflict = "another router uses the same key: pair one of them again"
)

// noticeConflict is the NOTICE code for textConflict.
const noticeConflict = 1
