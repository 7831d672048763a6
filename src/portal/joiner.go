package portal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/engine"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/wire"
	"mpproxy/src/pairing"
	"mpproxy/src/system"
	"mpproxy/src/transport"
)

const (
	// greetPatience is how long a server is waited for; greetOthers how long for the other links once one has worked.
	greetPatience = 20 * time.Second
	greetOthers   = 3 * time.Second
	greetEvery    = 100 * time.Millisecond
	// greetBufs are enough for a session without traffic.
	greetBufs = 256
)

// greeting is one try to be let in by a server: a whole session over the given links, but without a TUN device, so that
// nothing on the router changes before the server has said yes.
type greeting struct {
	*node.Local
	shared *shared
	group  *group
	log    *slog.Logger
	file   string // the configuration's
	links  []JoinLink
	at     []greeted
	names  *signpost
	router *system.Router // nil: the running portal has the links' routes already
	told   func(i int, g greeted)
	config *wire.SessionConfig
}

// greeted is what is known of a link so far.
type greeted struct {
	state    system.LinkState
	socket   *socket
	open     bool
	link     node.Link
	why      string // it cannot be tried, in words
	answered time.Duration
}

// greet lets the server get to know this router. told is called as links answer or turn out to be of no use. refused is
// the server's sentence if it said no.
func greet(ctx context.Context, log *slog.Logger, cfg *config.Config, token pairing.Token, o JoinOptions, told func(i int, g greeted)) (c *wire.SessionConfig, err error) {
	ctx, cancel := context.WithTimeout(ctx, greetPatience)
	defer cancel()
	g := &greeting{shared: newShared(log, greetBufs), group: newGroup(ctx), log: log, file: o.ConfigFile, links: o.Links, at: make([]greeted, len(o.Links)), told: told}
	defer func() {
		g.group.cancel(nil)
		for i := range g.at {
			if g.at[i].socket != nil {
				g.at[i].socket.close()
			}
		}
		if g.router != nil {
			err = errors.Join(err, g.router.Close())
		}
		_ = g.group.wait()
	}()
	server, err := remoteOf(token)
	if err != nil {
		return nil, err
	}
	g.names = newSignpost(ctx, server)
	if !o.Running {
		if g.router, err = system.OpenRouter(system.DefaultParams(), log); err != nil {
			return nil, fmt.Errorf("prepare routing: %w", err)
		}
	}
	params := node.LocalParams{Random: rand.Reader, Tunnel: engine.Params{MTU: engine.DefaultMTU, Pool: g.shared.pool, Seed: randomNumber(), Random: randomNumber}}
	params.Handshake = handshake.InitiatorParams{
		Key: handshake.PrivateKey(cfg.Portal.PrivateKey), Server: token.Server, Protection: protection(cfg.Portal.Protect),
		Suites: suites(cfg.Portal.Cipher), Token: token.Proof(),
	}
	rand.Read(params.Handshake.Instance[:])
	g.Local = node.NewLocal(g.shared.clock.Now(), params)
	g.shared.table, g.shared.tooBig = &g.Table, func(int, int) {}
	g.group.start(&loop{shared: g.shared, role: g})
	return g.wait(ctx)
}

// remoteOf is the server of a token as a configuration has it.
func remoteOf(t pairing.Token) (r config.Remote, err error) {
	r = config.Remote{Enabled: true, PublicKey: t.Server, Family: config.FamilyAny}
	for _, text := range t.Endpoints {
		h, err := config.ParseHostPort(text)
		if err != nil {
			return r, fmt.Errorf("the token names a server at '%s', which is no address", text)
		}
		r.Endpoints = append(r.Endpoints, h)
	}
	return r, nil
}

