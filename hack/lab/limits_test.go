package lab

import (
	"strings"
	"testing"
	"time"

	"mpproxy/src/stats"
)

// TestPeerLimits: what the administrator allows a router holds in both directions, on both sides' status, and is lifted by a
// reload without a new session.
func TestPeerLimits(t *testing.T) {
	const downMbit, upMbit = 8, 4
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), PeerOptions: []string{"option rate_down '8'", "option rate_up '4'", "option max_links '1'"}})
	startPortals(t, l)
	before := l.Router.until(t, "limits that the server told", func(s stats.Status) bool {
		return len(s.Sessions) == 1 && s.Sessions[0].LimitDownBitsPerSecond == downMbit*1e6 && s.Sessions[0].LimitUpBitsPerSecond == upMbit*1e6 && s.Sessions[0].MaxLinks == 1
	})
	for d, most := range map[Direction]float64{Down: downMbit * 1e6, Up: upMbit * 1e6} {
		if rate := bulk(t, l, d, 5*time.Second); rate < 0.75*most || rate > 1.02*most {
			t.Errorf("%v: %.2f Mbit/s, allowed are %.0f", d, rate/1e6, most/1e6)
		}
	}
	server := l.Remote.status(t).Sessions[0]
	if len(server.Paths) != 1 || server.LimitDownBitsPerSecond != downMbit*1e6 || server.LimitUpBitsPerSecond != upMbit*1e6 {
		t.Errorf("at the server: %d paths, limits %d and %d", len(server.Paths), server.LimitDownBitsPerSecond, server.LimitUpBitsPerSecond)
	}
	if server.Drops[stats.TooManyLinks.String()] == 0 || server.Drops[stats.OverRate.String()] != 0 {
		t.Errorf("dropped at the server: %v", server.Drops)
	}
	s := l.Router.status(t)
	if text := s.People(); !strings.Contains(text, "limited by the server to 8.0 Mbit/s down and 4.0 Mbit/s up") {
		t.Errorf("the status does not say it:\n%s", text)
	}
	if !strings.Contains(l.Router.Log(), "may use 1 of its connections at once") {
		t.Error("the router was not told of its connections")
	}
	l.Remote.edit(t, "\toption rate_down '8'\n\toption rate_up '4'\n\toption max_links '1'\n", "")
	if out, err := l.Remote.reload(); err != nil {
		t.Fatal(out, err)
	}
	after := l.Router.until(t, "both links without a limit", func(s stats.Status) bool {
		_, one := pathOf(s, "link1")
		_, two := pathOf(s, "link2")
		return one && two && s.Sessions[0].LimitDownBitsPerSecond == 0
	})
	if after.Sessions[0].StateSeconds < before.Sessions[0].StateSeconds {
		t.Error("the session began anew")
	}
	if rate := bulk(t, l, Down, 4*time.Second); rate < 20e6 {
		t.Errorf("after they were lifted: %.2f Mbit/s", rate/1e6)
	}
	l.Remote.edit(t, "config portal 'main'\n", "config portal 'main'\n\toption rate '8'\n")
	if out, err := l.Remote.reload(); err != nil || !strings.Contains(out, "rate of all routers together: 8 Mbit/s") {
		t.Errorf("a rate of all together: %q, %v", out, err)
	}
	l.Router.until(t, "the rate of all routers together", func(s stats.Status) bool { return s.Sessions[0].LimitDownBitsPerSecond == downMbit*1e6 })
	if rate := bulk(t, l, Down, 4*time.Second); rate > 1.1*downMbit*1e6 {
		t.Errorf("%.2f Mbit/s, allowed are %d to all together", rate/1e6, downMbit)
	}
}
