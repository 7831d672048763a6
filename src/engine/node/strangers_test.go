package node

import (
	"errors"
	"testing"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/stats"
)

// judge is a server's decision about strangers, which a test changes.
type judge struct {
	ok     bool
	refuse handshake.Refusal
	asked  int
	token  string
	key    handshake.PublicKey
	proven int
}

func newStranger(t *testing.T, change func(*RemoteParams)) (*pair, *judge) {
	t.Helper()
	j := &judge{}
	p := newPairWith(t, func(r *RemoteParams, l *LocalParams) {
		l.Handshake.Token = []byte("token")
		r.Stranger = func(_ mono.Time, key handshake.PublicKey, token []byte) (PeerParams, handshake.Refusal, bool) {
			j.asked++
			j.key, j.token = key, string(token)
			return PeerParams{Name: "new", Owned: prefixes("10.0.0.9/32")}, j.refuse, j.ok
		}
		r.Proven = func(_ mono.Time, key handshake.PublicKey) {
			if key == j.key {
				j.proven++
			}
		}
		change(r)
	})
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	return p, j
}

func unchanged(*RemoteParams) {}

// A stranger whose token is good proves its key, once, and hears nothing more until it is admitted; then its session goes on.
func TestStrangerIsAdmitted(t *testing.T) {
	p, j := newStranger(t, unchanged)
	j.ok = true
	p.run(time.Second, nil)
	if j.token != "token" || j.proven != 1 || len(p.remote.strangers) != 1 || len(p.remote.Peers()) != 0 {
		t.Fatalf("token %q, proven %d times, %d strangers, %d peers", j.token, j.proven, len(p.remote.strangers), len(p.remote.Peers()))
	}
	if len(p.remote.byAddr) != 0 {
		t.Error("a stranger owns an address")
	}
	if _, ok := p.remote.Admit(p.key(t)); ok {
		t.Error("somebody unknown is admitted")
	}
	peer, ok := p.remote.Admit(j.key)
	if !ok || peer.Name != "new" || peer.stranger || len(p.remote.strangers) != 0 || len(p.remote.byAddr) != 1 {
		t.Fatalf("%v %+v", ok, peer)
	}
	p.run(2*time.Second, nil)
	if _, _, _, ok := peer.Session(); !ok || !p.local.Stands() || p.local.Trouble() != "" {
		t.Errorf("no session: %q", p.local.Trouble())
	}
	if _, ok := p.remote.Admit(j.key); ok {
		t.Error("admitted twice")
	}
}

// Somebody writes the router down before Admit: it is the same router.
func TestStrangerIsAddedAsPeer(t *testing.T) {
	p, j := newStranger(t, unchanged)
	j.ok = true
	p.run(time.Second, nil)
	peer, ok := p.remote.AddPeer(p.now, PeerParams{Name: "written", Key: j.key, Owned: prefixes("10.0.0.7/32"), Config: []byte("c"), Limits: engine.Limits{Out: 77}})
	if !ok || peer.Name != "written" || len(p.remote.strangers) != 0 || peer.Tunnel.Limits().Out != 77 {
		t.Fatalf("%v %+v", ok, peer)
	}
	p.run(2*time.Second, nil)
	if blob, _ := p.local.PeerConfig(); string(blob) != "c" {
		t.Errorf("it was told %q", blob)
	}
}

// Who is neither a peer nor welcome hears nothing; who is refused hears why.
func TestStrangerIsRefused(t *testing.T) {
	p, j := newStranger(t, unchanged)
	answered := false
	p.run(5*time.Second, func(up bool, _ []byte) bool { answered = answered || !up; return false })
	if d := p.remote.Drops(); answered || j.asked == 0 || d.Map()["unknown_peer"] == 0 {
		t.Errorf("asked %d times, answered %v", j.asked, answered)
	}
	if _, ok := p.local.Refusal(); ok || p.local.Trouble() != textSilence {
		t.Errorf("%q", p.local.Trouble())
	}
	j.ok, j.refuse = true, handshake.Refusal{Status: handshake.StatusToken, Text: "used up"}
	asked := j.asked
	p.run(10*time.Second, nil)
	if r, ok := p.local.Refusal(); !ok || r != j.refuse || p.local.Trouble() != r.Error() {
		t.Errorf("%+v, %q", r, p.local.Trouble())
	}
	if n := j.asked - asked; n < 5 || n > 14 {
		t.Errorf("asked %d times in 10 s, one a second is the pause", n)
	}
	if len(p.remote.sessions)+len(p.remote.strangers) != 0 {
		t.Error("what is refused is kept")
	}
}

