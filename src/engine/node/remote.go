package node

import (
	"io"
	"net/netip"

	"mpproxy/src/engine"
	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/sched"
	"mpproxy/src/engine/session"
	"mpproxy/src/stats"
)

// RemoteParams are what a server brings to its routers.
type RemoteParams struct {
	Key        handshake.PrivateKey
	Protection session.Protection
	Suites     []session.Suite
	Tunnel     engine.Params
	Random     io.Reader
	// Stranger, if set, decides about a router that is none of the peers, by what it sent for pairing (nil: nothing):
	// admit it as p, refuse it in words, or, if ok is false, say nothing.
	Stranger func(now mono.Time, key handshake.PublicKey, token []byte) (p PeerParams, refuse handshake.Refusal, ok bool)
	// Proven is told once that an admitted stranger has shown that the key is its own. Until Admit the router is not
	// answered any further, so that what is promised to it can be written down first.
	Proven func(now mono.Time, key handshake.PublicKey)
	// MaxPeers bounds the routers; 0 means no bound.
	MaxPeers int
	// Rate bounds what all routers together send, and what they are sent, in bytes of inner packets per second each; 0 means
	// no bound.
	Rate int64
	// RotateAfter is after how many packets keys are renewed without a handshake; 0 means session.RotateAfter.
	RotateAfter uint64
}

// PeerParams are what the server knows of a router.
type PeerParams struct {
	Name string
	Key  handshake.PublicKey
	PSK  handshake.PresharedKey
	// Owned are the inner addresses that the router may use.
	Owned []netip.Prefix
	// Config is told to the router when its session stands (wire.SessionConfig).
	Config []byte
	// Limits are those of this router alone.
	Limits engine.Limits
}

// Peer is a router at the server.
type Peer struct {
	*engine.Tunnel
	PeerParams
	handle   uint64
	current  *remoteSession
	conflict conflict
	notice   notice
	stranger bool      // not admitted yet
	proven   bool      // a stranger that has used its keys
	used     [2]uint64 // bytes sent to it and taken from it, at the last division
}

// Remote is the server's end of the protocol with all its routers. Make it with NewRemote.
type Remote struct {
	// Table finds the session of a datagram.
	Table session.Table

	params    RemoteParams
	responder *handshake.Responder
	peers     []*Peer
	byKey     map[handshake.PublicKey]*Peer
	strangers map[handshake.PublicKey]*Peer
	byAddr    map[netip.Addr]*Peer
	sessions  map[uint64]*remoteSession
	replies   []engine.Raw
	drops     stats.Drops
	handles   uint64
	now       mono.Time // of the handshake datagram that is being answered
	one       [1]*packet.Buf
	share     share
}

// maxReplies bounds the answers that wait for Poll.
const maxReplies = 64

// NewRemote returns a server without peers.
func NewRemote(p RemoteParams) *Remote {
	if p.RotateAfter == 0 {
		p.RotateAfter = session.RotateAfter
	}
	r := &Remote{
		params: p, byKey: make(map[handshake.PublicKey]*Peer), byAddr: make(map[netip.Addr]*Peer),
		sessions: make(map[uint64]*remoteSession), strangers: make(map[handshake.PublicKey]*Peer),
		share: share{level: [2]int64{p.Rate, p.Rate}},
	}
	r.responder = handshake.NewResponder(handshake.ResponderParams{
		Key: p.Key, Protection: p.Protection, Suites: p.Suites, Random: p.Random,
		Lookup: func(key handshake.PublicKey) (handshake.Peer, bool) {
			peer, ok := r.byKey[key]
			if !ok {
				return handshake.Peer{}, false
			}
			return handshake.Peer{PSK: peer.PSK, Handle: peer.handle}, true
		},
		Stranger: r.stranger,
		Alive: func(id uint64, key handshake.PublicKey) bool {
			peer, ok := r.byKey[key]
			return ok && peer.current != nil && peer.current.id == id
		},
	})
	return r
}

// AddPeer makes a router known. ok is false if its key is known already or there are too many.
func (r *Remote) AddPeer(now mono.Time, p PeerParams) (peer *Peer, ok bool) {
	if _, known := r.byKey[p.Key]; known || r.params.MaxPeers > 0 && len(r.peers) >= r.params.MaxPeers {
		return nil, false
	}
	if peer = r.strangers[p.Key]; peer != nil { // somebody was quicker to write it down than Admit
		peer.PeerParams = p
		peer.SetOwned(p.Owned)
		peer.SetConfig(p.Config)
		peer.bound(now, r.share.level)
		return r.Admit(p.Key)
	}
	peer = r.newPeer(now, p)
	r.enter(peer)
	return peer, true
}

func (r *Remote) newPeer(now mono.Time, p PeerParams) *Peer {
	r.handles++
	tunnel := r.params.Tunnel
	tunnel.Initiator = false
	peer := &Peer{Tunnel: engine.New(now, tunnel), PeerParams: p, handle: r.handles}
	peer.SetOwned(p.Owned)
	peer.SetConfig(p.Config)
	peer.bound(now, r.share.level)
	return peer
}

