// Package wire is the format of mpproxy's datagrams and of the frames inside them: append and parse, nothing else.
//
// Integers are big endian; "uvarint" is encoding/binary's base-128 form of at most 64 bits.
//
// A data datagram:
//
//	 0               1               2               3
//	 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7
//	+-+-+---+-------+-----------------------------------------------+
//	|0|1|ep.|reservd| connection id ...                             |
//	+-+-+---+-------+-----------------------------------------------+
//	|...    id      | packet number, low 24 bits                    |
//	+---------------+-----------------------------------------------+
//	| frames, encrypted ...                         | tag, 16 bytes |
//	+-----------------------------------------------+---------------+
//
// The 8 header bytes are the additional data of the AEAD. Reserved bits are sent as 0 and ignored.
// Handshake datagrams have both top bits clear; byte 0 is their kind (see Kind), package handshake has the rest.
//
// A frame is a type byte and fields:
//
//	0x00 PADDING    everything behind it, too, is padding
//	0x01 ACK        path uvarint | largest uvarint | how far below it the last to come uvarint |
//	                receive time of that one, µs u32 | ack delay, µs uvarint |
//	                CE count uvarint | payload datagram bytes received uvarint | further ranges uvarint |
//	                first range length uvarint | (gap uvarint, length uvarint)*, as in RFC 9000 section 19.3.1
//	0x02 PING
//	0x03 CHALLENGE  8 bytes
//	0x04 RESPONSE   8 bytes
//	0x05 PATH_STATE path uvarint | state u8
//	0x06 DELAYS     repair wait u16 | n u8 | n x (path uvarint | relative delay u16 | deviation u16 |
//	                reordering u16), unit 100 µs
//	0x07 LANE_MARK  lane u16 | sequence u24
//	0x08 GAVE_UP    lane u16 | first sequence u24 | count uvarint
//	0x09 CONFIG     id uvarint | length u16 | SessionConfig
//	0x0A CONFIG_ACK id uvarint
//	0x0B CLOSE      reason u8 | length u8 | text
//	0x0C PATH_CLOSE path uvarint
//	0x0D NOTICE     code u8 | length u8 | text
//	0x0E reserved for forward error correction
//	0x0F PATH_USE   metric u16 | flags u8: 1 overflow, 2 standby, 4 metered, then the
//	                congestion control (3 bits) and what is copied (2 bits) | limit uvarint, kbit/s; of the path it travels on
//	0x10 FLOW       flags u8: 1 IPv6, 2 ports, 4 wishes | protocol u8 | source, destination, 4 or 16 bytes each | [source
//	                port u16 | destination port u16] | [wishes u8: 1 twice, then class and profile (2 bits each) | links uvarint];
//	                of a flow that comes in, how its answers are to be sent: without wishes on two paths
//	0x11 PATH_LINK  number u8 of the link, from 1, whose bit in links is 1 << (number-1); of the path it travels on
//	0x80.. DATA     1 LANE LENGTH REPAIR part(2) COPY STAMP | [lane u16 | sequence u24] | [stamp u16] | [path uvarint | number u32] | [part id u16] | [length u16] | payload
//
// A DATA frame without LENGTH ends the datagram. A full packet with a lane therefore costs 8 + 8 + 16 = 32 bytes.
//
// The package is pure: no clock, no randomness, no goroutine, no log, no I/O, no state; every input has a bound.
package wire
