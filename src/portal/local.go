package portal

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
	"mpproxy/src/system"
	"mpproxy/src/transport"
)

// local is the router's role.
type local struct {
	*node.Local
	run      *running
	remote   config.Remote
	links    []config.Link
	paused   []bool
	told     []node.Link // what the engine knows of each link
	rates    rates
	configID uint64
	stands   bool
	lost     mono.Time // since when there is no session
	sys      *localSystem
	owned    []netip.Prefix
}

// startLocal builds the router's tasks.
func (p *running) startLocal() error {
	remotes := p.cfg.EnabledRemotes()
	if len(remotes) == 0 {
		return fmt.Errorf("%s: no remote is enabled", p.ConfigFile)
	}
	p.shared = newShared(p.log, p.memory.bufs)
	mtu := innerMTU(p.cfg)
	r := &local{run: p, remote: remotes[0], links: p.cfg.EnabledLinks()}
	r.paused, r.told = make([]bool, system.MaxLinks), make([]node.Link, system.MaxLinks)
	params := node.LocalParams{Tunnel: p.tunnelParams(mtu), Random: rand.Reader}
	params.Handshake = handshake.InitiatorParams{
		Key: handshake.PrivateKey(p.cfg.Portal.PrivateKey), Server: handshake.PublicKey(r.remote.PublicKey),
		PSK: handshake.PresharedKey(r.remote.PresharedKey), Protection: protection(p.cfg.Portal.Protect), Suites: suites(p.cfg.Portal.Cipher),
	}
	rand.Read(params.Handshake.Instance[:])
	now := p.shared.clock.Now()
	r.Local, r.lost = node.NewLocal(now, params), now
	p.shared.table = &r.Table
	p.shared.tooBig = r.tooBig
	router, err := system.OpenRouter(p.systemParams(), p.log)
	if err != nil {
		return fmt.Errorf("prepare routing: %w", err)
	}
	p.atEnd(router.Close)
	if err := p.openDevice(mtu); err != nil {
		return err
	}
	watch, err := p.watch()
	if err != nil {
		return err
	}
	r.sys = newLocalSystem(r, router, watch.Changes(), mtu)
	p.config.role = r
	p.startLoop(r)
	p.group.start(r.sys)
	p.startControl(r.handle)
	return nil
}

// receive takes what a socket read.
func (r *local) receive(now mono.Time, b *rxBatch) {
	for _, h := range b.handshake {
		r.Handshake(now, b.link, h.Data)
	}
	for i := range b.opened {
		r.Receive(now, b.opened[i].owner, &b.opened[i].Received)
	}
}

func (r *local) deliver(write func([]*packet.Buf)) { write(r.Delivered()) }

func (r *local) markBusy(link int, busy bool) {
	if id, ok := r.LinkPath(link); ok {
		if p := r.Path(id); p != nil {
			p.Busy = busy
		}
	}
}

