package wire

import "net/netip"

// SendTwiceFrame asks the server to send what it sends back on a flow over two paths, as the router does with the flow.
type SendTwiceFrame struct {
	// From and To are the flow's, of one family; without HasPorts the ports are 0.
	From, To netip.AddrPort
	// Protocol is that behind all extension headers.
	Protocol uint8
	HasPorts bool
}

const (
	twiceIPv6 = 1 << iota
	twicePorts
)

// Append appends the frame.
func (f *SendTwiceFrame) Append(dst []byte) []byte {
	flags := byte(0)
	if !f.From.Addr().Is4() {
		flags |= twiceIPv6
	}
	if f.HasPorts {
		flags |= twicePorts
	}
	dst = append(dst, byte(TypeSendTwice), flags, f.Protocol)
	for _, a := range [2]netip.Addr{f.From.Addr(), f.To.Addr()} {
		whole := a.As16()
		if flags&twiceIPv6 == 0 {
			dst = append(dst, whole[12:]...)
		} else {
			dst = append(dst, whole[:]...)
		}
	}
	if f.HasPorts {
		dst = appendU16(appendU16(dst, f.From.Port()), f.To.Port())
	}
	return dst
}

func (f *SendTwiceFrame) parse(r *reader) {
	flags := r.u8()
	if flags&^(twiceIPv6|twicePorts) != 0 {
		r.fail(ErrReserved)
	}
	protocol := r.u8()
	from, to := r.addr(flags&twiceIPv6 != 0), r.addr(flags&twiceIPv6 != 0)
	var ports [2]uint16
	if flags&twicePorts != 0 {
		ports = [2]uint16{r.u16(), r.u16()}
	}
	*f = SendTwiceFrame{
		From: netip.AddrPortFrom(from, ports[0]), To: netip.AddrPortFrom(to, ports[1]),
		Protocol: protocol, HasPorts: flags&twicePorts != 0,
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
