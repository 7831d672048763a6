package node

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/sched"
	"mpproxy/src/engine/session"
)

// up connects the router.
func (p *pair) up(t *testing.T) {
	t.Helper()
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	p.run(time.Second, nil)
	if !p.local.Stands() {
		t.Fatalf("no session: %q", p.local.Trouble())
	}
}

// to is an inner packet to an address.
func (p *pair) to(address string) *packet.Buf {
	a := netip.MustParseAddr(address)
	data := make([]byte, 40)
	data[0], data[3], data[9] = 4<<4|5, 40, 17
	copy(data[16:], a.AsSlice())
	if a.Is6() {
		data = make([]byte, 60)
		data[0], data[5], data[6] = 6<<4, 20, 17
		copy(data[24:], a.AsSlice())
	}
	b := p.pool.Get()
	b.Set(data)
	return b
}

func (p *pair) key(t *testing.T) handshake.PublicKey {
	t.Helper()
	k, err := handshake.GenerateKey(p.random)
	if err != nil {
		t.Fatal(err)
	}
	return k.Public()
}

func prefixes(words ...string) (all []netip.Prefix) {
	for _, w := range words {
		all = append(all, netip.MustParsePrefix(w))
	}
	return all
}

// What the server has for its routers goes to the one that owns the address, and to nobody else.
func TestRoute(t *testing.T) {
	p := newPair(t)
	one, _ := p.remote.AddPeer(p.now, PeerParams{Key: p.key(t), Owned: prefixes("10.0.0.2/32", "10.1.0.0/16")})
	two, _ := p.remote.AddPeer(p.now, PeerParams{Key: p.key(t), Owned: prefixes("10.0.0.3/32", "2001:db8::/64")})
	for address, want := range map[string]*Peer{
		"10.0.0.2": one, "10.1.2.3": one, "10.0.0.3": two, "2001:db8::9": two, "10.0.0.4": nil, "10.2.0.0": nil, "2001:db8:0:1::": nil,
	} {
		b := p.to(address)
		if got := p.remote.route(b); got != want {
			t.Errorf("%s goes to %p, want %p", address, got, want)
		}
		b.Release()
	}
	short, neither := p.pool.Get(), p.pool.Get()
	short.Set(append([]byte{4<<4 | 5}, make([]byte, 18)...))
	neither.Set(append([]byte{5 << 4}, make([]byte, 59)...))
	six := p.pool.Get()
	six.Set(append([]byte{6 << 4}, make([]byte, 38)...))
	p.remote.Enqueue(p.now, []*packet.Buf{short, neither, six, p.to("10.9.9.9"), p.to("10.0.0.2"), p.to("10.0.0.3"), p.to("2001:db8::1")})
	if d := p.remote.Drops(); d.Map()["not_ip"] != 3 || d.Map()["destination_not_owned"] != 4 {
		t.Errorf("drops %v", d.Map())
	}
	if lent, _ := p.pool.Lent(); lent != 3 {
		t.Errorf("%d packets wait for routers, want 3", lent)
	}
	if n := one.QueueCounts().Enqueued; n != 1 {
		t.Errorf("%d wait for the first", n)
	}
}

func TestPeersAreKnownOnce(t *testing.T) {
	p := newPairWith(t, func(r *RemoteParams, _ *LocalParams) { r.MaxPeers = 3 })
	key := p.key(t)
	if _, ok := p.remote.AddPeer(p.now, PeerParams{Key: key}); !ok {
		t.Fatal("a second is refused")
	}
	if peer, ok := p.remote.AddPeer(p.now, PeerParams{Key: key}); ok || peer != nil {
		t.Error("the same key is taken twice")
	}
	if _, ok := p.remote.AddPeer(p.now, PeerParams{Key: p.key(t)}); !ok {
		t.Error("a third is refused")
	}
	if _, ok := p.remote.AddPeer(p.now, PeerParams{Key: p.key(t)}); ok || len(p.remote.Peers()) != 3 {
		t.Errorf("%d peers, 3 allowed", len(p.remote.Peers()))
	}
}

// A router that changes keeps its session; addresses it lost are another's at once.
func TestChangePeer(t *testing.T) {
	p := newPair(t)
	p.up(t)
	id, since, _, ok := p.peer.Session()
	if !ok || since < begin {
		t.Fatalf("session %d since %v", id, since)
	}
	wanted := PeerParams{Name: "house", Key: p.peer.Key, Owned: prefixes("10.0.0.5/32"), Config: []byte("new"), Limits: engine.Limits{Out: 5000, In: 6000, Links: 2}}
	if !p.remote.ChangePeer(p.now, p.peer, wanted) {
		t.Fatal("refused")
	}
	if b := p.to("10.0.0.5"); p.remote.byAddr[netip.MustParseAddr("10.0.0.5")] != p.peer || p.remote.route(b) != p.peer {
		t.Error("the new address is not the router's")
	} else {
		b.Release()
	}
	if got := p.peer.Tunnel.Limits(); got != wanted.Limits {
		t.Errorf("limits %+v", got)
	}
	p.run(time.Second, nil)
	if now, _, _, _ := p.peer.Session(); now != id {
		t.Error("another session")
	}
	if got, _ := p.local.PeerConfig(); string(got) != "new" {
		t.Errorf("the router was told %q", got)
	}
	wanted.Owned = nil
	p.remote.ChangePeer(p.now, p.peer, wanted)
	b := p.to("10.0.0.5")
	if p.remote.route(b) != nil {
		t.Error("the old address is still the router's")
	}
	b.Release()
	wanted.Key = p.key(t)
	if p.remote.ChangePeer(p.now, p.peer, wanted) {
		t.Error("another key is taken")
	}
	if p.remote.ChangePeer(p.now, &Peer{PeerParams: PeerParams{Key: wanted.Key}}, wanted) {
		t.Error("a router that is none is changed")
	}
}

