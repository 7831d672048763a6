package config

import (
	"net/netip"
	"testing"
)

func TestParseHostPort(t *testing.T) {
	for text, want := range map[string]string{
		"vps.example.org":      "vps.example.org:6779",
		"vps.example.org:1":    "vps.example.org:1",
		"vps":                  "vps:6779",
		"192.0.2.1":            "192.0.2.1:6779",
		"192.0.2.1:443":        "192.0.2.1:443",
		"2001:db8::1":          "[2001:db8::1]:6779",
		"[2001:db8::1]":        "[2001:db8::1]:6779",
		"[2001:db8::1]:53":     "[2001:db8::1]:53",
		"a_b.example.org.":     "a_b.example.org.:6779",
		"xn--kche-0ra.example": "xn--kche-0ra.example:6779",
	} {
		got, err := parseHostPort(text, DefaultPort)
		if err != nil || got.String() != want {
			t.Errorf("%q: %v, %v; want %s", text, got, err, want)
		}
		if again, err := parseHostPort(got.String(), 1); err != nil || again != got {
			t.Errorf("%q does not read back: %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", ":", "a:", "a:0", "a:65536", "a:b", "[::1", "[::1]x", "[::1]:", "[1.2.3.4]:5", "[a]:5", "1.2.3", "1.2.3.256", "a b", "-a", "a-.b", "a..b",
		"https://a", "a/b", "::1:x"} {
		if got, err := parseHostPort(text, DefaultPort); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
	h, _ := parseHostPort("192.0.2.1:443", 1)
	if at, ok := h.Addr(); !ok || at != netip.MustParseAddrPort("192.0.2.1:443") {
		t.Errorf("address %v, %v", at, ok)
	}
	if _, ok := (HostPort{"name", 1}).Addr(); ok {
		t.Error("a name is an address")
	}
}

func TestParsePorts(t *testing.T) {
	for text, want := range map[string]PortRange{"80": {"", 80, 80}, "1-65535": {"", 1, 65535}, "tcp:22": {"tcp", 22, 22}, "udp:5-6": {"udp", 5, 6}} {
		if got, err := parseProtoPorts(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "5-4", "1-", "-1", "a", "icmp:1", "tcp:", "1-65536", "1-2-3"} {
		if got, err := parseProtoPorts(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestParseMark(t *testing.T) {
	for text, want := range map[string]Mark{"0x01000000/0xff000000": {0x01000000, 0xff000000}, "1/255": {1, 255}} {
		if got, err := parseMark(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "0/1", "1/0", "3/1", "0x100000000/0x100000000", "a/b", "1/255/1"} {
		if got, err := parseMark(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestParseAddresses(t *testing.T) {
	for text, v6 := range map[string]bool{"10.0.0.1/24": false, "fd00::1/64": true} {
		if got, err := parseCIDR(text, v6); err != nil || got.String() != text {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if got, err := parseCIDR(text, !v6); err == nil {
			t.Errorf("%q is taken for %v of the other family", text, got)
		}
	}
	for text, family := range map[string]int{"10.0.0.1": 6, "fd00::1": 4, "::ffff:1.2.3.4": 6, "fe80::1%eth0": 0, "": 0, "10.0.0.1/24": 0} {
		if got, err := parseAddr(text, family); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
	if got, err := parseCIDR("::ffff:1.2.3.4/120", true); err == nil {
		t.Errorf("a mapped address is taken for %v", got)
	}
}

func TestParseInterface(t *testing.T) {
	for _, text := range []string{"wan", "eth0.2", "br-lan", "wwan_4", "lan@home", "a:b", "123456789012345"} {
		if _, err := parseInterface(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", ".", "..", "a/b", "a b", "1234567890123456", "a'b", "ü"} {
		if _, err := parseInterface(text); err == nil {
			t.Errorf("%q is taken for an interface", text)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"metric", "mtu", "metered", "enabled", "endpoint", "profile"}
	for text, want := range map[string]string{"metirc": "metric", "metrics": "metric", "mut": "mtu", "enable": "enabled", "End_point": "endpoint", "xyz": "", "": "", "profil": "profile"} {
		if got := nearest(text, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", text, got, want)
		}
	}
}

// FuzzHostPort: no text makes the parser panic; what it reads, written and read again, is the same.
func FuzzHostPort(f *testing.F) {
	for _, text := range []string{"a:1", "[::1]:2", "::", "a.b", "[", "1.2.3.4:5"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHostPort(text, DefaultPort)
		if err != nil {
			return
		}
		if again, err := parseHostPort(h.String(), 1); err != nil || again != h {
			t.Fatalf("%q reads as %v, then as %v, %v", text, h, again, err)
		}
	})
}
