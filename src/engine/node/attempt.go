package node

import (
	"errors"
	"slices"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/session"
	"mpproxy/src/stats"
)

// attempt is a handshake under way.
type attempt struct {
	open    bool
	rekey   bool
	began   mono.Time // of this initiation
	first   mono.Time // since when the server has not answered
	sendAt  mono.Time
	refused mono.Time // until then no link's coming makes it sooner
	link    int       // whose turn it is
	again   []int     // links that were asked for a cookie
}

// Handshake takes a handshake datagram that came on a link.
func (l *Local) Handshake(now mono.Time, link int, datagram []byte) {
	if !l.attempt.open {
		// A copy on another link was answered first, or a path came back before any answer.
		l.drops.Add(stats.UnknownConnection, 1)
		return
	}
	result, err := l.initiator.Process(uint32(link), datagram)
	var version handshake.VersionError
	var refusal handshake.Refusal
	switch {
	case err == nil:
		if link >= 0 && link < len(l.links) && l.links[link].asked != 0 {
			l.rtt = min(now.Sub(l.links[link].asked), time.Second)
		}
		l.established(now, result)
		return
	case errors.Is(err, handshake.ErrCookie):
		l.askedForCookie(now, link)
	case errors.As(err, &version):
		l.trouble = version.Error()
	case errors.As(err, &refusal):
		l.refused(now, refusal)
		return
	case errors.Is(err, handshake.ErrNotAuthentic):
		l.trouble = textPSK
	}
	l.drops.Add(reason(err), 1)
}

// askedForCookie sends the initiation again on that link, with the cookie; not faster than hedging does, since
// whoever sees an initiation can ask for one.
func (l *Local) askedForCookie(now mono.Time, link int) {
	if link < 0 || link >= len(l.links) || now.Sub(l.links[link].cookie) < handshake.HedgeDelay && l.links[link].cookie != 0 {
		return
	}
	l.links[link].cookie = now
	if !slices.Contains(l.attempt.again, link) {
		l.attempt.again = append(l.attempt.again, link)
	}
	l.attempt.sendAt = now
}

// refused gives the attempt up for a while.
func (l *Local) refused(now mono.Time, r handshake.Refusal) {
	l.trouble, l.refusal = r.Error(), r
	wasRekey := l.attempt.rekey
	until := now.Add(refusedPause)
	l.attempt = attempt{first: l.attempt.first, sendAt: until, refused: until}
	if wasRekey {
		l.rekeyAt = now.Add(rekeyPause)
	}
}

// established begins a session, or takes new keys for the one there is.
func (l *Local) established(now mono.Time, r *handshake.Result) {
	up, err := r.Secrets.Keys(session.Up, r.Suite, r.Protection)
	down, err2 := r.Secrets.Keys(session.Down, r.Suite, r.Protection)
	if err != nil || err2 != nil {
		return
	}
	l.keysSince, l.rekeyAt, l.trouble, l.refusal = now, now.Add(handshake.RekeyInterval), "", handshake.Refusal{}
	l.attempt = attempt{}
	if r.Rekey {
		l.receiving.AddPending(down)
		l.sending.Install(up)
		return
	}
	l.Table.RemoveFunc(func(uint32, *session.Entry) bool { return true })
	l.sessionID, l.since, l.nextPath = r.SessionID, now, 0
	l.sending, l.receiving, l.ids = session.NewSending(up), session.NewReceiving(down), r.Secrets.ConnIDs()
	for i := range l.links {
		l.links[i].remember(l.Path(l.links[i].path))
		l.links[i].open = false
	}
	l.Start(now, l.sending, l.ids)
	for i := range l.links {
		l.openPath(now, i)
	}
}

// remember keeps what a path showed of its link's capacity, for the next one over it.
func (k *localLink) remember(p *path.Path) {
	if p == nil || !k.open {
		return
	}
	if bandwidth := p.Known(); bandwidth > 0 {
		k.bandwidth = bandwidth / 2
	}
}

