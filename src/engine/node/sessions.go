package node

import (
	"math"

	"mpproxy/src/engine"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/session"
	"mpproxy/src/stats"
)

// remoteSession is a session or one about to be: it becomes the peer's when its first datagram opens.
type remoteSession struct {
	owner     uint64 // in the table; also the responder's id for it
	id        uint64
	process   handshake.Instance // of the router
	peer      *Peer
	receiving *session.Receiving
	sending   *session.Sending
	ids       session.ConnIDs
	known     uint32 // path ids below are in the table, or were
	since     mono.Time
	keysSince mono.Time
	heard     mono.Time
	rekeys    []rekey
}

// rekey are new keys that wait for the router to use them.
type rekey struct {
	id       uint64
	up, down *session.Keys
}

// pend prepares a session, or new keys for one, that changes nothing until the router uses it.
func (r *Remote) pend(now mono.Time, p *handshake.Pending) {
	up, err := p.Secrets.Keys(session.Up, p.Suite, p.Protection)
	down, err2 := p.Secrets.Keys(session.Down, p.Suite, p.Protection)
	peer := r.byKey[p.PeerKey]
	if peer == nil {
		peer = r.strangers[p.PeerKey]
	}
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
		owner: p.ID, id: p.SessionID, process: p.Instance(), peer: peer, ids: p.Secrets.ConnIDs(), since: now, keysSince: now, heard: now,
		receiving: session.NewReceiving(up), sending: session.NewSending(down),
	}
	r.sessions[s.owner] = s
	r.extend(s, 0)
}

// extend moves the window of path ids that the table knows of a session: some ahead of the greatest that the router has
// used, some behind, and those of open paths.
func (r *Remote) extend(s *remoteSession, greatest uint32) {
	if s.known == math.MaxUint32 || s.known != 0 && uint64(greatest)+pathsAhead/2 < uint64(s.known) {
		return
	}
	behind, ahead := greatest-min(greatest, pathsBehind), greatest+min(math.MaxUint32-greatest, pathsAhead)
	var add []session.Named
	for id := max(s.known, behind); id < ahead; id++ {
		add = append(add, session.Named{
			ID: s.ids.ConnID(session.Up, id), Entry: &session.Entry{Owner: s.owner, Path: id, Receiving: s.receiving},
		})
	}
	s.known = ahead
	r.Table.Update(add, func(_ uint32, e *session.Entry) bool {
		return e.Owner == s.owner && e.Path < behind && (s.peer.current != s || s.peer.Path(e.Path) == nil)
	})
}

// forget drops a session that is not, or no longer, its peer's.
func (r *Remote) forget(owner uint64) {
	if s, ok := r.sessions[owner]; ok && s.peer.current != s {
		delete(r.sessions, owner)
		r.Table.RemoveOwner(owner)
	}
}

// end is for a session that nothing has come of for long.
func (r *Remote) end(now mono.Time, s *remoteSession) {
	s.peer.Stop(now)
	s.peer.current = nil
	r.forget(s.owner)
}

// Receive takes a datagram that was opened for the session with that owner, as its session.Entry says.
func (r *Remote) Receive(now mono.Time, owner uint64, d *engine.Received) {
	s, ok := r.sessions[owner]
	if !ok {
		// Of a session that was replaced: what was in it is sent again in the new one.
		r.drops.Add(stats.UnknownConnection, 1)
		d.Buf.Release()
		return
	}
	if s.peer.stranger {
		d.Buf.Release()
		r.prove(now, s.peer)
		return
	}
	if s.peer.current != s {
		r.confirm(now, s)
	}
	s.heard = now
	s.peer.Receive(now, d)
	r.extend(s, s.peer.GreatestPath())
	r.checkRekey(now, s)
}

// confirm makes a session the peer's: the router has proved that it has the keys.
func (r *Remote) confirm(now mono.Time, s *remoteSession) {
	p, old := s.peer, s.peer.current
	p.current, s.since = s, now
	if old != nil {
		r.forget(old.owner)
	}
	for _, id := range r.responder.Confirm(s.owner) {
		r.forget(id)
	}
	p.Start(now, s.sending, s.ids)
	if p.conflict.confirmed(now, s.process) {
		p.Notify(now, noticeConflict, TextConflict)
	}
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
			for _, id := range r.responder.Confirm(k.id) {
				r.forget(id)
			}
			s.rekeys = nil
			return
		}
	}
}
