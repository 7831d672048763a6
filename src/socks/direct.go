package socks

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"
)

// Guard says whether an address may be reached; nil allows what PublicOrPrivate does.
type Guard func(netip.AddrPort) bool

// nowhere are addresses that are nobody's, notPublic those that mean something else in every network, translators, or
// nothing in the Internet: of carriers (RFC 6598), protocols (RFC 6890; some clouds' own services are there), benchmarks (RFC 2544),
// local NAT64 (RFC 8215), Teredo (RFC 4380), and the sites of RFC 3879.
var (
	nowhere   = prefixes("0.0.0.0/8", "240.0.0.0/4")
	notPublic = prefixes("100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "64:ff9b:1::/48", "2001::/32", "fec0::/10")
	// carrying have an IPv4 address inside, so many bytes from their begin: NAT64 (RFC 6052), 6to4 (RFC 3056), and the oldest.
	carrying = map[netip.Prefix]int{
		netip.MustParsePrefix("64:ff9b::/96"): 12, netip.MustParsePrefix("2002::/16"): 2, netip.MustParsePrefix("::/96"): 12,
	}
)

func prefixes(all ...string) (list []netip.Prefix) {
	for _, text := range all {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func within(list []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// meant is the IPv4 address that an IPv6 address leads to, else the address itself.
func meant(ip netip.Addr) netip.Addr {
	ip = ip.Unmap()
	if !ip.Is6() {
		return ip
	}
	b := ip.As16()
	for p, at := range carrying {
		if p.Contains(ip) && ip != netip.IPv6Loopback() && !ip.IsUnspecified() {
			return netip.AddrFrom4([4]byte(b[at : at+4]))
		}
	}
	return ip
}

// NameGuard says whether a name may lead to an address: names are for strangers to choose, and to change at any time.
type NameGuard func(name string, at netip.AddrPort) bool

// PublicOrPrivate allows what can be somewhere else: not this machine itself, not groups.
func PublicOrPrivate(a netip.AddrPort) bool {
	ip := meant(a.Addr())
	return ip.IsValid() && !ip.IsLoopback() && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLinkLocalUnicast() && !within(nowhere, ip)
}

// Public allows the Internet only: neither this machine nor private networks.
func Public(a netip.AddrPort) bool {
	ip := meant(a.Addr())
	return PublicOrPrivate(a) && !ip.IsPrivate() && !within(notPublic, ip)
}

func (g Guard) allows(a netip.AddrPort) bool {
	if g == nil {
		return PublicOrPrivate(a)
	}
	return g(a)
}

// Resolve asks the system's resolver; IPv4 in IPv6 becomes IPv4.
func Resolve(ctx context.Context, name string) ([]netip.Addr, error) {
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	for i := range all {
		all[i] = all[i].Unmap()
	}
	return all, err
}

// Direct connects from this machine.
type Direct struct {
	// Guard says who may be reached.
	Guard Guard
	// Names says, beside Guard, what a name may lead to; nil: whatever Guard allows.
	Names NameGuard
	// Dialer connects; zero is ready.
	Dialer net.Dialer
	// Resolve finds a name's addresses; nil means the system's resolver.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
}

// firstTry is how long one of several addresses is waited for before the next is tried.
const firstTry = 3 * time.Second

// Connect implements Connector.
func (d *Direct) Connect(ctx context.Context, _ Client, to Address) (Stream, Address, error) {
	targets, err := resolve(ctx, d.Resolve, d.Guard, d.Names, to)
	if err != nil {
		return nil, Address{}, err
	}
	for i, at := range targets {
		try, cancel := ctx, context.CancelFunc(func() {})
		if i+1 < len(targets) {
			try, cancel = context.WithTimeout(ctx, firstTry)
		}
		var conn net.Conn
		conn, err = d.Dialer.DialContext(try, "tcp", at.String())
		cancel()
		if err == nil {
			tcp := conn.(*net.TCPConn)
			return tcp, FromAddrPort(tcp.LocalAddr().(*net.TCPAddr).AddrPort()), nil
		}
	}
	return nil, Address{}, err
}

// resolve returns the addresses that may be reached; the check follows the look-up, so that no name leads inside.
func resolve(ctx context.Context, look func(context.Context, string) ([]netip.Addr, error), guard Guard, names NameGuard, to Address) ([]netip.AddrPort, error) {
	all := []netip.Addr{to.IP}
	if to.Name != "" {
		if look == nil {
			look = Resolve
		}
		var err error
		if all, err = look(ctx, to.Name); err != nil || len(all) == 0 {
			return nil, HostUnreachable
		}
	}
	var out []netip.AddrPort
	for _, ip := range all {
		if at := netip.AddrPortFrom(ip, to.Port); guard.allows(at) && (to.Name == "" || names == nil || names(to.Name, at)) {
			out = append(out, at)
		}
	}
	if len(out) == 0 {
		return nil, NotAllowed
	}
	return out, nil
}

// CodeOf finds the reply's code for an error.
func CodeOf(err error) Code {
	code, dns := Code(0), (*net.DNSError)(nil)
	switch {
	case err == nil:
		return Succeeded
	case errors.As(err, &code):
		return code
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL):
		return NetUnreachable
	case errors.Is(err, syscall.EHOSTUNREACH), errors.As(err, &dns):
		return HostUnreachable
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return TTLExpired
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return NotAllowed
	}
	return GeneralFailure
}
