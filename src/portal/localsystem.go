package portal

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
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
	places  directory
	links   []watchedLink
	config  chan func()
	want    config.Portal // what is in force
	tunnel  system.Tunnel
	offered []netip.Addr // name servers that the server offers
	up      atomic.Bool
	lost    atomic.Pointer[time.Time] // when there was a session last; nil: never
	since   time.Time                 // of the session's present state
	direct  bool                      // the LAN goes direct for want of a session
	set     bool                      // the tunnel is configured
	refused atomic.Pointer[error]
	broken  bool           // a repair failed: try again at the next look
	said    string         // what was last said about look-ups and IPv6
	states  []atomic.Value // of stats.LinkState, for status
	caps    *caps
	capped  []verdict // as the loop was told
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
		tunnel: system.Tunnel{Device: r.run.cfg.Portal.Device, MTU: mtu}, places: directory{configFile: r.run.ConfigFile},
		caps: newCaps(r.run.ConfigFile, r.run.Socket, r.run.log), capped: make([]verdict, system.MaxLinks),
	}
	s.places.look()
	var there bool
	if s.wans, there = newWANs(); there {
		r.run.group.start(s.wans)
	}
	s.derive()
	s.names = newResolver(r.remote)
	return s
}

// String names the task in logs.
func (s *localSystem) String() string { return "system" }

// Run reacts to changes, and looks around now and then.
func (s *localSystem) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer s.closeSockets()
	defer func() { s.caps.keep(s.portal.run.configuration().Links, true) }()
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
		s.places.look()
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

// look finds out how every link is, and whether the LAN should go through the tunnel.
func (s *localSystem) look(ctx context.Context) {
	s.places.look()
	for i := range s.portal.links {
		s.lookAt(ctx, i)
	}
	s.caps.keep(s.portal.run.configuration().Links, false)
	switch {
	case s.goesDirect(time.Since(s.since)):
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

// goesDirect reports that the LAN is to go direct, after the session's present state has lasted so long.
func (s *localSystem) goesDirect(lasted time.Duration) bool {
	return s.set && !s.direct && !s.up.Load() && lasted > directAfter && !s.want.Local.KillSwitch
}

// errSameDevice: one link is one device, with all its addresses.
func errSameDevice(device, other string) error {
	return fmt.Errorf("%s is the device of link %s already, with all its addresses", device, other)
}

// resolve finds a link's device and its state.
func (s *localSystem) resolve(i int) (place, system.LinkState, error) {
	name := s.portal.links[i].Interface
	at := s.wans.find(name, s.places.place(name))
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
	s.cap(ctx, i, state)
	mark := s.router.SocketMark(i)
	remote, source := s.names.endpointOver(i, state, look{servers: at.servers, mark: mark})
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
		s.portal.devices[i], s.portal.seen[i] = at.device, seenLink{state, at.servers, mark}
		if err == nil && state.Index != 0 { // one that is gone may come back
			s.portal.open.move(l.Name, at.device)
		}
		s.portal.setLink(now, i, node.Link{Up: ready, Endpoint: remote, Source: source})
	})
}

// cap counts what a link carried and does what its data cap asks for.
func (s *localSystem) cap(ctx context.Context, i int, state system.LinkState) {
	asked := s.caps.count(s.portal.links[i], state)
	if asked == s.capped[i] {
		return
	}
	s.capped[i] = asked
	s.portal.run.shared.do(ctx, func(now mono.Time) {
		s.portal.capped[i] = asked
		s.portal.reuse(now, i)
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
	udp, err := transport.ListenUDP(transport.Options{Device: w.device, Mark: s.router.SocketMark(i), Clock: p.shared.clock, NoOffload: p.mode.safe()})
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
