package portal

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/config"
	"mpproxy/src/engine/mono"
	"mpproxy/src/mpp"
	"mpproxy/src/socks"
	"mpproxy/src/streams"
)

// Connect implements socks.Connector.
func (l *localProxy) Connect(ctx context.Context, client socks.Client, to socks.Address) (socks.Stream, socks.Address, error) {
	cfg := l.portal.run.configuration()
	route, err := l.routed(cfg, client, to)
	if err != nil {
		return nil, socks.Address{}, err
	}
	if route == nil {
		return l.direct.Connect(ctx, client, to)
	}
	var s socks.Stream
	var bound socks.Address
	if route.Carrier == config.CarrierTunnel {
		s, bound, err = l.throughTunnel(ctx, client, to)
	} else {
		s, bound, err = l.overMany(ctx, client, route, socks.Request{Command: socks.Connect, To: to})
	}
	if err != nil && route.FallbackDirect && l.slowed(ctx, cfg, route) {
		if route.Carrier == config.CarrierTunnel {
			return nil, socks.Address{}, err
		}
		return l.throughTunnel(ctx, client, to) // it keeps to the rate
	}
	if err == nil || !l.fallsBack(cfg, route, to, err) {
		return s, bound, err
	}
	return l.direct.Connect(ctx, client, to)
}

// routed returns the route that leads to an address, or nil for a plain connection, which it counts, and which the kill switch forbids.
func (l *localProxy) routed(cfg *config.Config, client socks.Client, to socks.Address) (*config.Route, error) {
	route, err := routeOf(cfg, client, to)
	if err != nil || route != nil && route.Carrier != config.CarrierPlain {
		return route, err
	}
	if cfg.Portal.Local.KillSwitch {
		return nil, socks.NotAllowed
	}
	l.counts.plain.Add(1)
	return nil, nil
}

// fallsBack reports whether a connection that its route cannot carry is made directly, and notes why.
func (l *localProxy) fallsBack(cfg *config.Config, route *config.Route, to socks.Address, why error) bool {
	if !route.FallbackDirect || cfg.Portal.Local.KillSwitch {
		return false
	}
	l.portal.run.log.Debug("proxy: directly", "to", to, "why", why)
	l.counts.fallbacks.Add(1)
	l.mu.Lock()
	l.why = why.Error()
	l.mu.Unlock()
	return true
}

// Bind implements socks.Binder. What a tunnel's address cannot take in, the server does.
func (l *localProxy) Bind(ctx context.Context, client socks.Client, from socks.Address, tell func(socks.Address) error) (socks.Stream, socks.Address, error) {
	cfg := l.portal.run.configuration()
	route, err := l.routed(cfg, client, from)
	if err != nil {
		return nil, socks.Address{}, err
	}
	if route == nil {
		return socks.BindHere(ctx, l.direct.Guard, nil, from, tell)
	}
	out, at, err := l.overMany(ctx, client, route, socks.Request{Command: socks.Bind, To: from})
	if err != nil {
		if !l.slowed(ctx, cfg, route) && l.fallsBack(cfg, route, from, err) {
			return socks.BindHere(ctx, l.direct.Guard, nil, from, tell)
		}
		return nil, socks.Address{}, err
	}
	s := out.(*streams.Stream)
	if err = tell(at); err == nil {
		at, err = answer(ctx, s)
	}
	if err != nil {
		s.Abort()
		return nil, socks.Address{}, err
	}
	return s, at, nil
}

// overMany opens a stream to the server, sends the request, and waits for the first answer. A number that the server
// has seen before is replaced once.
func (l *localProxy) overMany(ctx context.Context, client socks.Client, route *config.Route, q socks.Request) (socks.Stream, socks.Address, error) {
	for again := false; ; again = true {
		s, err := l.ask(ctx, client, route, q)
		var bound socks.Address
		if err == nil {
			if bound, err = answer(ctx, s); err == nil {
				l.counts.multipath.Add(1)
				return s, bound, nil
			}
		}
		reset := (*mpp.ResetError)(nil)
		if again || !errors.As(err, &reset) || !reset.Remote || reset.Code != mpp.CodeInUse && reset.Code != mpp.CodeGone {
			return nil, socks.Address{}, err
		}
		l.counts.retries.Add(1)
	}
}

