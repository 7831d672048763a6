package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// putAddr writes to as the kernel wants it on a socket of the given family and returns its length, or 0 if the socket
// cannot send there. IPv4 on an IPv6 socket becomes a mapped address.
func putAddr(sa *unix.RawSockaddrInet6, to netip.AddrPort, v6 bool) uint32 {
	addr := to.Addr()
	switch {
	case v6:
		*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: addr.As16(), Scope_id: zoneIndex(addr.Zone())}
		putPort(&sa.Port, to.Port())
		return unix.SizeofSockaddrInet6
	case addr.Is4() || addr.Is4In6():
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*sa4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.Unmap().As4()}
		putPort(&sa4.Port, to.Port())
		return unix.SizeofSockaddrInet4
	}
	return 0
}

// getAddr reads the peer's address as the kernel wrote it. Only for link-local peers it makes a string, the zone.
func getAddr(sa *unix.RawSockaddrInet6) netip.AddrPort {
	if sa.Family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), getPort(&sa4.Port))
	}
	addr := netip.AddrFrom16(sa.Addr).Unmap()
	if sa.Scope_id != 0 && addr.IsLinkLocalUnicast() {
		addr = addr.WithZone(strconv.Itoa(int(sa.Scope_id)))
	}
	return netip.AddrPortFrom(addr, getPort(&sa.Port))
}

// Ports stand in network order in a field of the machine's order.
func putPort(p *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], port)
}

func getPort(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// zoneIndex gives the interface index of a zone, which is a number or a device's name; 0 if there is none.
func zoneIndex(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if ifi, err := net.InterfaceByName(zone); err == nil {
		return uint32(ifi.Index)
	}
	return 0
}
