package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/user"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
	"mpproxy/src/system"
	"mpproxy/src/transport"
)

// localSystem watches the system's links and keeps routes, addresses, look-ups and the guard as they should be.
type localSystem struct {
	portal  *local
	router  *system.Router
	changes <-chan system.Event
	log     *slog.Logger
	names   *resolver
	wans    *wans
	links   []watchedLink
	config  chan func()
	want    config.Portal // what is in force
	tunnel  system.Tunnel
	offered []netip.Addr // name servers that the server offers
	up      atomic.Bool
	since   time.Time // of the session's present state
	direct  bool      // the LAN goes direct for want of a session
	set     bool      // the tunnel is configured
	refused atomic.Pointer[error]
	broken  bool           // a repair failed: try again at the next look
	said    string         // what was last said about look-ups and IPv6
	states  []atomic.Value // of stats.LinkState, for status
}

// watchedLink is what is known of a link's device.
type watchedLink struct {
	device  string
	state   system.LinkState
	why     stats.LinkState
	remote  netip.AddrPort
	socket  *socket
	source  netip.Addr
	trouble string
}

func newLocalSystem(r *local, router *system.Router, mtu int) *localSystem {
	s := &localSystem{
		portal: r, router: router, log: r.run.log, links: make([]watchedLink, system.MaxLinks), states: make([]atomic.Value, system.MaxLinks),
		config: make(chan func(), 8), since: time.Now(), want: r.run.cfg.Portal,
		tunnel: system.Tunnel{Device: r.run.cfg.Portal.Device, MTU: mtu},
	}
	var there bool
	if s.wans, there = newWANs(); there {
		r.run.group.start(s.wans)
	}
	s.derive()
	s.names = newResolver(r.remote)
	return s
}

// derive follows what is wanted for the tunnel.
func (s *localSystem) derive() {
	s.tunnel.Own, s.tunnel.IPv6 = s.want.Local.RouterTraffic, ipv6Policy(s.want.Local.IPv6)
	s.tunnel.LAN = lanDevices(s.portal.run.ConfigFile, s.wans.devices(s.want.Local.LAN))
}

// rewant applies other options of the portal, and says which.
func (s *localSystem) rewant(next config.Portal) (changes []string, err error) {
	old := s.want
	s.want = next
	for _, o := range []struct {
		name string
		same bool
	}{
		{"LAN devices", slices.Equal(old.Local.LAN, next.Local.LAN)}, {"kill_switch", old.Local.KillSwitch == next.Local.KillSwitch},
		{"dns", old.Local.DNS == next.Local.DNS && slices.Equal(old.DNSServers, next.DNSServers)},
		{"ipv6", old.Local.IPv6 == next.Local.IPv6}, {"router_traffic", old.Local.RouterTraffic == next.Local.RouterTraffic},
	} {
		if !o.same {
			changes = append(changes, o.name)
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	s.derive()
	err = s.guard()
	if s.set && !s.direct {
		s.setTunnel()
	}
	return changes, err
}

func ipv6Policy(p config.IPv6) system.IPv6Policy {
	switch p {
	case config.IPv6Reject:
		return system.IPv6Reject
	case config.IPv6Direct:
		return system.IPv6Direct
	}
	return system.IPv6Tunnel
}

func (s *localSystem) String() string { return "system" }

// Run reacts to changes, and looks around now and then.
func (s *localSystem) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer s.closeSockets()
	s.adapt(ctx)
	s.look(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-s.config:
			f()
		case e := <-s.changes:
			s.changed(ctx, e)
		case <-s.names.fresh:
			s.look(ctx)
		case <-s.wans.fresh:
			s.relocate()
			s.look(ctx)
		case <-tick.C:
			if s.broken {
				s.repair()
			}
			s.look(ctx)
		}
	}
}

// changed reacts to one event: to a lost carrier or table at once.
func (s *localSystem) changed(ctx context.Context, e system.Event) {
	switch e.Kind {
	case system.TableGone:
		s.repair()
		return
	case system.CarrierLost:
		for i := range s.links {
			if s.links[i].device == e.Device {
				s.portal.run.shared.do(ctx, func(now mono.Time) { s.portal.Carrier(now, i, false) })
			}
		}
	case system.Changed:
		s.wans.poke()
		s.adapt(ctx)
		s.relocate()
	}
	s.look(ctx)
	if e.Kind == system.Changed {
		s.repair()
	}
}

// repair puts back what somebody took away.
func (s *localSystem) repair() {
	err := s.router.Repair()
	s.broken = err != nil
	if err != nil {
		s.log.Warn("repair routing", "err", err)
	}
}

// adapt finds the place of our rules among others'.
func (s *localSystem) adapt(ctx context.Context) {
	marks, err := s.router.Adapt(config.MwanMask(s.portal.run.ConfigFile))
	if err != nil {
		s.log.Warn("find a place among others' rules", "err", err)
	}
	for i := range s.links {
		if marks {
			s.closeSocket(ctx, i) // it opens again with another mark
		}
	}
}

