package portal

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/system"
)

// resolver knows the addresses of a server. Names are looked up in the background; what was found stays in use when a
// later look-up fails.
type resolver struct {
	remote config.Remote
	// fresh has something after the addresses changed.
	fresh   chan struct{}
	mu      sync.Mutex
	addrs   []netip.AddrPort
	asking  bool
	askedAt time.Time
}

func newResolver(r config.Remote) *resolver {
	n := &resolver{remote: r, fresh: make(chan struct{}, 1)}
	for _, e := range r.Endpoints {
		if a, ok := e.Addr(); ok {
			n.addrs = append(n.addrs, a)
		}
	}
	return n
}

// endpoint chooses the server's address for a link, and the link's own address to it: IPv4 first where both have it.
func (n *resolver) endpoint(s system.LinkState) (remote netip.AddrPort, source netip.Addr) {
	if len(s.IPv4) > 0 {
		source = s.IPv4[0]
	} else if len(s.IPv6) > 0 {
		source = s.IPv6[0]
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ask()
	for _, four := range []bool{true, false} {
		own := s.IPv6
		if four {
			own = s.IPv4
		}
		if len(own) == 0 || four && n.remote.Family == config.Family6 || !four && n.remote.Family == config.Family4 {
			continue
		}
		for _, a := range n.addrs {
			if a.Addr().Unmap().Is4() == four {
				return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), own[0]
			}
		}
	}
	return netip.AddrPort{}, source
}

// ask begins a look-up if there are names and it is time.
func (n *resolver) ask() {
	var names []config.HostPort
	for _, e := range n.remote.Endpoints {
		if _, ok := e.Addr(); !ok {
			names = append(names, e)
		}
	}
	pause := resolveAgain
	if len(n.addrs) == 0 {
		pause = resolveEvery
	}
	if len(names) == 0 || n.asking || time.Since(n.askedAt) < pause {
		return
	}
	n.asking, n.askedAt = true, time.Now()
	go n.look(names)
}

func (n *resolver) look(names []config.HostPort) {
	ctx, cancel := context.WithTimeout(context.Background(), resolveEvery)
	defer cancel()
	var found []netip.AddrPort
	for _, e := range names {
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", e.Host)
		if err != nil {
			continue
		}
		for _, a := range addrs {
			found = append(found, netip.AddrPortFrom(a.Unmap(), e.Port))
		}
	}
	n.mu.Lock()
	n.asking = false
	if len(found) > 0 {
		n.addrs = found
		for _, e := range n.remote.Endpoints {
			if a, ok := e.Addr(); ok {
				n.addrs = append(n.addrs, a)
			}
		}
	}
	n.mu.Unlock()
	if len(found) > 0 {
		select {
		case n.fresh <- struct{}{}:
		default:
		}
	}
}
