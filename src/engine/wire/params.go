package wire

const (
	// HeaderBytes is the length of a data datagram's header; the AEAD's additional data.
	HeaderBytes = 8
	// TagBytes is the length of the authentication tag at the end of a data datagram.
	TagBytes = 16
	// LanedHeaderBytes is what a whole laned packet to the end of the datagram costs in frame header.
	LanedHeaderBytes = 8
	// MaxDataHeaderBytes is the longest header of a DATA frame: type, lane, stamp, part and length.
	MaxDataHeaderBytes = 12

	// MaxAckRanges bounds the ranges of one ACK; older ones are forgotten, as loss detection has long used them.
	MaxAckRanges = 64
	// MaxAckBytes bounds one ACK frame, so that it rides behind other frames in a datagram.
	MaxAckBytes = 256
	// MaxDelays bounds the paths of one DELAYS frame; a router with more links in use is not expected.
	MaxDelays = 16
	// MaxGaveUp bounds the packets named by one GAVE_UP: the size of a lane's window.
	MaxGaveUp = 8192
	// MaxConfigBytes bounds the blob of one CONFIG frame, so that it fits any path's datagram.
	MaxConfigBytes = 1024
	// MaxLink is the greatest number of a link: they are bits of 64.
	MaxLink = 64
	// MaxTextBytes bounds the text of CLOSE and NOTICE: its length is one byte.
	MaxTextBytes = 255
	// MaxDNS bounds the name servers of a SessionConfig.
	MaxDNS = 4
	// minBits4 and minBits6 are the shortest prefixes of an inner network: 10.0.0.0/8, and what a provider gets.
	minBits4 = 8
	minBits6 = 32
	// MinMTU is the least inner MTU that a SessionConfig may carry (RFC 791: every host takes 576 bytes).
	MinMTU = 576

	// NumberBits is how much of a packet number is on the wire.
	NumberBits = 24
	// MaxNumber is the greatest packet number: the varint limit of RFC 9000, never reached in practice.
	MaxNumber = 1<<62 - 1
	// SeqMask covers a lane sequence number (24 bits, wrapping).
	SeqMask = 1<<24 - 1
)
