package portal

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/config"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/session"
	"mpproxy/src/mpp"
	"mpproxy/src/socks"
	"mpproxy/src/stats"
	"mpproxy/src/streams"
)

const (
	// firstSubflow is how long the first subflow may take before the server counts as out of reach.
	firstSubflow = 3 * time.Second
	// maxSubflowsVia bounds the subflows of one way; a route's weight asks for them.
	maxSubflowsVia = 8
	// shownStreams bounds the connections in status.
	shownStreams = 100
)

// localProxy connects the programs of the LAN: over several links where a route says so, else directly.
type localProxy struct {
	portal  *local
	servers []*proxyServer // under mu
	client  *streams.Client
	pool    *mpp.Pool
	direct  socks.Direct
	root    *session.Keys // whose export the client has; the loop's
	mu      sync.Mutex
	who     map[uint64][2]string // client and destination by MID
	counts  struct{ multipath, plain, fallbacks atomic.Uint64 }
}

// startProxy starts the servers of the socks sections. Without any it only has the keys for streams of its own.
func (r *local) startProxy() *localProxy {
	p := r.run
	l := &localProxy{portal: r, pool: mpp.NewPool(int(streamMemory(streamPool))), who: make(map[uint64][2]string)}
	l.direct.Guard = p.guardOwn(true)
	l.client = streams.NewClient(p.shared.clock.Now, l.pool, uint32(randomNumber()))
	p.atEnd(func() error { l.client.Close(); return nil })
	l.follow(p.cfg)
	return l
}

// after follows the session's keys, in the loop.
func (l *localProxy) after() {
	if root := l.portal.RootKeys(); root != nil && root != l.root {
		l.root = root
		l.client.SetSecret(mpp.NewSecret(root.Suite(), root.Export(mppLabel)))
	}
}

// Connect implements socks.Connector.
func (l *localProxy) Connect(ctx context.Context, client socks.Client, to socks.Address) (socks.Stream, socks.Address, error) {
	cfg := l.portal.run.configuration()
	route := routeFor(cfg.Routes, to)
	if route == nil || route.Carrier == config.CarrierPlain {
		if cfg.Portal.Local.KillSwitch {
			return nil, socks.Address{}, socks.NotAllowed
		}
		l.counts.plain.Add(1)
		return l.direct.Connect(ctx, client, to)
	}
	s, err := l.ask(ctx, client, route, socks.Request{Command: socks.Connect, To: to})
	if err == nil {
		var bound socks.Address
		if bound, err = answer(ctx, s); err == nil {
			l.counts.multipath.Add(1)
			return s, bound, nil
		}
	}
	if !route.FallbackDirect || cfg.Portal.Local.KillSwitch {
		return nil, socks.Address{}, err
	}
	l.portal.run.log.Debug("proxy: directly", "to", to, "why", err)
	l.counts.fallbacks.Add(1)
	return l.direct.Connect(ctx, client, to)
}

// Bind implements socks.Binder.
func (l *localProxy) Bind(ctx context.Context, client socks.Client, from socks.Address, tell func(socks.Address) error) (socks.Stream, socks.Address, error) {
	cfg := l.portal.run.configuration()
	route := routeFor(cfg.Routes, from)
	if route == nil || route.Carrier == config.CarrierPlain {
		if cfg.Portal.Local.KillSwitch {
			return nil, socks.Address{}, socks.NotAllowed
		}
		return socks.BindHere(ctx, l.direct.Guard, nil, from, tell)
	}
	s, err := l.ask(ctx, client, route, socks.Request{Command: socks.Bind, To: from})
	if err != nil {
		return nil, socks.Address{}, err
	}
	at, err := answer(ctx, s)
	if err == nil {
		if err = tell(at); err == nil {
			at, err = answer(ctx, s)
		}
	}
	if err != nil {
		s.Abort()
		return nil, socks.Address{}, err
	}
	return s, at, nil
}

// listenUDP opens a socket for the datagrams of programs: through the tunnel, directly only while there is none.
func (l *localProxy) listenUDP() (*net.UDPConn, error) {
	portal := l.portal.run.configuration().Portal
	if !l.portal.sys.up.Load() {
		if portal.Local.KillSwitch {
			return nil, socks.NotAllowed
		}
		return net.ListenUDP("udp", nil)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), portal.Device) })
		return errors.Join(failed, err)
	}}
	conn, err := config.ListenPacket(l.portal.run.group.ctx, "udp", ":0")
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// ask opens a stream and sends the request on it.
func (l *localProxy) ask(ctx context.Context, client socks.Client, route *config.Route, q socks.Request) (*streams.Stream, error) {
	s, err := l.client.Open(l.ways(ctx, route))
	if err != nil {
		return nil, err
	}
	first, cancel := context.WithTimeout(ctx, firstSubflow)
	defer cancel()
	if err := s.Connected(first); err != nil {
		s.Abort()
		return nil, err
	}
	if _, err := s.Write(q.Append(nil)); err != nil {
		return nil, err
	}
	l.mu.Lock()
	if len(l.who) > 4*shownStreams {
		clear(l.who)
	}
	l.who[s.Info().MID] = [2]string{client.From.Addr().Unmap().String(), q.To.String()}
	l.mu.Unlock()
	return s, nil
}

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

// knownLink is a link as the loop sees it.
type knownLink struct {
	name     string
	device   string
	mark     uint32
	metric   int
	endpoint netip.AddrPort
}

