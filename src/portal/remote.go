package portal

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"

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

// remote is the server's role.
type remote struct {
	*node.Remote
	run   *running
	busy  []bool // by socket
	rates map[*node.Peer]*rates
	// conflicts tells which peers' doubled keys were logged.
	conflicts map[*node.Peer]bool
	enrolment *enrolment
}

// startRemote builds the server's tasks.
func (p *running) startRemote() error {
	p.shared = newShared(p.log, p.memory.bufs)
	mtu := innerMTU(p.cfg)
	r := &remote{run: p, rates: make(map[*node.Peer]*rates), conflicts: make(map[*node.Peer]bool)}
	if err := r.openEnrolment(mtu); err != nil {
		return err
	}
	r.Remote = node.NewRemote(node.RemoteParams{
		Stranger: r.enrolment.stranger, Proven: r.enrolment.proven,
		Key: handshake.PrivateKey(p.cfg.Portal.PrivateKey), Protection: protection(p.cfg.Portal.Protect),
		Suites: suites(p.cfg.Portal.Cipher), Tunnel: p.tunnelParams(mtu), Random: rand.Reader, MaxPeers: p.cfg.Portal.Remote.MaxPeers,
	})
	p.shared.table = &r.Table
	p.shared.tooBig = r.tooBig
	now := p.shared.clock.Now()
	for _, c := range p.cfg.EnabledPeers() {
		if peer, ok := r.AddPeer(now, r.peerParams(c, mtu)); ok {
			r.rates[peer] = &rates{}
		}
	}
	server, err := system.OpenServer(p.systemParams(), p.log)
	if err != nil {
		return fmt.Errorf("prepare routing: %w", err)
	}
	p.atEnd(server.Close)
	if err := p.openDevice(mtu); err != nil {
		return err
	}
	if err := server.SetService(r.service(mtu)); err != nil {
		return fmt.Errorf("set up addresses, forwarding and translation: %w", err)
	}
	if err := r.listen(); err != nil {
		return err
	}
	watch, err := p.watch()
	if err != nil {
		return err
	}
	p.startLoop(r)
	p.group.start(funcTask{"system", func(ctx context.Context) error { return r.repair(ctx, server, watch.Changes()) }})
	p.startControl(r.handle)
	return nil
}

// peerParams translates a peer of the configuration.
func (r *remote) peerParams(c config.Peer, mtu int) node.PeerParams {
	portal := r.run.cfg.Portal
	s := wire.SessionConfig{
		Address4: netip.PrefixFrom(c.Address, portal.Remote.Address.Bits()), MTU: uint16(mtu), Peer4: portal.Remote.Address.Addr(),
		DNS: portal.DNSServers[:min(len(portal.DNSServers), wire.MaxDNS)],
	}
	owned := []netip.Prefix{netip.PrefixFrom(c.Address, c.Address.BitLen())}
	if c.Address6.IsValid() && len(portal.Remote.Address6) > 0 {
		s.Address6 = netip.PrefixFrom(c.Address6, portal.Remote.Address6[0].Bits())
		s.Peer6 = portal.Remote.Address6[0].Addr()
		owned = append(owned, netip.PrefixFrom(c.Address6, c.Address6.BitLen()))
	}
	owned = append(append(owned, c.Prefix...), c.Prefix6...)
	return node.PeerParams{
		Name: c.Name, Key: handshake.PublicKey(c.PublicKey), PSK: handshake.PresharedKey(c.PresharedKey), Owned: owned, Config: s.Append(nil),
	}
}

func (r *remote) service(mtu int) system.Service {
	portal := r.run.cfg.Portal
	s := system.Service{Device: portal.Device, MTU: mtu, NAT: portal.Remote.Mode == config.ModeNAT}
	s.Addresses = append([]netip.Prefix{portal.Remote.Address}, portal.Remote.Address6...)
	s.Uplink4 = portal.Remote.Interface
	if len(portal.Remote.Address6) > 0 {
		s.Uplink6 = portal.Remote.Interface
	}
	return s
}

// listen opens the sockets.
func (r *remote) listen() error {
	p := r.run
	for i, at := range p.cfg.Portal.Remote.Listen {
		if at.Addr().IsUnspecified() {
			at = netip.AddrPortFrom(netip.IPv6Unspecified(), at.Port())
		}
		udp, err := transport.ListenUDP(transport.Options{Local: at, Clock: p.shared.clock})
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

// repair puts back what others took away.
func (r *remote) repair(ctx context.Context, server *system.Server, changes <-chan system.Event) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-changes:
			if e.Kind != system.Changed {
				continue
			}
			if err := server.Repair(); err != nil {
				r.run.log.Warn("repair routing", "err", err)
			}
		}
	}
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
		return s, nil
	case control.CmdPair, control.CmdPeers:
		return r.enrolment.handle(ctx, q)
	case control.CmdLink:
		return nil, fmt.Errorf("links belong to the router: run this there")
	}
	return nil, fmt.Errorf("'%s' is not a command", q.Cmd)
}
