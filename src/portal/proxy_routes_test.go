package portal

import (
	"net/netip"
	"testing"

	"mpproxy/src/config"
	"mpproxy/src/socks"
)

func TestRouteFor(t *testing.T) {
	network := func(s string) config.Dest { return config.Dest{Net: netip.MustParsePrefix(s)} }
	routes := []config.Route{
		{Name: "all", Dest: []config.Dest{{}}, Ports: []config.PortRange{{First: 1, Last: 1000}}},
		{Name: "wide", Dest: []config.Dest{network("192.0.2.0/24")}},
		{Name: "narrow", Dest: []config.Dest{network("192.0.2.128/25"), network("2001:db8::/32")}},
		{Name: "again", Dest: []config.Dest{network("192.0.2.128/25")}},
		{Name: "org", Dest: []config.Dest{{Domain: "example.org"}}},
		{Name: "www", Dest: []config.Dest{{Domain: "www.example.org"}}, Ports: []config.PortRange{{First: 443, Last: 443}}},
	}
	for text, want := range map[string]string{
		"198.51.100.1:80": "all", "198.51.100.1:2000": "", "192.0.2.1:2000": "wide", "192.0.2.200:80": "narrow", "[2001:db8::1]:9": "narrow",
		"[2001:db9::1]:9": "all",
	} {
		got := ""
		if r := routeFor(routes, socks.FromAddrPort(netip.MustParseAddrPort(text))); r != nil {
			got = r.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for name, want := range map[string]string{
		"example.org": "org", "WWW.Example.ORG": "www", "www.example.org.": "www", "a.www.example.org": "www", "badexample.org": "all", "org": "all",
	} {
		if r := routeFor(routes, socks.Address{Name: name, Port: 443}); r == nil || r.Name != want {
			t.Errorf("%s: %+v, want %s", name, r, want)
		}
	}
}

// TestRouteOf: a user who may take some routes only gets nothing where another one leads.
func TestRouteOf(t *testing.T) {
	cfg := &config.Config{
		Routes: []config.Route{{Name: "org", Dest: []config.Dest{{Domain: "example.org"}}}, {Name: "com", Dest: []config.Dest{{Domain: "example.com"}}}},
		Users:  []config.User{{Name: "ann", AllowRoute: []string{"org"}}, {Name: "bob"}},
	}
	for _, tt := range []struct{ user, name, want string }{
		{"", "example.com", "com"}, {"bob", "example.com", "com"}, {"ann", "example.org", "org"}, {"ann", "example.com", "refused"},
		{"ann", "example.net", "none"}, {"stranger", "example.com", "com"},
	} {
		got := "none"
		route, err := routeOf(cfg, socks.Client{User: tt.user}, socks.Address{Name: tt.name, Port: 80})
		if err != nil {
			got = "refused"
		} else if route != nil {
			got = route.Name
		}
		if got != tt.want {
			t.Errorf("%s to %s: %s, want %s", tt.user, tt.name, got, tt.want)
		}
	}
}
