package transport

import "time"

const (
	// socketBufferBytes is asked for in both directions: 4 MB hold 40 ms of 800 Mbit/s while a busy router does something else.
	socketBufferBytes = 4 << 20

	// maxSegments is what every kernel with UDP_SEGMENT takes in one message (UDP_MAX_SEGMENTS was 64 before it was 128).
	maxSegments = 64
	// maxMessageBytes is the longest payload of one message: 65535 less the headers of IPv6 and UDP.
	maxMessageBytes = 65535 - 40 - 8
	// writeMessages is how many messages one sendmmsg carries: without UDP_SEGMENT a whole batch of 64 datagrams.
	writeMessages = 64

	// readArenaBytes is the memory of one ReadBatch, cut into slots: 8 of 64 KB with UDP_GRO (a slot must hold the longest
	// merged message), 64 of 8 KB without. A router with four links spends 2 MB on it.
	readArenaBytes   = 512 << 10
	groSlotBytes     = 64 << 10
	plainSlotBytes   = 8 << 10
	readDatagrams    = 512 // datagrams of a ReadBatch before its list grows: 8 messages of 64
	controlBytes     = 256 // more than the sum of all control messages asked for (200 on 64-bit systems)
	writeControlSize = 128 // segment size 24, packet info 40, traffic class 24 on 64-bit systems

	// maxStampAge bounds how far back a kernel receive time is believed; older means that the wall clock jumped.
	maxStampAge = time.Second
	// clockJump is a difference between wall and monotonic clock, from one batch to the next, that slewing cannot make.
	clockJump = 5 * time.Millisecond
)
