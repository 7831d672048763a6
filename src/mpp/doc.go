// Package mpp is the multipath byte-stream protocol as a value: one end of a connection (Conn) that is carried by
// several subflows, reliable byte pipes that may stall or die at any byte. Every byte arrives exactly once and in
// order, both directions end on their own, and the slowest subflow never sets the speed.
//
//	bytes of the client -> Write -> [send buffer] -> Poll, by the subflow that has room -> Sealer -> pipe
//	pipe -> Opener -> Receive -> [receive buffer] -> Read -> bytes for the client
//
// A subflow begins with a hello in the direction that it was opened in; then come records in both directions:
//
//	hello    'M' | version u8 | key id u64 | ticket u64
//	record   length u16 | AEAD( frames ) , the length is the AEAD's additional data
//
// The key id names a secret that both portals export from their live session, the ticket is a number used once under
// that secret, and the keys of both directions are derived from both. So data follows the hello at once, a copy of a
// hello is refused (Tickets), and no relay in between can read, change, repeat or leave out a part. What a relay
// can do is to stall or to close, and that is what dead subflows are for. Nonces count records.
//
// Frames have a fixed header, big endian, and may be several in a record:
//
//	 0       1       2         4               8
//	+-------+-------+---------+---------------+
//	| type  | flags | options |    payload    |   lengths in bytes
//	+-------+-------+---------+---------------+
//	|        MID: the connection's id         |
//	+-----------------------------------------+
//	|                 offset                  |
//	+-----------------------------------------+
//	| options: kind u8, length u8, value; ... |
//	+-----------------------------------------+
//	| payload                                 |
//	+-----------------------------------------+
//
//	Attach  first frame of a subflow: it belongs to this MID.               options Subflow: its number, RTT: of setting it up
//	Data    payload at offset; flag Fin: the stream ends behind it
//	Ack     all below offset has come; flag Complete: all ranges are told.  options Limit, Range..., Progress...
//	Reset   the connection ends now.                                        option Code
//	Ping, Pong  the offset is echoed: round trip and life
//
// The end of a stream counts as one more byte, so that it is acknowledged and repeated like data. Limit is how far
// the receiver's window reaches. Progress tells how much payload has come on one subflow: as a subflow keeps its
// order, that gives its round trip, its rate, and what is late on it, whichever copy of a range came first. Unknown
// options are skipped, unknown frame types are an error.
//
// A Conn on which nothing is under way packs into a few numbers (Pack), and goes on from them.
//
// The package is pure: no clock, randomness, goroutine, log or I/O. A Conn is not safe for concurrent use; Pool and
// Tickets are.
package mpp
