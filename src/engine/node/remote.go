package node

import (
	"io"
	"net/netip"

	"mpproxy/src/engine"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
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
	// MaxPeers bounds the routers; 0 means no bound.
	MaxPeers int
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
}

// Peer is a router at the server.
type Peer struct {
	*engine.Tunnel
	PeerParams
	handle    uint64
	current   *remoteSession
	conflicts []mono.Time
	told      mono.Time
}

// remoteSession is a session or one about to be: it becomes the peer's when its first datagram opens.
type remoteSession struct {
	owner     uint64 // in the table; also the responder's id for it
	id        uint64
	peer      *Peer
	receiving *session.Receiving
	sending   *session.Sending
	ids       session.ConnIDs
	known     uint32 // path ids below are in the table
	since     mono.Time
	keysSince mono.Time
	stale     mono.Time // since when it is replaced
	rekeys    []rekey
}

// rekey are new keys that wait for the router to use them.
type rekey struct {
	id       uint64
	up, down *session.Keys
}

// Remote is the server's end of the protocol with all its routers. Make it with NewRemote.
type Remote struct {
	// Table finds the session of a datagram.
	Table session.Table

	params    RemoteParams
	responder *handshake.Responder
	peers     []*Peer
	byKey     map[handshake.PublicKey]*Peer
	byAddr    map[netip.Addr]*Peer
	sessions  map[uint64]*remoteSession
	replies   []engine.Raw
	drops     stats.Drops
	handles   uint64
	one       [1]*packet.Buf
}

// maxReplies bounds the answers that wait for Poll.
const maxReplies = 64

