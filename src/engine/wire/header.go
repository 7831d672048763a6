package wire

import "encoding/binary"

// DatagramKind says what a datagram claims to be, judged by its first byte alone.
type DatagramKind uint8

// The kinds of datagrams. The values of the handshake kinds are their byte 0.
const (
	KindUnknown      DatagramKind = 0
	KindInitiation   DatagramKind = 1
	KindResponse     DatagramKind = 2
	KindCookieReply  DatagramKind = 3
	KindVersionReply DatagramKind = 4
	KindData         DatagramKind = 0x40
)

// Kind returns the kind that b's first byte claims; KindUnknown for empty b.
func Kind(b []byte) DatagramKind {
	if len(b) == 0 {
		return KindUnknown
	}
	switch {
	case b[0]&0xC0 == 0x40:
		return KindData
	case b[0] >= byte(KindInitiation) && b[0] <= byte(KindVersionReply):
		return DatagramKind(b[0])
	}
	return KindUnknown
}

// Header is the readable part of a data datagram.
type Header struct {
	// Epoch is the key epoch modulo 4.
	Epoch uint8
	// ConnID names session, direction and path to the receiver.
	ConnID uint32
	// Number is the low 24 bits of the packet number.
	Number uint32
}

// AppendHeader appends the 8 bytes of a data header; of epoch and number it writes the low 2 and 24 bits.
func AppendHeader(dst []byte, epoch uint8, connID uint32, number uint64) []byte {
	dst = append(dst, 0x40|epoch&3<<4)
	dst = binary.BigEndian.AppendUint32(dst, connID)
	return append(dst, byte(number>>16), byte(number>>8), byte(number))
}

// ParseHeader reads a data header. It is false if b is too short for header and tag, or no data datagram.
func ParseHeader(b []byte) (Header, bool) {
	if len(b) < HeaderBytes+TagBytes || b[0]&0xC0 != 0x40 {
		return Header{}, false
	}
	return Header{
		Epoch:  b[0] >> 4 & 3,
		ConnID: binary.BigEndian.Uint32(b[1:5]),
		Number: uint32(b[5])<<16 | uint32(b[6])<<8 | uint32(b[7]),
	}, true
}

// ExpandNumber returns the full packet number whose low 24 bits are low and that is closest to largest+1
// (RFC 9000 appendix A.3), where largest is the greatest number authenticated so far on that path, or 0.
func ExpandNumber(low uint32, largest uint64) uint64 {
	const window, half = uint64(1) << NumberBits, uint64(1) << (NumberBits - 1)
	largest = min(largest, MaxNumber-1)
	expected := largest + 1
	candidate := expected&^(window-1) | uint64(low)&(window-1)
	switch {
	case candidate+half <= expected && candidate+window <= MaxNumber:
		return candidate + window
	case candidate > expected+half && candidate >= window:
		return candidate - window
	}
	return candidate
}
