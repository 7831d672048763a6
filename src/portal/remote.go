package portal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"mpproxy/src/control"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/packet"
	"mpproxy/src/stats"
	"mpproxy/src/system"
	"mpproxy/src/transport"
)

// remote is the server's role.
type remote struct {
	*node.Remote
	run   *running
	busy  []bool // by socket
	rates map[*node.Peer]*rates
	// conflicts tells which peers' doubled keys were logged.
	conflicts map[*node.Peer]bool
	enrolment *enrolment
	system    *remoteSystem
	proxy     *remoteProxy
}

// HasServer tells that the program knows the server's role. On MIPS it does not: those are routers, with little flash and
// large code, and the server's half is a fifteenth of the program.
const HasServer = runtime.GOARCH != "mips" && runtime.GOARCH != "mipsle" && runtime.GOARCH != "mips64" && runtime.GOARCH != "mips64le"

// ErrNoServer is the answer to whoever asks for the server's role without it.
var ErrNoServer = errors.New("this program is built for small routers and cannot be a server: role 'remote' and its commands need another machine")

// startRemote builds the server's tasks.
func (p *running) startRemote() error {
	if !HasServer {
		return ErrNoServer
	}
	p.shared = newShared(p.log, p.memory.bufs)
	mtu := innerMTU(p.cfg)
	r := &remote{run: p, rates: make(map[*node.Peer]*rates), conflicts: make(map[*node.Peer]bool)}
	if err := r.openEnrolment(); err != nil {
		return err
	}
	r.Remote = node.NewRemote(node.RemoteParams{
		Stranger: r.enrolment.stranger, Proven: r.enrolment.proven,
		Key: handshake.PrivateKey(p.cfg.Portal.PrivateKey), Protection: protection(p.cfg.Portal.Protect),
		Suites: suites(p.cfg.Portal.Cipher), Tunnel: p.tunnelParams(mtu), Random: rand.Reader, MaxPeers: p.cfg.Portal.Remote.MaxPeers,
		Rate: int64(p.cfg.Portal.Remote.RateBitsPerSecond / 8),
	})
	p.shared.table = &r.Table
	p.shared.tooBig = r.tooBig
	now := p.shared.clock.Now()
	for _, c := range p.cfg.EnabledPeers() {
		if peer, ok := r.AddPeer(now, peerParams(p.cfg, c)); ok {
			r.rates[peer] = &rates{}
		}
	}
	server, err := system.OpenServer(p.systemParams(), p.log)
	if err != nil {
		return fmt.Errorf("prepare routing: %w", err)
	}
	r.system = newRemoteSystem(r, server)
	p.atEnd(r.system.close)
	if err := p.openDevice(mtu); err != nil {
		return err
	}
	if err := r.system.set(p.cfg); err != nil {
		return fmt.Errorf("set up addresses, forwarding and translation: %w", err)
	}
	if err := r.listen(); err != nil {
		return err
	}
	if r.proxy, err = r.startProxy(); err != nil {
		return err
	}
	if r.system.changes, err = p.watch(); err != nil {
		return err
	}
	if r.system.firewall, err = system.OpenFirewallWatch(); err != nil {
		return fmt.Errorf("watch the firewall: %w", err)
	}
	p.config.role = r
	p.group.start(r.system.firewall)
	p.startLoop(r)
	r.system.ended = make(chan struct{})
	p.group.start(r.system)
	p.startControl(r.handle, r.tunnels)
	return nil
}

// tunnels are those to all routers.
func (r *remote) tunnels() []named {
	var all []named
	for _, p := range r.Peers() {
		all = append(all, named{p.Tunnel, p.Name})
	}
	return all
}

// listen opens the sockets.
func (r *remote) listen() error {
	p := r.run
	for i, at := range p.cfg.Portal.Remote.Listen {
		if at.Addr().IsUnspecified() {
			at = netip.AddrPortFrom(netip.IPv6Unspecified(), at.Port())
		}
		udp, err := transport.ListenUDP(transport.Options{Local: at, Clock: p.shared.clock, NoOffload: p.mode.safe()})
		if err != nil {
			return fmt.Errorf("listen at %s (UDP): %w", at, err)
		}
		k := newSocket(udp, i, p.shared)
		p.atEnd(k.close)
		p.addSocket(k)
		r.busy = append(r.busy, false)
	}
	return nil
}

// receive takes what a socket read.
func (r *remote) receive(now mono.Time, b *rxBatch) {
	for _, h := range b.handshake {
		r.Handshake(now, b.link, h.Addr, h.Local, h.Data)
	}
	for i := range b.opened {
		r.Receive(now, b.opened[i].owner, &b.opened[i].Received)
	}
}

func (r *remote) deliver(write func([]*packet.Buf)) {
	for _, p := range r.Peers() {
		write(p.Delivered())
	}
}

func (r *remote) markBusy(link int, busy bool) {
	if link >= len(r.busy) || r.busy[link] == busy {
		return
	}
	r.busy[link] = busy
	for _, peer := range r.Peers() {
		for _, p := range peer.Paths() {
			if p.Link == link {
				p.Busy = busy
			}
		}
	}
}

func (r *remote) after(now mono.Time) {
	r.proxy.after()
	for _, p := range r.Peers() {
		if n := p.Notices(now); len(n) > 0 {
			logNotices(r.run.log.With("router", p.Name), n)
		}
		if is := p.Conflict(now); is != r.conflicts[p] {
			r.conflicts[p] = is
			if is {
				r.run.log.Warn(node.TextConflict, "router", p.Name)
			}
		}
	}
}

// tooBig is called by senders: it concerns whatever path is that wide.
func (r *remote) tooBig(link, size int) {
	go r.run.shared.do(r.run.group.ctx, func(mono.Time) {
		for _, peer := range r.Peers() {
			for _, p := range peer.Paths() {
				if p.Link == link && p.MTU.Size() >= size {
					p.MTU.TooBig(size)
				}
			}
		}
	})
}

// handle answers the control socket.
func (r *remote) handle(ctx context.Context, q control.Request) (any, error) {
	switch q.Cmd {
	case control.CmdStatus:
		var s stats.Status
		if !r.run.shared.do(ctx, func(now mono.Time) { s = r.status(now) }) {
			return nil, ctx.Err()
		}
		s.Proxy = r.proxy.status()
		return s, nil
	case control.CmdPair, control.CmdPeers:
		return r.enrolment.handle(ctx, q)
	case control.CmdLink:
		return nil, fmt.Errorf("links belong to the router: run this there")
	}
	return nil, fmt.Errorf("'%s' is not a command", q.Cmd)
}
