// Package enginetest runs two tunnels against each other over simulated links in virtual time: seconds of traffic in
// milliseconds, and the same result every time for the same seed.
//
//	router side                                             server side
//	app -> Tunnel -> seal -> link i up   (linksim) -> open -> Tunnel -> app
//	app <- Tunnel <- open <- link i down (linksim) <- seal <- Tunnel <- app
package enginetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
	"mpproxy/src/linksim"
)

// The inner addresses of the two ends.
var (
	ClientAddr = netip.MustParseAddr("10.99.0.2")
	ServerAddr = netip.MustParseAddr("10.99.0.1")
	everything = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
)

// Link is a link under the tunnel, each direction with its own parameters.
type Link struct{ Up, Down linksim.Params }

// Same makes a link of equal directions.
func Same(p linksim.Params) Link { return Link{p, p} }

// Config describes a World.
type Config struct {
	Links []Link
	Seed  uint64
	// Local and Remote adjust the tunnels' parameters.
	Adjust func(p *engine.Params)
	// Path adjusts a path's parameters.
	Path func(i int, s *engine.PathSpec)
}

// App is a model of traffic at one end.
type App interface {
	OnPacket(now mono.Time, pkt []byte)
	Poll(now mono.Time, buf []byte) int
	NextTimeout() mono.Time
	OnTimeout(now mono.Time)
}

// World is two tunnels and what is between them.
type World struct {
	Now    mono.Time
	Router *Side
	Server *Side
	Links  []linksim.Duplex[*carried]
	// Trace, if set, is called every TraceEvery.
	Trace      func(w *World)
	TraceEvery time.Duration
	traceAt    mono.Time
	spare      []*carried
}

// carried is a sealed datagram on a link.
type carried struct {
	data []byte
	link int
}

// Side is one end.
type Side struct {
	*engine.Tunnel
	Pool   *packet.Pool
	Apps   []App
	table  session.Table
	opener session.Opener
	sealer session.Sealer
	batch  engine.Batch
	one    [1]*packet.Buf
	world  *World
	router bool
}

var (
	routerOuter = netip.MustParseAddrPort("198.51.100.1:40000")
	serverOuter = netip.MustParseAddrPort("203.0.113.1:6779")
)

// start is when a World begins: not zero, because zero means unset.
const start = mono.Time(time.Hour)

// New makes a World whose session stands and whose paths are being opened.
func New(c Config) *World {
	w := &World{Now: start, TraceEvery: 100 * time.Millisecond, traceAt: start}
	rng := rand.New(rand.NewPCG(c.Seed, 77))
	var up, down [session.SecretBytes]byte
	up[0], down[0], up[1] = 1, 2, byte(c.Seed)
	secrets := session.NewSecrets(up, down)
	w.Router = w.side(c, secrets, true, rng.Uint64)
	w.Server = w.side(c, secrets, false, rng.Uint64)
	for i, l := range c.Links {
		w.Links = append(w.Links, linksim.NewDuplex[*carried](l.Up, l.Down, rng))
		spec := engine.PathSpec{ID: uint32(i + 1), Link: uint32(i), Overhead: 28}
		if c.Path != nil {
			c.Path(i, &spec)
		}
		w.Router.OpenPath(w.Now, spec, serverOuter)
	}
	return w
}

func (w *World) side(c Config, secrets session.Secrets, router bool, random func() uint64) *Side {
	s := &Side{Pool: packet.NewPool(1 << 16), world: w, router: router}
	params := engine.Params{Initiator: router, Random: random, Seed: c.Seed + 1, Pool: s.Pool}
	if c.Adjust != nil {
		c.Adjust(&params)
	}
	s.Tunnel = engine.New(w.Now, params)
	out, in := session.Down, session.Up
	if router {
		out, in = in, out
	}
	sendKeys, _ := secrets.Keys(out, session.AES256GCM, session.Encrypt)
	receiveKeys, _ := secrets.Keys(in, session.AES256GCM, session.Encrypt)
	ids := secrets.ConnIDs()
	receiving := session.NewReceiving(receiveKeys)
	for id := uint32(0); id < engine.MaxPaths; id++ {
		s.table.Add(ids.ConnID(in, id), &session.Entry{Path: id, Receiving: receiving})
	}
	s.Start(w.Now, session.NewSending(sendKeys), ids)
	s.SetOwned(everything)
	return s
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
		w.Router.step()
		w.Server.step()
		at := mono.Min(mono.Min(w.Router.next(), w.Server.next()), until)
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
		for c, ok := w.Links[i].Up.Receive(w.Now); ok; c, ok = w.Links[i].Up.Receive(w.Now) {
			w.Server.receive(c, routerOuter.Addr(), uint16(40000+i))
		}
		for c, ok := w.Links[i].Down.Receive(w.Now); ok; c, ok = w.Links[i].Down.Receive(w.Now) {
			w.Router.receive(c, serverOuter.Addr(), serverOuter.Port())
		}
	}
}

// receive opens a datagram and gives it to the tunnel.
func (s *Side) receive(c *carried, from netip.Addr, port uint16) {
	w := s.world
	defer func() { w.spare = append(w.spare, c) }()
	b := s.Pool.Get()
	if b == nil {
		return
	}
	entry, number, plain, err := session.Open(&s.table, c.data, b.Room()[:0], &s.opener)
	if err != nil {
		b.Release()
		return
	}
	b.SetLen(len(plain))
	s.Receive(w.Now, &engine.Received{
		Buf: b, Number: number, Path: entry.Path, Wire: len(c.data) + 28, At: w.Now, Link: c.link, From: netip.AddrPortFrom(from, port),
	})
}

func (s *Side) next() mono.Time {
	at := s.Tunnel.NextTimeout()
	for _, a := range s.Apps {
		at = mono.Min(at, a.NextTimeout())
	}
	return at
}

// step runs timers, apps and tunnel until nothing is left to do now.
func (s *Side) step() {
	now := s.world.Now
	if now >= s.Tunnel.NextTimeout() {
		s.Tunnel.OnTimeout(now)
	}
	for {
		s.deliver(now)
		for _, a := range s.Apps {
			if now >= a.NextTimeout() {
				a.OnTimeout(now)
			}
			s.feed(now, a)
		}
		more := s.Poll(now, &s.batch)
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
		s.Enqueue(now, s.one[:])
	}
}

// send seals a batch onto the links.
func (s *Side) send(now mono.Time) {
	w := s.world
	for i := range s.batch.Datagrams {
		d := &s.batch.Datagrams[i]
		c := &carried{}
		if n := len(w.spare); n > 0 {
			c, w.spare = w.spare[n-1], w.spare[:n-1]
		}
		c.data = s.batch.Seal(&s.sealer, c.data[:0], i)
		link := d.Link
		if !s.router {
			link = int(d.To.Port()) - 40000
		}
		c.link = link
		to := w.Links[link].Down
		if s.router {
			to = w.Links[link].Up
		}
		if !to.Send(now, len(c.data)+28, c) {
			w.spare = append(w.spare, c)
		}
	}
	s.batch.Reset()
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

var _ = path.Up
