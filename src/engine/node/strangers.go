package node

import (
	"slices"

	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
)

// maxStrangers bounds the routers that are being paired; each has a tunnel of its own already.
const maxStrangers = 32

// textBusy is for a router that pairs while too many others do.
const textBusy = "too many routers are being paired at once: try again in a minute"

// stranger decides about a key that is nobody's.
func (r *Remote) stranger(key handshake.PublicKey, token []byte) (handshake.Peer, bool) {
	if r.params.Stranger == nil {
		return handshake.Peer{}, false
	}
	p, refuse, ok := r.params.Stranger(r.now, key, token)
	peer := r.strangers[key]
	switch {
	case !ok:
		return handshake.Peer{}, false
	case refuse.Status != handshake.StatusOK:
		return handshake.Peer{Refuse: refuse}, true
	case peer != nil:
		return handshake.Peer{PSK: peer.PSK, Handle: peer.handle}, true
	case len(r.strangers) >= maxStrangers:
		return handshake.Peer{Refuse: handshake.Refusal{Status: handshake.StatusFull, Text: textBusy}}, true
	}
	p.Key = key
	peer = r.newPeer(r.now, p)
	peer.stranger = true
	r.strangers[key] = peer
	return handshake.Peer{PSK: peer.PSK, Handle: peer.handle}, true
}

// prove tells, once, that a stranger has the key it came with.
func (r *Remote) prove(now mono.Time, p *Peer) {
	if !p.proven && r.params.Proven != nil {
		p.proven = true
		r.params.Proven(now, p.Key)
	}
}

// Admit makes a stranger a peer: its next datagram begins its session. ok is false if it is not there any more, there are too
// many peers, or a peer has its key; it is forgotten then and may come again.
func (r *Remote) Admit(key handshake.PublicKey) (peer *Peer, ok bool) {
	peer = r.strangers[key]
	if peer == nil {
		return nil, false
	}
	if _, known := r.byKey[key]; known || r.params.MaxPeers > 0 && len(r.peers) >= r.params.MaxPeers {
		r.Dismiss(key)
		return nil, false
	}
	delete(r.strangers, key)
	peer.stranger = false
	r.enter(peer)
	return peer, true
}

// Dismiss forgets a stranger; when it comes again it is judged again.
func (r *Remote) Dismiss(key handshake.PublicKey) {
	if p := r.strangers[key]; p != nil {
		delete(r.strangers, key)
		r.dropSessions(p)
		r.responder.DropPeer(key)
	}
}

// RemovePeer forgets a router: its session ends and its addresses are free. It hears no more of this server.
func (r *Remote) RemovePeer(now mono.Time, peer *Peer) {
	i := slices.Index(r.peers, peer)
	if i < 0 {
		return
	}
	r.peers = slices.Delete(r.peers, i, i+1)
	delete(r.byKey, peer.Key)
	for a, owner := range r.byAddr {
		if owner == peer {
			delete(r.byAddr, a)
		}
	}
	peer.current = nil
	r.dropSessions(peer)
	peer.Close(now)
	r.responder.DropPeer(peer.Key)
}

func (r *Remote) dropSessions(peer *Peer) {
	for owner, s := range r.sessions {
		if s.peer == peer {
			r.forget(owner)
		}
	}
}

// forgetStrangers forgets those whose sessions came to nothing.
func (r *Remote) forgetStrangers() {
	for key, p := range r.strangers {
		alive := false
		for _, s := range r.sessions {
			alive = alive || s.peer == p
		}
		if !alive {
			delete(r.strangers, key)
		}
	}
}
