package node

import (
	"bytes"
	"testing"
	"time"

	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/wire"
)

// A link that is none, or not open, has no path; one that closes is forgotten at once.
func TestLinkPath(t *testing.T) {
	p := newPair(t)
	p.local.SetLink(p.now, 1, Link{Up: true, Endpoint: serverAt})
	p.run(time.Second, nil)
	for _, id := range []int{-1, 0, 2, 99} {
		if path, ok := p.local.LinkPath(id); ok || path != 0 {
			t.Errorf("link %d has path %d", id, path)
		}
	}
	if path, ok := p.local.LinkPath(1); !ok || path != 1 || p.local.Table.Len() != 1 {
		t.Errorf("path %d, %v; %d connection ids", path, ok, p.local.Table.Len())
	}
	p.local.SetLink(p.now, 1, Link{Endpoint: serverAt})
	if _, ok := p.local.LinkPath(1); ok || p.local.Table.Len() != 0 {
		t.Errorf("%v; %d connection ids after the link went", ok, p.local.Table.Len())
	}
}

// What changes in a link's use reaches its path, which stays.
func TestLinkUseChanges(t *testing.T) {
	p := newPair(t)
	p.up(t)
	id, _ := p.local.LinkPath(0)
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt, Use: path.Use{Metric: 7}})
	if again, _ := p.local.LinkPath(0); again != id || p.local.Path(id).Use.Metric != 7 {
		t.Errorf("path %d after %d, use %+v", again, id, p.local.Path(id).Use)
	}
}

// A router that connects wakes for each initiation, and says that nobody answers only when that has lasted.
func TestConnecting(t *testing.T) {
	p := newPair(t)
	if at := p.local.NextTimeout(); at != mono.Never {
		t.Errorf("without a link it wakes at %v", at)
	}
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	if at := p.local.NextTimeout(); at > p.now {
		t.Errorf("the first initiation waits %v", at.Sub(p.now))
	}
	nobody := func(bool, []byte) bool { return true }
	began := p.now
	p.local.Poll(p.now, &p.batch)
	if at := p.local.NextTimeout(); at != began.Add(handshake.HedgeDelay) {
		t.Errorf("the second is due after %v", at.Sub(began))
	}
	p.run(silencePatience-20*time.Millisecond, nobody)
	if got := p.local.Trouble(); got != "" {
		t.Errorf("after %v: %q", p.now.Sub(began), got)
	}
	p.run(handshake.HedgeDelay+40*time.Millisecond, nobody)
	if got := p.local.Trouble(); got != textSilence {
		t.Errorf("after %v: %q", p.now.Sub(began), got)
	}
}

// The handshake's round trip, from the first initiation on that link, is what its path begins with.
func TestHandshakeTellsRoundTrip(t *testing.T) {
	p := newPair(t)
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	began := p.now
	var response []byte
	p.run(200*time.Millisecond, func(up bool, d []byte) bool {
		if wire.Kind(d) == wire.KindResponse && response == nil {
			response = bytes.Clone(d)
		}
		return !up
	})
	if response == nil || p.local.Stands() {
		t.Fatal("no response was held back")
	}
	p.local.Handshake(p.now, 0, response)
	if !p.local.Stands() || p.local.rtt != p.now.Sub(began) {
		t.Errorf("round trip %v, want %v", p.local.rtt, p.now.Sub(began))
	}
}
