// Package enginetest runs two whole portals against each other over simulated links in virtual time: seconds of traffic
// in milliseconds, and the same result every time for the same seed.
//
//	router side                                                        server side
//	app -> node.Local -> seal -> link i up   (linksim) -> open -> node.Remote -> app
//	app <- node.Local <- open <- link i down (linksim) <- seal <- node.Remote <- app
package enginetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
	"mpproxy/src/linksim"
)

// The inner addresses of the two ends.
var (
	ClientAddr  = netip.MustParseAddr("10.99.0.2")
	ClientAddr6 = netip.MustParseAddr("fd00:99::2")
	ServerAddr6 = netip.MustParseAddr("fd00:99::1")
	ServerAddr  = netip.MustParseAddr("10.99.0.1")
	everything  = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
)

// Link is a link under the tunnel, each direction with its own parameters.
type Link struct{ Up, Down linksim.Params }

// Same makes a link of equal directions.
func Same(p linksim.Params) Link { return Link{p, p} }

// Config describes a World.
type Config struct {
	Links []Link
	Seed  uint64
	// Shared, if set, is a bottleneck that links lead into.
	Shared *Shared
	// Adjust changes the tunnels' parameters.
	Adjust func(p *engine.Params)
	// Link adjusts what the router is told of a link.
	Link func(i int, l *node.Link)
	// Local, Remote and Peer adjust what router and server are made with.
	Local  func(p *node.LocalParams)
	Remote func(p *node.RemoteParams)
	Peer   func(p *node.PeerParams)
}

// App is a model of traffic at one end.
type App interface {
	OnPacket(now mono.Time, pkt []byte)
	Poll(now mono.Time, buf []byte) int
	NextTimeout() mono.Time
	OnTimeout(now mono.Time)
}

// World is two portals and what is between them.
type World struct {
	Now    mono.Time
	Router *Side
	Server *Side
	Local  *node.Local
	Remote *node.Remote
	Peer   *node.Peer
	Links  []linksim.Duplex[*carried]
	// Trace, if set, is called every TraceEvery.
	Trace      func(w *World)
	TraceEvery time.Duration
	// Tamper, if set, sees every datagram before it goes onto a link; what it returns goes on.
	Tamper func(up bool, link int, data []byte) [][]byte
	// NAT, if set, gives the source address the server sees for a link.
	NAT func(link int) netip.AddrPort
	// Stray, if set, gets what the server sends to an address that is no link's.
	Stray   func(to netip.AddrPort, data []byte)
	traceAt mono.Time
	spare   []*carried
	events  []event
	twin    *Side
	shared  *shared
	config  Config
	secrets *secrets
}

// secrets are the long-term keys of a World.
type secrets struct {
	router, server handshake.PrivateKey
	random         *rand.ChaCha8
	rng            *rand.Rand
}

// carried is a sealed datagram on a link.
type carried struct {
	data []byte
	link int
	to   netip.AddrPort
	from netip.AddrPort // as the NAT translated it
}

// Side is one end: the tunnel, and what feeds it.
type Side struct {
	*engine.Tunnel
	Pool   *packet.Pool
	Apps   []App
	Errors map[error]int // of datagrams that did not open
	// Skew is how far the side's clock is ahead of the World's.
	Skew time.Duration
	// Rewrite, if set, gives a datagram another content; nil leaves it.
	Rewrite func(d *engine.Datagram) []byte
	local   *node.Local // nil at the server
	node    portal
	table   *session.Table
	opener  session.Opener
	sealer  session.Sealer
	batch   engine.Batch
	one     [1]*packet.Buf
	world   *World
}

// portal is what node.Local and node.Remote have in common.
type portal interface {
	NextTimeout() mono.Time
	OnTimeout(now mono.Time)
	Poll(now mono.Time, out *engine.Batch) bool
	Enqueue(now mono.Time, batch []*packet.Buf)
}

var serverOuter = netip.MustParseAddrPort("203.0.113.1:6779")

var suites = []session.Suite{session.AES256GCM}

// start is when a World begins: not zero, because zero means unset.
const start = mono.Time(time.Hour)

