package portal

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"net/netip"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/engine"
	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
	"mpproxy/src/system"
)

// local is the router's role.
type local struct {
	*node.Local
	run    *running
	remote config.Remote
	links  []config.Link
	paused []bool
	capped []verdict // what data caps ask for
	walls  *walls
	open   overLinks
	// duplicate is what is sent twice, and rules those that say more, or how else flows are sent.
	duplicate config.Duplicate
	rules     tunnelRules
	told      []node.Link // what the engine knows of each link
	rates     rates
	configID  uint64
	stands    bool
	lost      mono.Time // since when there is no session
	sys       *localSystem
	owned     []netip.Prefix
	offers    []netip.Addr // name servers, the server's
	limits    told         // what the server allows
	proxy     *localProxy
	devices   []string // of the links, as they were last found
	seen      []seenLink
}

// seenLink is a link as the system showed it, for looking up other servers' addresses and connecting over it.
type seenLink struct {
	state   system.LinkState
	servers []netip.Addr
	mark    uint32 // of its sockets; the router's own word for it is the system task's
}

// startLocal builds the router's tasks.
func (p *running) startLocal() error {
	remotes := p.cfg.EnabledRemotes()
	if len(remotes) == 0 {
		return fmt.Errorf("%s: no remote is enabled", p.ConfigFile)
	}
	p.shared = newShared(p.log, p.memory.bufs)
	mtu := innerMTU(p.cfg)
	r := &local{run: p, remote: remotes[0], links: p.cfg.EnabledLinks(), duplicate: p.cfg.Portal.Local.Duplicate}
	r.paused, r.told = make([]bool, system.MaxLinks), make([]node.Link, system.MaxLinks)
	r.capped = make([]verdict, system.MaxLinks)
	r.devices, r.seen = make([]string, system.MaxLinks), make([]seenLink, system.MaxLinks)
	params := node.LocalParams{Tunnel: p.tunnelParams(mtu), Random: rand.Reader}
	params.Handshake = initiatorParams(p.cfg, r.remote)
	rand.Read(params.Handshake.Instance[:])
	now := p.shared.clock.Now()
	r.Local, r.lost = node.NewLocal(now, params), now
	r.rules.log = p.log
	r.SetJudge(r.rules.follow(p.cfg.RulesFor(config.TargetTunnel), r.links))
	p.shared.table = &r.Table
	p.shared.tooBig = r.tooBig
	router, err := system.OpenRouter(p.systemParams(), p.log)
	if err != nil {
		return fmt.Errorf("prepare routing: %w", err)
	}
	ended := make(chan struct{})
	started := false
	p.atEnd(func() error { // only one may touch the system
		if started {
			<-ended
		}
		return router.Close()
	})
	r.sys = newLocalSystem(r, router, mtu)
	r.place(r.sys.sourcePlaces(r.rules.rules))
	if err := r.sys.guard(); err != nil {
		return err // rather not at all than without what keeps traffic in
	}
	if err := p.openDevice(mtu); err != nil {
		return err
	}
	watch, err := p.watch()
	if err != nil {
		return err
	}
	r.sys.changes = watch.Changes()
	p.config.role = r
	r.walls = &walls{portal: r}
	r.proxy = r.startProxy()
	p.startLoop(r)
	p.group.start(r.walls)
	started = true
	p.group.start(funcTask{r.sys.String(), func(ctx context.Context) error {
		defer close(ended)
		return r.sys.Run(ctx)
	}})
	p.jobs = map[string]jobFunc{JobSpeed: r.testSpeed, JobRelay: r.proxy.testRelay, JobRestore: p.restore}
	p.startControl(r.handle, func() []named { return []named{{r.Tunnel, r.remote.Name}} })
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
	r.proxy.after()
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
	r.owned, r.offers, r.limits = owned, c.DNS, limitsOf(c)
	r.SetLimits(now, engine.Limits{Out: int64(r.limits.up / 8)}) // the server drops what is above
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
		s.Proxy = r.proxy.status()
		return s, nil
	case control.CmdLink:
		return nil, r.setPaused(ctx, q.Link, q.Action)
	}
	return nil, fmt.Errorf("'%s' is not a command", q.Cmd)
}

// lowestMetric is that of the links that are used first. Links that were removed do not count.
func (r *local) lowestMetric() int {
	least := math.MaxInt
	for _, l := range r.links {
		if l.Name != "" {
			least = min(least, l.Metric)
		}
	}
	return least
}

// setLink tells the engine about a link, in the loop.
func (r *local) setLink(now mono.Time, i int, l node.Link) {
	r.told[i] = l
	r.SetLink(now, i, r.asUsed(i, l))
}

// asUsed is a link as the engine is to use it.
func (r *local) asUsed(i int, l node.Link) node.Link {
	if r.paused[i] || r.capped[i] == capStop {
		l.Up = false
	}
	l.Metric, l.Overflow = r.links[i].Metric, r.links[i].Overflow
	l.Limit, l.PeerLimit = int64(r.links[i].UploadBitsPerSecond/8), int64(r.links[i].DownloadBitsPerSecond/8)
	if r.capped[i] == capSlow {
		rate := int64(r.links[i].Cap.RateBitsPerSecond / 8)
		l.Limit, l.PeerLimit = lesserLimit(l.Limit, rate), lesserLimit(l.PeerLimit, rate)
	}
	l.Metered, l.Standby = r.links[i].Metered, r.links[i].Metric > r.lowestMetric()
	l.Congestion, _ = congestion.ParseKind(string(r.links[i].Congestion))
	l.Copies = r.copiesOver(r.links[i])
	if r.rules.binds() {
		l.Number = i + 1
	}
	return l
}

// held reports that the proxy's connections should keep off a link: it is paused, or its data cap is used up; in the loop.
func (r *local) held(i int) bool { return r.paused[i] || r.capped[i] != capFree }

// reuse follows a change of what held says, in the loop.
func (r *local) reuse(now mono.Time, i int) {
	r.open.hold(r.links[i].Name, r.held(i))
	r.setLink(now, i, r.told[i])
	r.proxy.rehold()
}

// lesserLimit is the lesser of two limits, of which 0 is none.
func lesserLimit(a, b int64) int64 {
	if a == 0 || b == 0 {
		return a + b
	}
	return min(a, b)
}

// retell tells the engine about all links again: what holds for one depends on the others, in the loop.
func (r *local) retell(now mono.Time) {
	r.relink()
	for i, l := range r.links {
		if l.Name != "" {
			r.setLink(now, i, r.told[i])
		}
	}
}
