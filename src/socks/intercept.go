package socks

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Original finds where a client wanted to connect to whose connection was led here.
type Original func(*net.TCPConn) (netip.AddrPort, error)

// ErrNotLedHere means that a client connected to this very place by itself.
var ErrNotLedHere = errors.New("find original destination: the connection was meant for this address")

// Redirected is Original where the kernel changed the destination (REDIRECT): its connection table still knows it.
func Redirected(conn *net.TCPConn) (to netip.AddrPort, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return to, err
	}
	own := addrPortOf(conn.LocalAddr())
	failed := raw.Control(func(fd uintptr) {
		if own.Addr().Is4() {
			to, err = original4(int(fd))
		} else {
			to, err = original6(int(fd))
		}
	})
	if err = errors.Join(failed, err); err == nil && to == own {
		err = ErrNotLedHere
	}
	return to, err
}

// Untouched is Original where the kernel left addresses as they are (TPROXY); port is the listener's own.
func Untouched(port uint16) Original {
	return func(conn *net.TCPConn) (netip.AddrPort, error) {
		to := addrPortOf(conn.LocalAddr())
		if to.Port() == port && ownAddress(to.Addr()) {
			return to, ErrNotLedHere
		}
		return to, nil
	}
}

// ownAddress reports whether an address is this machine's.
func ownAddress(a netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(all, func(one net.Addr) bool {
		p, err := netip.ParsePrefix(one.String())
		return err == nil && p.Addr().Unmap() == a
	})
}

// addrPortOf returns a TCP address; IPv4 in IPv6 becomes IPv4.
func addrPortOf(a net.Addr) netip.AddrPort {
	at := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

// originalDestination is SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST.
const originalDestination = 80

// original4 asks for a sockaddr_in: the library has no call for it, but one for something as long.
func original4(fd int) (netip.AddrPort, error) {
	got, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, originalDestination)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b := got.Multiaddr // family, port, address
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])), nil
}

// original6 asks for a sockaddr_in6, with which this library's structure begins.
func original6(fd int) (netip.AddrPort, error) {
	got, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, originalDestination)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var port [2]byte
	binary.NativeEndian.PutUint16(port[:], got.Addr.Port) // stands there in network order
	return netip.AddrPortFrom(netip.AddrFrom16(got.Addr.Addr).Unmap(), binary.BigEndian.Uint16(port[:])), nil
}

// ServeIntercepted accepts connections that clients made to somewhere else and that were led here, connects them to
// where they were meant to go, and relays. It returns when ctx has ended and all are gone. The listener is closed.
func (s *Server) ServeIntercepted(ctx context.Context, l *net.TCPListener, original Original) error {
	return s.accept(ctx, l, func(ctx context.Context, conn *net.TCPConn, client Client) func(func()) {
		return s.intercept(ctx, conn, client, original)
	})
}

// intercept is one client from its connection to its end, but for what is relayed. What fails is reset, as if the destination had done so.
func (s *Server) intercept(ctx context.Context, conn *net.TCPConn, client Client, original Original) (rest func(done func())) {
	to, err := original(conn)
	if err != nil || !s.Guard.allows(to) {
		s.counts.badRequests.Add(1)
		abort(conn)
		return nil
	}
	s.note(ctx, conn, func(c *Connection) { c.To = FromAddrPort(to) })
	s.counts.intercepted.Add(1)
	rest, err = s.connect(ctx, conn, client, FromAddrPort(to), func(Address) []byte { return nil })
	if err != nil {
		s.counts.failed.Add(1)
		abort(conn)
	}
	return rest
}
