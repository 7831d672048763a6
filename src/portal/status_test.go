package portal

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/stats"
	"mpproxy/src/system"
)

// TestStatusOfLinks: what keeps a link from being used is said, the user's own wish first; what is wrong with the link itself goes
// before a data cap or a login page; one that is switched off is there, too. Without any that could be used there is no session to wait for.
func TestStatusOfLinks(t *testing.T) {
	r := heldProxy(t).portal
	r.run.mode, r.walls = &safeMode{}, &walls{portal: r}
	r.sys.states = make([]atomic.Value, system.MaxLinks)
	r.sys.caps = newCaps(filepath.Join(t.TempDir(), "mpproxy"), filepath.Join(t.TempDir(), "sock"), slog.New(slog.DiscardHandler))
	r.run.cfg.Links = append([]config.Link{{Name: "off", Metric: 7}}, config.Link{Name: "dsl", Enabled: true}, config.Link{Name: "lte", Enabled: true})
	for name, c := range map[string]struct {
		change func()
		want   stats.LinkState // of lte
		state  stats.SessionState
	}{
		"up":                    {func() {}, stats.LinkUp, stats.SessionConnecting},
		"paused":                {func() { r.paused[1] = true }, stats.LinkPaused, stats.SessionConnecting},
		"used up":               {func() { r.capped[1] = capStop }, stats.LinkCap, stats.SessionConnecting},
		"slow":                  {func() { r.capped[1] = capSlow }, stats.LinkUp, stats.SessionConnecting},
		"login page":            {func() { r.walls.walled[1].Store(true) }, stats.LinkWalled, stats.SessionConnecting},
		"paused, used up":       {func() { r.paused[1], r.capped[1] = true, capStop }, stats.LinkPaused, stats.SessionConnecting},
		"no carrier, used up":   {func() { r.sys.states[1].Store(stats.LinkNoCarrier); r.capped[1] = capStop }, stats.LinkNoCarrier, stats.SessionConnecting},
		"no carrier, login":     {func() { r.sys.states[1].Store(stats.LinkNoCarrier); r.walls.walled[1].Store(true) }, stats.LinkNoCarrier, stats.SessionConnecting},
		"none that can be used": {func() { r.paused[0], r.paused[1] = true, true }, stats.LinkPaused, stats.SessionDown},
	} {
		copy(r.paused, []bool{false, false})
		copy(r.capped, []verdict{capFree, capFree})
		for i := range r.links {
			r.sys.states[i].Store(stats.LinkUp)
			r.walls.walled[i].Store(false)
		}
		c.change()
		var s stats.Status
		r.run.shared.do(t.Context(), func(mono.Time) { s = r.status(mono.Time(time.Hour)) })
		if len(s.Links) != 3 || s.Links[1].Name != "lte" || s.Links[1].State != c.want || s.Links[2].Name != "off" || s.Links[2].State != stats.LinkDisabled {
			t.Errorf("%s: %+v", name, s.Links)
		}
		if s.Sessions[0].State != c.state || s.Sessions[0].PublicAddress != "" {
			t.Errorf("%s: %s, public %q", name, s.Sessions[0].State, s.Sessions[0].PublicAddress)
		}
	}
}

// TestStatusDirections: up is what goes to the server, at either end.
func TestStatusDirections(t *testing.T) {
	now := mono.Time(time.Hour)
	p := path.New(now, path.Config{ID: 1, Offset: &recovery.Offset{}})
	p.OnSent(now, 1000, true, recovery.Payload{})
	var r rates
	r.look(now, []*path.Path{p})
	r.look(now.Add(rateWindow-1), []*path.Path{p})
	p.OnSent(now, 125_000, true, recovery.Payload{})
	r.look(now.Add(rateWindow/2), []*path.Path{p}) // too soon to say anything
	r.look(now.Add(time.Second), []*path.Path{p})
	name := func(*path.Path) (string, string) { return "x", "y" }
	router, server := pathStatus(now, p, &r, true, name), pathStatus(now, p, &r, false, name)
	if router.UpBytes != 126_000 || router.DownBytes != 0 || router.UpBitsPerSecond != 1_000_000 || router.DownBitsPerSecond != 0 {
		t.Errorf("the router's: %+v", router)
	}
	if server.DownBytes != 126_000 || server.UpBytes != 0 || server.DownBitsPerSecond != 1_000_000 || server.UpBitsPerSecond != 0 {
		t.Errorf("the server's: %+v", server)
	}
	if router.State != stats.PathValidating {
		t.Errorf("a path that is being opened: %s", router.State)
	}
	if p.Fail(now); pathState(p) != stats.PathDown {
		t.Errorf("one that failed: %s", pathState(p))
	}
}

// TestStatusOfRouters: the limits of a router are shown in its own directions, and one without a session is down.
func TestStatusOfRouters(t *testing.T) {
	c := server()
	p := &running{cfg: c, mode: &safeMode{}, shared: newShared(slog.New(slog.DiscardHandler), 16)}
	r := &remote{run: p, rates: make(map[*node.Peer]*rates), conflicts: make(map[*node.Peer]bool), system: &remoteSystem{}}
	r.Remote = node.NewRemote(node.RemoteParams{Key: handshake.PrivateKey{1}, MaxPeers: 8})
	r.system.advice.Store(&[]string{"open a port"})
	r.reloadPeers(0, c)
	s := r.status(mono.Time(time.Hour))
	if len(s.Sessions) != 2 || len(s.Advice) != 1 {
		t.Fatalf("%+v", s)
	}
	if home := s.Sessions[0]; home.Peer != "home" || home.State != stats.SessionDown || home.LimitUpBitsPerSecond != 16_000_000 || home.LimitDownBitsPerSecond != 80_000_000 ||
		home.MaxLinks != 3 || len(home.InnerAddresses) != 1 || home.InnerAddresses[0] != netip.MustParsePrefix("10.99.0.2/32").String() {
		t.Errorf("%+v", home)
	}
}

// TestWaitSession: the service is waited for until it has its session and its addresses, not one of both.
func TestWaitSession(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	asked := 0
	answers := []stats.Status{
		{}, {Sessions: []stats.Session{{State: stats.SessionConnecting, InnerAddresses: []string{"10.99.0.2"}}}},
		{Sessions: []stats.Session{{State: stats.SessionUp}}}, {Sessions: []stats.Session{{State: stats.SessionUp, InnerAddresses: []string{"10.99.0.2"}}}},
	}
	server := control.NewServer(socket, func(context.Context, control.Request) (any, error) {
		s := answers[min(asked, len(answers)-1)]
		asked++
		return s, nil
	})
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- server.Run(ctx) }()
	s, err := waitSession(t.Context(), socket)
	cancel()
	if ran := <-ended; err != nil || ran != nil || asked != len(answers) || len(s.InnerAddresses) != 1 {
		t.Errorf("%v, %v after %d answers: %+v", err, ran, asked, s)
	}
}
