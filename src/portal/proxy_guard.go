package portal

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/socks"
)

// ownPlacesFor is how long this machine's addresses are taken for those of before.
const ownPlacesFor = time.Second

// ownPlaces are this machine's addresses, and those that reach all of one of its networks. The proxy reaches neither for
// its clients: they would come as if from this machine itself, past its firewall, or back to the proxy. The zero value is
// ready. Safe for concurrent use.
type ownPlaces struct {
	mu    sync.Mutex
	at    time.Time
	addrs map[netip.Addr]struct{}
}

// has reports whether an address is one of them; rather too often.
func (o *ownPlaces) has(a netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.addrs == nil || now.Sub(o.at) > ownPlacesFor {
		all, err := net.InterfaceAddrs()
		if err != nil {
			return true
		}
		o.at, o.addrs = now, make(map[netip.Addr]struct{})
		for _, one := range all {
			if p, err := netip.ParsePrefix(one.String()); err == nil {
				o.addrs[p.Addr().Unmap()] = struct{}{}
				o.addrs[broadcast(p)] = struct{}{}
			}
		}
	}
	_, is := o.addrs[a.Unmap().WithZone("")]
	return is
}

// broadcast is the last address of an IPv4 network, else the address itself.
func broadcast(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return p.Addr().Unmap()
	}
	b := p.Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|(1<<(32-p.Bits())-1))
	return netip.AddrFrom4(b)
}

// ledInside allows a name to lead into private networks only if it is a name of the home: any other is chosen by a
// stranger, who could let a browser reach what is behind the router (DNS rebinding).
func ledInside(name string, at netip.AddrPort) bool {
	if socks.Public(at) {
		return true
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	dot := strings.LastIndexByte(name, '.')
	return dot < 0 || slices.Contains([]string{"lan", "local", "home", "internal", "localdomain"}, name[dot+1:]) || strings.HasSuffix(name, ".home.arpa")
}

// guard says whom a router's clients may reach from here by a protocol, tcp or udp: the same as through the tunnel. The zero
// peer is for those who come without any.
func (x *remoteProxy) guard(c config.Peer, protocol string) socks.Guard {
	return func(a netip.AddrPort) bool {
		cfg := x.known.Load()
		return !blocked(cfg, protocol, a.Port()) && !x.loops(cfg, a) && !isolated(cfg, c, a.Addr().Unmap()) &&
			(socks.Public(a) && !x.own.has(a.Addr()) || (cfg.Portal.Remote.AllowPrivate || c.AllowPrivate) && socks.PublicOrPrivate(a))
	}
}

func blocked(cfg *config.Config, protocol string, port uint16) bool {
	return slices.ContainsFunc(cfg.Portal.Remote.BlockPort, func(b config.PortRange) bool {
		return (b.Protocol == "" || b.Protocol == protocol) && b.First <= port && port <= b.Last
	})
}

// loops reports that an address is the portal's own, or that of one of its proxies.
func (x *remoteProxy) loops(cfg *config.Config, a netip.AddrPort) bool {
	own := slices.ContainsFunc(cfg.Portal.Remote.Listen, func(at netip.AddrPort) bool { return at.Port() == a.Port() })
	for _, s := range cfg.SOCKS {
		own = own || slices.ContainsFunc(s.Listen, func(at netip.AddrPort) bool { return at.Port() == a.Port() })
	}
	return own && x.own.has(a.Addr())
}

// isolated reports that an address is inside a router's tunnel that this router may not reach: its own neither.
func isolated(cfg *config.Config, c config.Peer, a netip.Addr) bool {
	if !cfg.Portal.Remote.Isolate {
		return false
	}
	for _, other := range cfg.Peers {
		owned := slices.ContainsFunc(ownedBy(cfg, other), func(p netip.Prefix) bool { return p.Contains(a) })
		if owned && !slices.Contains(c.Reach, other.Name) {
			return true
		}
	}
	return false
}
