package portal

import (
	"net/netip"
	"testing"

	"mpproxy/src/config"
)

func TestBroadcast(t *testing.T) {
	for text, want := range map[string]string{"192.168.1.7/24": "192.168.1.255", "10.1.2.3/8": "10.255.255.255", "192.0.2.1/31": "192.0.2.1",
		"192.0.2.1/32": "192.0.2.1", "192.0.2.5/30": "192.0.2.7", "fd00::1/64": "fd00::1"} {
		if got := broadcast(netip.MustParsePrefix(text)).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestOwnPlaces(t *testing.T) {
	var o ownPlaces
	for text, want := range map[string]bool{"127.0.0.1": true, "::ffff:127.0.0.1": true, "127.255.255.255": true, "192.0.2.77": false, "2001:db8::1": false} {
		if got := o.has(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestLedInside: a stranger's name leads to the Internet only, a name of the home anywhere.
func TestLedInside(t *testing.T) {
	for name, want := range map[string]bool{"evil.example": false, "lan.evil.example": false, "192-168-1-1.evil.example.": false, "evillan": true,
		"nas.lan": true, "NAS.Lan.": true, "printer.home.arpa": true, "home.arpa.example": false, "router": true, "elan.example": false} {
		if got := ledInside(name, netip.MustParseAddrPort("192.168.1.1:80")); got != want {
			t.Errorf("%s to a private address: %v", name, got)
		}
		if !ledInside(name, netip.MustParseAddrPort("192.0.2.1:80")) {
			t.Errorf("%s to the Internet is refused", name)
		}
	}
}

// TestServersGuard: what is the server's own, blocked, private, or inside another router's tunnel is not reached for a router.
func TestServersGuard(t *testing.T) {
	peer := func(name, address string, reach ...string) config.Peer {
		return config.Peer{Name: name, Enabled: true, Address: netip.MustParseAddr(address), Reach: reach}
	}
	cfg := &config.Config{Peers: []config.Peer{peer("home", "10.99.0.2", "office"), peer("office", "10.99.0.3"), peer("third", "10.99.0.4")}}
	cfg.Peers[1].Prefix = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}
	cfg.Peers[2].Prefix = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}
	portal := &cfg.Portal.Remote
	portal.Isolate, portal.Listen = true, []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:6779")}
	portal.BlockPort = []config.PortRange{{Protocol: "tcp", First: 25, Last: 25}}
	cfg.SOCKS = []config.SOCKS{{Name: "relay", Enabled: true, Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1080")}}}
	x := &remoteProxy{}
	x.known.Store(cfg)
	for text, want := range map[string][3]bool{ // to home; with allow_private; with that and without isolation
		"203.0.113.9:80": {true, true, true}, "203.0.113.9:25": {false, false, false}, "10.1.2.3:80": {false, true, true},
		"127.0.0.1:80": {false, false, false}, "169.254.169.254:80": {false, false, false},
		"10.99.0.3:80": {false, true, true}, "192.0.2.3:80": {true, true, true},
		"10.99.0.4:80": {false, false, true}, "198.51.100.3:80": {false, false, true}, "10.99.0.2:80": {false, false, true},
	} {
		at := netip.MustParseAddrPort(text)
		home := cfg.Peers[0]
		portal.Isolate = true
		got := [3]bool{x.guard(home, "tcp")(at)}
		home.AllowPrivate = true
		got[1] = x.guard(home, "tcp")(at)
		portal.Isolate = false
		got[2] = x.guard(home, "tcp")(at)
		if got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	x.own.addrs = map[netip.Addr]struct{}{netip.MustParseAddr("203.0.113.1"): {}}
	x.own.at = x.own.at.AddDate(9999, 0, 0)
	home := cfg.Peers[0]
	home.AllowPrivate = true
	for text, want := range map[string][2]bool{"203.0.113.1:80": {false, true}, "203.0.113.1:6779": {false, false}, "203.0.113.1:1080": {false, false}, "203.0.113.2:1080": {true, true}} {
		at := netip.MustParseAddrPort(text)
		if got := [2]bool{x.guard(cfg.Peers[0], "tcp")(at), x.guard(home, "tcp")(at)}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// TestBlockedPortsByProtocol: a port that is blocked for one protocol is open for the other, also for programs' datagrams.
func TestBlockedPortsByProtocol(t *testing.T) {
	cfg := &config.Config{}
	cfg.Portal.Remote.BlockPort = []config.PortRange{{Protocol: "tcp", First: 443, Last: 443}, {Protocol: "udp", First: 53, Last: 54}, {First: 25, Last: 25}}
	x := &remoteProxy{}
	x.known.Store(cfg)
	s := x.plain(cfg, config.SOCKS{})
	for port, want := range map[uint16][2]bool{443: {false, true}, 53: {true, false}, 54: {true, false}, 25: {false, false}, 80: {true, true}} { // by TCP, by UDP
		at := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), port)
		if got := [2]bool{s.guard(at), s.guardUDP(at)}; got != want {
			t.Errorf("port %d: %v, want %v", port, got, want)
		}
	}
}

// TestFilesEach: the route with most subflows counts, weights as far as they are followed.
func TestFilesEach(t *testing.T) {
	via := func(weights ...int) (r config.Route) {
		for _, w := range weights {
			r.Via = append(r.Via, config.Via{Link: "x", Weight: w})
		}
		return r
	}
	links := make([]config.Link, 5)
	for i := range links {
		links[i].Enabled = i > 0
	}
	socks := []config.SOCKS{{Enabled: true}, {}, {Enabled: true}}
	for _, tt := range []struct {
		cfg        config.Config
		each, many int
	}{
		{config.Config{Links: links}, 2, 1}, {config.Config{Links: links, Routes: []config.Route{{}}, SOCKS: socks[:2]}, 5, 1},
		{config.Config{Routes: []config.Route{via(1, 1)}, SOCKS: socks}, 3, 2}, {config.Config{Routes: []config.Route{via(2, 20), via(3)}}, 11, 1},
	} {
		if each, many := filesEach(&tt.cfg), sections(&tt.cfg); each != tt.each || many != tt.many {
			t.Errorf("%+v: %d, %d", tt, each, many)
		}
	}
}

func TestMostClients(t *testing.T) {
	for _, tt := range []struct {
		wanted int
		files  uint64
		each   int
		want   int
	}{{10000, 65536, 5, 10000}, {10000, 20000, 2, 9616}, {10000, 4096, 3, 1109}, {10000, 1024, 2, 320}, {100, 4096, 3, 100}, {10000, 200, 2, 128}, {10000, 1 << 63, 2, 10000}, {10000, 300, 400, 1}} {
		if got := mostClients(tt.wanted, tt.files, tt.each); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
}