// A router that is removed has no session, no address and no answer any more.
func TestRemovePeer(t *testing.T) {
	p := newPair(t)
	p.remote.ChangePeer(p.now, p.peer, PeerParams{Key: p.peer.Key, Owned: prefixes("10.0.0.5/32")})
	other, _ := p.remote.AddPeer(p.now, PeerParams{Key: p.key(t), Owned: prefixes("10.0.0.6/32")})
	p.up(t)
	p.remote.RemovePeer(p.now, &Peer{})
	if len(p.remote.Peers()) != 2 {
		t.Error("a router that is none was removed")
	}
	p.remote.RemovePeer(p.now, p.peer)
	if !slices.Equal(p.remote.Peers(), []*Peer{other}) || p.remote.Table.Len() != 0 || len(p.remote.sessions) != 0 || p.peer.Stands() {
		t.Errorf("%d peers, %d connection ids, %d sessions", len(p.remote.Peers()), p.remote.Table.Len(), len(p.remote.sessions))
	}
	if p.remote.byAddr[netip.MustParseAddr("10.0.0.5")] != nil || p.remote.byAddr[netip.MustParseAddr("10.0.0.6")] != other {
		t.Error("addresses")
	}
	answers := 0
	p.run(10*time.Second, func(up bool, _ []byte) bool {
		if !up {
			answers++
		}
		return false
	})
	if answers > 0 || p.local.Trouble() != textSilence {
		t.Errorf("%d answers; %q", answers, p.local.Trouble())
	}
	if _, ok := p.remote.AddPeer(p.now, PeerParams{Key: p.peer.Key}); !ok {
		t.Error("it cannot come back")
	}
}

// A session that nothing comes of ends at the server, not before its time.
func TestSilentRouterIsForgotten(t *testing.T) {
	p := newPair(t)
	p.up(t)
	silent := func(up bool, _ []byte) bool { return up }
	p.run(peerPatience-time.Second, silent)
	if _, _, _, ok := p.peer.Session(); !ok {
		t.Fatal("forgotten too early")
	}
	p.run(2*time.Second, silent)
	if _, _, _, ok := p.peer.Session(); ok || p.remote.Table.Len() != 0 || p.peer.RootKeys() != nil {
		t.Error("still there")
	}
}

// Both ends have the same keys for others' use, new ones after a handshake, and renew what seals after so many packets.
func TestKeys(t *testing.T) {
	p := newPairWith(t, func(r *RemoteParams, l *LocalParams) { r.RotateAfter, l.RotateAfter = 20, 20 })
	if p.local.RootKeys() != nil || p.peer.RootKeys() != nil {
		t.Error("keys without a session")
	}
	p.up(t)
	secret := func(k *session.Keys) string {
		out := k.Export("test")
		return string(out[:])
	}
	first := secret(p.local.RootKeys())
	if first != secret(p.peer.RootKeys()) {
		t.Error("the ends differ")
	}
	p.run(30*time.Second, nil)
	if n, m := p.local.sending.Count(), p.peer.current.sending.Count(); n > 25 || m > 25 {
		t.Errorf("%d and %d packets with one key", n, m)
	}
	p.run(handshake.RekeyInterval, nil)
	if now := secret(p.local.RootKeys()); now == first || now != secret(p.peer.RootKeys()) {
		t.Error("after a handshake the ends differ, or have the old keys")
	}
}

// Timers: with a common rate the server wakes to divide it, and the earliest of all wins.
func TestServerTimers(t *testing.T) {
	p := newPair(t)
	if at := p.remote.NextTimeout(); at != mono.Never {
		t.Errorf("an idle server wakes at %v", at)
	}
	p.remote.SetRate(p.now, 1e6)
	p.remote.OnTimeout(p.now)
	if at := p.remote.NextTimeout(); at != p.now.Add(shareEvery) {
		t.Errorf("wakes after %v", at.Sub(p.now))
	}
	p.remote.SetChoices(sched.Redundant, congestion.UseCubic)
	if p.remote.params.Tunnel.Scheduler != sched.Redundant || p.remote.params.Tunnel.Congestion != congestion.UseCubic {
		t.Error("choices are not kept")
	}
}