// relocate looks whether the LAN is behind other devices now.
func (s *localSystem) relocate() {
	lan := lanDevices(s.portal.run.ConfigFile, s.wans.devices(s.want.Local.LAN))
	if slices.Equal(lan, s.tunnel.LAN) {
		return
	}
	s.log.Info("the LAN is behind other devices now", "devices", lan)
	s.tunnel.LAN = lan
	if err := s.guard(); err != nil {
		s.log.Error("change the kill switch's guard", "err", err)
	}
	if s.set && !s.direct {
		s.setTunnel()
	}
}

// guard puts the kill switch's guard up or takes it away, as configured.
func (s *localSystem) guard() error {
	if !s.want.Local.KillSwitch {
		return s.router.SetGuard(nil)
	}
	if s.want.Local.IPv6 == config.IPv6Direct {
		s.log.Warn("kill_switch '1' holds IPv6 too, so that ipv6 'direct' lets nothing out")
	}
	g := Guard(s.portal.run.ConfigFile, config.Switch{Device: s.tunnel.Device, LAN: s.want.Local.LAN, DNS: s.want.Local.DNS})
	if err := s.router.SetGuard(&g); err != nil {
		return fmt.Errorf("put up the kill switch's guard: %w", err)
	}
	return nil
}

// nameServerUser finds the user whose look-ups are the LAN's: dnsmasq's.
func nameServerUser() (uid int, ok bool) {
	u, err := user.Lookup("dnsmasq")
	if err != nil {
		return 0, false
	}
	uid, err = strconv.Atoi(u.Uid)
	return uid, err == nil && uid > 0
}

// look finds out how every link is, and whether the LAN should go through the tunnel.
func (s *localSystem) look(ctx context.Context) {
	for i := range s.portal.links {
		s.lookAt(ctx, i)
	}
	switch late := time.Since(s.since) > directAfter; {
	case s.set && !s.direct && !s.up.Load() && late && !s.want.Local.KillSwitch:
		s.log.Warn("no session: the LAN goes direct until there is one")
		s.direct = true
		if err := s.router.DropTunnel(); err != nil {
			s.log.Warn("let the LAN go direct", "err", err)
		}
	case s.direct && s.up.Load():
		s.direct = false
		s.setTunnel()
	}
}

// errSameDevice: one link is one device, with all its addresses.
func errSameDevice(device, other string) error {
	return fmt.Errorf("%s is the device of link %s already, with all its addresses", device, other)
}

// resolve finds a link's device and its state.
func (s *localSystem) resolve(i int) (place, system.LinkState, error) {
	name := s.portal.links[i].Interface
	at := s.wans.find(name, findPlace(s.portal.run.ConfigFile, name))
	for j := range i {
		if s.portal.links[j].Name != "" && s.links[j].device == at.device {
			return at, system.LinkState{}, errSameDevice(at.device, s.portal.links[j].Name)
		}
	}
	state, err := s.router.Resolve(at.device)
	if !state.Gateway4.IsValid() {
		state.Gateway4 = at.gateway4
	}
	if !state.Gateway6.IsValid() {
		state.Gateway6 = at.gateway6
	}
	return at, state, err
}

// lookAt resolves one link and tells the engine when something changed.
func (s *localSystem) lookAt(ctx context.Context, i int) {
	l, w := s.portal.links[i], &s.links[i]
	if l.Name == "" {
		return // was removed
	}
	at, state, err := s.resolve(i)
	w.device = at.device
	if err != nil {
		state = system.LinkState{Device: at.device}
		s.trouble(i, err)
	}
	remote, source := s.names.endpointOver(i, state, look{servers: at.servers, mark: s.router.SocketMark(i)})
	why := linkWhy(err, state, source)
	if why == w.why && remote == w.remote && source == w.source && sameState(state, w.state) && (w.socket != nil || why != stats.LinkUp) {
		return
	}
	s.states[i].Store(why)
	moved := w.socket != nil && (state.Index != w.state.Index || source != w.source)
	w.state, w.remote, w.source, w.why = state, remote, source, why
	if why == stats.LinkUp {
		if err := s.router.SetLink(i, state); err != nil {
			s.trouble(i, err)
		}
	}
	if moved || why == stats.LinkNoDevice {
		s.closeSocket(ctx, i)
	}
	if w.socket == nil && why == stats.LinkUp {
		s.openSocket(ctx, i)
	}
	ready := why == stats.LinkUp && w.socket != nil && remote.IsValid()
	s.log.Info("link", "name", l.Name, "device", at.device, "state", string(why), "address", source, "server", remote)
	s.portal.run.shared.do(ctx, func(now mono.Time) {
		s.portal.setLink(now, i, node.Link{Up: ready, Endpoint: remote, Source: source})
	})
}

// sameState compares what routing needs to know of a link.
func sameState(a, b system.LinkState) bool {
	return a.Index == b.Index && a.Gateway4 == b.Gateway4 && a.Gateway6 == b.Gateway6 && a.Filtered == b.Filtered &&
		slices.Equal(a.IPv4, b.IPv4) && slices.Equal(a.IPv6, b.IPv6)
}

