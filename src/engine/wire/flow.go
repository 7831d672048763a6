package wire

import (
	"encoding/binary"
	"net/netip"
)

// FlowFrame tells the server how to send what it sends back on a flow: as the router's rules have the flow itself sent.
type FlowFrame struct {
	Wishes
	// From and To are the flow's, of one family; without HasPorts the ports are 0.
	From, To netip.AddrPort
	// Protocol is that behind all extension headers.
	Protocol uint8
	HasPorts bool
}

// Wishes are what a rule may say of a flow.
type Wishes struct {
	// Twice: over two paths.
	Twice bool
	// Class is 0 for that of the packets, 1 urgent, 2 bulk.
	Class uint8
	// Profile is 0 for the tunnel's, 1 balanced, 2 latency, 3 throughput.
	Profile uint8
	// Links, if it is not 0, has a bit for each link that the flow is to go over: 1 << (n-1) for that of a PathLinkFrame with n.
	Links uint64
}

const (
	flowIPv6 = 1 << iota
	flowPorts
	// flowWishes: Wishes follow. Without them the flow is to be sent twice, and that is all.
	flowWishes
	flowKnown = flowIPv6 | flowPorts | flowWishes

	wishTwice = 1
	// wishClass and wishProfile are where two bits each begin; the others are the greatest values that mean something.
	wishClass   = 1
	wishProfile = 3
	wishKnown   = 1<<5 - 1
	maxClass    = 2
	maxProfile  = 3
)

func (w Wishes) append(dst []byte) []byte {
	b := min(w.Class, maxClass)<<wishClass | min(w.Profile, maxProfile)<<wishProfile
	if w.Twice {
		b |= wishTwice
	}
	return binary.AppendUvarint(append(dst, b), w.Links)
}

func (w *Wishes) parse(r *reader) {
	b := r.u8()
	*w = Wishes{Twice: b&wishTwice != 0, Class: b >> wishClass & 3, Profile: b >> wishProfile & 3, Links: r.uvarint(1<<64 - 1)}
	if b&^wishKnown != 0 || w.Class > maxClass {
		r.fail(ErrReserved)
	}
}

// Append appends the frame.
func (f *FlowFrame) Append(dst []byte) []byte {
	flags := byte(0)
	if !f.From.Addr().Is4() {
		flags |= flowIPv6
	}
	if f.HasPorts {
		flags |= flowPorts
	}
	only := f.Wishes == Wishes{Twice: true}
	if !only {
		flags |= flowWishes
	}
	dst = append(dst, byte(TypeFlow), flags, f.Protocol)
	for _, a := range [2]netip.Addr{f.From.Addr(), f.To.Addr()} {
		whole := a.As16()
		if flags&flowIPv6 == 0 {
			dst = append(dst, whole[12:]...)
		} else {
			dst = append(dst, whole[:]...)
		}
	}
	if f.HasPorts {
		dst = appendU16(appendU16(dst, f.From.Port()), f.To.Port())
	}
	if !only {
		dst = f.Wishes.append(dst)
	}
	return dst
}

func (f *FlowFrame) parse(r *reader) {
	flags := r.u8()
	if flags&^flowKnown != 0 {
		r.fail(ErrReserved)
	}
	protocol := r.u8()
	from, to := r.addr(flags&flowIPv6 != 0), r.addr(flags&flowIPv6 != 0)
	var ports [2]uint16
	if flags&flowPorts != 0 {
		ports = [2]uint16{r.u16(), r.u16()}
	}
	wishes := Wishes{Twice: true}
	if flags&flowWishes != 0 {
		wishes.parse(r)
	}
	*f = FlowFrame{
		Wishes: wishes, From: netip.AddrPortFrom(from, ports[0]), To: netip.AddrPortFrom(to, ports[1]),
		Protocol: protocol, HasPorts: flags&flowPorts != 0,
	}
}

// PathLinkFrame tells which of the router's links the path is over that carries the frame: flows may be bound to links.
type PathLinkFrame struct {
	// Link counts from 1; 0: nothing is bound to it.
	Link uint8
}

// Append appends the frame.
func (f PathLinkFrame) Append(dst []byte) []byte {
	return append(dst, byte(TypePathLink), min(f.Link, MaxLink))
}

func (f *PathLinkFrame) parse(r *reader) {
	if f.Link = r.u8(); f.Link > MaxLink {
		r.fail(ErrRange)
	}
}

// addr reads an address.
func (r *reader) addr(v6 bool) netip.Addr {
	if v6 {
		if p := r.take(16); p != nil {
			return netip.AddrFrom16([16]byte(p))
		}
		return netip.Addr{}
	}
	if p := r.take(4); p != nil {
		return netip.AddrFrom4([4]byte(p))
	}
	return netip.Addr{}
}