// A stranger that is dismissed, or of whom nothing comes, leaves nothing behind; and there are never too many.
func TestStrangersAreForgotten(t *testing.T) {
	p, j := newStranger(t, unchanged)
	j.ok = true
	p.run(time.Second, nil)
	p.remote.Dismiss(j.key)
	p.remote.Dismiss(j.key)
	if len(p.remote.strangers)+len(p.remote.sessions)+p.remote.Table.Len() != 0 {
		t.Errorf("%d strangers, %d sessions, %d connection ids", len(p.remote.strangers), len(p.remote.sessions), p.remote.Table.Len())
	}
	p, j = newStranger(t, unchanged)
	j.ok = true
	p.run(300*time.Millisecond, func(up bool, _ []byte) bool { return !up })
	if len(p.remote.strangers) != 1 {
		t.Fatalf("%d strangers", len(p.remote.strangers))
	}
	p.local.SetLink(p.now, 0, Link{})
	p.run(handshake.PendingLifetime+time.Second, nil)
	if len(p.remote.strangers) != 0 || j.proven != 0 {
		t.Errorf("%d strangers after all is over, %d proven", len(p.remote.strangers), j.proven)
	}
	p, j = newStranger(t, unchanged)
	j.ok = true
	for range maxStrangers {
		p.remote.strangers[p.key(t)] = p.remote.newPeer(p.now, PeerParams{})
	}
	p.run(10*time.Millisecond, nil) // the initiation comes before the others are forgotten, having no sessions
	if r, _ := p.local.Refusal(); r.Status != handshake.StatusFull || r.Text != textBusy {
		t.Errorf("%+v", r)
	}
}

// There is no place left when the stranger is to be admitted: it is forgotten.
func TestNoPlaceForStranger(t *testing.T) {
	p, j := newStranger(t, func(r *RemoteParams) { r.MaxPeers = 1 })
	j.ok = true
	p.run(time.Second, nil)
	if _, ok := p.remote.AddPeer(p.now, PeerParams{Key: p.key(t)}); !ok {
		t.Fatal("the first peer is refused")
	}
	if _, ok := p.remote.Admit(j.key); ok || len(p.remote.strangers) != 0 || p.remote.Table.Len() != 0 {
		t.Errorf("admitted %v, %d strangers, %d connection ids", ok, len(p.remote.strangers), p.remote.Table.Len())
	}
}

// What went wrong in a handshake is counted under its own name.
func TestReasons(t *testing.T) {
	for err, want := range map[error]stats.Reason{
		handshake.ErrMAC1: stats.BadMAC, handshake.ErrVersion: stats.UnknownVersion, handshake.ErrTruncated: stats.Truncated, handshake.ErrTooLong: stats.TooLarge,
		handshake.ErrKind: stats.UnknownType, handshake.ErrUnderLoad: stats.CookieRequired, handshake.ErrCookie: stats.CookieRequired,
		handshake.ErrUnknownPeer: stats.UnknownPeer, handshake.ErrRefused: stats.UnknownPeer, handshake.ErrReplayed: stats.Replayed,
		handshake.ErrNotOurs: stats.UnknownConnection, handshake.ErrNoAttempt: stats.UnknownConnection, handshake.ErrNotAuthentic: stats.NotAuthentic,
		errors.New("else"): stats.NotAuthentic,
	} {
		if got := reason(errors.Join(err)); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

// The server is under load: it asks for a cookie, and the router comes again with it, at once but not at anybody's bidding.
func TestCookie(t *testing.T) {
	p := newPair(t)
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	for range 5 {
		p.local.attempt.again = nil
		p.local.links[0].cookie = 0
		p.local.askedForCookie(p.now, 0)
		p.local.askedForCookie(p.now, 0)
		if n := len(p.local.attempt.again); n != 1 || p.local.attempt.sendAt != p.now {
			t.Errorf("%d links are asked again at %v", n, p.local.attempt.sendAt)
		}
		p.local.attempt.again, p.local.attempt.sendAt = nil, mono.Never
		p.now = p.now.Add(handshake.HedgeDelay - 1)
		p.local.askedForCookie(p.now, 0)
		if n := len(p.local.attempt.again); n != 0 {
			t.Error("asked again faster than hedging is")
		}
		p.now++
		p.local.askedForCookie(p.now, 0)
		if n := len(p.local.attempt.again); n != 1 {
			t.Error("not asked again in time")
		}
		p.local.askedForCookie(p.now, 7)
		p.local.askedForCookie(p.now, -1)
	}
}

// Preshared keys that differ, and no link at all, are told in words.
func TestTroubleInWords(t *testing.T) {
	p := newPairWith(t, func(_ *RemoteParams, l *LocalParams) { l.Handshake.PSK = handshake.PresharedKey{7} })
	if got := p.local.Trouble(); got != textNoLink {
		t.Errorf("%q", got)
	}
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	p.run(5*time.Second, nil)
	if got := p.local.Trouble(); got != textPSK {
		t.Errorf("%q", got)
	}
}
