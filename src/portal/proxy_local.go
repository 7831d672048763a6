package portal

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/engine/session"
	"mpproxy/src/mpp"
	"mpproxy/src/socks"
	"mpproxy/src/stats"
	"mpproxy/src/streams"
)

const (
	// firstSubflow is how long the first subflow may take before the server counts as out of reach.
	firstSubflow = 3 * time.Second
	// startLook is how often a connection that came before any link was found looks again.
	startLook = 20 * time.Millisecond
	// maxSubflowsVia bounds the subflows of one way; a route's weight asks for them.
	maxSubflowsVia = 8
	// shownStreams bounds the connections in status.
	shownStreams = 100
)

// localProxy connects the programs of the LAN: over several links where a route says so, else directly.
type localProxy struct {
	portal *local
	set    proxySet     // of the socks sections
	leader *proxyServer // which connections of the LAN are led to; under mu
	client *streams.Client
	near   *far // the session's remote, as the end of streams
	pool   *mpp.Pool
	direct socks.Direct
	root   *session.Keys // whose export the client has; the loop's
	mu     sync.Mutex
	who    map[uint64]whose          // by MID
	ways   map[directWay]streams.Way // under mu
	alive  int                       // how many of them lived when that was looked at; under mu
	counts struct{ multipath, plain, tunnelled, fallbacks, retries, mptcp atomic.Uint64 }
	why    string          // of the last fallback, under mu
	others map[string]*far // remotes that have no session, by name; under mu
	mptcp  mptcpState
}

// whose is what is known of a stream of a client's.
type whose struct {
	shown [2]string // client and destination
	far   *far
	route *config.Route
}

// startProxy starts the servers of the socks sections. Without any it only has the keys for streams of its own.
func (r *local) startProxy() *localProxy {
	p := r.run
	l := &localProxy{portal: r, pool: mpp.NewPool(int(streamMemory(streamPool))), who: make(map[uint64]whose)}
	own := &ownPlaces{}
	l.direct.Guard = func(a netip.AddrPort) bool { return socks.PublicOrPrivate(a) && !own.has(a.Addr()) }
	l.direct.Names = ledInside
	l.set = proxySet{run: p, make: l.server}
	l.client = l.newClient(r.remote)
	l.near = &far{name: r.remote.Name, client: l.client}
	p.atEnd(l.closeClients)
	l.follow(p.cfg)
	p.group.start(funcTask{"links of the proxy", l.followLinks})
	return l
}

// after follows the session's keys, in the loop.
func (l *localProxy) after() {
	if root := l.portal.RootKeys(); root != nil && root != l.root {
		l.root = root
		l.client.SetSecret(mpp.NewSecret(root.Suite(), root.Export(mppLabel)))
	}
}

// status describes the proxy; nil if there is none.
func (l *localProxy) status() *stats.Proxy {
	servers := l.set.running()
	if len(servers) == 0 {
		return nil
	}
	sums := l.set.sums()
	out := &sums
	out.Multipath, out.Plain, out.Fallbacks = l.counts.multipath.Load(), l.counts.plain.Load(), l.counts.fallbacks.Load()
	out.Tunnelled, out.Retries, out.MPTCP = l.counts.tunnelled.Load(), l.counts.retries.Load(), l.counts.mptcp.Load()
	out.MemoryBytes, out.MemoryUsedBytes, out.MemoryLimitBytes = l.pool.Carried(), l.pool.Used(), l.pool.Limit()
	out.Streams = []stats.ProxyStream{}
	l.mu.Lock()
	defer l.mu.Unlock()
	out.FallbackWhy = l.why
	l.forgetEnded()
	for mid, who := range l.who {
		if len(out.Streams) == shownStreams {
			break
		}
		if info, ok := who.far.client.Info(mid); ok {
			out.Streams = append(out.Streams, streamStatus(info, who.shown))
		}
	}
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
