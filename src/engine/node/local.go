package node

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/session"
	"mpproxy/src/stats"
)

// LocalParams are what a router brings to one server.
type LocalParams struct {
	Handshake handshake.InitiatorParams
	Tunnel    engine.Params
	Random    io.Reader
}

// Link is a WAN link as far as the protocol is concerned.
type Link struct {
	// Up says that the link has an address and a carrier, Endpoint where the server is, as seen from it.
	Up       bool
	Endpoint netip.AddrPort
	// Source is the link's own address: when it changes, the path is opened anew.
	Source netip.Addr
	// Metric, Overflow, Limit and Standby are as in engine.PathSpec.
	Metric   int
	Overflow bool
	Standby  bool
	Limit    int64
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
	sending   *session.Sending
	receiving *session.Receiving
	ids       session.ConnIDs
	nextPath  uint32

	attempt attempt
	trouble string // why there is no session, in words
	rtt     time.Duration
}

type localLink struct {
	Link
	path      uint32
	open      bool
	bandwidth int64 // of the last path over it
}

// attempt is a handshake under way.
type attempt struct {
	open   bool
	rekey  bool
	began  mono.Time // of this initiation
	first  mono.Time // since when the server has not answered
	sendAt mono.Time
	sent   mono.Time
	link   int // whose turn it is
	again  []int
}

// NewLocal returns the router's end, without links.
func NewLocal(now mono.Time, p LocalParams) *Local {
	p.Tunnel.Initiator = true
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
	if at.open {
		if p := l.Path(at.path); p != nil {
			p.Metric, p.Overflow, p.Standby, p.Limit = link.Metric, link.Overflow, link.Standby, link.Limit
		}
	}
	if !at.open && l.Stands() {
		l.openPath(now, id)
	}
	if link.usable() && !old.usable() {
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
		Metric: at.Metric, Overflow: at.Overflow, Standby: at.Standby, Limit: at.Limit,
	}, at.Endpoint)
}

func (l *Local) closePath(now mono.Time, at *localLink) {
	if p := l.Path(at.path); p != nil {
		at.bandwidth = p.CC.Bandwidth() / 2
	}
	at.open = false
	path := at.path
	l.Tunnel.LeavePath(now, path)
	l.Table.RemoveFunc(func(_ uint32, e *session.Entry) bool { return e.Path == path })
}

// Handshake takes a handshake datagram that came on a link.
func (l *Local) Handshake(now mono.Time, link int, datagram []byte) {
	result, err := l.initiator.Process(uint32(link), datagram)
	var version handshake.VersionError
	var refusal handshake.Refusal
	switch {
	case err == nil:
		l.established(now, result)
	case errors.Is(err, handshake.ErrCookie):
		l.attempt.again = append(l.attempt.again, link)
		l.attempt.sendAt = now
	case errors.As(err, &version):
		l.trouble = version.Error()
		l.drops.Add(stats.UnknownVersion, 1)
	case errors.As(err, &refusal):
		l.trouble = refusal.Error()
		l.attempt.open = false
		l.attempt.sendAt = now.Add(hedgeSlow)
	default:
		if errors.Is(err, handshake.ErrNotAuthentic) && !l.Stands() {
			l.trouble = "the server answers, but the preshared keys differ"
		}
		l.drops.Add(reason(err), 1)
	}
}

// established begins a session, or takes new keys for the one there is.
func (l *Local) established(now mono.Time, r *handshake.Result) {
	up, err := r.Secrets.Keys(session.Up, r.Suite, r.Protection)
	down, err2 := r.Secrets.Keys(session.Down, r.Suite, r.Protection)
	if err != nil || err2 != nil {
		return
	}
	l.keysSince, l.trouble = now, ""
	if l.attempt.sent != 0 {
		l.rtt = min(now.Sub(l.attempt.sent), time.Second)
	}
	l.attempt = attempt{}
	if r.Rekey && l.Stands() && r.SessionID == l.sessionID {
		l.receiving.AddPending(down)
		l.sending.Install(up)
		return
	}
	l.Table.RemoveFunc(func(uint32, *session.Entry) bool { return true })
	l.sessionID, l.since = r.SessionID, now
	l.sending, l.receiving, l.ids = session.NewSending(up), session.NewReceiving(down), r.Secrets.ConnIDs()
	l.Start(now, l.sending, l.ids)
	for i := range l.links {
		at := &l.links[i]
		at.open = false
		l.openPath(now, i)
	}
}

// NextTimeout is when OnTimeout and Poll are to be called next.
func (l *Local) NextTimeout() mono.Time {
	at := l.Tunnel.NextTimeout()
	if l.wanted() || l.attempt.open {
		at = mono.Min(at, l.attempt.sendAt)
	}
	if l.Stands() && !l.attempt.open {
		at = mono.Min(at, l.keysSince.Add(handshake.RekeyInterval))
		if down, since := l.AllDown(); down {
			at = mono.Min(at, mono.Max(since, l.since).Add(allDownPatience))
		}
	}
	return at
}