func (r *Remote) enter(peer *Peer) {
	r.peers = append(r.peers, peer)
	r.byKey[peer.Key] = peer
	for _, o := range peer.Owned {
		if o.IsSingleIP() {
			r.byAddr[o.Addr()] = peer
		}
	}
}

// Peers returns all routers; the slice is the Remote's.
func (r *Remote) Peers() []*Peer { return r.peers }

// Handshake takes a handshake datagram. link is the portal's number of the socket.
func (r *Remote) Handshake(now mono.Time, link int, from netip.AddrPort, local netip.Addr, datagram []byte) {
	r.now = now
	reply, pending, err := r.responder.Process(now, from, datagram)
	if err != nil {
		r.drops.Add(reason(err), 1)
	}
	if pending != nil {
		r.pend(now, pending)
	}
	if reply == nil {
		return
	}
	if len(r.replies) >= maxReplies {
		r.drops.Add(stats.HandshakeLimit, 1)
		return
	}
	r.replies = append(r.replies, engine.Raw{Link: link, To: from, Local: local, Data: reply})
}

// Enqueue gives inner packets to the routers they are for.
func (r *Remote) Enqueue(now mono.Time, batch []*packet.Buf) {
	for _, b := range batch {
		p := r.route(b)
		if p == nil {
			b.Release()
			continue
		}
		r.one[0] = b
		p.Enqueue(now, r.one[:])
	}
}

// route finds the router that owns a packet's destination.
func (r *Remote) route(b *packet.Buf) *Peer {
	dst, ok := destination(b.Bytes())
	if !ok {
		r.drops.Add(stats.NotIP, 1)
		return nil
	}
	if p := r.byAddr[dst]; p != nil {
		return p
	}
	for _, p := range r.peers {
		for _, o := range p.Owned {
			if o.Contains(dst) {
				return p
			}
		}
	}
	r.drops.Add(stats.DestinationNotOwned, 1)
	return nil
}

// destination reads where a packet goes.
func destination(p []byte) (netip.Addr, bool) {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(p[16:20])), true
	case len(p) >= 40 && p[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(p[24:40])), true
	}
	return netip.Addr{}, false
}

// NextTimeout is when OnTimeout and Poll are to be called next.
func (r *Remote) NextTimeout() mono.Time {
	at := r.responder.NextTimeout()
	if r.params.Rate > 0 && len(r.peers) > 0 {
		at = mono.Min(at, r.share.at.Add(shareEvery))
	}
	for _, p := range r.peers {
		at = mono.Min(at, p.NextTimeout())
	}
	return at
}

// OnTimeout does what time decides.
func (r *Remote) OnTimeout(now mono.Time) {
	for _, id := range r.responder.OnTimeout(now) {
		r.forget(id)
	}
	r.forgetStrangers()
	if r.params.Rate > 0 && now.Sub(r.share.at) >= shareEvery {
		r.divide(now)
	}
	for _, p := range r.peers {
		p.OnTimeout(now)
		s := p.current
		if s == nil {
			continue
		}
		if now.Sub(s.heard) > peerPatience {
			r.end(now, s)
			continue
		}
		s.receiving.ExpirePrevious(now, max(keyLifetimes*p.MaxRTT(), keyLifetimeMin))
		if s.sending.Count() >= r.params.RotateAfter {
			s.sending.Rotate()
		}
	}
}

// Poll fills out with what is to be sent now.
func (r *Remote) Poll(now mono.Time, out *engine.Batch) (more bool) {
	out.Raws = append(out.Raws, r.replies...)
	r.replies = r.replies[:0]
	for _, p := range r.peers {
		more = p.Poll(now, out) || more
	}
	return more
}

// SetChoices changes the scheduler and the congestion control of routers that are added from now on.
func (r *Remote) SetChoices(s sched.Kind, c congestion.Kind) {
	r.params.Tunnel.Scheduler, r.params.Tunnel.Congestion = s, c
}

// SetRate changes what all routers together may send, and be sent; 0 means no bound.
func (r *Remote) SetRate(now mono.Time, bytesPerSecond int64) {
	if bytesPerSecond == r.params.Rate {
		return
	}
	r.params.Rate, r.share.level = bytesPerSecond, [2]int64{bytesPerSecond, bytesPerSecond}
	for _, p := range r.peers {
		p.bound(now, r.share.level)
	}
}

// Session describes a peer's session; ok is false if there is none.
func (p *Peer) Session() (id uint64, since, keys mono.Time, ok bool) {
	if p.current == nil {
		return 0, 0, 0, false
	}
	return p.current.id, p.current.since, p.current.keysSince, true
}

// Conflict reports that two routers seem to use this peer's key: TextConflict.
func (p *Peer) Conflict(now mono.Time) bool { return p.conflict.stands(now) }

// Notices returns what the router had to say since the last call, each text once in a while.
func (p *Peer) Notices(now mono.Time) []string { return p.notice.take(now, p.Tunnel.Notices()) }

// Drops are the datagrams dropped before any router was known, by reason.
func (r *Remote) Drops() stats.Drops { return r.drops }
