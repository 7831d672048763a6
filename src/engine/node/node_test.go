package node

import (
	"bytes"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
)

const begin = mono.Time(time.Hour)

var (
	serverAt = netip.MustParseAddrPort("203.0.113.1:6779")
	routerAt = netip.MustParseAddrPort("198.51.100.7:40000")
)

// pair is a router and its server, without anything in between.
type pair struct {
	random *rand.ChaCha8
	local  *Local
	remote *Remote
	peer   *Peer
	pool   *packet.Pool
	sealer session.Sealer
	opener session.Opener
	now    mono.Time
	batch  engine.Batch
}

func newPair(t *testing.T) *pair {
	t.Helper()
	return newPairWith(t, func(*RemoteParams, *LocalParams) {})
}

// newPairWith lets both ends' parameters be changed before they are made. The router is a peer unless the server decides about
// strangers.
func newPairWith(t *testing.T, change func(*RemoteParams, *LocalParams)) *pair {
	t.Helper()
	p := &pair{random: rand.NewChaCha8([32]byte{1}), pool: packet.NewPool(4096), now: begin}
	rng := rand.New(p.random)
	tunnel := engine.Params{Random: rng.Uint64, Pool: p.pool}
	routerKey, err := handshake.GenerateKey(p.random)
	if err != nil {
		t.Fatal(err)
	}
	serverKey, _ := handshake.GenerateKey(p.random)
	suites := []session.Suite{session.ChaCha20Poly1305}
	server := RemoteParams{Key: serverKey, Suites: suites, Tunnel: tunnel, Random: p.random}
	router := LocalParams{Tunnel: tunnel, Random: p.random, Handshake: handshake.InitiatorParams{Key: routerKey, Server: serverKey.Public(), Suites: suites}}
	change(&server, &router)
	p.remote = NewRemote(server)
	if server.Stranger == nil {
		p.peer, _ = p.remote.AddPeer(p.now, PeerParams{Name: "home", Key: routerKey.Public()})
	}
	p.local = NewLocal(p.now, router)
	return p
}

// run lets both talk for d over a wire without delay or loss; lost says what does not arrive.
func (p *pair) run(d time.Duration, lost func(up bool, data []byte) bool) {
	for until := p.now.Add(d); p.now < until; p.now = p.now.Add(10 * time.Millisecond) {
		for range 4 {
			p.local.OnTimeout(p.now)
			p.local.Poll(p.now, &p.batch)
			p.carry(true, lost)
			p.remote.OnTimeout(p.now)
			p.remote.Poll(p.now, &p.batch)
			p.carry(false, lost)
		}
	}
}

func (p *pair) carry(up bool, lost func(up bool, data []byte) bool) {
	var all [][]byte
	for _, r := range p.batch.Raws {
		all = append(all, r.Data)
	}
	for i := range p.batch.Datagrams {
		all = append(all, p.batch.Seal(&p.sealer, nil, i))
	}
	p.batch.Reset()
	for _, d := range all {
		if lost == nil || !lost(up, d) {
			p.arrive(up, d)
		}
	}
}

func (p *pair) arrive(up bool, d []byte) {
	table := &p.local.Table
	if up {
		table = &p.remote.Table
	}
	if wire.Kind(d) != wire.KindData {
		if up {
			p.remote.Handshake(p.now, 0, routerAt, netip.Addr{}, d)
		} else {
			p.local.Handshake(p.now, 0, d)
		}
		return
	}
	b := p.pool.Get()
	e, number, plain, err := session.Open(table, d, b.Room()[:0], &p.opener)
	if err != nil {
		b.Release()
		return
	}
	b.SetLen(len(plain))
	r := &engine.Received{Buf: b, Number: number, Path: e.Path, Wire: len(d) + 28, At: p.now, From: routerAt}
	if up {
		p.remote.Receive(p.now, e.Owner, r)
	} else {
		p.local.Receive(p.now, e.Owner, r)
	}
}

func TestSessionAndRekeyLeaveNothingBehind(t *testing.T) {
	p := newPair(t)
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	p.run(time.Second, nil)
	if !p.local.Stands() || !p.peer.Stands() {
		t.Fatal("no session")
	}
	p.run(10*time.Minute, nil)
	_, since, keys, _ := p.local.Session()
	if keys.Sub(since) < 4*handshake.RekeyInterval {
		t.Errorf("keys renewed until %v after the session began", keys.Sub(since))
	}
	if n := len(p.remote.sessions); n != 1 {
		t.Errorf("%d sessions at the server", n)
	}
	if n := p.remote.Table.Len(); n != pathsAhead {
		t.Errorf("%d connection ids, want %d", n, pathsAhead)
	}
	if p.peer.current.rekeys != nil {
		t.Error("old rekeys are kept")
	}
	p.local.Close(p.now)
	p.peer.Close(p.now)
	if lent, _ := p.pool.Lent(); lent != 0 {
		t.Errorf("%d buffers not given back", lent)
	}
}

