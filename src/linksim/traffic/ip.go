package traffic

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

const (
	protoTCP, protoUDP = 6, 17
	hopLimit           = 64
	v4Bytes, v6Bytes   = 20, 40

	ecnECT0, ecnCE, ecnMask = 2, 3, 3
)

// ends is one end's view of its 5-tuple, and writes and checks IP headers for it.
type ends struct {
	local, remote netip.AddrPort
	dscp          uint8
	ident         uint16
	quic          bool // segments travel in UDP
}

// shimBytes is what of a segment's packet stands between the IP header and the segment: the header of UDP, if it travels in it.
func (e *ends) shimBytes() int {
	if e.quic {
		return udpBytes
	}
	return 0
}

// proto is what carries the segments.
func (e *ends) proto() uint8 {
	if e.quic {
		return protoUDP
	}
	return protoTCP
}

// headerBytes returns the length of the IP header.
func (e *ends) headerBytes() int {
	if e.local.Addr().Is4() {
		return v4Bytes
	}
	return v6Bytes
}

// seal completes a packet whose transport header and payload, checksum 0, stand at pkt[headerBytes():].
func (e *ends) seal(pkt []byte, proto, ecn uint8) {
	n := e.headerBytes()
	binary.BigEndian.PutUint16(pkt[n:], e.local.Port())
	binary.BigEndian.PutUint16(pkt[n+2:], e.remote.Port())
	tos := e.dscp<<2 | ecn
	if n == v4Bytes {
		e.ident++
		pkt[0], pkt[1] = 0x45, tos
		binary.BigEndian.PutUint16(pkt[2:], uint16(len(pkt)))
		binary.BigEndian.PutUint16(pkt[4:], e.ident)
		binary.BigEndian.PutUint16(pkt[6:], 0x4000) // don't fragment
		pkt[8], pkt[9], pkt[10], pkt[11] = hopLimit, proto, 0, 0
		src, dst := e.local.Addr().As4(), e.remote.Addr().As4()
		copy(pkt[12:], src[:])
		copy(pkt[16:], dst[:])
		binary.BigEndian.PutUint16(pkt[10:], ^fold(sum(pkt[:n], 0)))
	} else {
		binary.BigEndian.PutUint32(pkt, 6<<28|uint32(tos)<<20)
		binary.BigEndian.PutUint16(pkt[4:], uint16(len(pkt)-n))
		pkt[6], pkt[7] = proto, hopLimit
		src, dst := e.local.Addr().As16(), e.remote.Addr().As16()
		copy(pkt[8:], src[:])
		copy(pkt[24:], dst[:])
	}
	at := n + 16
	if proto == protoUDP {
		at = n + 6
	}
	check := ^transportSum(pkt, n, proto)
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(pkt[at:], check)
}

// open checks a packet that is for us and returns its transport part and ECN bits.
func (e *ends) open(pkt []byte, proto uint8) (transport []byte, ecn uint8, ok bool) {
	n := e.headerBytes()
	if len(pkt) < n+8 {
		return nil, 0, false
	}
	if n == v4Bytes {
		src, dst := e.remote.Addr().As4(), e.local.Addr().As4()
		ok = pkt[0] == 0x45 && int(binary.BigEndian.Uint16(pkt[2:])) == len(pkt) && pkt[9] == proto &&
			fold(sum(pkt[:n], 0)) == 0xffff && [4]byte(pkt[12:16]) == src && [4]byte(pkt[16:20]) == dst
		ecn = pkt[1] & ecnMask
	} else {
		src, dst := e.remote.Addr().As16(), e.local.Addr().As16()
		ok = pkt[0]>>4 == 6 && int(binary.BigEndian.Uint16(pkt[4:])) == len(pkt)-n && pkt[6] == proto &&
			[16]byte(pkt[8:24]) == src && [16]byte(pkt[24:40]) == dst
		ecn = pkt[1] >> 4 & ecnMask
	}
	ok = ok && binary.BigEndian.Uint16(pkt[n:]) == e.remote.Port() && binary.BigEndian.Uint16(pkt[n+2:]) == e.local.Port() &&
		transportSum(pkt, n, proto) == 0xffff
	return pkt[n:], ecn, ok
}

// transportSum sums the pseudo header and everything behind an IP header of n bytes.
func transportSum(pkt []byte, n int, proto uint8) uint16 {
	addresses := pkt[12:20]
	if n == v6Bytes {
		addresses = pkt[8:40]
	}
	return fold(sum(pkt[n:], sum(addresses, uint64(proto)+uint64(len(pkt)-n))))
}

// sum adds b to the one's complement sum of RFC 1071.
func sum(b []byte, acc uint64) uint64 {
	var carry uint64
	for ; len(b) >= 8; b = b[8:] {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b), carry)
	}
	var rest [8]byte
	copy(rest[:], b)
	acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(rest[:]), carry)
	acc, carry = bits.Add64(acc, 0, carry)
	return acc + carry
}

func fold(acc uint64) uint16 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}