// NewRemote returns a server without peers.
func NewRemote(p RemoteParams) *Remote {
	r := &Remote{
		params: p, byKey: make(map[handshake.PublicKey]*Peer), byAddr: make(map[netip.Addr]*Peer),
		sessions: make(map[uint64]*remoteSession),
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
	r.handles++
	tunnel := r.params.Tunnel
	tunnel.Initiator = false
	peer = &Peer{Tunnel: engine.New(now, tunnel), PeerParams: p, handle: r.handles}
	peer.SetOwned(p.Owned)
	peer.SetConfig(p.Config)
	r.peers = append(r.peers, peer)
	r.byKey[p.Key] = peer
	for _, o := range p.Owned {
		if o.IsSingleIP() {
			r.byAddr[o.Addr()] = peer
		}
	}
	return peer, true
}

// Peers returns all routers; the slice is the Remote's.
func (r *Remote) Peers() []*Peer { return r.peers }

// Handshake takes a handshake datagram. link is the portal's number of the socket.
func (r *Remote) Handshake(now mono.Time, link int, from netip.AddrPort, local netip.Addr, datagram []byte) {
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

// pend prepares a session, or new keys for one, that changes nothing until the router uses it.
func (r *Remote) pend(now mono.Time, p *handshake.Pending) {
	up, err := p.Secrets.Keys(session.Up, p.Suite, p.Protection)
	down, err2 := p.Secrets.Keys(session.Down, p.Suite, p.Protection)
	peer := r.byKey[p.PeerKey]
	if err != nil || err2 != nil || peer == nil {
		return
	}
	if p.Replaces != 0 {
		r.forget(p.Replaces)
	}
	if s := peer.current; p.Rekey && s != nil {
		s.receiving.AddPending(up)
		s.rekeys = append(s.rekeys, rekey{p.ID, up, down})
		if len(s.rekeys) > handshake.MaxPendingPerPeer {
			s.rekeys = s.rekeys[1:]
		}
		return
	}
	s := &remoteSession{
		owner: p.ID, id: p.SessionID, peer: peer, ids: p.Secrets.ConnIDs(), since: now, keysSince: now,
		receiving: session.NewReceiving(up), sending: session.NewSending(down),
	}
	r.sessions[s.owner] = s
	r.extend(s, pathsAhead)
}

// extend makes the table know the session's path ids below until.
func (r *Remote) extend(s *remoteSession, until uint32) {
	for ; s.known < until; s.known++ {
		r.Table.Add(s.ids.ConnID(session.Up, s.known), &session.Entry{Owner: s.owner, Path: s.known, Receiving: s.receiving})
	}
}

// forget drops a session from everywhere but its peer.
func (r *Remote) forget(owner uint64) {
	s, ok := r.sessions[owner]
	if !ok {
		return
	}
	if s.peer.current == s {
		return
	}
	delete(r.sessions, owner)
	r.Table.RemoveOwner(owner)
}

// Receive takes a datagram that was opened for the session with that owner, as its session.Entry says.
func (r *Remote) Receive(now mono.Time, owner uint64, d *engine.Received) {
	s, ok := r.sessions[owner]
	if !ok {
		r.drops.Add(stats.UnknownConnection, 1)
		d.Buf.Release()
		return
	}
	if s.stale != 0 {
		r.meet(now, s)
		r.drops.Add(stats.UnknownConnection, 1)
		d.Buf.Release()
		return
	}
	if s.peer.current != s {
		r.confirm(now, s)
	}
	if d.Path+pathsAhead/2 > s.known {
		r.extend(s, d.Path+pathsAhead)
	}
	s.peer.Receive(now, d)
	r.checkRekey(now, s)
}

// confirm makes a session the peer's: the router has proved that it has the keys.
func (r *Remote) confirm(now mono.Time, s *remoteSession) {
	for _, id := range r.responder.Confirm(s.owner) {
		r.forget(id)
	}
	p := s.peer
	if old := p.current; old != nil {
		old.stale = now
	}
	p.current, s.since = s, now
	p.Start(now, s.sending, s.ids)
}

// meet notes that somebody still uses a session that was replaced: two routers have one key.
func (r *Remote) meet(now mono.Time, s *remoteSession) {
	p := s.peer
	// What was on the way when the session was replaced proves nothing.
	if now.Sub(s.stale) < allDownPatience/2 || len(p.conflicts) > 0 && now.Sub(p.conflicts[len(p.conflicts)-1]) < allDownPatience/2 {
		return
	}
	p.conflicts = append(p.conflicts, now)
	for len(p.conflicts) > conflictMax || len(p.conflicts) > 0 && now.Sub(p.conflicts[0]) > conflictWindow {
		p.conflicts = p.conflicts[1:]
	}
	if p.Conflict(now) {
		p.Notify(now, noticeConflict, textConflict)
	}
}

// Conflict reports that two routers seem to use this peer's key.
func (p *Peer) Conflict(now mono.Time) bool {
	return len(p.conflicts) >= conflictMax && now.Sub(p.conflicts[0]) <= conflictWindow
}

// checkRekey notices that the router uses its new keys, and answers with ours.
func (r *Remote) checkRekey(now mono.Time, s *remoteSession) {
	if len(s.rekeys) == 0 {
		return
	}
	root := s.receiving.Root()
	for _, k := range s.rekeys {
		if k.up == root {
			s.sending.Install(k.down)
			s.keysSince = now
			r.responder.Confirm(k.id)
			s.rekeys = nil
			return
		}
	}
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
	for owner, s := range r.sessions {
		if s.stale != 0 && now.Sub(s.stale) > staleLife {
			r.forget(owner)
		}
	}
	for _, p := range r.peers {
		p.OnTimeout(now)
		if s := p.current; s != nil {
			s.receiving.ExpirePrevious(now, max(keyLifetimes*p.MaxRTT(), keyLifetimeMin))
			if s.sending.Due() {
				s.sending.Rotate()
			}
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

// Session describes a peer's session; ok is false if there is none.
func (p *Peer) Session() (id uint64, since, keys mono.Time, ok bool) {
	if p.current == nil {
		return 0, 0, 0, false
	}
	return p.current.id, p.current.since, p.current.keysSince, true
}

// Drops are the datagrams dropped before any router was known, by reason.
func (r *Remote) Drops() stats.Drops { return r.drops }
