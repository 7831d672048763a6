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

// signpost knows where a server is that this router is not paired with yet.
type signpost struct {
	mu    sync.Mutex
	addrs []netip.AddrPort
}

// newSignpost looks names up in the background until they are found or ctx ends.
func newSignpost(ctx context.Context, r config.Remote) *signpost {
	n := &signpost{}
	for _, e := range r.Endpoints {
		if a, ok := e.Addr(); ok {
			n.addrs = append(n.addrs, a)
		} else {
			go n.find(ctx, e)
		}
	}
	return n
}

// find looks one name up. It goes before addresses: the name is what stays right when the address changes.
func (n *signpost) find(ctx context.Context, e config.HostPort) {
	for ctx.Err() == nil {
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", e.Host)
		if err == nil && len(found) > 0 {
			n.mu.Lock()
			for _, a := range found {
				n.addrs = append([]netip.AddrPort{netip.AddrPortFrom(a.Unmap(), e.Port)}, n.addrs...)
			}
			n.mu.Unlock()
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// way is the server's address for a link, and the link's own address to it: IPv4 first where both have it.
func (n *signpost) way(s system.LinkState) (to netip.AddrPort, source netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, own := range [][]netip.Addr{s.IPv4, s.IPv6} {
		if len(own) == 0 {
			continue
		}
		if !source.IsValid() {
			source = own[0]
		}
		for _, a := range n.addrs {
			if a.Addr().Unmap().Is4() == own[0].Is4() {
				return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), own[0]
			}
		}
	}
	return netip.AddrPort{}, source
}
