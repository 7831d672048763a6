package node

import (
	"net/netip"
	"slices"

	"mpproxy/src/engine/mono"
)

// ChangePeer gives a known router other parameters; its session, paths and packet numbers go on. Key must be the same
// (ok is false if not: such a router is another one). A changed preshared key counts from the next handshake on.
func (r *Remote) ChangePeer(now mono.Time, peer *Peer, p PeerParams) (ok bool) {
	if p.Key != peer.Key || !slices.Contains(r.peers, peer) {
		return false
	}
	told := slices.Equal(p.Config, peer.Config)
	peer.PeerParams = p
	peer.SetOwned(p.Owned)
	peer.bound(now, r.share.level)
	if !told {
		peer.SetConfig(p.Config)
	}
	r.index()
	return true
}

// index finds routers by their single addresses.
func (r *Remote) index() {
	r.byAddr = make(map[netip.Addr]*Peer)
	for _, p := range r.peers {
		for _, o := range p.Owned {
			if o.IsSingleIP() {
				r.byAddr[o.Addr()] = p
			}
		}
	}
}