// linkState is how a link was last seen. Safe for concurrent use.
func (s *localSystem) linkState(i int) stats.LinkState {
	if v, ok := s.states[i].Load().(stats.LinkState); ok {
		return v
	}
	return stats.LinkNoDevice
}

// trouble logs what is wrong with a link, once.
func (s *localSystem) trouble(i int, err error) {
	if w := &s.links[i]; w.trouble != err.Error() {
		w.trouble = err.Error()
		s.log.Warn("link "+s.portal.links[i].Name, "err", err)
	}
}

// linkWhy says in a word how a link is.
func linkWhy(err error, s system.LinkState, source netip.Addr) stats.LinkState {
	switch {
	case err != nil || s.Index == 0:
		return stats.LinkNoDevice
	case !s.Carrier:
		return stats.LinkNoCarrier
	case !source.IsValid():
		return stats.LinkNoAddress
	}
	return stats.LinkUp
}

func (s *localSystem) openSocket(ctx context.Context, i int) {
	p, w := s.portal.run, &s.links[i]
	udp, err := transport.ListenUDP(transport.Options{Device: w.device, Mark: s.router.SocketMark(i), Clock: p.shared.clock})
	if err != nil {
		s.trouble(i, err)
		return
	}
	w.socket = newSocket(udp, i, p.shared)
	p.shared.do(ctx, func(mono.Time) { p.addSocket(w.socket) })
}

func (s *localSystem) closeSocket(ctx context.Context, i int) {
	w := &s.links[i]
	if w.socket == nil {
		return
	}
	s.portal.run.shared.do(ctx, func(now mono.Time) {
		s.portal.run.shared.sockets[i] = nil
		s.portal.setLink(now, i, node.Link{})
	})
	w.socket.close()
	w.socket = nil
}

func (s *localSystem) closeSockets() {
	for i := range s.links {
		if k := s.links[i].socket; k != nil {
			k.close()
		}
	}
}

// session is told by the loop whether there is one.
func (s *localSystem) session(up bool) {
	s.post(func() {
		s.up.Store(up)
		s.since = time.Now()
		if up && s.direct {
			s.direct = false
			s.setTunnel()
		}
	})
}

// configure is told by the loop what the server wants the inside to be.
func (s *localSystem) configure(c wire.SessionConfig, mtu int) {
	s.post(func() {
		s.tunnel.MTU = mtu
		s.tunnel.Addresses = nil
		for _, a := range []netip.Prefix{c.Address4, c.Address6} {
			if a.IsValid() {
				s.tunnel.Addresses = append(s.tunnel.Addresses, a)
			}
		}
		s.offered = c.DNS
		if err := s.router.Overlaps(s.tunnel); err != nil {
			s.refuse(err)
			return
		}
		s.refused.Store(nil)
		s.set = true
		s.setTunnel()
	})
}

// post hands f to the system task without waiting; the queue is longer than what can be outstanding.
func (s *localSystem) post(f func()) {
	select {
	case s.config <- f:
	default:
		go func() { s.config <- f }()
	}
}

func (s *localSystem) setTunnel() {
	var dns error
	s.tunnel.DNS, dns = s.lookUps()
	if said := s.remarks(dns); said != s.said {
		s.said = said
		if said != "" {
			s.log.Warn(said)
		}
	}
	if err := s.router.SetTunnel(s.tunnel); err != nil {
		s.broken = true
		s.log.Error("set up the tunnel's addresses and routes", "err", err)
	}
}

// lookUps decides what becomes of the router's look-ups; the error says why they stay as they are against the
// configuration.
func (s *localSystem) lookUps() (*system.DNS, error) {
	portal := s.want
	if portal.Local.DNS != config.DNSTunnel {
		return nil, nil
	}
	uid, ok := nameServerUser()
	if !ok {
		return nil, errors.New("there is no user dnsmasq here")
	}
	servers := portal.DNSServers
	if len(servers) == 0 {
		servers = s.offered
	}
	// Without a resolver there the queries would go to the provider's, which answers nobody but its customers. With the
	// kill switch that is still better than to tell it what the LAN looks up.
	if len(servers) == 0 && !portal.Local.KillSwitch {
		return nil, errors.New("the server names no name server; set option dns_server")
	}
	return &system.DNS{User: uid, Resolvers: servers}, nil
}

// remarks says what the user should know about the session's inside.
func (s *localSystem) remarks(dns error) string {
	text := ""
	if dns != nil {
		text = "look-ups do not go into the tunnel: " + dns.Error()
	}
	six := slices.ContainsFunc(s.tunnel.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() })
	if !six && s.tunnel.IPv6 == system.IPv6Tunnel {
		if text != "" {
			text += "; "
		}
		text += "the server gives no IPv6: the LAN's IPv6 is refused, so that programs take IPv4 at once"
	}
	return text
}