// Handshakes whose response never comes: what waits for them at the server is bounded, and gone in the end.
func TestPendingIsBounded(t *testing.T) {
	p := newPair(t)
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	p.run(time.Minute, func(up bool, _ []byte) bool { return !up })
	if n := len(p.remote.sessions); n == 0 || n > handshake.MaxPendingPerPeer {
		t.Errorf("%d sessions wait", n)
	}
	p.local.SetLink(p.now, 0, Link{})
	p.run(handshake.PendingLifetime+time.Second, nil)
	if n, m := len(p.remote.sessions), p.remote.Table.Len(); n != 0 || m != 0 {
		t.Errorf("%d sessions and %d connection ids are left", n, m)
	}
	if p.local.NextTimeout() != mono.Never {
		t.Error("a router without links wants to be woken")
	}
	// A rekey whose response is lost, then a session that is replaced: the same.
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	p.run(handshake.RekeyInterval-time.Second, nil)
	p.run(20*time.Second, func(up bool, d []byte) bool { return wire.Kind(d) == wire.KindResponse })
	if n := len(p.peer.current.rekeys); n == 0 || n > handshake.MaxPendingPerPeer {
		t.Errorf("%d rekeys wait", n)
	}
	p.run(time.Minute, nil)
	if n := len(p.remote.sessions); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// The window of path ids that the table knows moves with the greatest, keeps open paths, and never grows.
func TestPathWindow(t *testing.T) {
	p := newPair(t)
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	p.run(time.Second, nil)
	s := p.peer.current
	open, _ := p.local.LinkPath(0)
	known := func(id uint32) bool { return len(p.remote.Table.Lookup(s.ids.ConnID(session.Up, id))) == 1 }
	for _, greatest := range []uint32{0, 1, 15, 16, 17, 40, 41, 1000, 999, 1 << 20, math.MaxUint32 - 40, math.MaxUint32 - 1, math.MaxUint32} {
		p.remote.extend(s, greatest)
		for _, id := range []uint32{greatest, greatest + min(pathsAhead/2-1, math.MaxUint32-greatest)} {
			if id != math.MaxUint32 && !known(id) {
				t.Errorf("greatest %d: path %d is not known", greatest, id)
			}
		}
		if !known(open) {
			t.Errorf("greatest %d: open path %d is not known", greatest, open)
		}
		if n := p.remote.Table.Len(); n > 2*pathsAhead+2*pathsBehind+1 {
			t.Errorf("greatest %d: %d connection ids", greatest, n)
		}
	}
}

// The server closes a path, as it does when it has too many: the router opens another over that link.
func TestServerClosesPath(t *testing.T) {
	p := newPair(t)
	for i := range 2 {
		p.local.SetLink(p.now, i, Link{Up: true, Endpoint: serverAt})
	}
	p.run(time.Second, nil)
	first, _ := p.local.LinkPath(0)
	p.peer.LeavePath(p.now, first)
	p.run(100*time.Millisecond, func(up bool, _ []byte) bool { return !up }) // the first word of it is lost
	p.run(2*time.Second, nil)
	now, ok := p.local.LinkPath(0)
	if !ok || now == first || !p.local.Path(now).Usable() || len(p.peer.Paths()) != 2 {
		t.Errorf("path %d after %d, open %v; %d paths at the server", now, first, ok, len(p.peer.Paths()))
	}
	if n := p.local.Table.Len(); n != 2 {
		t.Errorf("%d connection ids at the router", n)
	}
}

// A router that opens more paths than a session has places for: dead ones make room, working ones do not.
func TestTooManyPaths(t *testing.T) {
	p := newPair(t)
	for i := range engine.MaxPaths + 4 {
		p.local.SetLink(p.now, i, Link{Up: true, Endpoint: serverAt})
	}
	p.run(3*time.Second, nil)
	if n := len(p.peer.Paths()); n != engine.MaxPaths {
		t.Errorf("%d paths", n)
	}
	for i := range engine.MaxPaths + 4 {
		p.local.SetLink(p.now, i, Link{Up: i >= 8, Endpoint: serverAt})
	}
	p.run(10*time.Second, nil)
	usable := 0
	for _, path := range p.peer.Paths() {
		if path.Usable() {
			usable++
		}
	}
	if usable != engine.MaxPaths-4 {
		t.Errorf("%d usable paths at the server, want %d", usable, engine.MaxPaths-4)
	}
}

// Paths that the router left without a word that got through: they make room for new ones after a while.
func TestDeadPathsMakeRoom(t *testing.T) {
	p := newPair(t)
	for i := range 2 {
		p.local.SetLink(p.now, i, Link{Up: true, Endpoint: serverAt})
	}
	p.run(time.Second, nil)
	for i := range engine.MaxPaths + 4 {
		id, _ := p.local.LinkPath(0)
		p.local.ClosePath(p.now, id)
		p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt, Source: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})})
		p.run(500*time.Millisecond, nil)
	}
	p.run(5*time.Second, nil)
	if id, _ := p.local.LinkPath(0); !p.local.Path(id).Usable() || len(p.peer.Paths()) > engine.MaxPaths {
		t.Errorf("the link's path is %v; %d paths at the server", p.local.Path(id).State(), len(p.peer.Paths()))
	}
}

