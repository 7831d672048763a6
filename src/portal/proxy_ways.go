package portal

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/engine/mono"
	"mpproxy/src/socks"
	"mpproxy/src/streams"
)

// knownLink is a link as the loop sees it.
type knownLink struct {
	name     string
	device   string
	mark     uint32
	metric   int
	endpoint netip.AddrPort
	source   netip.Addr // its own address towards the server
	open     *overLinks // nil: nobody has to know of its connections
}

// waysTo are the subflows of a route now.
func (l *localProxy) waysTo(ctx context.Context, to *far, route *config.Route) (out []streams.Way) {
	links := l.linksTo(ctx, to)
	if len(links) == 0 {
		return nil
	}
	if way, ok := l.overMPTCP(to, route, links); ok {
		return []streams.Way{way}
	}
	if len(route.Via) == 0 {
		least := slices.MinFunc(links, func(a, b knownLink) int { return a.metric - b.metric }).metric
		for _, k := range links {
			if k.metric == least {
				out = append(out, l.directly(k, k.name))
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
		hop := socks.Hop{At: at, User: relay.Username, Password: relay.Password.Text()}
		if relay.ResolveLocal {
			hop.Look = socks.Resolve
		}
		hops = append(hops, hop)
	}
	if name != "" {
		i := slices.IndexFunc(links, func(k knownLink) bool { return k.name == name })
		if i < 0 {
			return streams.Way{}, false
		}
		link = links[i]
	}
	if len(hops) == 0 {
		return l.directly(link, via.String()), true
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

// links are those that are up, with the way to the session's server.
func (l *localProxy) links(ctx context.Context) []knownLink { return l.linksTo(ctx, &far{}) }

// linksTo are those that are up and have a way to a remote.
func (l *localProxy) linksTo(ctx context.Context, to *far) (out []knownLink) {
	r := l.portal
	r.run.shared.do(ctx, func(mono.Time) {
		for i, k := range r.links {
			if i >= len(r.told) || !r.told[i].Up || r.held(i) || k.Name == "" {
				continue
			}
			one := knownLink{k.Name, r.devices[i], r.seen[i].mark, k.Metric, r.told[i].Endpoint, r.told[i].Source, &r.open}
			if to.names != nil {
				one.endpoint, one.source = to.names.endpointOver(i, r.seen[i].state, look{servers: r.seen[i].servers, mark: one.mark})
			}
			if one.endpoint.IsValid() {
				out = append(out, one)
			}
		}
	})
	return out
}

// keptWays is how many ways are remembered, so that all streams over one share what is known of it.
const keptWays = 64

// directWay names one.
type directWay struct {
	link knownLink
	name string
}

// directly is the way to the server over a link alone.
func (l *localProxy) directly(k knownLink, name string) streams.Way {
	l.mu.Lock()
	defer l.mu.Unlock()
	way, ok := l.ways[directWay{k, name}]
	if !ok {
		if len(l.ways) >= keptWays || l.ways == nil {
			l.ways = make(map[directWay]streams.Way)
		}
		way = k.direct(name)
		l.ways[directWay{k, name}] = way
	}
	return way
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
			d.Control = bindTo(k.device, k.mark)
		}
		return k.open.dial(ctx, k.name, k.device, &d, to)
	}
}

// manyStreams is how many streams are remembered before those that have ended are looked for.
const manyStreams = 1000

// forgetEnded forgets whose the streams were that have ended; with the lock held.
func (l *localProxy) forgetEnded() {
	maps.DeleteFunc(l.who, func(mid uint64, w whose) bool { return !w.far.client.Alive(mid) })
	l.alive = len(l.who)
}

// followLinks lets streams use links that came up after they began.
func (l *localProxy) followLinks(ctx context.Context) error {
	tick := time.NewTicker(proxyLook)
	defer tick.Stop()
	for had := ""; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		has := fmt.Sprint(l.links(ctx))
		if has == had {
			continue
		}
		had = has
		l.mu.Lock()
		l.forgetEnded()
		all := maps.Clone(l.who)
		l.mu.Unlock()
		type course struct {
			far   *far
			route *config.Route
		}
		known := make(map[course][]streams.Way)
		ways := make(map[*streams.Client]map[uint64][]streams.Way)
		for mid, w := range all {
			if w.route.Carrier == config.CarrierMPTCP {
				continue // the kernel follows its links by itself
			}
			way, ok := known[course{w.far, w.route}]
			if !ok {
				way = l.waysTo(ctx, w.far, w.route)
				known[course{w.far, w.route}] = way
			}
			if ways[w.far.client] == nil {
				ways[w.far.client] = make(map[uint64][]streams.Way)
			}
			ways[w.far.client][mid] = way
		}
		for client, list := range ways {
			client.Extend(list)
		}
	}
}
