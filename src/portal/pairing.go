package portal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/enrol"
)

// textRevoked is for a router whose access the administrator took away.
const textRevoked = "this router's access was taken away on the server"

// enrolment lets new routers in at the server, by their tokens.
type enrolment struct {
	r      *remote
	store  *enrol.Store
	public config.Key
}

// openEnrolment reads tokens and routers.
func (r *remote) openEnrolment() error {
	public, err := r.run.cfg.Portal.PrivateKey.Public()
	if err != nil {
		return fmt.Errorf("read private key: %w", err)
	}
	store, err := enrol.Open(r.run.cfg, func() int64 { return time.Now().Unix() }, rand.Reader)
	if err != nil {
		r.run.log.Warn("read what is known of tokens and routers", "err", err)
	}
	r.enrolment = &enrolment{r: r, store: store, public: public}
	return nil
}

// stranger decides about a router that is none of the peers; in the loop.
func (e *enrolment) stranger(_ mono.Time, key handshake.PublicKey, token []byte) (p node.PeerParams, refuse handshake.Refusal, ok bool) {
	if token == nil {
		return p, handshake.Refusal{Status: handshake.StatusRevoked, Text: textRevoked}, e.store.Revoked(config.Key(key))
	}
	d := e.store.Judge(config.Key(key), token)
	if !d.OK {
		return p, handshake.Refusal{Status: handshake.StatusToken, Text: d.Why}, true
	}
	return peerParams(e.r.run.configuration(), d.Peer), handshake.Refusal{}, true
}

// proven writes a router down that has shown its key, and then lets it in; in the loop, which does not wait for the disk.
func (e *enrolment) proven(_ mono.Time, key handshake.PublicKey) {
	go func() {
		peer, before, err := e.store.Commit(config.Key(key))
		e.r.run.shared.do(e.r.run.group.ctx, func(now mono.Time) {
			if err != nil {
				e.r.run.log.Warn("a router could not be paired", "err", err)
				e.r.Dismiss(key)
				return
			}
			if before != "" {
				e.drop(now, before)
			}
			if p, ok := e.r.Admit(key); ok {
				e.r.rates[p] = &rates{}
				e.r.run.log.Info("paired", "router", peer.Name, "address", peer.Address)
			}
		})
	}()
}

// find returns a peer by its name; in the loop.
func (e *enrolment) find(name string) *node.Peer {
	for _, p := range e.r.Peers() {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// drop ends a peer; in the loop.
func (e *enrolment) drop(now mono.Time, name string) {
	if p := e.find(name); p != nil {
		e.r.RemovePeer(now, p)
		delete(e.r.rates, p)
		delete(e.r.conflicts, p)
	}
}

// handle answers the commands pair and peers.
func (e *enrolment) handle(ctx context.Context, q control.Request) (any, error) {
	if q.Cmd == control.CmdPeers {
		return e.peers(ctx, q)
	}
	switch q.Action {
	case control.ActionIssue:
		var order enrol.Order
		if err := json.Unmarshal([]byte(q.Text), &order); q.Text != "" && err != nil {
			return nil, fmt.Errorf("the order of a token is not understood: %w", err)
		}
		return e.store.Issue(e.public, order, e.addresses())
	case control.ActionList:
		return e.store.Tokens(), nil
	case control.ActionRevoke:
		return nil, e.store.RevokeToken(q.Name)
	}
	return nil, fmt.Errorf("'%s' is nothing that can be done with tokens", q.Action)
}

// peers lists routers, after changing one.
func (e *enrolment) peers(ctx context.Context, q control.Request) (any, error) {
	var peer config.Peer
	var err error
	switch q.Action {
	case "", control.ActionList:
		return e.store.Routers(), nil
	case control.ActionRename:
		peer, err = e.store.Rename(q.Name, q.Text)
	case control.ActionLimit:
		up, down, links := -1, -1, -1
		if n, err := fmt.Sscanf(q.Text, "%d %d %d", &up, &down, &links); n < 2 {
			return nil, fmt.Errorf("limits are two numbers of Mbit/s, and perhaps one of connections, not '%s': %w", q.Text, err)
		}
		peer, err = e.store.Limit(q.Name, up, down, links)
	case control.ActionRevoke, control.ActionAllow:
		peer, err = e.store.Revoke(q.Name, q.Action == control.ActionRevoke)
	default:
		return nil, fmt.Errorf("'%s' is nothing that can be done with routers", q.Action)
	}
	if err != nil {
		return nil, err
	}
	e.r.run.shared.do(ctx, func(now mono.Time) { e.apply(now, q.Name, peer) })
	return e.store.Routers(), nil
}

// apply makes a changed router true now; in the loop.
func (e *enrolment) apply(now mono.Time, name string, c config.Peer) {
	p := e.find(name)
	switch {
	case p != nil && !c.Enabled:
		e.drop(now, name)
	case p != nil:
		e.r.ChangePeer(now, p, peerParams(e.r.run.configuration(), c))
	case c.Enabled:
		if p, ok := e.r.AddPeer(now, peerParams(e.r.run.configuration(), c)); ok {
			e.r.rates[p] = &rates{}
		}
	}
}

// addresses are the public ones of this machine with the portal's port, one of each family, for tokens.
func (e *enrolment) addresses() (list []string) {
	all, err := net.InterfaceAddrs()
	listen := e.r.run.cfg.Portal.Remote.Listen
	if err != nil || len(listen) == 0 {
		return nil
	}
	seen := map[bool]bool{}
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, _ := netip.AddrFromSlice(n.IP)
		if addr = addr.Unmap(); !public(addr) || seen[addr.Is4()] {
			continue
		}
		seen[addr.Is4()] = true
		list = append(list, netip.AddrPortFrom(addr, listen[0].Port()).String())
	}
	return list
}

// public reports that the Internet can reach the address, as far as it shows.
func public(a netip.Addr) bool {
	shared := netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}
