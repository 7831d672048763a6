package portal

import (
	"maps"
	"net"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/stats"
	"mpproxy/src/streams"
	"mpproxy/src/system"
)

// follow makes the servers those of a configuration; it says what changed, one phrase each.
func (l *localProxy) follow(next *config.Config) (changes []string) {
	changes = l.set.follow(next)
	l.followMPTCP(next)
	return changes
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

// server makes the server of a section.
func (l *localProxy) server(cfg *config.Config, c config.SOCKS) *proxyServer {
	p := l.portal.run
	p.allowStreams(streamPool)
	places := directory{configFile: p.ConfigFile}
	devices := func(names []string) []string {
		places.look()
		return places.devices(l.portal.sys.wans.devices(names))
	}
	s := &proxyServer{connector: l, guard: l.direct.Guard, names: l.direct.Names, listenUDP: l.listenUDP, way: l.datagrams, resolve: l.resolve}
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