// wanted reports that there is no session and some link could bring one.
func (l *Local) wanted() bool {
	return !l.Stands() && slices.ContainsFunc(l.links, func(k localLink) bool { return k.usable() })
}

// OnTimeout does what time decides.
func (l *Local) OnTimeout(now mono.Time) {
	l.Tunnel.OnTimeout(now)
	if !l.Stands() {
		return
	}
	l.receiving.ExpirePrevious(now, max(keyLifetimes*l.MaxRTT(), keyLifetimeMin))
	if l.sending.Due() {
		l.sending.Rotate()
	}
	if closed, why := l.Closed(); closed {
		l.trouble = why
		l.lose(now)
		return
	}
	down, heard := l.AllDown()
	switch {
	case down && now >= mono.Max(heard, l.since).Add(allDownPatience) && (!l.attempt.open || l.attempt.rekey):
		l.begin(now, 0)
	case !down && l.attempt.open && !l.attempt.rekey:
		l.attempt = attempt{} // a path came back first
	case !down && !l.attempt.open && now >= l.keysSince.Add(handshake.RekeyInterval):
		l.begin(now, l.sessionID)
	}
}

// lose gives the session up.
func (l *Local) lose(now mono.Time) {
	l.Table.RemoveFunc(func(uint32, *session.Entry) bool { return true })
	for i := range l.links {
		l.links[i].open = false
	}
	l.Stop(now)
	l.attempt = attempt{sendAt: now}
}

// begin makes a fresh initiation.
func (l *Local) begin(now mono.Time, rekey uint64) {
	first := l.attempt.first
	if first == 0 {
		first = now
	}
	l.attempt = attempt{open: true, rekey: rekey != 0, began: now, first: first, sendAt: now, link: l.attempt.link}
	if err := l.initiator.Initiate(l.params.Random, rekey); err != nil {
		l.trouble = "the server's public key is not valid: check option public_key"
		l.attempt.open, l.attempt.sendAt = false, now.Add(10*time.Second)
	}
}

// Poll fills out with what is to be sent now.
func (l *Local) Poll(now mono.Time, out *engine.Batch) (more bool) {
	l.initiate(now, out)
	return l.Tunnel.Poll(now, out)
}

// initiate sends the initiation on the next link, hedged: whichever answers first wins.
func (l *Local) initiate(now mono.Time, out *engine.Batch) {
	a := &l.attempt
	if now < a.sendAt || !l.wanted() && !a.open {
		return
	}
	if !a.open || now.Sub(a.began) > attemptLife {
		rekey := uint64(0)
		if a.open && a.rekey {
			rekey = l.sessionID
		}
		l.begin(now, rekey)
		if !l.attempt.open {
			return
		}
	}
	for _, id := range a.again {
		l.initiateOn(now, id, out)
	}
	a.again = a.again[:0]
	for i := range l.links {
		id := (a.link + i) % len(l.links)
		if l.links[id].usable() {
			l.initiateOn(now, id, out)
			a.link = id + 1
			break
		}
	}
	pause := handshake.HedgeDelay
	if now.Sub(a.first) > hedgePatience {
		pause = hedgeSlow
	}
	a.sendAt = now.Add(pause)
}

func (l *Local) initiateOn(now mono.Time, id int, out *engine.Batch) {
	if id >= len(l.links) || !l.links[id].usable() {
		return
	}
	if data := l.initiator.Datagram(uint32(id)); data != nil {
		out.Raws = append(out.Raws, engine.Raw{Link: id, To: l.links[id].Endpoint, Data: data})
		if l.attempt.sent == 0 || len(l.links) == 1 {
			l.attempt.sent = now
		}
	}
}

// Session describes the session: its id, since when it stands, and the age of its keys; ok is false if there is none.
func (l *Local) Session() (id uint64, since, keys mono.Time, ok bool) {
	return l.sessionID, l.since, l.keysSince, l.Stands()
}

// Trouble says in words why there is no session; empty if nothing is known.
func (l *Local) Trouble() string { return l.trouble }

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

// reason names the drop for a handshake error.
func reason(err error) stats.Reason {
	switch {
	case errors.Is(err, handshake.ErrMAC1):
		return stats.BadMAC
	case errors.Is(err, handshake.ErrVersion):
		return stats.UnknownVersion
	case errors.Is(err, handshake.ErrTruncated), errors.Is(err, handshake.ErrTooLong):
		return stats.Truncated
	case errors.Is(err, handshake.ErrKind):
		return stats.UnknownType
	case errors.Is(err, handshake.ErrUnderLoad):
		return stats.CookieRequired
	case errors.Is(err, handshake.ErrUnknownPeer):
		return stats.UnknownPeer
	case errors.Is(err, handshake.ErrReplayed):
		return stats.Replayed
	}
	return stats.NotAuthentic
}