// wait looks at links and server until the server has decided.
func (g *greeting) wait(ctx context.Context) (*wire.SessionConfig, error) {
	tick := time.NewTicker(greetEvery)
	defer tick.Stop()
	var since time.Time
	for {
		for i := range g.at {
			g.look(ctx, i)
		}
		var trouble string
		var refusal handshake.Refusal
		var refused bool
		g.shared.do(ctx, func(mono.Time) {
			refusal, refused = g.Refusal()
			trouble = g.Trouble()
		})
		switch {
		case refused:
			return nil, errors.New(refusal.Text)
		case g.config != nil && since.IsZero():
			since = time.Now()
		}
		if g.config != nil && (g.all() || time.Since(since) > greetOthers) {
			return g.config, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if trouble == "" {
				trouble = "no answer from the server"
			}
			return nil, errors.New(trouble)
		}
	}
}

// all reports that every link has answered or cannot.
func (g *greeting) all() bool {
	for i := range g.at {
		if g.at[i].answered == 0 && g.at[i].why == "" {
			return false
		}
	}
	return true
}

// look finds out how a link is, opens its socket, and hears whether the server answers over it.
func (g *greeting) look(ctx context.Context, i int) {
	at := &g.at[i]
	if !at.open {
		g.open(ctx, i)
	}
	if at.socket == nil {
		return
	}
	endpoint, source := g.names.way(at.state)
	next := node.Link{Up: endpoint.IsValid(), Endpoint: endpoint, Source: source}
	next.Metric = g.links[i].Metric
	first := time.Duration(0)
	g.shared.do(ctx, func(now mono.Time) {
		if next != at.link {
			at.link = next
			g.SetLink(now, i, next)
		}
		if id, ok := g.LinkPath(i); ok {
			if p := g.Path(id); p != nil && p.Usable() {
				first = max(p.Sent.RTT.Min(), time.Microsecond)
			}
		}
		if blob, _ := g.PeerConfig(); blob != nil && g.config == nil {
			if c, err := wire.ParseSessionConfig(blob); err == nil {
				g.config = &c
			}
		}
	})
	if first > 0 && at.answered == 0 {
		at.answered = first
		g.told(i, *at)
	}
}

// open makes the link's socket.
func (g *greeting) open(ctx context.Context, i int) {
	at := &g.at[i]
	at.open = true
	device := deviceOf(ctx, g.file, g.links[i].Interface)
	fail := func(why string) {
		at.why = why
		g.told(i, *at)
	}
	state, err := resolveDevice(g.router, device)
	_, source := g.names.way(state)
	switch {
	case err != nil:
		fail("there is no such interface")
		return
	case !state.Carrier:
		fail("the cable or the modem is down")
		return
	case !source.IsValid():
		fail("it has no address")
		return
	}
	at.state = state
	options := transport.Options{Device: device, Clock: g.shared.clock}
	if g.router != nil {
		if err := g.router.SetLink(i, state); err != nil {
			g.log.Warn("link "+g.links[i].Name, "err", err)
		}
		options.Mark = g.router.SocketMark(i)
	}
	udp, err := transport.ListenUDP(options)
	if err != nil {
		fail(err.Error())
		return
	}
	k := newSocket(udp, i, g.shared)
	g.shared.do(ctx, func(mono.Time) {
		for len(g.shared.sockets) <= i {
			g.shared.sockets = append(g.shared.sockets, nil)
		}
		g.shared.sockets[i] = k
	})
	for _, t := range k.tasks() {
		g.group.start(t)
	}
	at.socket = k
}

// receive takes what a socket read.
func (g *greeting) receive(now mono.Time, b *rxBatch) {
	for _, h := range b.handshake {
		g.Handshake(now, b.link, h.Data)
	}
	for i := range b.opened {
		g.Receive(now, b.opened[i].owner, &b.opened[i].Received)
	}
}

// deliver drops what comes: there is no device.
func (g *greeting) deliver(func([]*packet.Buf)) {
	for _, b := range g.Delivered() {
		b.Release()
	}
}

func (g *greeting) markBusy(link int, busy bool) {
	if id, ok := g.LinkPath(link); ok {
		if p := g.Path(id); p != nil {
			p.Busy = busy
		}
	}
}

func (g *greeting) after(mono.Time) {}
