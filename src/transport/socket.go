package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Options says how a socket is opened.
type Options struct {
	// Local is the address and port to bind. An unset or unspecified IPv6 address takes both families on one socket (IPv4
	// alone where the system has no IPv6). Port 0 lets the kernel choose. Server sockets use an unspecified address.
	Local netip.AddrPort
	// Device binds the socket to a network device by name, if not empty. The kernel keeps the device's index: when the
	// device goes away and comes back, open a new socket.
	Device string
	// Mark is the firewall mark of all that is sent (SO_MARK), if not 0. It needs CAP_NET_ADMIN.
	Mark uint32
	// ReusePort lets several sockets bind the same port.
	ReusePort bool
	// NoOffload leaves UDP_SEGMENT and UDP_GRO unused.
	NoOffload bool
	// Clock gives the receive times; the zero value makes the socket use a clock of its own.
	Clock Clock
}

// option is one socket option to set.
type option struct {
	level, name, value int
	text               string
}

// open makes the socket and reports whether it is an IPv6 one.
func open(o Options) (fd int, v6 bool, err error) {
	addr := o.Local.Addr()
	if !addr.IsValid() {
		addr = netip.IPv6Unspecified()
	}
	v6 = addr.Is6() && !addr.Is4In6()
	family := unix.AF_INET
	if v6 {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) && addr == netip.IPv6Unspecified() {
		o.Local = netip.AddrPortFrom(netip.IPv4Unspecified(), o.Local.Port())
		return open(o)
	}
	if err != nil {
		return -1, v6, fmt.Errorf("open UDP socket: %w", err)
	}
	if err = prepare(fd, v6, o); err == nil {
		err = bind(fd, v6, netip.AddrPortFrom(addr.Unmap(), o.Local.Port()))
	}
	if err != nil {
		unix.Close(fd)
		return -1, v6, err
	}
	return fd, v6, nil
}

// prepare sets all options that must stand before bind.
func prepare(fd int, v6 bool, o Options) error {
	if o.Device != "" {
		if err := unix.BindToDevice(fd, o.Device); err != nil {
			return fmt.Errorf("bind UDP socket to device %s: %w", o.Device, err)
		}
	}
	for _, opt := range options(v6, o) {
		if err := unix.SetsockoptInt(fd, opt.level, opt.name, opt.value); err != nil {
			return fmt.Errorf("set %s on UDP socket: %w", opt.text, err)
		}
	}
	grow(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	grow(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	return nil
}

// options lists what a socket needs. A socket of both families needs both families' options: IPv4 packets on it come with
// IPv4's control messages.
func options(v6 bool, o Options) []option {
	list := []option{
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS"},
		{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1, "SO_RXQ_OVFL"},
		{unix.SOL_IP, unix.IP_PKTINFO, 1, "IP_PKTINFO"},
		{unix.SOL_IP, unix.IP_RECVTOS, 1, "IP_RECVTOS"},
		// Don't fragment, and don't let the kernel's idea of the path MTU refuse what we send: MTU is found by probes.
		{unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE, "IP_MTU_DISCOVER"},
	}
	if v6 {
		only := 0
		if a := o.Local.Addr(); a.IsValid() && !a.IsUnspecified() {
			only = 1
		}
		list = append(list,
			option{unix.SOL_IPV6, unix.IPV6_V6ONLY, only, "IPV6_V6ONLY"},
			option{unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO"},
			option{unix.SOL_IPV6, unix.IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS"},
			option{unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE, "IPV6_MTU_DISCOVER"})
	}
	if o.Mark != 0 {
		list = append(list, option{unix.SOL_SOCKET, unix.SO_MARK, int(o.Mark), "SO_MARK"})
	}
	if o.ReusePort {
		list = append(list, option{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, "SO_REUSEPORT"})
	}
	return list
}

// grow asks for a larger socket buffer, beyond the system's limit if we may. A small one is not an error: it shows as drops.
func grow(fd, force, plain int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, socketBufferBytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, socketBufferBytes)
	}
}

func bind(fd int, v6 bool, local netip.AddrPort) error {
	var sa unix.Sockaddr
	if v6 {
		sa = &unix.SockaddrInet6{Port: int(local.Port()), Addr: local.Addr().As16(), ZoneId: zoneIndex(local.Addr().Zone())}
	} else {
		sa = &unix.SockaddrInet4{Port: int(local.Port()), Addr: local.Addr().As4()}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return fmt.Errorf("listen on %v: %w", local, err)
	}
	return nil
}

// offloads finds out what the kernel can do for this socket, and switches merging of received datagrams on.
func offloads(fd int, o Options) (gso, gro bool) {
	if o.NoOffload {
		return false, false
	}
	_, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	return err == nil, unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
}

// localAddr asks the kernel what the socket is bound to.
func localAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("read address of UDP socket: %w", os.NewSyscallError("getsockname", err))
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("read address of UDP socket: unknown family %T", sa)
}
