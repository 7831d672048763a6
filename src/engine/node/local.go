package node

import (
	"io"
	"net/netip"
	"slices"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/session"
	"mpproxy/src/stats"
)

// LocalParams are what a router brings to one server.
type LocalParams struct {
	Handshake handshake.InitiatorParams
	Tunnel    engine.Params
	Random    io.Reader
	// RotateAfter is after how many packets keys are renewed without a handshake; 0 means session.RotateAfter.
	RotateAfter uint64
}

// Link is a WAN link as far as the protocol is concerned.
type Link struct {
	// Up says that the link has an address and a carrier, Endpoint where the server is, as seen from it.
	Up       bool
	Endpoint netip.AddrPort
	// Source is the link's own address: when it changes, the path is opened anew.
	Source netip.Addr
	// Use is how the link is to be used; the server is told.
	path.Use
}

func (l Link) usable() bool { return l.Up && l.Endpoint.IsValid() }

// Local is the router's end of the protocol with one server. Make it with NewLocal.
type Local struct {
	*engine.Tunnel
	// Table finds the session of a datagram.
	Table session.Table

	params    LocalParams
	initiator *handshake.Initiator
	links     []localLink
	drops     stats.Drops

	sessionID uint64
	since     mono.Time
	keysSince mono.Time
	rekeyAt   mono.Time
	sending   *session.Sending
	receiving *session.Receiving
	ids       session.ConnIDs
	nextPath  uint32
	rtt       time.Duration // of the handshake

	attempt attempt
	trouble string            // why there is no session, in words
	refusal handshake.Refusal // of the last attempt
	notice  notice
}

// localLink is a link and the path over it.
type localLink struct {
	Link
	path      uint32
	open      bool
	bandwidth int64     // of the last path over it
	asked     mono.Time // when this attempt's initiation first went out on it
	cookie    mono.Time // when the server last asked for a cookie there
}

// NewLocal returns the router's end, without links.
func NewLocal(now mono.Time, p LocalParams) *Local {
	p.Tunnel.Initiator = true
	if p.RotateAfter == 0 {
		p.RotateAfter = session.RotateAfter
	}
	return &Local{Tunnel: engine.New(now, p.Tunnel), params: p, initiator: handshake.NewInitiator(p.Handshake)}
}

// SetLink tells what is known of a link now; id counts from 0. A link whose address or server changed gets a new path.
func (l *Local) SetLink(now mono.Time, id int, link Link) {
	for len(l.links) <= id {
		l.links = append(l.links, localLink{})
	}
	at := &l.links[id]
	old := at.Link
	at.Link = link
	if at.open && (!link.usable() || old.Endpoint != link.Endpoint || old.Source != link.Source) {
		l.closePath(now, at)
	}
	if p := l.Path(at.path); at.open && p != nil {
		p.SetUse(link.Use)
		l.ChooseCongestion(now, p)
	}
	if !at.open && l.Stands() {
		l.openPath(now, id)
	}
	if !link.usable() {
		l.initiator.Forget(uint32(id))
	} else if !old.usable() && l.attempt.refused < now {
		l.attempt.sendAt = now
	}
}

func (l *Local) openPath(now mono.Time, id int) {
	at := &l.links[id]
	if !at.usable() {
		return
	}
	l.nextPath++
	at.path, at.open = l.nextPath, true
	l.Table.Add(l.ids.ConnID(session.Down, at.path), &session.Entry{Owner: l.sessionID, Path: at.path, Receiving: l.receiving})
	l.OpenPath(now, engine.PathSpec{
		ID: at.path, Link: uint32(id), Overhead: engine.Overhead(at.Endpoint), RTT: l.rtt, Bandwidth: at.bandwidth,
		Use: at.Use,
	}, at.Endpoint)
}

func (l *Local) closePath(now mono.Time, at *localLink) {
	at.remember(l.Path(at.path))
	at.open = false
	l.Tunnel.LeavePath(now, at.path)
	l.forgetPath(at.path)
}

