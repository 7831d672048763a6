package portal

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/session"
	"mpproxy/src/mpp"
	"mpproxy/src/socks"
	"mpproxy/src/stats"
	"mpproxy/src/streams"
)

// requestTime is what a router has for the request on a new stream.
const requestTime = 30 * time.Second

// remoteProxy ends the multipath streams of routers.
type remoteProxy struct {
	portal *remote
	pool   *mpp.Pool
	server *streams.Server
	roots  map[*node.Peer]*session.Keys // whose exports the server has; the loop's
	set    proxySet                     // of socks sections: for programs that connect to this server themselves
	known  atomic.Pointer[config.Config]
	own    ownPlaces
}

// startProxy listens for subflows where the portal listens for datagrams, over TCP.
func (r *remote) startProxy() (*remoteProxy, error) {
	p := r.run
	x := &remoteProxy{portal: r, pool: p.newStreamPool(streamPoolServer), roots: make(map[*node.Peer]*session.Keys)}
	x.server = streams.NewServer(streams.ServerOptions{Clock: p.shared.clock.Now, Pool: x.pool, Lot: p.idle(), Handle: x.handle, Answer: x.answerAlone, MaxStreams: socks.DefaultMaxConnections})
	x.known.Store(p.cfg)
	x.set = proxySet{run: p, make: x.plain}
	x.set.follow(p.cfg)
	listen := net.ListenConfig{}
	listen.SetMultipathTCP(true)
	if err := r.system.server.SetMultipath(); err != nil {
		p.log.Debug("routers' MPTCP connections stay on one link", "err", err)
	}
	for _, at := range p.cfg.Portal.Remote.Listen {
		if at.Addr().IsUnspecified() {
			at = netip.AddrPortFrom(netip.IPv6Unspecified(), at.Port())
		}
		l, err := listen.Listen(p.group.ctx, "tcp", at.String())
		if err != nil {
			return nil, fmt.Errorf("listen at %s (TCP): %w", at, err)
		}
		p.group.start(funcTask{"subflows at " + at.String(), func(ctx context.Context) error { return x.server.Serve(ctx, l) }})
	}
	return x, nil
}

// plain makes the server of a socks section. It connects directly, and to no router's inside.
func (x *remoteProxy) plain(*config.Config, config.SOCKS) *proxyServer {
	guard := x.guard(config.Peer{}, "tcp")
	return &proxyServer{connector: &socks.Direct{Guard: guard}, guard: guard, guardUDP: x.guard(config.Peer{}, "udp"),
		devices: func() []string { return nil }, links: func() []string { return nil }}
}

// follow makes the servers those of a configuration, and ends the streams of routers that may have none any more.
func (x *remoteProxy) follow(ctx context.Context, next *config.Config) (changes []string) {
	last := x.known.Swap(next)
	changes = x.set.follow(next)
	other := make(map[string]bool)
	for _, c := range append(slices.Clone(last.Peers), next.Peers...) {
		before, after := mayStream(last, c.Name), mayStream(next, c.Name)
		if before == after {
			continue
		}
		if other[c.Name] = true; after == (config.Key{}) || before != (config.Key{}) {
			x.server.RemovePeer(c.Name)
		}
	}
	x.portal.run.shared.do(ctx, func(mono.Time) {
		maps.DeleteFunc(x.roots, func(p *node.Peer, _ *session.Keys) bool { return other[p.Name] })
	})
	return changes
}

// mayStream is the key of a router that may have streams; zero: it may not.
func mayStream(c *config.Config, name string) (key config.Key) {
	for _, p := range c.EnabledPeers() {
		if p.Name == name && p.SOCKS {
			key = p.PublicKey
		}
	}
	return key
}

// after follows the sessions' keys, in the loop.
func (x *remoteProxy) after() {
	if x == nil {
		return
	}
	peers := x.portal.Peers()
	for _, p := range peers {
		if root := p.RootKeys(); root != nil && root != x.roots[p] {
			x.roots[p] = root
			if c, ok := x.peer(p.Name); ok && c.SOCKS {
				x.server.AddSecret(p.Name, mpp.NewSecret(root.Suite(), root.Export(mppLabel)))
			}
		}
	}
	if len(x.roots) > len(peers) {
		for p := range x.roots {
			if !slices.Contains(peers, p) {
				delete(x.roots, p)
				x.server.RemovePeer(p.Name)
			}
		}
	}
}

// peer finds a router's section.
func (x *remoteProxy) peer(name string) (config.Peer, bool) {
	for _, c := range x.known.Load().Peers {
		if c.Name == name {
			return c, c.Enabled
		}
	}
	return config.Peer{}, false
}

// handle serves one stream: a SOCKS5 request and its answer, then bytes.
func (x *remoteProxy) handle(ctx context.Context, name string, s *streams.Stream) {
	stop := context.AfterFunc(ctx, s.Abort)
	relays := false
	defer func() {
		if !relays {
			stop()
		}
	}()
	c, ok := x.peer(name)
	_ = s.SetReadDeadline(time.Now().Add(requestTime))
	q, err := socks.ReadRequest(s)
	if err != nil || !ok || !c.SOCKS {
		s.Abort()
		return
	}
	_ = s.SetReadDeadline(time.Time{})
	out, at, err := x.reach(ctx, c, q, s)
	if err != nil {
		_, _ = s.Write(socks.AppendReply(nil, socks.CodeOf(err), socks.Address{}))
		_ = s.CloseWrite()
		_ = s.SetReadDeadline(time.Now().Add(requestTime))
		_, _ = s.Read(make([]byte, 1)) // until the router has understood
		_ = s.Close()
		return
	}
	if _, err := s.Write(socks.AppendReply(nil, socks.Succeeded, at)); err != nil {
		_ = out.Close()
		return
	}
	relays = true
	socks.Begin(x.portal.run.idle(), s, out, socks.DefaultIdle, func(uint64, uint64) { stop() })
}

// reach does what the request asks for.
func (x *remoteProxy) reach(ctx context.Context, c config.Peer, q socks.Request, s *streams.Stream) (socks.Stream, socks.Address, error) {
	if q.To.Name == speedName && q.Command == socks.Connect {
		return newSpeedEnd(q.To.Port), socks.Address{}, nil
	}
	guard := x.guard(c, "tcp")
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	switch q.Command {
	case socks.Connect:
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		return (&socks.Direct{Guard: guard}).Connect(ctx, socks.Client{User: c.Name}, q.To)
	case socks.Bind:
		return socks.BindHere(ctx, guard, nil, q.To, func(at socks.Address) error {
			_, err := s.Write(socks.AppendReply(nil, socks.Succeeded, at))
			return err
		})
	}
	return nil, socks.Address{}, socks.NoCommand
}

// status describes the streams; nil before there is anything.
func (x *remoteProxy) status() *stats.Proxy {
	if x == nil {
		return nil
	}
	n, out := x.server.Counts(), x.set.sums()
	out.Clients += n.Active
	out.Failed += n.Refused
	out.Multipath, out.Subflows, out.RefusedSubflows, out.ReplayedSubflows = n.Streams, n.Subflows, n.Strangers, n.Replayed
	out.MemoryBytes, out.MemoryUsedBytes, out.MemoryLimitBytes = x.pool.Carried(), x.pool.Used(), x.pool.Limit()
	out.Streams = []stats.ProxyStream{}
	for _, info := range x.server.Streams(shownStreams) {
		out.Streams = append(out.Streams, streamStatus(info, [2]string{}))
	}
	return &out
}
