package portal

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"

	"mpproxy/src/config"
	"mpproxy/src/engine"
	"mpproxy/src/engine/session"
	"mpproxy/src/system"
)

// TestSystemParams: what is configured of marks, tables and priorities is used, the rest is as it always is.
func TestSystemParams(t *testing.T) {
	usual := system.DefaultParams()
	if got := SystemParams(config.Portal{}); got != usual {
		t.Errorf("nothing is configured: %+v", got)
	}
	got := SystemParams(config.Portal{Table: 300, Mark: config.Mark{Value: 0x100, Mask: 0xff00}, RulePriority: 5000})
	if got.Table != 300 || got.LinkTable != 301 || got.MarkStep != 0x100 || got.MarkMask != 0xff00 || got.LinkPriority == usual.LinkPriority {
		t.Errorf("%+v", got)
	}
}

// TestCiphers: the one that is asked for alone, else both.
func TestCiphers(t *testing.T) {
	aes, chacha := []session.Suite{session.AES256GCM}, []session.Suite{session.ChaCha20Poly1305}
	if got := suites(config.CipherAES); !slices.Equal(got, aes) {
		t.Errorf("AES: %v", got)
	}
	if got := suites(config.CipherChaCha); !slices.Equal(got, chacha) {
		t.Errorf("ChaCha20: %v", got)
	}
	if got := suites(config.CipherAuto); len(got) != 2 || got[0] == got[1] {
		t.Errorf("found: %v", got)
	}
	if protection(config.ProtectAuthenticate) != session.Authenticate || protection(config.ProtectEncrypt) != session.Encrypt || protection("") != session.Encrypt {
		t.Error("what is protected is not what was asked for")
	}
}

// TestPortalWords: sizes and levels of the configuration as the engine and the log have them.
func TestPortalWords(t *testing.T) {
	for mtu, want := range map[int]int{0: engine.DefaultMTU, 1300: 1300} {
		if got := innerMTU(&config.Config{Portal: config.Portal{MTU: mtu}}); got != want {
			t.Errorf("MTU %d: %d", mtu, got)
		}
	}
	for level, want := range map[config.LogLevel]slog.Level{config.LogError: slog.LevelError, config.LogWarn: slog.LevelWarn, config.LogInfo: slog.LevelInfo, config.LogDebug: slog.LevelDebug} {
		if got := slogLevel(level); got != want {
			t.Errorf("%s: %v", level, got)
		}
	}
}

// TestEndIsInReverse: what was done last is taken back first, all of it, once.
func TestEndIsInReverse(t *testing.T) {
	p := &running{}
	var order []int
	for i := range 3 {
		p.atEnd(func() error {
			order = append(order, i)
			return map[int]error{1: errors.New("no")}[i]
		})
	}
	if err := p.close(); err == nil || !slices.Equal(order, []int{2, 1, 0}) {
		t.Errorf("%v, %v", order, err)
	}
	if err := p.close(); err != nil || len(order) != 3 {
		t.Errorf("again: %v, %v", order, err)
	}
}

// TestPublicAddresses: what the Internet cannot reach does not go into tokens.
func TestPublicAddresses(t *testing.T) {
	for text, want := range map[string]bool{"203.0.113.9": true, "2001:db8::1": true, "192.168.1.1": false, "100.64.0.1": false, "100.128.0.1": true,
		"127.0.0.1": false, "169.254.0.1": false, "fe80::1": false, "fd00::1": false, "224.0.0.1": false} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestSignpost: the way to a server that is not known yet is of the link's own family, IPv4 first.
func TestSignpost(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")
	n := &signpost{addrs: []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::9]:6779"), netip.MustParseAddrPort("203.0.113.9:443")}}
	for _, c := range []struct {
		state      system.LinkState
		to, source string
	}{
		{system.LinkState{IPv4: []netip.Addr{four}, IPv6: []netip.Addr{six}}, "203.0.113.9:443", "192.0.2.2"},
		{system.LinkState{IPv4: []netip.Addr{four}}, "203.0.113.9:443", "192.0.2.2"},
		{system.LinkState{IPv6: []netip.Addr{six}}, "[2001:db8::9]:6779", "2001:db8::2"},
		{system.LinkState{}, "invalid AddrPort", "invalid IP"},
	} {
		if to, source := n.way(c.state); to.String() != c.to || source.String() != c.source {
			t.Errorf("%+v: %v from %v", c.state, to, source)
		}
	}
	n.addrs = n.addrs[:1]
	if to, source := n.way(system.LinkState{IPv4: []netip.Addr{four}}); to.IsValid() || source != four {
		t.Errorf("over a link without its family: %v from %v", to, source)
	}
}