// reopen gives a link whose path the server closed another one.
func (l *Local) reopen(now mono.Time) {
	for i := range l.links {
		if at := &l.links[i]; at.open && l.Path(at.path) == nil {
			at.open = false
			l.forgetPath(at.path)
			l.openPath(now, i)
		}
	}
}

func (l *Local) forgetPath(path uint32) {
	l.Table.RemoveFunc(func(_ uint32, e *session.Entry) bool { return e.Path == path })
}

// Receive takes a datagram that was opened for the session with that owner, as its session.Entry says.
func (l *Local) Receive(now mono.Time, owner uint64, d *engine.Received) {
	if owner != l.sessionID || !l.Stands() {
		// Opened before its session ended. Path ids begin anew with each session, so it must not get into this one.
		l.drops.Add(stats.UnknownConnection, 1)
		d.Buf.Release()
		return
	}
	l.Tunnel.Receive(now, d)
}

// NextTimeout is when OnTimeout and Poll are to be called next.
func (l *Local) NextTimeout() mono.Time {
	at := l.Tunnel.NextTimeout()
	if (l.attempt.open || !l.Stands()) && l.anyLink() {
		at = mono.Min(at, l.attempt.sendAt)
	}
	if l.Stands() && !l.attempt.open {
		at = mono.Min(at, l.rekeyAt)
		if down, since := l.AllDown(); down {
			at = mono.Min(at, mono.Max(since, l.since).Add(allDownPatience))
		}
	}
	return at
}

func (l *Local) anyLink() bool {
	return slices.ContainsFunc(l.links, func(k localLink) bool { return k.usable() })
}

// OnTimeout does what time decides.
func (l *Local) OnTimeout(now mono.Time) {
	l.Tunnel.OnTimeout(now)
	if !l.Stands() {
		return
	}
	l.receiving.ExpirePrevious(now, max(keyLifetimes*l.MaxRTT(), keyLifetimeMin))
	if l.sending.Count() >= l.params.RotateAfter {
		l.sending.Rotate()
	}
	if closed, why := l.Closed(); closed {
		l.trouble = why
		l.lose(now)
		return
	}
	l.reopen(now)
	l.renew(now)
}

// Poll fills out with what is to be sent now.
func (l *Local) Poll(now mono.Time, out *engine.Batch) (more bool) {
	l.initiate(now, out)
	return l.Tunnel.Poll(now, out)
}

// Session describes the session: its id, since when it stands, and the age of its keys; ok is false if there is none.
func (l *Local) Session() (id uint64, since, keys mono.Time, ok bool) {
	return l.sessionID, l.since, l.keysSince, l.Stands()
}

// Trouble says in words why there is no session, as far as is known; empty while the session works.
func (l *Local) Trouble() string {
	down, _ := l.AllDown()
	switch {
	case l.Stands() && !down:
		return ""
	case !l.anyLink():
		return textNoLink
	}
	return l.trouble
}

// Refusal is the server's last word if it was one against a session; ok is false if not.
func (l *Local) Refusal() (r handshake.Refusal, ok bool) {
	return l.refusal, l.refusal.Status != handshake.StatusOK
}

// Notices returns what the server had to say since the last call, each text once in a while.
func (l *Local) Notices(now mono.Time) []string { return l.notice.take(now, l.Tunnel.Notices()) }

// Notice is what the server last said to people here; empty if that is long ago.
func (l *Local) Notice(now mono.Time) string { return l.notice.current(now) }

// LinkPath returns the id of the path over a link.
func (l *Local) LinkPath(id int) (path uint32, ok bool) {
	if id < 0 || id >= len(l.links) || !l.links[id].open {
		return 0, false
	}
	return l.links[id].path, true
}

// Drops are the datagrams and packets dropped, by reason.
func (l *Local) Drops() stats.Drops {
	d := l.Tunnel.Drops()
	d.Merge(&l.drops)
	return d
}
