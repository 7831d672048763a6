package transport

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nextControl cuts the first control message off buf (cmsg(3)); ok is false at the end and for anything malformed.
func nextControl(buf []byte) (level, kind int32, data, rest []byte, ok bool) {
	if len(buf) < unix.SizeofCmsghdr {
		return 0, 0, nil, nil, false
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&buf[0]))
	start, end := unix.CmsgLen(0), int(h.Len)
	if end < start || end > len(buf) {
		return 0, 0, nil, nil, false
	}
	next := min(unix.CmsgSpace(end-start), len(buf))
	return h.Level, h.Type, buf[start:end], buf[next:], true
}

// parseControl fills d from the control messages of one received message and returns the size of the datagrams merged in
// it, 0 if it is a single one.
func (b *ReadBatch) parseControl(u *UDP, d *Datagram, buf []byte) (segment int) {
	for {
		level, kind, data, rest, ok := nextControl(buf)
		if !ok {
			return segment
		}
		buf = rest
		switch level {
		case unix.SOL_SOCKET:
			b.parseSocket(u, d, kind, data)
		case unix.SOL_UDP:
			if kind == unix.UDP_GRO && len(data) >= 4 {
				segment = int(int32(binary.NativeEndian.Uint32(data)))
			}
		default:
			parseIP(d, level, kind, data)
		}
	}
}

// parseSocket reads the receive time and the count of drops.
func (b *ReadBatch) parseSocket(u *UDP, d *Datagram, kind int32, data []byte) {
	switch {
	case kind == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
		ts := (*unix.Timespec)(unsafe.Pointer(&data[0]))
		d.At = b.stamps.mono(ts.Nano())
	case kind == unix.SO_RXQ_OVFL && len(data) >= 4:
		drops := binary.NativeEndian.Uint32(data)
		u.overflow.Add(uint64(drops - b.drops)) // the kernel's count wraps at 32 bits, the difference does not
		b.drops = drops
	}
}

// parseIP reads what IPv4 or IPv6 says: local address and device, ECN.
func parseIP(d *Datagram, level, kind int32, data []byte) {
	switch {
	case level == unix.SOL_IP && kind == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0]))
		d.Local, d.IfIndex = netip.AddrFrom4(info.Addr), int(info.Ifindex)
	case level == unix.SOL_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
		d.Local, d.IfIndex = netip.AddrFrom16(info.Addr).Unmap(), int(info.Ifindex)
	case level == unix.SOL_IP && kind == unix.IP_TOS && len(data) >= 1:
		d.ECN = data[0] & 3
	case level == unix.SOL_IPV6 && kind == unix.IPV6_TCLASS && len(data) >= 4:
		d.ECN = uint8(binary.NativeEndian.Uint32(data)) & 3
	}
}

// appendControl writes the header of a control message of n bytes at the end of buf and returns buf and the place of the
// n bytes. buf must have the capacity.
func appendControl(buf []byte, level, kind int32, n int) (grown, data []byte) {
	at := len(buf)
	buf = buf[:at+unix.CmsgSpace(n)]
	clear(buf[at:])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&buf[at]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(n))
	return buf, buf[at+unix.CmsgLen(0):][:n]
}

// putControl writes what a message carries beside its data: traffic class, source address, and size of the datagrams in it
// if it holds several. It returns the used part of buf.
func putControl(buf []byte, to netip.Addr, from netip.Addr, tos uint8, segment int) []byte {
	buf = buf[:0]
	var data []byte
	v4 := to.Is4() || to.Is4In6()
	if tos != 0 {
		level, kind := int32(unix.SOL_IPV6), int32(unix.IPV6_TCLASS)
		if v4 {
			level, kind = unix.SOL_IP, unix.IP_TOS
		}
		buf, data = appendControl(buf, level, kind, 4)
		binary.NativeEndian.PutUint32(data, uint32(tos))
	}
	switch {
	case !from.IsValid() || from.IsUnspecified():
	case v4 && from.Unmap().Is4():
		buf, data = appendControl(buf, unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		(*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])).Spec_dst = from.Unmap().As4()
	case !v4 && !from.Unmap().Is4():
		buf, data = appendControl(buf, unix.SOL_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
		(*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0])).Addr = from.As16()
	}
	if segment > 0 {
		buf, data = appendControl(buf, unix.SOL_UDP, unix.UDP_SEGMENT, 2)
		binary.NativeEndian.PutUint16(data, uint16(segment))
	}
	return buf
}