// New makes a World whose router is about to shake hands.
func New(c Config) *World {
	var seed [32]byte
	seed[0], seed[1] = byte(c.Seed), byte(c.Seed>>8)
	w := &World{Now: start, TraceEvery: 100 * time.Millisecond, traceAt: start, config: c}
	w.secrets = &secrets{random: rand.NewChaCha8(seed), rng: rand.New(rand.NewPCG(c.Seed, 77))}
	w.secrets.router, _ = handshake.GenerateKey(w.secrets.random)
	w.secrets.server, _ = handshake.GenerateKey(w.secrets.random)
	w.NAT = func(link int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(link + 1)}), uint16(40000+link))
	}
	for _, l := range c.Links {
		w.Links = append(w.Links, linksim.NewDuplex[*carried](l.Up, l.Down, w.secrets.rng))
	}
	if c.Shared != nil {
		w.join(*c.Shared)
	}
	w.StartServer()
	w.StartRouter()
	return w
}

// StartServer starts the server, as new: what it knew before is gone.
func (w *World) StartServer() {
	apps := []App(nil)
	if w.Server != nil {
		apps = w.Server.Apps
		w.Server.Close(w.Now)
	}
	s := &Side{Pool: packet.NewPool(1 << 16), world: w, Apps: apps, Errors: map[error]int{}}
	if w.Server != nil {
		s.Skew = w.Server.Skew
	}
	p := node.RemoteParams{Key: w.secrets.server, Suites: suites, Tunnel: w.params(s), Random: w.secrets.random}
	if w.config.Remote != nil {
		w.config.Remote(&p)
	}
	w.Remote = node.NewRemote(p)
	peer := node.PeerParams{
		Name: "router", Key: w.secrets.router.Public(), Owned: []netip.Prefix{netip.PrefixFrom(ClientAddr, 32), netip.PrefixFrom(ClientAddr6, 128)},
		Config: wire.SessionConfig{Address4: netip.PrefixFrom(ClientAddr, 24), Peer4: ServerAddr, MTU: 1420}.Append(nil),
	}
	if w.config.Peer != nil {
		w.config.Peer(&peer)
	}
	w.Peer, _ = w.Remote.AddPeer(s.now(), peer)
	s.Tunnel, s.node, s.table = w.Peer.Tunnel, w.Remote, &w.Remote.Table
	w.Server = s
}

// StartRouter starts the router, as new.
func (w *World) StartRouter() {
	apps := []App(nil)
	if w.Router != nil {
		apps = w.Router.Apps
		w.Router.Close(w.Now)
	}
	s := &Side{Pool: packet.NewPool(1 << 16), world: w, Apps: apps, Errors: map[error]int{}}
	if w.Router != nil {
		s.Skew = w.Router.Skew
	}
	w.boot(s)
	w.Local, w.Router = s.local, s
	for i := range w.Links {
		w.Local.SetLink(s.now(), i, w.link(i))
	}
}

// boot makes a side a router, as new.
func (w *World) boot(s *Side) {
	p := node.LocalParams{Tunnel: w.params(s), Random: w.secrets.random}
	p.Handshake = handshake.InitiatorParams{Key: w.secrets.router, Server: w.secrets.server.Public(), Suites: suites}
	w.secrets.random.Read(p.Handshake.Instance[:])
	if w.config.Local != nil {
		w.config.Local(&p)
	}
	s.local = node.NewLocal(s.now(), p)
	s.local.SetOwned(everything)
	s.Tunnel, s.node, s.table = s.local.Tunnel, s.local, &s.local.Table
}

func (w *World) params(s *Side) engine.Params {
	p := engine.Params{Random: w.secrets.rng.Uint64, Seed: w.config.Seed + 1, Pool: s.Pool}
	if w.config.Adjust != nil {
		w.config.Adjust(&p)
	}
	return p
}

func (w *World) link(i int) node.Link {
	l := node.Link{Up: true, Endpoint: serverOuter}
	if w.config.Link != nil {
		w.config.Link(i, &l)
	}
	return l
}