// ways are the subflows of a route now.
func (l *localProxy) ways(ctx context.Context, route *config.Route) (out []streams.Way) {
	links := l.links(ctx)
	if len(links) == 0 {
		return nil
	}
	if len(route.Via) == 0 {
		least := slices.MinFunc(links, func(a, b knownLink) int { return a.metric - b.metric }).metric
		for _, k := range links {
			if k.metric == least {
				out = append(out, k.direct(k.name))
			}
		}
		return out
	}
	for _, via := range route.Via {
		way, ok := l.way(via, links)
		for range min(via.Weight, maxSubflowsVia) {
			if ok {
				out = append(out, way)
			}
		}
	}
	return out
}

// way is one via of a route; false if its link is not up, or one of its relays is switched off.
func (l *localProxy) way(via config.Via, links []knownLink) (streams.Way, bool) {
	link := knownLink{endpoint: links[0].endpoint}
	cfg := l.portal.run.configuration()
	var hops []socks.Hop
	name := via.Link
	for _, want := range via.Relays {
		i := slices.IndexFunc(cfg.Relays, func(r config.Relay) bool { return r.Name == want && r.Enabled })
		if i < 0 {
			return streams.Way{}, false
		}
		relay := cfg.Relays[i]
		at, err := socks.ParseAddress(relay.Address.Host, relay.Address.Port)
		if err != nil {
			return streams.Way{}, false
		}
		if len(hops) == 0 && name == "" {
			name = relay.Link
		}
		hops = append(hops, socks.Hop{At: at, User: relay.Username, Password: relay.Password.Text()})
	}
	if name != "" {
		i := slices.IndexFunc(links, func(k knownLink) bool { return k.name == name })
		if i < 0 {
			return streams.Way{}, false
		}
		link = links[i]
	}
	if len(hops) == 0 {
		return link.direct(via.String()), true
	}
	dial, server := link.dial(hops[0].At.String()), socks.FromAddrPort(link.endpoint)
	return streams.Way{Name: via.String(), Dial: func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		if err := socks.Through(ctx, conn, hops, server); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return conn, nil
	}}, true
}

// links are those that are up.
func (l *localProxy) links(ctx context.Context) (out []knownLink) {
	r := l.portal
	r.run.shared.do(ctx, func(mono.Time) {
		for i, k := range r.links {
			if i < len(r.told) && r.told[i].Up && !r.paused[i] && k.Name != "" && r.told[i].Endpoint.IsValid() {
				out = append(out, knownLink{k.Name, r.devices[i], r.sys.router.SocketMark(i), k.Metric, r.told[i].Endpoint})
			}
		}
	})
	return out
}

// direct is the way to the server over the link alone. Some such subflows are set up in advance.
func (k knownLink) direct(name string) streams.Way {
	to := k.endpoint.String()
	return streams.Way{Name: name, Direct: true, Dial: k.dial(to), Key: k.device + " " + to}
}

// dial connects over the link: bound to its device, with its mark, as the tunnel's own sockets are.
func (k knownLink) dial(to string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		if k.device != "" {
			d.Control = func(_, _ string, c syscall.RawConn) (err error) {
				failed := c.Control(func(fd uintptr) {
					if err = unix.BindToDevice(int(fd), k.device); err == nil {
						err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(k.mark))
					}
				})
				if failed != nil {
					return failed
				}
				return err
			}
		}
		return d.DialContext(ctx, "tcp", to)
	}
}

// status describes the proxy; nil if there is none.
func (l *localProxy) status() *stats.Proxy {
	servers := l.running()
	if len(servers) == 0 {
		return nil
	}
	out := &stats.Proxy{
		Multipath: l.counts.multipath.Load(), Plain: l.counts.plain.Load(), Fallbacks: l.counts.fallbacks.Load(),
		MemoryBytes: l.pool.Used(), MemoryLimitBytes: l.pool.Limit(), Streams: []stats.ProxyStream{},
	}
	for _, s := range servers {
		s.addTo(out)
	}
	slices.Sort(out.Listen)
	l.mu.Lock()
	defer l.mu.Unlock()
	alive := make(map[uint64][2]string)
	for _, info := range l.client.Streams() {
		who := l.who[info.MID]
		alive[info.MID] = who
		if len(out.Streams) < shownStreams {
			out.Streams = append(out.Streams, streamStatus(info, who))
		}
	}
	l.who = alive
	for _, s := range servers {
		out.Streams = append(out.Streams, s.direct(shownStreams-len(out.Streams))...)
	}
	slices.SortFunc(out.Streams, func(a, b stats.ProxyStream) int { return strings.Compare(a.Destination, b.Destination) })
	return out
}

func streamStatus(info streams.Info, who [2]string) stats.ProxyStream {
	s := stats.ProxyStream{Client: who[0], Destination: who[1], AgeSeconds: stats.Seconds(info.Age), SentBytes: info.Counts.Sent,
		ReceivedBytes: info.Counts.Received, AgainBytes: info.Counts.Again, Subflows: []stats.ProxySubflow{}}
	for _, k := range info.Subflows {
		s.Subflows = append(s.Subflows, stats.ProxySubflow{Via: k.Name, SentBytes: k.Sent, ReceivedBytes: k.Received,
			RateBitsPerSecond: uint64(k.Rate * 8), RTTMs: stats.Milliseconds(k.RTT), Stalled: k.Stalled})
	}
	return s
}
