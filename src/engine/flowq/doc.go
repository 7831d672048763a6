// Package flowq queues inner packets on the sending side: one queue per flow, fair by bytes, urgent and sparse flows first.
//
// The way of a packet:
//
//  1. Enqueue reads the inner header (ParseIP), finds the flow by a keyed hash and gives the packet a class.
//  2. A flow stands in the list of its head packet's level: urgent, sparse, bulk (old) or background.
//  3. Next picks a flow: urgent before sparse before bulk before background, deficit round robin within a level
//     (quantum 1500 bytes). A level that was passed over for too many bytes goes first once, so nothing starves.
//  4. Next applies CoDel (RFC 8289) to that flow's head: mark ECN-capable packets, drop others, only while all paths are full.
//  5. Pop takes the head and charges the flow; or Park sets the flow aside until Unpark.
//
// Isolation comes from the fair queueing; CoDel only bounds a flow's own delay. Over the global limit the fattest
// flow loses its oldest packet.
//
// This is a pure room: no clock, no randomness of its own, no goroutine, no log, no I/O. A Queue is not safe for
// concurrent use. In steady state nothing is allocated per packet.
package flowq