// Run advances the World by d.
func (w *World) Run(d time.Duration) {
	until := w.Now.Add(d)
	stuck, last := 0, w.Now
	for {
		if stuck++; w.Now > last {
			stuck, last = 0, w.Now
		}
		if stuck > 100000 {
			panic("enginetest: time stands still: " + w.Router.Describe() + w.Server.Describe())
		}
		at := until
		for _, s := range w.sides() {
			s.step()
		}
		w.stepOutside()
		for _, s := range w.sides() {
			at = mono.Min(at, s.next())
		}
		at = mono.Min(at, mono.Min(w.nextEvent(), w.shared.next()))
		for _, l := range w.Links {
			at = mono.Min(at, l.Next())
		}
		if w.Trace != nil {
			at = mono.Min(at, w.traceAt)
		}
		if at >= until {
			w.Now = until
			return
		}
		w.Now = mono.Max(w.Now, at)
		w.happen()
		w.arrivals()
		if w.Trace != nil && w.Now >= w.traceAt {
			w.Trace(w)
			w.traceAt = w.Now.Add(w.TraceEvery)
		}
	}
}

// arrivals takes what is due from the links.
func (w *World) arrivals() {
	for i := range w.Links {
		if w.shared.has(i) {
			continue
		}
		for c, ok := w.Links[i].Up.Receive(w.Now); ok; c, ok = w.Links[i].Up.Receive(w.Now) {
			w.Server.Datagram(i, c.from, c.data)
			w.spare = append(w.spare, c)
		}
		for c, ok := w.Links[i].Down.Receive(w.Now); ok; c, ok = w.Links[i].Down.Receive(w.Now) {
			w.atRouter(c)
			w.spare = append(w.spare, c)
		}
	}
	w.pass()
}

// atRouter gives the router what came down a link, if it is for the address that the link has.
func (w *World) atRouter(c *carried) {
	if c.to == w.NAT(c.link) {
		w.routerOn(c.link).Datagram(c.link, serverOuter, c.data)
	}
}

// Datagram gives the side a datagram that came from an address.
func (s *Side) Datagram(link int, from netip.AddrPort, data []byte) {
	now := s.now()
	if wire.Kind(data) != wire.KindData {
		if s.local != nil {
			s.local.Handshake(now, link, data)
		} else {
			s.world.Remote.Handshake(now, 0, from, netip.Addr{}, data)
		}
		return
	}
	b := s.Pool.Get()
	if b == nil {
		return
	}
	entry, number, plain, err := session.Open(s.table, data, b.Room()[:0], &s.opener)
	if err != nil {
		s.Errors[err]++
		b.Release()
		return
	}
	b.SetLen(len(plain))
	r := &engine.Received{Buf: b, Number: number, Path: entry.Path, Wire: len(data) + 28, At: now, Link: link, From: from}
	if s.local != nil {
		s.local.Receive(now, entry.Owner, r)
		return
	}
	r.Link = 0
	s.world.Remote.Receive(now, entry.Owner, r)
}

func (s *Side) next() mono.Time {
	at := s.node.NextTimeout()
	if at != mono.Never {
		at = at.Add(-s.Skew)
	}
	for _, a := range s.Apps {
		at = mono.Min(at, a.NextTimeout())
	}
	return at
}

// step runs timers, apps and tunnel until nothing is left to do now.
func (s *Side) step() {
	now := s.world.Now
	if s.now() >= s.node.NextTimeout() {
		s.node.OnTimeout(s.now())
	}
	for {
		s.deliver(now)
		for _, a := range s.Apps {
			if now >= a.NextTimeout() {
				a.OnTimeout(now)
			}
			s.feed(now, a)
		}
		more := s.node.Poll(s.now(), &s.batch)
		s.send(now)
		if !more {
			return
		}
	}
}

func (s *Side) deliver(now mono.Time) {
	for _, b := range s.Delivered() {
		for _, a := range s.Apps {
			a.OnPacket(now, b.Bytes())
		}
		b.Release()
	}
}

