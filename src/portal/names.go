package portal

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/config"
	"mpproxy/src/system"
)

// resolver knows the addresses of a server. Names are looked up in the background, over each link by that link's name
// servers: the tunnel, and the LAN's name server that may lead into it, must not be needed for it. What was found stays in
// use when a later look-up fails.
type resolver struct {
	remote config.Remote
	names  []config.HostPort // endpoints that must be looked up
	fixed  []netip.AddrPort  // endpoints that need not
	// fresh has something after the addresses changed, for one who follows them.
	fresh  chan struct{}
	mu     sync.Mutex
	links  []lookedUp
	waited chan struct{} // closed when some are found, for all who wait
}

// lookedUp is what is known over one link.
type lookedUp struct {
	addrs   []netip.AddrPort
	asking  bool
	askedAt time.Time
}

// look is how a link's look-ups are sent.
type look struct {
	servers []netip.Addr // none: the system's
	mark    uint32
}

func newResolver(r config.Remote) *resolver {
	n := &resolver{remote: r, fresh: make(chan struct{}, 1), waited: make(chan struct{}), links: make([]lookedUp, system.MaxLinks)}
	for _, e := range r.Endpoints {
		if a, ok := e.Addr(); ok {
			n.fixed = append(n.fixed, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
		} else {
			n.names = append(n.names, e)
		}
	}
	return n
}

// endpointOver chooses the server's address for link i, and the link's own address to it: IPv4 first where both have it. What
// other links found will do until this one has found its own.
func (n *resolver) endpointOver(i int, s system.LinkState, by look) (remote netip.AddrPort, source netip.Addr) {
	if len(s.IPv4) > 0 {
		source = s.IPv4[0]
	} else if len(s.IPv6) > 0 {
		source = s.IPv6[0]
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if source.IsValid() {
		n.ask(i, s.Device, by)
	}
	known := slices.Concat(n.links[i].addrs, n.fixed)
	for _, l := range n.links {
		known = append(known, l.addrs...)
	}
	for _, four := range []bool{true, false} {
		own := s.IPv6
		if four {
			own = s.IPv4
		}
		if len(own) == 0 || four && n.remote.Family == config.Family6 || !four && n.remote.Family == config.Family4 {
			continue
		}
		for _, a := range known {
			if a.Addr().Is4() == four {
				return a, own[0]
			}
		}
	}
	return netip.AddrPort{}, source
}

// ask begins a look-up over a link if there are names and it is time.
func (n *resolver) ask(i int, device string, by look) {
	l := &n.links[i]
	pause := resolveAgain
	if len(l.addrs) == 0 {
		pause = resolveEvery
	}
	if len(n.names) == 0 || l.asking || time.Since(l.askedAt) < pause {
		return
	}
	l.asking, l.askedAt = true, time.Now()
	go n.look(i, device, by)
}

func (n *resolver) look(i int, device string, by look) {
	ctx, cancel := context.WithTimeout(context.Background(), resolveEvery)
	defer cancel()
	var found []netip.AddrPort
	for _, e := range n.names {
		addrs, err := lookUp(ctx, e.Host, device, by)
		if err != nil {
			continue
		}
		for _, a := range addrs {
			found = append(found, netip.AddrPortFrom(a.Unmap(), e.Port))
		}
	}
	n.found(i, found)
}

// found takes what a look-up over a link brought, and tells who waits for it.
func (n *resolver) found(i int, addrs []netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[i].asking = false
	if len(addrs) == 0 {
		return
	}
	n.links[i].addrs = addrs
	close(n.waited)
	n.waited = make(chan struct{})
	select {
	case n.fresh <- struct{}{}:
	default:
	}
}

// next is closed when addresses are found from now on. Of nobody it is nil.
func (n *resolver) next() <-chan struct{} {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.waited
}

// await waits for what next returned; false if there is nothing to wait for, or it did not come.
func (n *resolver) await(ctx context.Context, found <-chan struct{}) bool {
	if n == nil || len(n.names) == 0 {
		return false
	}
	select {
	case <-found:
		return true
	case <-ctx.Done():
		return false
	}
}

// lookUp asks the link's name servers over the link, and if none answers, as any program here would.
func lookUp(ctx context.Context, host, device string, by look) ([]netip.Addr, error) {
	servers := by.servers
	if len(servers) == 0 {
		servers = systemServers(resolvConf)
	}
	if len(servers) > 0 {
		soon, cancel := context.WithTimeout(ctx, resolveEvery/2)
		defer cancel()
		if addrs, err := overLink(servers, device, by.mark).LookupNetIP(soon, "ip", host); err == nil {
			return addrs, nil
		}
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// overLink asks servers in turn from sockets bound to a device.
func overLink(servers []netip.Addr, device string, mark uint32) *net.Resolver {
	const namePort = 53
	var mu sync.Mutex
	next := 0
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) {
			err = errors.Join(unix.BindToDevice(int(fd), device), unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark)))
		})
		return errors.Join(failed, err)
	}}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		mu.Lock()
		server := servers[next%len(servers)]
		next++
		mu.Unlock()
		return dialer.DialContext(ctx, network, netip.AddrPortFrom(server, namePort).String())
	}}
}
