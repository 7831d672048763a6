package portal

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/path"
	"mpproxy/src/system"
)

// TestLinksAsUsed: the engine is told of a link what its options say, in its units; one that is paused or used up is not up, one whose
// cap slows it keeps to the lower rate in both directions.
func TestLinksAsUsed(t *testing.T) {
	r := heldProxy(t).portal
	r.links[1] = config.Link{Name: "lte", Metric: 2, Overflow: true, Metered: true, Congestion: config.CongestionCubic,
		UploadBitsPerSecond: 8_000_000, DownloadBitsPerSecond: 40_000_000, Cap: config.Cap{RateBitsPerSecond: 16_000_000}}
	cubic, _ := congestion.ParseKind("cubic")
	use := path.Use{Metric: 2, Overflow: true, Standby: true, Metered: true, Limit: 1_000_000, PeerLimit: 5_000_000, Congestion: cubic}
	slow := use
	slow.PeerLimit = 2_000_000
	for name, c := range map[string]struct {
		paused bool
		capped verdict
		up     bool
		use    path.Use
	}{
		"free": {false, capFree, true, use}, "paused": {true, capFree, false, use}, "used up": {false, capStop, false, use}, "slow": {false, capSlow, true, slow},
	} {
		r.paused[1], r.capped[1] = c.paused, c.capped
		want := node.Link{Up: c.up, Endpoint: r.told[1].Endpoint, Source: r.told[1].Source, Use: c.use}
		if got := r.asUsed(1, r.told[1]); got != want {
			t.Errorf("%s: %+v\nwant %+v", name, got, want)
		}
	}
	if got := r.asUsed(0, r.told[0]); got.Use != (path.Use{Metric: 1}) {
		t.Errorf("the first: %+v", got)
	}
	r.links[0].Metric = 2
	if got := r.asUsed(1, r.told[1]); got.Standby {
		t.Error("one of the lowest metric stands by")
	}
	for _, c := range [][3]int64{{0, 0, 0}, {3, 0, 3}, {0, 4, 4}, {3, 4, 3}, {4, 3, 3}} {
		if got := lesserLimit(c[0], c[1]); got != c[2] {
			t.Errorf("the lesser of %d and %d: %d", c[0], c[1], got)
		}
	}
}

// TestPausing: a link is paused and used again by its name; what is no link, or nothing that can be done, is said.
func TestPausing(t *testing.T) {
	r := heldProxy(t).portal
	for _, c := range []struct {
		name, action, want string
		paused             []bool
	}{
		{"lte", control.ActionPause, "", []bool{false, true}},
		{"dsl", control.ActionPause, "", []bool{true, true}},
		{"lte", control.ActionResume, "", []bool{true, false}},
		{"wlan", control.ActionPause, "there is no link 'wlan'; links are: dsl, lte", []bool{true, false}},
		{"lte", "stop", "'stop' is not pause or resume", []bool{true, false}},
	} {
		err := r.setPaused(t.Context(), c.name, c.action)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || !slices.Equal(r.paused, c.paused) {
			t.Errorf("%s %s: %v, paused %v", c.action, c.name, err, r.paused)
		}
	}
	r.run.shared.do(t.Context(), func(now mono.Time) { r.removeLink(now, 0) })
	if r.paused[0] {
		t.Error("the next link of this number would be paused")
	}
	if err := r.setPaused(t.Context(), "", control.ActionPause); err == nil || r.paused[0] || strings.Contains(err.Error(), "dsl") {
		t.Errorf("a removed link is paused: %v", err)
	}
}

// TestLinksAreNumbered: a new link has a number of its own; only where there is none left it is given one that is free, and where there
// is none it is not used.
func TestLinksAreNumbered(t *testing.T) {
	r := heldProxy(t).portal
	r.told, r.paused, r.capped = make([]node.Link, system.MaxLinks), make([]bool, system.MaxLinks), make([]verdict, system.MaxLinks)
	add := func(name string) error {
		_, err := r.sys.addLink(t.Context(), config.Link{Name: name})
		return err
	}
	r.run.shared.do(t.Context(), func(now mono.Time) { r.removeLink(now, 0) })
	for i := 2; i < system.MaxLinks; i++ {
		if err := add(fmt.Sprint("l", i)); err != nil || r.links[i].Name != fmt.Sprint("l", i) {
			t.Fatalf("link %d: %v, %+v", i, err, r.links)
		}
	}
	if err := add("again"); err != nil || r.links[0].Name != "again" {
		t.Errorf("the free number is not given: %v", err)
	}
	if err := add("more"); err == nil || len(r.links) != system.MaxLinks {
		t.Errorf("%d links: %v", len(r.links), err)
	}
}

// TestResolverAsks: a name that was not found is asked for again soon, one that was after a while, and neither while somebody asks;
// what was found stays when a later look-up finds nothing.
func TestResolverAsks(t *testing.T) {
	for name, c := range map[string]struct {
		host   string // "" is never found, an address at once
		known  bool
		asking bool
		since  time.Duration
		asked  bool
	}{
		"never asked":                  {"192.0.2.1", false, false, time.Hour, true},
		"not found, just asked":        {"192.0.2.1", false, false, resolveEvery - time.Second, false},
		"not found":                    {"192.0.2.1", false, false, resolveEvery + time.Second, true},
		"found":                        {"", true, false, resolveEvery + time.Second, false},
		"found a while ago":            {"", true, false, resolveAgain + time.Second, true},
		"somebody asks":                {"192.0.2.1", false, true, time.Hour, false},
		"nothing that has to be asked": {"-", false, false, time.Hour, false},
	} {
		n := newResolver(config.Remote{})
		if c.host != "-" {
			n.names = []config.HostPort{{Host: c.host, Port: 1}}
		}
		old := netip.MustParseAddrPort("192.0.2.7:1")
		l := &n.links[0]
		if c.known {
			l.addrs = []netip.AddrPort{old}
		}
		before := time.Now().Add(-c.since)
		l.askedAt, l.asking = before, c.asking
		n.mu.Lock()
		n.ask(0, "lo", look{servers: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
		asked := l.askedAt != before
		n.mu.Unlock()
		if asked != c.asked {
			t.Errorf("%s: asked %v", name, asked)
		}
		for end := time.Now().Add(10 * time.Second); asked; <-time.After(time.Millisecond) {
			n.mu.Lock()
			done, addrs := !l.asking, l.addrs
			n.mu.Unlock()
			if done {
				if want := map[bool]netip.AddrPort{true: old, false: netip.MustParseAddrPort("192.0.2.1:1")}[c.known]; !slices.Equal(addrs, []netip.AddrPort{want}) {
					t.Errorf("%s: %v, want %v", name, addrs, want)
				}
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: nobody else will ever ask", name)
			}
		}
	}
}