// A datagram that was opened for a session, and handled when there is another: it must not get into that one.
func TestLateOpened(t *testing.T) {
	p := newPair(t)
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	p.run(time.Second, nil)
	for _, owner := range []uint64{0, 12345} {
		b := p.pool.Get()
		b.Set(wire.PingFrame{}.Append(nil))
		p.local.Receive(p.now, owner, &engine.Received{Buf: b, Number: 1 << 40, Path: 1, Wire: 60, At: p.now})
		c := p.pool.Get()
		c.Set(wire.PingFrame{}.Append(nil))
		p.remote.Receive(p.now, owner, &engine.Received{Buf: c, Number: 1 << 40, Path: 1, Wire: 60, At: p.now, From: routerAt})
	}
	d, r := p.local.Drops(), p.remote.Drops()
	if d.Map()["unknown_connection"] != 2 || r.Map()["unknown_connection"] != 2 {
		t.Errorf("drops %v, %v", d.Map(), r.Map())
	}
	before := p.peer.Paths()[0].Rx.Heard()
	p.run(2*time.Second, nil)
	if p.peer.Paths()[0].Rx.Heard() <= before {
		t.Error("the path is dead: its numbers were taken")
	}
}

// A response of an attempt that is over, because a path came back, does not replace the session.
func TestLateResponse(t *testing.T) {
	p := newPair(t)
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	p.run(time.Second, nil)
	id, _, _, _ := p.local.Session()
	var held []byte
	p.run(4*time.Second, func(up bool, d []byte) bool {
		if wire.Kind(d) == wire.KindResponse {
			held = bytes.Clone(d)
		}
		return true && wire.Kind(d) == wire.KindResponse || wire.Kind(d) == wire.KindData
	})
	if held == nil || !p.local.attempt.open {
		t.Fatal("no attempt is open")
	}
	for range 20 {
		if p.local.attempt.open {
			p.run(100*time.Millisecond, func(_ bool, d []byte) bool {
				if wire.Kind(d) == wire.KindResponse {
					held = bytes.Clone(d)
				}
				return wire.Kind(d) == wire.KindResponse
			})
		}
	}
	if p.local.attempt.open {
		t.Fatal("the path did not come back")
	}
	p.local.Handshake(p.now, 0, held)
	if now, _, _, _ := p.local.Session(); now != id {
		t.Error("a late response replaced the session")
	}
}

func TestConflict(t *testing.T) {
	a, b, c := handshake.Instance{1}, handshake.Instance{2}, handshake.Instance{3}
	minute := func(n int) mono.Time { return begin.Add(time.Duration(n) * time.Minute) }
	for name, test := range map[string]struct {
		order []handshake.Instance
		every int // minutes
		want  bool
	}{
		"one":                   {[]handshake.Instance{a, a, a, a, a}, 1, false},
		"started anew":          {[]handshake.Instance{a, b, c, {4}, {5}, {6}}, 1, false},
		"two, two swaps":        {[]handshake.Instance{a, b, a}, 1, false},
		"two, three swaps":      {[]handshake.Instance{a, b, a, b}, 1, true},
		"two, each with rekeys": {[]handshake.Instance{a, a, b, b, a, a, b}, 1, true},
		"three":                 {[]handshake.Instance{a, b, c, a}, 1, true},
		"seldom":                {[]handshake.Instance{a, b, a, b, a}, 6, false},
	} {
		var x conflict
		for i, process := range test.order {
			x.confirmed(minute(i*test.every), process)
		}
		end := minute((len(test.order) - 1) * test.every)
		if x.stands(end) != test.want {
			t.Errorf("%s: %v", name, !test.want)
		}
		if x.stands(end.Add(conflictWindow + time.Minute)) {
			t.Errorf("%s: stands for ever", name)
		}
	}
	var x conflict
	for i := range 1000 {
		x.confirmed(minute(i), handshake.Instance{byte(i), byte(i >> 8)})
	}
	if len(x.seen) > 2*conflictSwaps || len(x.swaps) > 2*conflictSwaps {
		t.Errorf("%d processes and %d swaps are kept", len(x.seen), len(x.swaps))
	}
}

