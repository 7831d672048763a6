package wire

import (
	"encoding/binary"
	"net/netip"
)

// SessionConfig is what the server tells the router about the inner network, inside a CONFIG frame: entries
// of type u8 | length u8 | value in any order. Zero members are left out; unknown types are skipped.
type SessionConfig struct {
	// Address4 and Address6 are the router's inner addresses with their networks.
	Address4 netip.Prefix
	Address6 netip.Prefix
	// MTU is the inner MTU in bytes, MinMTU or more; 0 leaves it to the router.
	MTU uint16
	// Peer4 and Peer6 are the server's inner addresses.
	Peer4 netip.Addr
	Peer6 netip.Addr
	// DNS are name servers for the router's network, at most MaxDNS.
	DNS []netip.Addr
	// UpKbit and DownKbit are what the router may send and is sent at most, kbit/s of inner packets; 0 is no limit.
	UpKbit, DownKbit uint32
	// MaxLinks is how many connections the router may use at once; 0 is no limit.
	MaxLinks uint8
}

const (
	configAddress4 = 1 // address 4 | bits 1
	configAddress6 = 2 // address 16 | bits 1
	configMTU      = 3 // u16
	configPeer4    = 4 // address 4
	configPeer6    = 5 // address 16
	configDNS      = 6 // address 4 or 16, repeated
	configUp       = 7 // u32
	configDown     = 8 // u32
	configLinks    = 9 // u8
)

// Append appends the configuration, at most 141 bytes. Addresses of the wrong family and an MTU below MinMTU are left out.
func (c SessionConfig) Append(dst []byte) []byte {
	dst = appendPrefix(dst, configAddress4, c.Address4, true)
	dst = appendPrefix(dst, configAddress6, c.Address6, false)
	if c.MTU >= MinMTU {
		dst = appendU16(append(dst, configMTU, 2), c.MTU)
	}
	if usable(c.Peer4) && c.Peer4.Is4() {
		dst = appendAddr(dst, configPeer4, c.Peer4)
	}
	if usable(c.Peer6) && c.Peer6.Is6() {
		dst = appendAddr(dst, configPeer6, c.Peer6)
	}
	for _, a := range c.DNS[:min(len(c.DNS), MaxDNS)] {
		if usable(a) {
			dst = appendAddr(dst, configDNS, a)
		}
	}
	if c.UpKbit > 0 {
		dst = binary.BigEndian.AppendUint32(append(dst, configUp, 4), c.UpKbit)
	}
	if c.DownKbit > 0 {
		dst = binary.BigEndian.AppendUint32(append(dst, configDown, 4), c.DownKbit)
	}
	if c.MaxLinks > 0 {
		dst = append(dst, configLinks, 1, c.MaxLinks)
	}
	return dst
}

// ParseSessionConfig reads what Append wrote. Name servers beyond MaxDNS are left out. Every error is ErrConfig.
func ParseSessionConfig(b []byte) (SessionConfig, error) {
	var c SessionConfig
	seen := 0
	r := reader{b: b}
	for len(r.b) > 0 {
		kind := r.u8()
		value := r.take(int(r.u8()))
		if r.err != nil || !c.set(kind, value) {
			return SessionConfig{}, ErrConfig
		}
		if kind >= configAddress4 && kind <= configLinks && kind != configDNS {
			if seen&(1<<kind) != 0 {
				return SessionConfig{}, ErrConfig
			}
			seen |= 1 << kind
		}
	}
	return c, nil
}

func (c *SessionConfig) set(kind byte, v []byte) (ok bool) {
	switch kind {
	case configAddress4:
		c.Address4, ok = parsePrefix(v, 4)
	case configAddress6:
		c.Address6, ok = parsePrefix(v, 16)
	case configMTU:
		r := reader{b: v}
		c.MTU = r.u16()
		ok = len(v) == 2 && c.MTU >= MinMTU
	case configPeer4:
		c.Peer4, ok = parseAddr(v, 4)
	case configPeer6:
		c.Peer6, ok = parseAddr(v, 16)
	case configDNS:
		var a netip.Addr
		if a, ok = parseAddr(v, len(v)); ok && len(c.DNS) < MaxDNS {
			c.DNS = append(c.DNS, a)
		}
	case configUp, configDown:
		if ok = len(v) == 4; !ok {
			return false
		}
		if n := binary.BigEndian.Uint32(v); kind == configUp {
			c.UpKbit = n
		} else {
			c.DownKbit = n
		}
	case configLinks:
		if ok = len(v) == 1; ok {
			c.MaxLinks = v[0]
		}
	default:
		ok = true
	}
	return ok
}

// broadcast is nobody's address.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// usableNet reports whether p can be a network inside the tunnel: one that takes a large part of the Internet in would draw
// the router's own traffic away, so that a server could not be trusted with it.
func usableNet(p netip.Prefix) bool {
	if !p.IsValid() || !usable(p.Addr()) {
		return false
	}
	if p.Addr().Is4() {
		return p.Bits() >= minBits4
	}
	return p.Bits() >= minBits6
}

// usable reports whether a can be a host's address inside the tunnel.
func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.Is4In6() && a != broadcast
}

func appendAddr(dst []byte, kind byte, a netip.Addr) []byte {
	raw := a.AsSlice()
	return append(append(dst, kind, byte(len(raw))), raw...)
}

func appendPrefix(dst []byte, kind byte, p netip.Prefix, want4 bool) []byte {
	if !usableNet(p) || p.Addr().Is4() != want4 {
		return dst
	}
	raw := p.Addr().AsSlice()
	return append(append(append(dst, kind, byte(len(raw)+1)), raw...), byte(p.Bits()))
}

func parseAddr(v []byte, bytes int) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(v)
	return a, ok && len(v) == bytes && usable(a)
}

func parsePrefix(v []byte, bytes int) (netip.Prefix, bool) {
	if len(v) != bytes+1 {
		return netip.Prefix{}, false
	}
	a, ok := parseAddr(v[:bytes], bytes)
	p := netip.PrefixFrom(a, int(v[bytes]))
	return p, ok && usableNet(p)
}