// after looks at what the server has told, and whether the session still stands.
func (r *local) after(now mono.Time) {
	logNotices(r.run.log, r.Notices(now))
	_, _, _, ok := r.Session()
	down, heard := r.AllDown()
	up := ok && !down
	if up != r.stands {
		r.stands = up
		if up {
			r.run.log.Info("connected", "server", r.remote.Name)
		} else {
			r.lost = mono.Min(now, heard)
			r.run.log.Warn("no answer from the server on any link", "server", r.remote.Name, "why", r.Trouble())
		}
		r.sys.session(up)
	}
	blob, id := r.PeerConfig()
	if id == r.configID || blob == nil {
		return
	}
	r.configID = id
	c, err := wire.ParseSessionConfig(blob)
	if err != nil {
		r.run.log.Error("the server's settings make no sense", "err", err)
		return
	}
	var owned []netip.Prefix
	for _, a := range []netip.Prefix{c.Address4, c.Address6} {
		if a.IsValid() {
			owned = append(owned, netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
		}
	}
	r.owned = owned
	r.SetOwned(owned)
	if int(c.MTU) >= minInnerMTU && int(c.MTU) < r.MTU() {
		r.SetMTU(int(c.MTU))
	}
	r.sys.configure(c, r.MTU())
}

// minInnerMTU is IPv6's.
const minInnerMTU = 1280

// tooBig is called by senders.
func (r *local) tooBig(link, size int) {
	go r.run.shared.do(r.run.group.ctx, func(mono.Time) {
		if id, ok := r.LinkPath(link); ok {
			if p := r.Path(id); p != nil {
				p.MTU.TooBig(size)
			}
		}
	})
}

// handle answers the control socket.
func (r *local) handle(ctx context.Context, q control.Request) (any, error) {
	switch q.Cmd {
	case control.CmdStatus:
		var s stats.Status
		if !r.run.shared.do(ctx, func(now mono.Time) { s = r.status(now) }) {
			return nil, ctx.Err()
		}
		return s, nil
	case control.CmdLink:
		return nil, r.setPaused(ctx, q.Link, q.Action)
	}
	return nil, fmt.Errorf("'%s' is not a command", q.Cmd)
}

// setLink tells the engine about a link, in the loop.
func (r *local) setLink(now mono.Time, i int, l node.Link) {
	r.told[i] = l
	if r.paused[i] {
		l.Up = false
	}
	l.Metric, l.Overflow = r.links[i].Metric, r.links[i].Overflow
	l.Limit = int64(r.links[i].UploadBitsPerSecond / 8)
	r.SetLink(now, i, l)
}

// localSystem watches the system's links and keeps routes and addresses as they should be.
type localSystem struct {
	portal  *local
	router  *system.Router
	changes <-chan system.Event
	log     *slog.Logger
	names   *resolver
	links   []watchedLink
	config  chan func()
	tunnel  system.Tunnel
	up      atomic.Bool
	since   time.Time      // of the session's present state
	direct  bool           // the LAN goes direct for want of a session
	set     bool           // the tunnel is configured
	states  []atomic.Value // of stats.LinkState, for status
}

// watchedLink is what is known of a link's device.
type watchedLink struct {
	state   system.LinkState
	why     stats.LinkState
	remote  netip.AddrPort
	socket  *socket
	source  netip.Addr
	trouble string
}

func newLocalSystem(r *local, router *system.Router, changes <-chan system.Event, mtu int) *localSystem {
	s := &localSystem{
		portal: r, router: router, changes: changes, log: r.run.log, links: make([]watchedLink, system.MaxLinks), states: make([]atomic.Value, system.MaxLinks),
		config: make(chan func(), 8), since: time.Now(),
		tunnel: system.Tunnel{Device: r.run.cfg.Portal.Device, MTU: mtu, LAN: r.run.cfg.Portal.Local.LAN},
	}
	s.names = newResolver(r.remote)
	return s
}

func (s *localSystem) String() string { return "system" }

// Run reacts to changes, and looks around now and then.
func (s *localSystem) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer s.closeSockets()
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
		case <-tick.C:
			s.look(ctx)
		}
	}
}

// changed reacts to one event: a lost carrier at once.
func (s *localSystem) changed(ctx context.Context, e system.Event) {
	if e.Kind == system.CarrierLost {
		for i := range s.portal.links {
			if s.portal.links[i].Interface == e.Device {
				s.portal.run.shared.do(ctx, func(now mono.Time) { s.portal.Carrier(now, i, false) })
			}
		}
	}
	s.look(ctx)
	if e.Kind == system.Changed {
		if err := s.router.Repair(); err != nil {
			s.log.Warn("repair routing", "err", err)
		}
	}
}

// look finds out how every link is, and whether the LAN should go through the tunnel.
func (s *localSystem) look(ctx context.Context) {
	for i := range s.portal.links {
		s.lookAt(ctx, i)
	}
	switch late := time.Since(s.since) > directAfter; {
	case s.set && !s.direct && !s.up.Load() && late && !s.portal.run.cfg.Portal.Local.KillSwitch:
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

// lookAt resolves one link and tells the engine when something changed.
func (s *localSystem) lookAt(ctx context.Context, i int) {
	l, w := s.portal.links[i], &s.links[i]
	if l.Name == "" {
		return // was removed
	}
	state, err := s.router.Resolve(l.Interface)
	if err != nil {
		state = system.LinkState{Device: l.Interface}
	}
	remote, source := s.names.endpoint(state)
	why := linkWhy(err, state, source)
	if why == w.why && remote == w.remote && source == w.source && state.Index == w.state.Index &&
		state.Gateway4 == w.state.Gateway4 && state.Gateway6 == w.state.Gateway6 && (w.socket != nil || why != stats.LinkUp) {
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
	s.log.Info("link", "name", l.Name, "device", l.Interface, "state", string(why), "address", source, "server", remote)
	s.portal.run.shared.do(ctx, func(now mono.Time) {
		s.portal.setLink(now, i, node.Link{Up: ready, Endpoint: remote, Source: source})
	})
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
	udp, err := transport.ListenUDP(transport.Options{
		Device: s.portal.links[i].Interface, Mark: p.systemParams().LinkMark(i), Clock: p.shared.clock,
	})
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
	if err := s.router.SetTunnel(s.tunnel); err != nil {
		s.log.Error("set up the tunnel's addresses and routes", "err", err)
	}
}
