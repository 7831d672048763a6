package portal

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/engine/mono"
	"mpproxy/src/streams"
	"mpproxy/src/system"
)

// plainFor is how long MPTCP is not tried again after a connection came up as plain TCP: something on the way, or the
// server, does not speak it.
const plainFor = 10 * time.Minute

// mptcpState is what is known of the kernel's MPTCP here and towards the server. Safe for concurrent use.
type mptcpState struct {
	wanted bool // by a route; the system task's
	mu     sync.Mutex
	ready  bool      // the kernel has endpoints for the links
	until  time.Time // plain TCP until then
}

func (m *mptcpState) set(ready bool) {
	m.mu.Lock()
	m.ready = ready
	m.mu.Unlock()
}

// retry lets MPTCP be tried again.
func (m *mptcpState) retry() {
	m.mu.Lock()
	m.until = time.Time{}
	m.mu.Unlock()
}

func (m *mptcpState) cameUpPlain() {
	m.mu.Lock()
	m.until = time.Now().Add(plainFor)
	m.mu.Unlock()
}

func (m *mptcpState) usable() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ready && time.Now().After(m.until)
}

// followMPTCP prepares the kernel if a route of the configuration asks for MPTCP, and takes that back if none does.
func (l *localProxy) followMPTCP(next *config.Config) {
	wanted := slices.ContainsFunc(next.Routes, func(r config.Route) bool { return r.Carrier == config.CarrierMPTCP }) &&
		slices.ContainsFunc(next.SOCKS, func(s config.SOCKS) bool { return s.Enabled })
	l.portal.sys.post(func() {
		l.mptcp.wanted = wanted
		l.mptcp.retry()
		l.setMultipath()
	})
}

// rehold follows links that are held now, or not any more.
func (l *localProxy) rehold() {
	l.portal.sys.post(func() {
		if l.mptcp.wanted {
			l.setMultipath()
		}
	})
}

// setMultipath runs in the system task.
func (l *localProxy) setMultipath() {
	sys := l.portal.sys
	if !l.mptcp.wanted {
		l.mptcp.set(false)
		if err := sys.router.SetMultipath(nil); err != nil {
			sys.log.Warn("take MPTCP's endpoints back", "err", err)
		}
		return
	}
	m := l.multipath()
	if m == nil {
		return // this is the end
	}
	err := sys.router.SetMultipath(m)
	l.mptcp.set(err == nil)
	if err != nil {
		sys.log.Warn("routes with carrier mptcp go over mpp", "err", err)
	}
}

// multipath is what the kernel may use: no links that are held. In the system task.
func (l *localProxy) multipath() *system.Multipath {
	m, r := &system.Multipath{}, l.portal
	for _, e := range r.sys.names.remote.Endpoints {
		m.Port = e.Port
	}
	if !r.run.shared.do(r.run.group.ctx, func(mono.Time) {
		least := r.lowestMetric()
		for i, k := range r.links {
			if k.Name != "" && !r.held(i) {
				m.Links = append(m.Links, system.MultipathLink{Number: i, Backup: k.Metric > least})
			}
		}
	}) {
		return nil
	}
	return m
}

// errPlainTCP means that a connection came up without MPTCP.
var errPlainTCP = errors.New("the connection came up as plain TCP")

// overMPTCP is the one way of a route over the kernel's MPTCP, which spreads it over the links itself; false if this
// route, the kernel or the path does not allow it.
func (l *localProxy) overMPTCP(to *far, route *config.Route, links []knownLink) (streams.Way, bool) {
	if route.Carrier != config.CarrierMPTCP || len(route.Via) > 0 || !l.mptcp.usable() {
		return streams.Way{}, false
	}
	best := bestOf(links)
	return streams.Way{Name: "mptcp", Direct: true, Key: "mptcp " + best.device + " " + best.endpoint.String(), Dial: func(ctx context.Context) (net.Conn, error) {
		links := l.linksTo(ctx, to) // the best one may be held by now
		if len(links) == 0 {
			return nil, errNoWay
		}
		conn, err := bestOf(links).dialMPTCP(ctx)
		if errors.Is(err, errPlainTCP) { // the next connections go over mpp; this one goes on over the one link
			l.mptcp.cameUpPlain()
			err = nil
		} else if err == nil {
			l.counts.mptcp.Add(1)
		}
		return conn, err
	}}, true
}

// bestOf is the first of those that are used first.
func bestOf(links []knownLink) knownLink {
	return slices.MinFunc(links, func(a, b knownLink) int { return a.metric - b.metric })
}

// dialMPTCP connects from the link's address; a rule leads it over the link, with which it ends: the kernel takes the other
// links' subflows away with their endpoints, but not in every version the first one. With errPlainTCP the connection stands, too.
func (k knownLink) dialMPTCP(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: k.source.AsSlice()}}
	d.SetMultipathTCP(true)
	conn, err := k.open.dial(ctx, k.name, k.device, &d, k.endpoint.String())
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(interface{ MultipathTCP() (bool, error) }); ok {
		if multipath, err := tcp.MultipathTCP(); err == nil && multipath {
			return conn, nil
		}
	}
	return conn, errPlainTCP
}
