package portal

import (
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"

	"mpproxy/src/config"
	"mpproxy/src/socks"
)

// TestRetiredServersFollow: the last clients of a server whose section has changed are still within reach of later
// configurations.
func TestRetiredServersFollow(t *testing.T) {
	ended := map[string]int{}
	server := func(name, idle string) *proxyServer {
		return &proxyServer{section: section(name), done: make(chan struct{}), cancel: func() { ended[name+idle]++ }}
	}
	p := &proxySet{}
	p.servers = []*proxyServer{server("lan", "")}
	old := server("lan", " before")
	old.users = map[string]string{"ann": "a", "bob": "b"}
	p.retired = []*proxyServer{old}
	p.follow(&config.Config{SOCKS: []config.SOCKS{section("lan")}})
	if len(old.users) > 0 || old.users == nil || len(ended) > 0 {
		t.Errorf("the users are gone: %v are left, ended %v", slices.Collect(maps.Keys(old.users)), ended)
	}
	p.follow(&config.Config{})
	if ended["lan"] != 1 || ended["lan before"] != 1 {
		t.Errorf("the section is gone: ended %v", ended)
	}
}

func section(name string) config.SOCKS {
	return config.SOCKS{Name: name, Enabled: true, AuthUser: true}
}

// TestMostClientsFollows: how many clients there may be follows what each of them needs.
func TestMostClientsFollows(t *testing.T) {
	run := &running{log: slog.New(slog.DiscardHandler)}
	run.config.current = &config.Config{}
	s := &proxyServer{run: run, section: config.SOCKS{MaxConnections: 1}, fresh: make(chan struct{}, 1)}
	s.devices, s.links = func() []string { return []string{"lo"} }, func() []string { return nil }
	s.server = socks.NewServer(socks.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	s.places()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.serverNow().Serve(t.Context(), l) }()
	for i := range 2 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write([]byte{5, 1, 0})
		if _, err = io.ReadFull(c, make([]byte, 2)); (err == nil) != (i == 0) {
			t.Errorf("client %d of 1: %v", i+1, err)
		}
		if i > 0 {
			_ = l.Close()
		}
	}
}

// TestNetworksOfClientsFollow: who may use a proxy follows the LAN's networks, unless the section names them.
func TestNetworksOfClientsFollow(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		run := &running{log: slog.New(slog.DiscardHandler)}
		run.config.current = &config.Config{}
		var devices []string
		s := &proxyServer{run: run, section: config.SOCKS{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}}, fresh: make(chan struct{}, 1)}
		s.devices, s.links = func() []string { return devices }, func() []string { return nil }
		if fixed {
			s.section.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		}
		if s.places(); (s.serverNow() != nil) != fixed {
			t.Fatal("a server before anybody is known who may use it, or none after")
		}
		if !fixed { // as if the LAN had had another network at the first look
			s.server = socks.NewServer(socks.Options{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
		}
		devices = []string{"lo"}
		s.places()
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.serverNow().Serve(t.Context(), l) }()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte{5, 1, 0})
		_, err = io.ReadFull(c, make([]byte, 2))
		_, _ = c.Close(), l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if n := s.serverNow().Counts(); (n.Strangers == 1) != fixed || (err == nil) == fixed {
			t.Errorf("networks of its own %v: %+v, %v", fixed, n, err)
		}
	}
}
