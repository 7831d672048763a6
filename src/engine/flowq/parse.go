package flowq

import (
	"encoding/binary"
	"net/netip"
)

// Transport protocols and IPv6 extension headers, as numbered by IANA.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58

	protoDCCP    = 33
	protoSCTP    = 132
	protoUDPLite = 136

	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extAuth        = 51
	extDestination = 60
	extMobility    = 135
	extHIP         = 139
	extShim6       = 140
)

// TCP flags (RFC 9293 section 3.1).
const (
	FlagFIN = 1 << iota
	FlagSYN
	FlagRST
	FlagPSH
	FlagACK
	FlagURG
	FlagECE
	FlagCWR
)

// ECN codepoints (RFC 3168 section 5).
const (
	NotECT = 0
	ECT1   = 1
	ECT0   = 2
	CE     = 3
)

// maxExtensions bounds the walk along IPv6 extension headers.
const maxExtensions = 8

// Info is what the engine wants to know of an inner packet's headers.
type Info struct {
	// Src and Dst are the packet's own addresses, IPv4 as IPv4.
	Src, Dst netip.Addr
	// SrcPort and DstPort are valid while HasPorts.
	SrcPort, DstPort uint16
	// Transport is the offset of the transport header; 0 if there is none in this packet (later fragments,
	// broken extension headers).
	Transport int
	// Length is the packet's length by its own header, at most len(pkt).
	Length int
	// Version is 4 or 6.
	Version uint8
	// Proto is the transport protocol behind all extension headers.
	Proto uint8
	DSCP  uint8
	ECN   uint8
	// TCPFlags is 0 if the packet is not TCP.
	TCPFlags uint8
	HasPorts bool
	// Fragment says that this is a piece of a packet, the first one included.
	Fragment bool
	// PureAck says that this is a TCP acknowledgement without data, SYN, FIN or RST.
	PureAck bool
}

// ParseIP reads the headers of an IPv4 or IPv6 packet. It is false if pkt is no IP packet: unknown version, a
// header cut short, or longer by its own header than pkt is. It keeps nothing of pkt and allocates nothing.
func ParseIP(pkt []byte) (info Info, ok bool) {
	if len(pkt) < 1 {
		return info, false
	}
	switch pkt[0] >> 4 {
	case 4:
		ok = info.parse4(pkt)
	case 6:
		ok = info.parse6(pkt)
	}
	if ok && info.Transport != 0 {
		info.parseTransport(pkt[info.Transport:info.Length])
	}
	return info, ok
}

// parse4 reads an IPv4 header (RFC 791 section 3.1).
func (info *Info) parse4(pkt []byte) bool {
	if len(pkt) < 20 {
		return false
	}
	header, total := int(pkt[0]&15)*4, int(binary.BigEndian.Uint16(pkt[2:]))
	if header < 20 || total < header || total > len(pkt) {
		return false
	}
	info.Version, info.Length = 4, total
	info.DSCP, info.ECN = pkt[1]>>2, pkt[1]&3
	info.Proto = pkt[9]
	info.Src = netip.AddrFrom4([4]byte(pkt[12:16]))
	info.Dst = netip.AddrFrom4([4]byte(pkt[16:20]))
	const moreFragments, offsetMask = 0x2000, 0x1fff
	fragment := binary.BigEndian.Uint16(pkt[6:])
	info.Fragment = fragment&(moreFragments|offsetMask) != 0
	if fragment&offsetMask == 0 && total > header {
		info.Transport = header
	}
	return true
}

// parse6 reads an IPv6 header (RFC 8200 section 3) and its extension headers.
func (info *Info) parse6(pkt []byte) bool {
	if len(pkt) < 40 {
		return false
	}
	total := 40 + int(binary.BigEndian.Uint16(pkt[4:]))
	if total > len(pkt) {
		return false
	}
	class := pkt[0]<<4 | pkt[1]>>4
	info.Version, info.Length = 6, total
	info.DSCP, info.ECN = class>>2, class&3
	info.Src = netip.AddrFrom16([16]byte(pkt[8:24]))
	info.Dst = netip.AddrFrom16([16]byte(pkt[24:40]))
	info.Proto = pkt[6]
	info.skipExtensions(pkt[:total])
	return true
}

// skipExtensions walks to the transport header. It stops without one at a later fragment, at a header that does
// not fit, and after maxExtensions.
func (info *Info) skipExtensions(pkt []byte) {
	at := 40
	for range maxExtensions {
		size := 0
		switch info.Proto {
		case extHopByHop, extRouting, extDestination, extMobility, extHIP, extShim6:
			if at+8 > len(pkt) {
				return
			}
			size = 8 + int(pkt[at+1])*8
		case extAuth:
			if at+8 > len(pkt) {
				return
			}
			size = 8 + int(pkt[at+1])*4
		case extFragment:
			if at+8 > len(pkt) {
				return
			}
			size = 8
			const moreFragments, offsetMask = 1, 0xfff8
			field := binary.BigEndian.Uint16(pkt[at+2:])
			info.Fragment = info.Fragment || field&(moreFragments|offsetMask) != 0
			if field&offsetMask != 0 {
				info.Proto = pkt[at]
				return
			}
		default:
			if at < len(pkt) {
				info.Transport = at
			}
			return
		}
		info.Proto = pkt[at]
		at += size
	}
}

// parseTransport reads ports and TCP flags; what is cut short has none.
func (info *Info) parseTransport(segment []byte) {
	switch info.Proto {
	case ProtoTCP, ProtoUDP, protoDCCP, protoSCTP, protoUDPLite:
	default:
		return
	}
	if len(segment) < 4 {
		return
	}
	info.SrcPort = binary.BigEndian.Uint16(segment)
	info.DstPort = binary.BigEndian.Uint16(segment[2:])
	info.HasPorts = true
	if info.Proto != ProtoTCP || len(segment) < 20 {
		return
	}
	info.TCPFlags = segment[13]
	header := int(segment[12]>>4) * 4
	const notPure = FlagFIN | FlagSYN | FlagRST | FlagURG
	info.PureAck = !info.Fragment && header >= 20 && header == len(segment) && info.TCPFlags&(notPure|FlagACK) == FlagACK
}

// MarkCE sets "congestion experienced" in an IP packet that is ECN-capable and keeps the IPv4 header checksum
// right (RFC 1624). It is false, and pkt unchanged, if the packet is not ECN-capable.
func MarkCE(pkt []byte) bool {
	switch {
	case len(pkt) >= 20 && pkt[0]>>4 == 4:
		if pkt[1]&3 == NotECT {
			return false
		}
		before := binary.BigEndian.Uint16(pkt)
		pkt[1] |= CE
		sum := uint32(^binary.BigEndian.Uint16(pkt[10:])) + uint32(^before) + uint32(binary.BigEndian.Uint16(pkt))
		sum = sum&0xffff + sum>>16
		sum = sum&0xffff + sum>>16
		binary.BigEndian.PutUint16(pkt[10:], ^uint16(sum))
		return true
	case len(pkt) >= 40 && pkt[0]>>4 == 6:
		if pkt[1]>>4&3 == NotECT {
			return false
		}
		pkt[1] |= CE << 4
		return true
	}
	return false
}
