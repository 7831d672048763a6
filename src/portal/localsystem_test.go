package portal

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/stats"
	"mpproxy/src/system"
)

// TestGoesDirect: without a session the LAN goes direct after a while, but never past the kill switch.
func TestGoesDirect(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *localSystem)
		lasted time.Duration
		want   bool
	}{
		"no session for long": {func(*localSystem) {}, directAfter + time.Second, true},
		"no session":          {func(*localSystem) {}, directAfter - time.Second, false},
		"a session":           {func(s *localSystem) { s.up.Store(true) }, time.Hour, false},
		"kill switch":         {func(s *localSystem) { s.want.Local.KillSwitch = true }, time.Hour, false},
		"never had one":       {func(s *localSystem) { s.set = false }, time.Hour, false},
		"direct already":      {func(s *localSystem) { s.direct = true }, time.Hour, false},
	} {
		s := &localSystem{set: true}
		if c.change(s); s.goesDirect(c.lasted) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}

// TestLinkWhy says what is wrong with a link in a word, the first thing first.
func TestLinkWhy(t *testing.T) {
	at := netip.MustParseAddr("192.0.2.2")
	for _, c := range []struct {
		err    error
		state  system.LinkState
		source netip.Addr
		want   stats.LinkState
	}{
		{nil, system.LinkState{Index: 3, Carrier: true}, at, stats.LinkUp},
		{errors.New("no"), system.LinkState{Index: 3, Carrier: true}, at, stats.LinkNoDevice},
		{nil, system.LinkState{Carrier: true}, at, stats.LinkNoDevice},
		{nil, system.LinkState{Index: 3}, at, stats.LinkNoCarrier},
		{nil, system.LinkState{Index: 3}, netip.Addr{}, stats.LinkNoCarrier},
		{nil, system.LinkState{Index: 3, Carrier: true}, netip.Addr{}, stats.LinkNoAddress},
	} {
		if got := linkWhy(c.err, c.state, c.source); got != c.want {
			t.Errorf("%v, %+v, %v: %s, want %s", c.err, c.state, c.source, got, c.want)
		}
	}
}

// TestSameState: whatever routing depends on makes a state another one, what was carried does not.
func TestSameState(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	whole := func() system.LinkState { return system.LinkState{Index: 3, IPv4: []netip.Addr{a}, Received: 7} }
	for name, c := range map[string]struct {
		change func(s *system.LinkState)
		same   bool
	}{
		"nothing":  {func(*system.LinkState) {}, true},
		"traffic":  {func(s *system.LinkState) { s.Received, s.Sent = 9, 9 }, true},
		"device":   {func(s *system.LinkState) { s.Index = 4 }, false},
		"gateway4": {func(s *system.LinkState) { s.Gateway4 = a }, false},
		"gateway6": {func(s *system.LinkState) { s.Gateway6 = a }, false},
		"filter":   {func(s *system.LinkState) { s.Filtered = true }, false},
		"IPv4":     {func(s *system.LinkState) { s.IPv4 = nil }, false},
		"IPv6":     {func(s *system.LinkState) { s.IPv6 = []netip.Addr{a} }, false},
	} {
		other := whole()
		if c.change(&other); sameState(whole(), other) != c.same {
			t.Errorf("%s: same %v", name, !c.same)
		}
	}
}

// TestOtherWishes names what differs of what the system task follows.
func TestOtherWishes(t *testing.T) {
	for want, change := range map[string]func(p *config.Portal){
		"":               func(p *config.Portal) { p.LogLevel, p.Scheduler = config.LogDebug, config.SchedulerGreedy },
		"LAN devices":    func(p *config.Portal) { p.Local.LAN = []string{"lan", "guest"} },
		"kill_switch":    func(p *config.Portal) { p.Local.KillSwitch = true },
		"dns":            func(p *config.Portal) { p.Local.DNS = config.DNSSystem },
		"dns ":           func(p *config.Portal) { p.DNSServers = []netip.Addr{netip.MustParseAddr("9.9.9.9")} },
		"ipv6":           func(p *config.Portal) { p.Local.IPv6 = config.IPv6Reject },
		"router_traffic": func(p *config.Portal) { p.Local.RouterTraffic = true },
	} {
		next := config.Portal{}
		change(&next)
		if got := strings.Join(otherWishes(config.Portal{}, next), ", "); got != strings.TrimSpace(want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestLookUps: the LAN's look-ups go to the name servers of the configuration, else to those that the server offers; with neither they
// stay as they are, but with the kill switch nobody else is told of them.
func TestLookUps(t *testing.T) {
	own, offered := netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("10.99.0.1")
	for name, c := range map[string]struct {
		change  func(s *localSystem)
		nobody  bool // there is no user
		servers []netip.Addr
		meant   bool // they go into the tunnel
		why     string
	}{
		"offered":                {func(s *localSystem) { s.offered = []netip.Addr{offered} }, false, []netip.Addr{offered}, true, ""},
		"configured":             {func(s *localSystem) { s.offered, s.want.DNSServers = []netip.Addr{offered}, []netip.Addr{own} }, false, []netip.Addr{own}, true, ""},
		"as before":              {func(s *localSystem) { s.want.Local.DNS = config.DNSSystem }, true, nil, false, ""},
		"nobody asks":            {func(s *localSystem) { s.offered = []netip.Addr{offered} }, true, nil, false, "no user"},
		"no server":              {func(*localSystem) {}, false, nil, false, "dns_server"},
		"no server, kill switch": {func(s *localSystem) { s.want.Local.KillSwitch = true }, false, nil, true, ""},
	} {
		s := &localSystem{want: config.Portal{Local: config.LocalPortal{DNS: config.DNSTunnel}}}
		c.change(s)
		got, err := s.lookUps(func() (int, bool) { return 453, !c.nobody })
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) || (got != nil) != c.meant {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if got != nil && (got.User != 453 || !slices.Equal(got.Resolvers, c.servers)) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestRemarks: the LAN's IPv6 is said to be refused where it is, and nowhere else.
func TestRemarks(t *testing.T) {
	const refused = "the LAN's IPv6 is refused"
	six := []netip.Prefix{netip.MustParsePrefix("10.99.0.2/24"), netip.MustParsePrefix("fd00::2/64")}
	for _, c := range []struct {
		policy    config.IPv6
		addresses []netip.Prefix
		dns       error
		want      []string
	}{
		{config.IPv6Auto, six[:1], nil, []string{refused}}, {config.IPv6Tunnel, six[:1], nil, []string{refused}}, {config.IPv6Auto, six, nil, nil},
		{config.IPv6Reject, six[:1], nil, nil}, {config.IPv6Direct, six[:1], nil, nil},
		{config.IPv6Auto, six[:1], errors.New("no user"), []string{refused, "no user; "}}, {config.IPv6Auto, six, errors.New("no user"), []string{"do not go into the tunnel: no user"}},
	} {
		s := &localSystem{}
		s.tunnel.IPv6, s.tunnel.Addresses = ipv6Policy(c.policy), c.addresses
		got := s.remarks(c.dns)
		if (got == "") != (len(c.want) == 0) || slices.ContainsFunc(c.want, func(w string) bool { return !strings.Contains(got, w) }) {
			t.Errorf("%s with %v, %v: %q", c.policy, c.addresses, c.dns, got)
		}
	}
}