// feed gives the tunnel what an app has to send.
func (s *Side) feed(now mono.Time, a App) {
	for {
		b := s.Pool.Get()
		if b == nil {
			return
		}
		n := a.Poll(now, b.Room())
		if n == 0 {
			b.Release()
			return
		}
		b.SetLen(n)
		s.one[0] = b
		s.node.Enqueue(s.now(), s.one[:])
	}
}

// send seals a batch onto the links.
func (s *Side) send(now mono.Time) {
	for i := range s.batch.Raws {
		r := &s.batch.Raws[i]
		s.put(now, r.Link, r.To, r.Data)
	}
	for i := range s.batch.Datagrams {
		d := &s.batch.Datagrams[i]
		c := s.world.carrier()
		c.data = s.seal(c.data[:0], i)
		s.carry(now, d.Link, d.To, c)
	}
	s.batch.Reset()
}

func (s *Side) seal(dst []byte, i int) []byte {
	d := &s.batch.Datagrams[i]
	if s.Rewrite != nil {
		if plain := s.Rewrite(d); plain != nil {
			return s.sealer.SealDatagram(d.Sending.Keys(d.Epoch), dst, d.Epoch, d.ConnID, d.Path, d.Number, plain)
		}
	}
	return s.batch.Seal(&s.sealer, dst, i)
}

func (w *World) carrier() *carried {
	if n := len(w.spare); n > 0 {
		c := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return c
	}
	return &carried{}
}

func (s *Side) put(now mono.Time, link int, to netip.AddrPort, data []byte) {
	c := s.world.carrier()
	c.data = append(c.data[:0], data...)
	s.carry(now, link, to, c)
}

// carry puts a datagram onto the link it belongs to.
func (s *Side) carry(now mono.Time, link int, to netip.AddrPort, c *carried) {
	w := s.world
	up := s.local != nil
	if !up {
		if link = w.linkOf(to); link < 0 {
			if w.Stray != nil {
				w.Stray(to, c.data)
			}
			return
		}
	}
	if w.Tamper != nil {
		for _, data := range w.Tamper(up, link, c.data) {
			w.onto(now, up, link, to, data)
		}
		return
	}
	w.onto(now, up, link, to, c.data)
	w.spare = append(w.spare, c)
}

func (w *World) onto(now mono.Time, up bool, link int, to netip.AddrPort, data []byte) {
	c := w.carrier()
	c.data, c.link, c.to = append(c.data[:0], data...), link, to
	wireTo := w.Links[link].Down
	if up {
		c.from = w.NAT(link)
		wireTo = w.Links[link].Up
	}
	if !wireTo.Send(now, len(data)+28, c) {
		w.spare = append(w.spare, c)
	}
}

// linkOf finds the link by the address that the server sends to.
func (w *World) linkOf(to netip.AddrPort) int {
	for i := range w.Links {
		if w.NAT(i) == to {
			return i
		}
	}
	return -1
}

// Ceiling is what a rate in bit/s leaves for TCP payload inside the tunnel, in bit/s.
func Ceiling(rate int64, loss float64, mtu int) float64 {
	outer := mtu + 28 + wire.HeaderBytes + engine.FrameBytes + wire.TagBytes
	return float64(rate) * (1 - loss) * float64(mtu-52) / float64(outer)
}

// Describe is a line of trace: every path of a side.
func (s *Side) Describe() string {
	out := ""
	for _, p := range s.Paths() {
		inflight, n := p.Sent.Inflight()
		out += fmt.Sprintf("  [%d %s %s bw %.2fM pace %.2fM win %d fl %d/%d q %.1fms srtt %.1f min %.1f loss %.2f%% late %v mtu %d]",
			p.ID, p.State(), p.CC.State(), mbit(p.CC.Bandwidth()), mbit(p.Rate()), p.CC.Window(), inflight, n,
			ms(p.Queue(s.world.Now)), ms(p.Sent.RTT.Smoothed()), ms(p.Sent.RTT.Min()), float64(p.Loss())/655.36, p.Sent.Reordered(), p.MTU.Size())
	}
	return out
}

func mbit(bytesPerSecond int64) float64 { return float64(bytesPerSecond) * 8 / 1e6 }

func ms(d time.Duration) float64 { return float64(d) / 1e6 }