// renew begins or ends handshakes for a session that stands.
func (l *Local) renew(now mono.Time) {
	down, heard := l.AllDown()
	a := &l.attempt
	switch {
	case down && now >= mono.Max(heard, l.since).Add(allDownPatience) && (!a.open && now >= a.refused || a.open && a.rekey):
		l.begin(now, 0)
	case !down && a.open && !a.rekey:
		l.attempt = attempt{} // a path came back first
	case !down && !a.open && now >= l.rekeyAt:
		l.begin(now, l.sessionID)
	}
}

// lose gives the session up because the server ended it.
func (l *Local) lose(now mono.Time) {
	l.Table.RemoveFunc(func(uint32, *session.Entry) bool { return true })
	for i := range l.links {
		l.links[i].open = false
	}
	l.Stop(now)
	until := now.Add(refusedPause)
	l.attempt = attempt{sendAt: until, refused: until}
}

// begin makes a fresh initiation.
func (l *Local) begin(now mono.Time, rekey uint64) {
	first := l.attempt.first
	if first == 0 {
		first = now
	}
	l.attempt = attempt{open: true, rekey: rekey != 0, began: now, first: first, sendAt: now, link: l.attempt.link}
	for i := range l.links {
		l.links[i].asked = 0
	}
	if err := l.initiator.Initiate(l.params.Random, rekey); err != nil {
		l.trouble = textKey
		until := now.Add(brokenPause)
		l.attempt = attempt{sendAt: until, refused: until}
		l.rekeyAt = mono.Max(l.rekeyAt, until)
	}
}

// initiate sends the initiation on the next link, hedged: whichever answers first wins.
func (l *Local) initiate(now mono.Time, out *engine.Batch) {
	a := &l.attempt
	if now < a.sendAt || l.Stands() && !a.open || !l.anyLink() {
		return
	}
	if !a.open || now.Sub(a.began) > attemptLife {
		rekey := uint64(0)
		if a.open && a.rekey {
			rekey = l.sessionID
		}
		l.begin(now, rekey)
		if !a.open {
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
	a.sendAt = now.Add(l.pause(now))
	if now.Sub(a.first) >= silencePatience && !a.rekey && l.trouble == "" {
		l.trouble = textSilence
	}
}

// pause is the time to the next initiation.
func (l *Local) pause(now mono.Time) time.Duration {
	if now.Sub(l.attempt.first) <= hedgePatience {
		return handshake.HedgeDelay
	}
	const percent = hedgeSlow / 100
	return hedgeSlow + percent*(time.Duration(l.params.Tunnel.Random()%(2*hedgeJitter+1))-hedgeJitter)
}

func (l *Local) initiateOn(now mono.Time, id int, out *engine.Batch) {
	at := &l.links[id]
	data := l.initiator.Datagram(uint32(id))
	if !at.usable() || data == nil {
		return
	}
	out.Raws = append(out.Raws, engine.Raw{Link: id, To: at.Endpoint, Data: data})
	if at.asked == 0 {
		at.asked = now
	}
}

// reason names the drop for a handshake error.
func reason(err error) stats.Reason {
	switch {
	case errors.Is(err, handshake.ErrMAC1):
		return stats.BadMAC
	case errors.Is(err, handshake.ErrVersion):
		return stats.UnknownVersion
	case errors.Is(err, handshake.ErrTruncated):
		return stats.Truncated
	case errors.Is(err, handshake.ErrTooLong):
		return stats.TooLarge
	case errors.Is(err, handshake.ErrKind):
		return stats.UnknownType
	case errors.Is(err, handshake.ErrUnderLoad), errors.Is(err, handshake.ErrCookie):
		return stats.CookieRequired
	case errors.Is(err, handshake.ErrUnknownPeer), errors.Is(err, handshake.ErrRefused):
		return stats.UnknownPeer
	case errors.Is(err, handshake.ErrReplayed):
		return stats.Replayed
	case errors.Is(err, handshake.ErrNotOurs), errors.Is(err, handshake.ErrNoAttempt):
		return stats.UnknownConnection
	}
	return stats.NotAuthentic
}
