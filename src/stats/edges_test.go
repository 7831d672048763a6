package stats

import (
	"strings"
	"testing"
)

// What people are told depends on the role, and trouble is told as it is.
func TestPeopleSaysWhereAndWhatIsWrong(t *testing.T) {
	s := one(SessionDown, Path{ID: 1})
	s.Sessions[0].Trouble = "no link has an address"
	if got := s.People(); !strings.Contains(got, "mpproxy 1 on the router, running for 0 s\n") || !strings.Contains(got, "\nNo link has an address\n") {
		t.Error(got)
	}
	s.Role = "remote"
	if got := s.People(); !strings.Contains(got, "mpproxy 1 on the server, ") {
		t.Error(got)
	}
	for role, want := range map[string]string{"local": "Not connected: no server is in use.\n", "remote": "No router is known yet.\n"} {
		if got := (&Status{Role: role}).People(); !strings.Contains(got, want) {
			t.Errorf("%s: %q", role, got)
		}
	}
}

// A queue shows from one millisecond on.
func TestPeopleShowsAQueue(t *testing.T) {
	for queue, want := range map[float64]string{0.99: "40 ms", 1: "40 ms (+1)", 1.6: "40 ms (+2)"} {
		if got := (&Path{SRTTMs: 40, QueueDelayMs: queue}).delay(); got != want {
			t.Errorf("%v: %q", queue, got)
		}
	}
}

// A limit of one bit is one, and either way alone is told.
func TestPeopleSaysAnyLimit(t *testing.T) {
	for _, c := range []struct {
		up, down uint64
		want     string
	}{
		{1, 0, "limited by the server to unlimited down and 1 bit/s up"},
		{0, 1, "limited by the server to 1 bit/s down and unlimited up"},
	} {
		s := Session{LimitUpBitsPerSecond: c.up, LimitDownBitsPerSecond: c.down}
		if got := s.limits(); len(got) != 1 || got[0] != c.want {
			t.Errorf("%q", got)
		}
	}
	if got := (&Session{}).limits(); len(got) != 0 {
		t.Errorf("no limits: %q", got)
	}
	s := Session{MaxLinks: 2, Paths: make([]Path, 1)}
	if got := s.limits(); len(got) != 0 {
		t.Errorf("a bound that is not reached is told: %q", got)
	}
	s.Paths = make([]Path, 2)
	if got := s.limits(); len(got) != 1 || got[0] != "connections allowed at once: 2" {
		t.Errorf("%q", got)
	}
}

// Times change their unit exactly at it.
func TestDurationsAtTheirEdges(t *testing.T) {
	for seconds, want := range map[float64]string{
		-5: "0 s", 59.9: "59 s", 60: "1 min 0 s", 3599: "59 min 59 s", 3600: "1 h 0 min", 86399: "23 h 59 min", 86400: "1 d 0 h", 90000: "1 d 1 h",
	} {
		if got := duration(seconds); got != want {
			t.Errorf("%v: %q, want %q", seconds, got, want)
		}
	}
}

// The proxy's second line is there as soon as one of its numbers is, and a server speaks of multipath connections once there was one.
func TestProxyLines(t *testing.T) {
	said := func(p *Proxy) string {
		var out strings.Builder
		p.people(&out)
		return out.String()
	}
	listen := []string{"10.0.0.1:1080"}
	if got := said(&Proxy{Listen: listen}); strings.Contains(got, "taken from the LAN") || !strings.Contains(got, "SOCKS5 10.0.0.1:1080") {
		t.Error(got)
	}
	for want, p := range map[string]*Proxy{
		"  1 taken from the LAN, 0 through the tunnel, 0 over MPTCP\n": {Listen: listen, Intercepted: 1},
		"  0 taken from the LAN, 1 through the tunnel, 0 over MPTCP\n": {Listen: listen, Tunnelled: 1},
		"  0 taken from the LAN, 0 through the tunnel, 1 over MPTCP\n": {Listen: listen, MPTCP: 1},
		"Multipath connections of routers: 4 since the start, over 1":  {Multipath: 4, Subflows: 1},
	} {
		if got := said(p); !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if got := said(&Proxy{}); got != "" {
		t.Errorf("a server without multipath connections says %q", got)
	}
	if got := said(nil); got != "" {
		t.Errorf("%q", got)
	}
}

// An odd label without a value is left out.
func TestLabelWithoutValue(t *testing.T) {
	e := &exposition{metrics: map[string]*metric{}}
	e.add("a", "gauge", "h", 1, "x", "1", "y")
	e.add("b", "gauge", "h", 1)
	if got := e.metrics["a"].samples[0] + "|" + e.metrics["b"].samples[0]; got != `mpproxy_a{x="1"} 1|mpproxy_b 1` {
		t.Error(got)
	}
}

// Copies are told where there are any.
func TestPeopleSaysCopies(t *testing.T) {
	for copies, want := range map[uint64]bool{0: false, 1200: true} {
		s := one(SessionUp, Path{ID: 1})
		s.Sessions[0].CopiedPackets = copies
		if got := s.People(); strings.Contains(got, "1200 packets sent twice") != want || strings.Contains(got, "sent twice") != want {
			t.Errorf("%d: %s", copies, got)
		}
	}
}
