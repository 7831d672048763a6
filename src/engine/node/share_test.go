package node

import (
	"testing"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/mono"
)

// What all may use is divided so that each gets the same at most, and nobody is held back while there is some left.
func TestLevel(t *testing.T) {
	for _, c := range []struct {
		rate int64
		want []int64
		get  int64
	}{
		{100, nil, 100},
		{100, []int64{100}, 100},
		{100, []int64{100, 100}, 50},
		{100, []int64{10, 100}, 90},
		{100, []int64{0, 0, 0}, 100},
		{100, []int64{10, 20}, 100},
		{100, []int64{10, 40, 100, 100}, 30},
		{100, []int64{100, 25, 20, 100}, 27},
		{3, []int64{9, 9, 9, 9}, 1},
	} {
		if got := level(c.rate, append([]int64(nil), c.want...)); got != c.get {
			t.Errorf("%d among %v: %d, want %d", c.rate, c.want, got, c.get)
		}
	}
}

// What a router wants is told by what it used: a hungry one gets what there is, one that does not use its share a little more than
// it used.
func TestWants(t *testing.T) {
	p := newPair(t)
	const rate, share = 1000, 400
	for _, c := range []struct {
		own   int64 // limit of its own
		level int64
		span  time.Duration
		want  int64
	}{
		{0, share, 0, rate},                // nothing known yet
		{0, share, 2 * time.Hour, rate},    // nothing known any more
		{0, share, time.Second, 0},         // idle
		{0, 0, time.Second, rate},          // no share was set
		{300, share, 0, 300},               // its own limit
		{300, 0, time.Second, 300},         // the same
		{5000, share, 2 * time.Hour, rate}, // never more than there is
		{0, share, time.Hour, 0},           // the longest that counts
		{0, share, time.Hour + 1, rate},    // and beyond
	} {
		p.peer.PeerParams.Limits = engine.Limits{Out: c.own, In: c.own}
		for d := range 2 {
			if got := p.peer.wants(d, rate, c.level, c.span); got != c.want {
				t.Errorf("%+v, direction %d: %d", c, d, got)
			}
		}
	}
	// Used before the last division, by counters: 100 bytes in half a second are 200 a second; a quarter more is the room to grow.
	p.peer.PeerParams.Limits = engine.Limits{}
	for _, c := range []struct{ used, want int64 }{{100, 250}, {159, 397}, {160, rate}} {
		p.peer.used = [2]uint64{-uint64(c.used), -uint64(c.used)}
		if got := p.peer.wants(1, rate, share, time.Second/2); got != c.want {
			t.Errorf("%d used: wants %d, want %d", c.used, got, c.want)
		}
		if p.peer.used[1] != 0 {
			t.Error("what was used is not kept")
		}
	}
}

// The rate of all is divided every tenth of a second, and a router's own limit stays.
func TestDivide(t *testing.T) {
	p := newPairWith(t, func(r *RemoteParams, _ *LocalParams) { r.Rate = 1000 })
	two, _ := p.remote.AddPeer(p.now, PeerParams{Key: p.key(t), Limits: engine.Limits{Out: 200, In: 300, Links: 3}})
	if got := p.peer.Tunnel.Limits(); got != (engine.Limits{Out: 1000, In: 1000}) {
		t.Errorf("before anything was divided: %+v", got)
	}
	busy := func(now mono.Time, out, in uint64) { // as if both had used so much since the last division
		for _, peer := range p.remote.Peers() {
			peer.used = [2]uint64{-out, -in}
		}
		p.remote.OnTimeout(now)
	}
	p.remote.OnTimeout(p.now) // begins to count
	busy(p.now.Add(shareEvery-1), 100, 100)
	if got := p.peer.Tunnel.Limits(); got.Out != 1000 || got.In != 1000 {
		t.Errorf("divided too early: %+v", got)
	}
	p.now = p.now.Add(shareEvery)
	busy(p.now, 100, 1) // 1000 a second out, 10 in
	if got := p.peer.Tunnel.Limits(); got.Out != 800 || got.In != 1000 {
		t.Errorf("%+v", got)
	}
	if got := two.Tunnel.Limits(); got != (engine.Limits{Out: 200, In: 300, Links: 3}) {
		t.Errorf("the router with limits of its own: %+v", got)
	}
	p.remote.SetRate(p.now, 100)
	if got := two.Tunnel.Limits(); got.Out != 100 || got.In != 100 || got.Links != 3 {
		t.Errorf("a lower rate of all: %+v", got)
	}
	p.remote.SetRate(p.now, 0)
	if got := p.peer.Tunnel.Limits(); got != (engine.Limits{}) {
		t.Errorf("no bound: %+v", got)
	}
}
