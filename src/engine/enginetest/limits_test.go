package enginetest

import (
	"strings"
	"testing"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/node"
	"mpproxy/src/linksim"
	"mpproxy/src/stats"
)

const limitBytes = 5e6 / 8 // per second

// share is goodput as a part of what a limit leaves for payload.
func share(w *World, delivered func() int64, d time.Duration) float64 {
	before := delivered()
	w.Run(d)
	return float64(delivered()-before) / d.Seconds() / (limitBytes * (innerMTU - 52) / innerMTU)
}

// A router's rates hold in both directions, on its links together, and nothing waits for long because of them: neither when
// the router keeps to what it was told, nor when it does not.
func TestPeerRates(t *testing.T) {
	for _, c := range []struct {
		name    string
		limits  engine.Limits
		rate    int64
		told    bool
		down    bool
		highest float64
	}{
		{"down", engine.Limits{Out: limitBytes}, 0, true, true, 1.01},
		{"up", engine.Limits{In: limitBytes}, 0, true, false, 1.01},
		{"up, and the router does not care", engine.Limits{In: limitBytes}, 0, false, false, 1.06},
		{"all together, down", engine.Limits{}, limitBytes, true, true, 1.01},
		{"all together, up, and the router does not care", engine.Limits{}, limitBytes, false, false, 1.06},
		{"the lower one", engine.Limits{Out: limitBytes}, 3 * limitBytes, true, true, 1.01},
	} {
		w := New(Config{Seed: 61, Links: []Link{Same(params(20, 10*time.Millisecond, 0)), Same(params(20, 25*time.Millisecond, 0))},
			Peer: func(p *node.PeerParams) { p.Limits = c.limits }, Remote: func(p *node.RemoteParams) { p.Rate = c.rate }})
		if c.told {
			w.Router.SetLimits(w.Now, engine.Limits{Out: c.limits.In})
		}
		_, got := bulk(w, c.down)
		w.Run(3 * time.Second)
		_, calls := call(w, c.down)
		from := w.Now.Add(time.Second)
		part := share(w, func() int64 { return int64(got.Delivered()) }, 5*time.Second)
		dropped := w.Server.Drops()[stats.OverRate]
		t.Logf("%s: %.3f of the limit, %d dropped", c.name, part, dropped)
		if part < 0.8 || part > c.highest { // the call has its part too
			t.Errorf("%s: %.3f of the limit", c.name, part)
		}
		if police := !c.told; police != (dropped > 0) {
			t.Errorf("%s: %d packets dropped as over_rate", c.name, dropped)
		}
		if late := calls.Delay(0.95, from, w.Now); c.told && late > 60*time.Millisecond {
			t.Errorf("%s: a call beside it is late by %v", c.name, late)
		}
		w.Remote.ChangePeer(w.Now, w.Peer, node.PeerParams{Name: w.Peer.Name, Key: w.Peer.Key, Owned: w.Peer.Owned, Config: w.Peer.Config})
		w.Remote.SetRate(w.Now, 0)
		w.Router.SetLimits(w.Now, engine.Limits{})
		w.Run(3 * time.Second)
		if part := share(w, func() int64 { return int64(got.Delivered()) }, 2*time.Second); part < 6 {
			t.Errorf("%s: %.1f of what the limit was, after it was lifted", c.name, part)
		}
	}
}

// A router with more connections than it may use has that many, is told so, and gets another one's place when one dies.
func TestMaxLinks(t *testing.T) {
	link := Same(params(10, 20*time.Millisecond, 0))
	w := New(Config{Seed: 62, Links: []Link{link, link, link}, Peer: func(p *node.PeerParams) { p.Limits.Links = 2 }})
	_, got := bulk(w, true)
	sum := 2 * Ceiling(10e6, 0, innerMTU)
	rate := func(d time.Duration) float64 {
		before := got.Delivered()
		w.Run(d)
		return float64(got.Delivered()-before) * 8 / d.Seconds() / sum
	}
	rate(3 * time.Second)
	if r := rate(3 * time.Second); r < 0.95 || r > 1.01 || len(w.Server.Paths()) != 2 {
		t.Errorf("%.3f of two links, %d paths", r, len(w.Server.Paths()))
	}
	if n := w.Server.Drops()[stats.TooManyLinks]; n == 0 {
		t.Error("nothing is counted as too_many_links")
	}
	if n := w.Local.Notices(w.Now); len(n) == 0 || !strings.Contains(n[0], "2 of its connections") {
		t.Errorf("the router was told %q", n)
	}
	used := w.Server.Paths()[0].Link
	w.Links[used].Cut(w.Now)
	rate(8 * time.Second)
	if r := rate(3 * time.Second); r < 0.9 {
		t.Errorf("after one of the two died: %.3f of two links", r)
	}
	w.Links[used].Restore(w.Now)
	rate(5 * time.Second)
	if r := rate(3 * time.Second); r > 1.01 {
		t.Errorf("after it came back: %.3f of two links", r)
	}
}

// A connection that gets another address is not kept out by what it was: the other one tells, and without another one a new
// session begins.
func TestMaxLinksAndAChange(t *testing.T) {
	for links, patience := range map[int]time.Duration{2: 300 * time.Millisecond, 1: 1500 * time.Millisecond} {
		w := New(Config{Seed: 63, Links: []Link{Same(params(10, 20*time.Millisecond, 0)), Same(params(10, 20*time.Millisecond, 0))}[:links],
			Peer: func(p *node.PeerParams) { p.Limits.Links = links }})
		_, got := bulk(w, false)
		w.Run(2 * time.Second)
		for range 5 {
			w.Local.SetLink(w.Now, 0, node.Link{})
			w.Run(50 * time.Millisecond)
			w.Local.SetLink(w.Now, 0, w.link(0))
			w.Run(patience)
			before, carried := got.Delivered(), w.Links[0].Up.Stats().DeliveredBytes
			w.Run(400 * time.Millisecond)
			if got.Delivered() == before || w.Links[0].Up.Stats().DeliveredBytes-carried < 100_000 {
				t.Fatalf("of %d: nothing comes by the link as it is now", links)
			}
		}
	}
	// Fewer connections than are open.
	link := Same(linksim.Params{Rate: 10e6, Delay: 10 * time.Millisecond})
	w := New(Config{Seed: 64, Links: []Link{link, link, link}})
	w.Run(2 * time.Second)
	if n := len(w.Server.Paths()); n != 3 {
		t.Fatalf("%d paths without a limit", n)
	}
	w.Server.SetLimits(w.Now, engine.Limits{Links: 1})
	w.Run(2 * time.Second)
	if n := len(w.Server.Paths()); n != 1 {
		t.Errorf("%d paths, one is allowed", n)
	}
}