func TestNotice(t *testing.T) {
	var n notice
	if got := n.take(begin, []string{"a", "a", "b"}); len(got) != 2 {
		t.Errorf("%q", got)
	}
	if got := n.take(begin.Add(time.Minute), []string{"b"}); len(got) != 0 {
		t.Errorf("told again: %q", got)
	}
	if got := n.current(begin.Add(time.Minute + noticeLife)); got != "b" {
		t.Errorf("%q", got)
	}
	if got := n.current(begin.Add(time.Minute + noticeLife + 1)); got != "" {
		t.Errorf("still %q", got)
	}
	if got := n.take(begin.Add(time.Hour), []string{"b"}); len(got) != 1 {
		t.Errorf("not told again: %q", got)
	}
}

// What the server says is shown to people: nothing in it may steer a terminal, and however it is repeated, the log gets it once.
func TestNoticeArrives(t *testing.T) {
	p := newPair(t)
	p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
	p.run(time.Second, nil)
	for range 3 {
		p.peer.Notify(p.now, 1, "one\x1b[31m\ntwo\xff")
		lose := 1
		p.run(time.Second, func(up bool, _ []byte) bool { lose--; return !up && lose > -3 })
	}
	if got := p.local.Notices(p.now); len(got) != 1 || got[0] != "one?[31m?two?" {
		t.Errorf("%q", got)
	}
}

// FuzzBothEnds: whatever comes to either end as a handshake or as the content of an authentic datagram, nothing panics, and
// all buffers come back.
func FuzzBothEnds(f *testing.F) {
	f.Add(uint8(0), []byte{2, 1, 0, 0, 1, 2, 3, 4})
	f.Add(uint8(1), []byte{1, 1, 0, 0, 1, 2, 3, 4, 0, 96})
	f.Add(uint8(2), wire.PathCloseFrame{Path: 1}.Append(wire.PathCloseFrame{Path: math.MaxUint32}.Append(nil)))
	f.Add(uint8(3), wire.PathCloseFrame{Path: 1}.Append(wire.ConfigFrame{ID: 9, Blob: []byte{1}}.Append(nil)))
	f.Add(uint8(3), []byte{byte(wire.TypeClose), 0, 2, 'n', 'o'})
	f.Add(uint8(2), []byte{byte(wire.TypeChallenge), 1, 2, 3, 4, 5, 6, 7, 8, byte(wire.TypeResponse), 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, to uint8, data []byte) {
		p := newPair(t)
		p.local.SetLink(p.now, 0, Link{Up: true, Endpoint: serverAt})
		p.run(300*time.Millisecond, nil)
		for range 3 {
			p.feed(to, data)
			p.run(100*time.Millisecond, nil)
		}
		p.run(8*time.Second, nil)
		if !p.local.Stands() || !p.peer.Stands() {
			t.Error("no session afterwards")
		}
		p.local.Close(p.now)
		p.peer.Close(p.now)
		p.batch.Reset()
		if lent, _ := p.pool.Lent(); lent != 0 {
			t.Errorf("%d buffers not given back", lent)
		}
	})
}

// feed gives an end a handshake datagram, or the content of an authentic datagram.
func (p *pair) feed(to uint8, data []byte) {
	switch to % 4 {
	case 0:
		p.local.Handshake(p.now, int(to)-2, data)
		return
	case 1:
		p.remote.Handshake(p.now, 0, routerAt, netip.Addr{}, data)
		return
	}
	if len(data) > packet.MaxBytes {
		return
	}
	b := p.pool.Get()
	b.Set(data)
	r := &engine.Received{Buf: b, Number: uint64(to) + 5000, Path: 1 + uint32(to/4), Wire: len(data) + 60, At: p.now, From: routerAt}
	if to%4 == 2 {
		p.remote.Receive(p.now, p.peer.current.owner, r)
		return
	}
	p.local.Receive(p.now, p.local.sessionID, r)
}