// ask opens a stream and sends the request on it.
func (l *localProxy) ask(ctx context.Context, client socks.Client, route *config.Route, q socks.Request) (*streams.Stream, error) {
	far, err := l.farOf(route)
	if err != nil {
		return nil, err
	}
	first, cancel := context.WithTimeout(ctx, firstSubflow)
	defer cancel()
	found := far.names.next()
	ways := l.waysTo(ctx, far, route)
	for len(ways) == 0 && far.names.await(first, found) {
		found = far.names.next() // before the look, so that nothing is missed in between
		ways = l.waysTo(ctx, far, route)
	}
	for len(ways) == 0 && time.Since(l.portal.run.started) < firstSubflow && first.Err() == nil { // the links are just being found
		select {
		case <-time.After(startLook):
		case <-first.Done():
		}
		ways = l.waysTo(ctx, far, route)
	}
	if len(ways) == 0 {
		return nil, errNoWay
	}
	s, err := far.client.Open(ways)
	if err != nil {
		return nil, err
	}
	if err := s.Connected(first); err != nil {
		s.Abort()
		return nil, err
	}
	if _, err := s.Write(q.Append(nil)); err != nil {
		return nil, err
	}
	l.mu.Lock()
	if len(l.who) > max(manyStreams, 2*l.alive) { // seldom: looking at all of them for each new one would take ever longer
		l.forgetEnded()
	}
	l.who[s.MID()] = whose{[2]string{client.From.Addr().Unmap().String(), q.To.String()}, far, route}
	l.mu.Unlock()
	return s, nil
}

// errNoWay is why a route carries nothing.
var errNoWay = errors.New("no link works that the route may use, or the server's address is not known")

// answer waits for the server's reply; without a good one the stream ends.
func answer(ctx context.Context, s *streams.Stream) (socks.Address, error) {
	stop := context.AfterFunc(ctx, s.Abort)
	at, err := socks.ReadReply(s)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.Abort()
	}
	return at, err
}

// errNoTunnel is why the tunnel carries nothing.
var errNoTunnel = errors.New("there is no session for the tunnel")

// throughTunnel connects as the LAN's other traffic does; names are looked up there, too.
func (l *localProxy) throughTunnel(ctx context.Context, client socks.Client, to socks.Address) (socks.Stream, socks.Address, error) {
	if !l.portal.sys.up.Load() {
		return nil, socks.Address{}, errNoTunnel
	}
	d := l.direct
	d.Dialer.Control, d.Resolve = bindTo(l.portal.run.configuration().Portal.Device, 0), l.lookInside(ctx)
	s, bound, err := d.Connect(ctx, client, to)
	if err == nil {
		l.counts.tunnelled.Add(1)
	}
	return s, bound, err
}

// bindTo gives sockets a device, and a mark if it is not 0.
func bindTo(device string, mark uint32) func(_, _ string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) {
			if err = unix.BindToDevice(int(fd), device); err == nil && mark != 0 {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark))
			}
		})
		return errors.Join(failed, err)
	}
}

// lookInside looks names up as the LAN does, through the tunnel; nil: there is no name server there.
func (l *localProxy) lookInside(ctx context.Context) func(ctx context.Context, name string) ([]netip.Addr, error) {
	cfg := l.portal.run.configuration().Portal
	servers := cfg.DNSServers
	if len(servers) == 0 {
		l.portal.run.shared.do(ctx, func(mono.Time) { servers = l.portal.offers })
	}
	if len(servers) == 0 {
		return nil
	}
	inside := overLink(servers, cfg.Device, 0)
	return func(ctx context.Context, name string) ([]netip.Addr, error) {
		all, err := inside.LookupNetIP(ctx, "ip", name)
		for i := range all {
			all[i] = all[i].Unmap()
		}
		return all, err
	}
}

// The ways that datagrams of programs take.
const (
	wayDirect uint64 = iota
	wayTunnel
	wayNone
)

// datagrams is how they leave now: as the LAN's, which waits a while for a session that was lost. Safe for concurrent use.
func (l *localProxy) datagrams() uint64 {
	sys := l.portal.sys
	lost := sys.lost.Load()
	switch {
	case sys.up.Load(), lost != nil && time.Since(*lost) < directAfter:
		return wayTunnel
	case l.portal.run.configuration().Portal.Local.KillSwitch:
		return wayNone
	}
	return wayDirect
}

// listenUDP opens a socket for the datagrams of programs, on their way of now.
func (l *localProxy) listenUDP() (*net.UDPConn, error) {
	switch l.datagrams() {
	case wayNone:
		return nil, socks.NotAllowed
	case wayDirect:
		return net.ListenUDP("udp", nil)
	}
	config := net.ListenConfig{Control: bindTo(l.portal.run.configuration().Portal.Device, 0)}
	conn, err := config.ListenPacket(l.portal.run.group.ctx, "udp", ":0")
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// resolve finds the addresses of a name that datagrams go to.
func (l *localProxy) resolve(ctx context.Context, name string) ([]netip.Addr, error) {
	if l.datagrams() == wayTunnel {
		if look := l.lookInside(ctx); look != nil {
			return look(ctx, name)
		}
	}
	return socks.Resolve(ctx, name)
}
