package portal

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/stats"
	"mpproxy/src/streams"
	"mpproxy/src/system"
)

// follow makes the servers those of a configuration. A section that is the same goes on with its clients, also with other
// users; it says what changed, one phrase each.
func (l *localProxy) follow(next *config.Config) (changes []string) {
	var kept []*proxyServer
	for _, s := range l.running() {
		i := slices.IndexFunc(next.SOCKS, func(c config.SOCKS) bool { return reflect.DeepEqual(c, s.section) })
		if i < 0 {
			s.retire()
			l.retired = append(l.retired, s)
			changes = append(changes, "proxy "+s.section.Name+" is not as before")
			continue
		}
		kept = append(kept, s)
		if s.setRules(next.Rules) {
			changes = append(changes, "what is led into proxy "+s.section.Name)
		}
		if s.setUsers(usersOf(next, s.section)) {
			changes = append(changes, "users of proxy "+s.section.Name)
		}
	}
	for _, c := range next.SOCKS {
		if c.Enabled && !slices.ContainsFunc(kept, func(s *proxyServer) bool { return s.section.Name == c.Name }) {
			l.portal.run.allowStreams(streamPool)
			kept = append(kept, l.serve(next, c))
			changes = append(changes, "proxy "+c.Name)
		}
	}
	l.followMPTCP(next)
	l.forgetRetired()
	l.mu.Lock()
	l.servers = kept
	l.mu.Unlock()
	return changes
}

// forgetRetired keeps the sums of servers whose last client has gone.
func (l *localProxy) forgetRetired() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired = slices.DeleteFunc(l.retired, func(s *proxyServer) bool {
		select {
		case <-s.done:
			s.addTo(&l.past)
			return true
		default:
			return false
		}
	})
}

// redirect has the system lead connections of the LAN to a server; nil ends that, unless another one has followed it.
func (l *localProxy) redirect(from *proxyServer, to *system.Redirect) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if to == nil && l.leader != from {
		return
	}
	l.leader = from
	sys := l.portal.sys
	sys.post(func() {
		if err := sys.router.SetRedirect(to); err != nil {
			sys.log.Warn("transparent proxy", "err", err)
		}
	})
}

// running are the servers now.
func (l *localProxy) running() []*proxyServer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.servers)
}

// serve starts the server of a section.
func (l *localProxy) serve(cfg *config.Config, c config.SOCKS) *proxyServer {
	p := l.portal.run
	places := directory{configFile: p.ConfigFile}
	devices := func(names []string) []string {
		places.look()
		return places.devices(l.portal.sys.wans.devices(names))
	}
	s := &proxyServer{run: p, section: c, connector: l, guard: l.direct.Guard, listenUDP: l.listenUDP, done: make(chan struct{}), users: usersOf(cfg, c), fresh: make(chan struct{}, 1),
		open: make(map[netip.AddrPort]*net.TCPListener), rules: cfg.Rules}
	if c.Transparent {
		s.lead = &transparent{server: s, open: make(map[leadPlace]*net.TCPListener), lead: func(to *system.Redirect) { l.redirect(s, to) }}
	}
	s.devices = func() []string { return devices(p.configuration().Portal.Local.LAN) }
	s.links = func() []string {
		var names []string
		for _, k := range p.configuration().EnabledLinks() {
			names = append(names, k.Interface)
		}
		return devices(names)
	}
	ctx, cancel := context.WithCancel(p.group.ctx)
	s.cancel = cancel
	p.group.start(funcTask{s.String(), func(context.Context) error {
		defer close(s.done)
		defer cancel()
		return s.Run(ctx)
	}})
	return s
}

// usersOf are those who may use a section, with their passwords; nil: everybody.
func usersOf(cfg *config.Config, c config.SOCKS) map[string]string {
	if !c.AuthUser {
		return nil
	}
	users := make(map[string]string)
	for _, u := range cfg.Users {
		if u.Enabled && !u.Password.IsZero() {
			users[u.Name] = u.Password.Text()
		}
	}
	return users
}

// setUsers changes who may use the server, and reports whether that differs.
func (s *proxyServer) setUsers(users map[string]string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if maps.Equal(users, s.users) {
		return false
	}
	s.users = users
	if s.server != nil {
		s.server.SetUsers(users)
	}
	return true
}

// direct are the connections that are no multipath ones, at most a given number.
func (s *proxyServer) direct(most int) (list []stats.ProxyStream) {
	server := s.serverNow()
	if server == nil || most <= 0 {
		return nil
	}
	for _, c := range server.Connections(2 * shownStreams) {
		if _, multipath := c.Out.(*streams.Stream); c.Out == nil || multipath || len(list) == most {
			continue
		}
		list = append(list, stats.ProxyStream{Client: c.From.Addr().Unmap().String(), Destination: c.To.String(), Direct: true,
			AgeSeconds: stats.Seconds(time.Since(c.Since)), Subflows: []stats.ProxySubflow{}})
	}
	return list
}
