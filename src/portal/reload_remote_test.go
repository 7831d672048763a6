package portal

import (
	"crypto/rand"
	"log/slog"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mpproxy/src/config"
	"mpproxy/src/engine"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/wire"
	"mpproxy/src/system"
)

// TestKbit: the lower of two limits, and 0 is none.
func TestKbit(t *testing.T) {
	for _, c := range []struct {
		a, b uint64
		want uint32
	}{{0, 0, 0}, {5000, 0, 5}, {0, 7000, 7}, {5000, 7000, 5}, {7000, 5000, 5}, {1 << 62, 0, math.MaxUint32}} {
		if got := kbit(c.a, c.b); got != c.want {
			t.Errorf("%d and %d: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// server is the configuration of a server with two routers.
func server() *config.Config {
	c := &config.Config{Portal: config.Portal{Role: config.RoleRemote, MTU: 1400, Device: "mpp0", DNSServers: []netip.Addr{netip.MustParseAddr("9.9.9.9")}}}
	r := &c.Portal.Remote
	r.Address, r.Interface, r.Mode, r.Isolate = netip.MustParsePrefix("10.99.0.1/24"), "eth0", config.ModeNAT, true
	r.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::]:6779")}
	r.BlockPort = []config.PortRange{{Protocol: "tcp", First: 25, Last: 26}}
	c.Peers = []config.Peer{
		{Name: "home", Enabled: true, PublicKey: config.Key{1}, PresharedKey: config.SecretKey{8}, Address: netip.MustParseAddr("10.99.0.2"), Address6: netip.MustParseAddr("fd00::2"),
			UploadBitsPerSecond: 16_000_000, DownloadBitsPerSecond: 80_000_000, MaxLinks: 3, Reach: []string{"office"}, AllowPrivate: true},
		{Name: "office", Enabled: true, PublicKey: config.Key{2}, Address: netip.MustParseAddr("10.99.0.3"),
			Prefix: []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")}, Prefix6: []netip.Prefix{netip.MustParsePrefix("fd07::/64")}},
		{Name: "old", PublicKey: config.Key{3}, Address: netip.MustParseAddr("10.99.0.4")},
	}
	return c
}

// TestPeerParams: a router is told its addresses and limits, each in its unit and its direction, and IPv6 only where the server has it.
func TestPeerParams(t *testing.T) {
	c := server()
	got := peerParams(c, c.Peers[0])
	if got.Name != "home" || got.Key != (handshake.PublicKey{1}) || got.PSK != (handshake.PresharedKey{8}) || got.Limits != (engine.Limits{Out: 10_000_000, In: 2_000_000, Links: 3}) {
		t.Errorf("%+v", got)
	}
	told, err := wire.ParseSessionConfig(got.Config)
	want := wire.SessionConfig{Address4: netip.MustParsePrefix("10.99.0.2/24"), MTU: 1400, Peer4: netip.MustParseAddr("10.99.0.1"), DNS: c.Portal.DNSServers,
		UpKbit: 16_000, DownKbit: 80_000, MaxLinks: 3}
	if err != nil || !reflect.DeepEqual(told, want) {
		t.Errorf("told %+v\nwant %+v", told, want)
	}
	if !slices.Equal(got.Owned, []netip.Prefix{netip.MustParsePrefix("10.99.0.2/32")}) {
		t.Errorf("without IPv6 here it has %v", got.Owned)
	}
	c.Portal.Remote.Address6 = []netip.Prefix{netip.MustParsePrefix("fd00::1/64")}
	c.Portal.Remote.RateBitsPerSecond = 20_000_000
	got = peerParams(c, c.Peers[0])
	told, _ = wire.ParseSessionConfig(got.Config)
	if told.Address6 != netip.MustParsePrefix("fd00::2/64") || told.Peer6 != netip.MustParseAddr("fd00::1") || told.UpKbit != 16_000 || told.DownKbit != 20_000 {
		t.Errorf("told %+v", told)
	}
	if !slices.Equal(got.Owned, []netip.Prefix{netip.MustParsePrefix("10.99.0.2/32"), netip.MustParsePrefix("fd00::2/128")}) {
		t.Errorf("it has %v", got.Owned)
	}
	if told, _ := wire.ParseSessionConfig(peerParams(c, c.Peers[1]).Config); told.Address6.IsValid() || told.UpKbit != 20_000 {
		t.Errorf("the one without IPv6 is told %+v", told)
	}
}

// TestServiceOf is what the firewall is told: who may speak to whom, what is blocked, and where the portal itself is.
func TestServiceOf(t *testing.T) {
	c := server()
	got := serviceOf(c)
	home, office := netip.MustParsePrefix("10.99.0.2/32"), netip.MustParsePrefix("10.99.0.3/32")
	far := []netip.Prefix{office, c.Peers[1].Prefix[0], c.Peers[1].Prefix6[0]}
	want := system.Service{Device: "mpp0", MTU: 1400, NAT: true, Isolate: true, Addresses: []netip.Prefix{c.Portal.Remote.Address}, Uplink4: "eth0",
		Blocked: []system.Ports{{Proto: "tcp", First: 25, Last: 26}},
		Listen:  []system.Ports{{Proto: "udp", First: 6779, Last: 6779}, {Proto: "tcp", First: 6779, Last: 6779}},
		Peers:   []system.ServicePeer{{Owned: []netip.Prefix{home}, Reach: far, AllowPrivate: true}, {Owned: far}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	c.Portal.Remote.Mode, c.Portal.Remote.AllowPrivate, c.Portal.Remote.Isolate = config.ModeRouted, true, false
	c.Portal.Remote.Address6 = []netip.Prefix{netip.MustParsePrefix("fd00::1/64")}
	if got = serviceOf(c); got.NAT || !got.AllowPrivate || got.Isolate || got.Uplink6 != "eth0" || len(got.Addresses) != 2 {
		t.Errorf("%+v", got)
	}
}

// TestReloadPeers: routers come, go and change; one that is the same keeps its session.
func TestReloadPeers(t *testing.T) {
	r := &remote{run: &running{log: slog.New(slog.DiscardHandler)}, rates: make(map[*node.Peer]*rates), conflicts: make(map[*node.Peer]bool)}
	key, err := handshake.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Remote = node.NewRemote(node.RemoteParams{Key: key, Random: rand.Reader, MaxPeers: 8})
	names := func() string {
		list := []string{}
		for _, p := range r.Peers() {
			if list = append(list, p.Name); r.rates[p] == nil {
				t.Errorf("no rates of %s", p.Name)
			}
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	c := server()
	for _, s := range []struct {
		change        func()
		names         string
		changes, kept int // how many phrases; how many peers are the same objects as before
	}{
		{func() {}, "home office", 2, 0},
		{func() {}, "home office", 0, 2},
		{func() { c.Peers[0].MaxLinks = 9 }, "home office", 1, 2},
		{func() { c.Peers[2].Enabled = true; c.Peers[1].Enabled = false }, "home old", 2, 1},
		{func() { c.Peers[0].PublicKey = config.Key{77} }, "home old", 2, 1},
		{func() { c.Peers = nil }, "", 2, 0},
	} {
		before := slices.Clone(r.Peers())
		s.change()
		changes := r.reloadPeers(0, c)
		kept := 0
		for _, p := range r.Peers() {
			if slices.Contains(before, p) {
				kept++
			}
			if i := slices.IndexFunc(c.Peers, func(one config.Peer) bool { return one.Name == p.Name }); i < 0 || p.PeerParams.Limits.Links != c.Peers[i].MaxLinks {
				t.Errorf("%s: %+v", p.Name, p.PeerParams.Limits)
			}
		}
		if names() != s.names || len(changes) != s.changes || kept != s.kept || len(r.rates) != len(r.Peers()) {
			t.Errorf("%q, %q, %d kept, %d rates; want %+v", names(), changes, kept, len(r.rates), s)
		}
	}
}
