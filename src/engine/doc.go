// Package engine is the tunnel to one peer as a value: inner packets and the peer's frames go in, datagram descriptors and
// inner packets in order come out.
//
// A packet goes out:
//
//  1. Enqueue puts it into its flow's queue (flowq).
//  2. Poll asks flowq whose turn it is while some path has window and pacing room, and sched binds the packet to a
//     path as late as possible; a backlogged flow gets a lane, and the packet the next number in it.
//  3. The path gives it a packet number and keeps a reference until it is acknowledged (recovery).
//  4. The descriptor goes to the caller, who seals and sends it.
//
// A packet comes in:
//
//  1. The caller opens the datagram; Receive sees only what is authentic.
//  2. The path's replay window takes each number once.
//  3. Acknowledgements feed recovery and congestion; what is lost is queued for repair on the path where it arrives first.
//  4. Data goes to its lane, which puts it in order, and through even, which keeps what jitter made much too early; or straight
//     on. Delivered returns what may go to the TUN device.
//
// Before that, Poll holds the paths that are about to be silent for a moment, as they are regularly (gaps), if others can take over.
//
// Trace has all of this told as it happens; package trace says in which words. Off, it costs a comparison here and there.
//
// The engine never sees ciphertext, keys other than by name, or sockets.
//
// No clock, no randomness of its own, no goroutine, no log, no I/O; not safe for concurrent use. Every input has a bound.
// NextTimeout never lies in the past twice for the same reason.
package engine
