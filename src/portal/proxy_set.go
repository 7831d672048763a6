package portal

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync"

	"mpproxy/src/config"
	"mpproxy/src/stats"
)

// proxySet is the servers of the socks sections of a configuration. Safe for concurrent use, except follow.
type proxySet struct {
	run     *running
	make    func(cfg *config.Config, c config.SOCKS) *proxyServer // with what the role decides
	mu      sync.Mutex                                            // guards what follows
	servers []*proxyServer
	retired []*proxyServer // whose last clients are still there
	past    stats.Proxy    // sums of those whose clients have gone
}

// follow makes the servers those of a configuration. A section that is the same goes on with its clients, also with other
// users; one that is not the same takes no more, and the clients of one that is gone end. It says what changed, one
// phrase each.
func (p *proxySet) follow(next *config.Config) (changes []string) {
	var kept, gone []*proxyServer
	for _, s := range p.running() {
		if !slices.ContainsFunc(next.SOCKS, func(c config.SOCKS) bool { return reflect.DeepEqual(c, s.section) }) {
			s.retire()
			gone = append(gone, s)
			changes = append(changes, "proxy "+s.section.Name+" is not as before")
			continue
		}
		kept = append(kept, s)
		if s.setRules(next.RulesFor(config.TargetProxy)) {
			changes = append(changes, "what is led into proxy "+s.section.Name)
		}
		if s.setUsers(usersOf(next, s.section)) {
			changes = append(changes, "users of proxy "+s.section.Name)
		}
	}
	for _, c := range next.SOCKS {
		if c.Enabled && !slices.ContainsFunc(kept, func(s *proxyServer) bool { return s.section.Name == c.Name }) {
			kept = append(kept, p.serve(next, c))
			changes = append(changes, "proxy "+c.Name)
		}
	}
	p.mu.Lock()
	p.servers, p.retired = kept, append(p.retired, gone...)
	retired := slices.Clone(p.retired)
	p.mu.Unlock()
	for _, s := range retired {
		s.outlive(next)
	}
	p.forgetRetired()
	return changes
}

// outlive tells a retired server of another configuration: its clients are as welcome as those of the section that has its name
// now, and end if there is none.
func (s *proxyServer) outlive(next *config.Config) {
	i := slices.IndexFunc(next.SOCKS, func(c config.SOCKS) bool { return c.Enabled && c.Name == s.section.Name })
	if i < 0 {
		s.cancel()
		return
	}
	s.setUsers(usersOf(next, next.SOCKS[i]))
}

// serve starts the server of a section.
func (p *proxySet) serve(cfg *config.Config, c config.SOCKS) *proxyServer {
	s := p.make(cfg, c)
	s.run, s.section, s.users, s.rules = p.run, c, usersOf(cfg, c), cfg.RulesFor(config.TargetProxy)
	s.done, s.fresh, s.open = make(chan struct{}), make(chan struct{}, 1), make(map[netip.AddrPort]*net.TCPListener)
	ctx, cancel := context.WithCancel(p.run.group.ctx)
	s.cancel = cancel
	p.run.group.start(funcTask{s.String(), func(context.Context) error {
		defer close(s.done)
		defer cancel()
		return s.Run(ctx)
	}})
	return s
}

// running are the servers now.
func (p *proxySet) running() []*proxyServer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.servers)
}

// forgetRetired keeps the sums of servers whose last client has gone.
func (p *proxySet) forgetRetired() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = slices.DeleteFunc(p.retired, func(s *proxyServer) bool {
		select {
		case <-s.done:
			s.addTo(&p.past)
			return true
		default:
			return false
		}
	})
}

// sums are those of all servers so far, and where they listen.
func (p *proxySet) sums() stats.Proxy {
	p.forgetRetired()
	p.mu.Lock()
	out := p.past
	servers := slices.Concat(p.servers, p.retired)
	p.mu.Unlock()
	out.Listen = []string{}
	for _, s := range servers {
		s.addTo(&out)
	}
	slices.Sort(out.Listen)
	return out
}
