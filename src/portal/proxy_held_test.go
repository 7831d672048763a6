package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/mpp"
	"mpproxy/src/socks"
	"mpproxy/src/system"
)

// heldProxy is a proxy over the links dsl and lte, both up, with a loop; the tunnel's device is lo, and there is no session.
func heldProxy(t *testing.T) *localProxy {
	t.Helper()
	p := &running{log: slog.New(slog.DiscardHandler), shared: newShared(slog.New(slog.DiscardHandler), 16), group: newGroup(t.Context())}
	p.cfg = &config.Config{Portal: config.Portal{Device: "lo"}}
	p.config.current = p.cfg
	r := &local{run: p, Local: node.NewLocal(0, node.LocalParams{}), sys: &localSystem{router: &system.Router{}, log: p.log, config: make(chan func(), 8)}}
	r.links = []config.Link{{Name: "dsl", Metric: 1}, {Name: "lte", Metric: 2}}
	at := netip.MustParseAddrPort("127.0.0.1:9")
	r.told = []node.Link{{Up: true, Endpoint: at, Source: at.Addr()}, {Up: true, Endpoint: at, Source: at.Addr()}}
	r.paused, r.capped, r.devices, r.seen = make([]bool, 2), make([]verdict, 2), []string{"eth1", "eth2"}, make([]seenLink, 2)
	r.sys.portal, r.sys.names = r, newResolver(config.Remote{})
	l := &localProxy{portal: r, pool: mpp.NewPool(1 << 20), who: make(map[uint64]whose), near: &far{}}
	r.proxy = l
	l.client = l.newClient(r.remote)
	l.direct.Guard = func(netip.AddrPort) bool { return true }
	go func() {
		for {
			select {
			case f := <-p.shared.calls:
				f(0)
			case <-t.Context().Done():
				return
			}
		}
	}()
	return l
}

// TestHeldLinksCarryNoMPTCP: the kernel gets no endpoints of links that are paused or whose data cap is used up; a connection
// ends with its link and comes back over another.
func TestHeldLinksCarryNoMPTCP(t *testing.T) {
	l := heldProxy(t)
	r := l.portal
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for i := range r.told {
		r.told[i].Endpoint = netip.MustParseAddrPort(server.Addr().String())
	}
	numbers := func() (text string) {
		for _, k := range l.multipath().Links {
			text += fmt.Sprintf("%d %v,", k.Number, k.Backup)
		}
		return text
	}
	if got := numbers(); got != "0 false,1 true," {
		t.Error(got)
	}
	l.mptcp.set(true)
	route := &config.Route{Carrier: config.CarrierMPTCP}
	way, ok := l.overMPTCP(&far{}, route, l.links(t.Context()))
	if !ok {
		t.Fatal("no way")
	}
	first, err := way.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	r.run.shared.do(t.Context(), func(now mono.Time) {
		r.paused[0] = true
		r.reuse(now, 0)
	})
	if got := numbers(); got != "1 true," {
		t.Error(got)
	}
	if len(r.sys.config) != 1 {
		t.Error("the system is not told")
	}
	if _, err := first.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Error("the connection goes on over a link that is paused", err)
	}
	again, err := way.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if len(r.open.conns["lte"]) != 1 {
		t.Error("it does not come back over the other link")
	}
	r.run.shared.do(t.Context(), func(now mono.Time) {
		r.capped[1] = capSlow
		r.reuse(now, 1)
	})
	if c, err := way.Dial(t.Context()); !errors.Is(err, errNoWay) {
		t.Error("every link is held:", c, err)
	}
}

// TestConnectionsFollowChangesOfTheirLink: those over a link that is removed, or gets another interface, end.
func TestConnectionsFollowChangesOfTheirLink(t *testing.T) {
	l := heldProxy(t)
	r, s := l.portal, l.portal.sys
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	dial := func(link, device string) (net.Conn, error) {
		return r.open.dial(t.Context(), link, device, &net.Dialer{}, server.Addr().String())
	}
	ended := func(c net.Conn) bool { _, err := c.Write([]byte{1}); return errors.Is(err, net.ErrClosed) }
	r.open.move("dsl", "eth1")
	r.open.move("lte", "eth2")
	dsl, err1 := dial("dsl", "eth1")
	lte, err2 := dial("lte", "eth2")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	do := func(f func(now mono.Time)) { r.run.shared.do(t.Context(), f) }
	same := r.links[1]
	same.Metric = 3
	do(func(now mono.Time) { r.replaceLink(now, 1, same) })
	if ended(lte) {
		t.Error("a connection ended without need")
	}
	same.Interface = "wwan"
	do(func(now mono.Time) { r.replaceLink(now, 1, same) })
	if _, err := dial("lte", "eth2"); err == nil || !ended(lte) {
		t.Error("connections stay on the interface of before")
	}
	if r.lowestMetric() != 1 {
		t.Error(r.lowestMetric())
	}
	do(func(now mono.Time) { r.removeLink(now, 0) })
	if _, err := dial("dsl", "eth1"); err == nil || !ended(dsl) {
		t.Error("connections stay on a link that is gone")
	}
	if got := r.lowestMetric(); got != 3 {
		t.Errorf("the lowest metric is %d", got)
	}
	r.told, r.capped, r.paused = append(r.told, node.Link{}), append(r.capped, capFree), append(r.paused, false)
	if _, err := s.addLink(t.Context(), config.Link{Name: "dsl", Interface: "wan", Metric: 1}); err != nil {
		t.Error(err)
	}
	if c, err := dial("dsl", "eth1"); err != nil || ended(c) {
		t.Error("a link that is used again is not used", err)
	}
}

// TestSlowLinksAreNotGoneRound: where a data cap slows all links that a route may use, its connections take the tunnel, which
// keeps to the rate, or none. What would be direct takes the same provider without the rate.
func TestSlowLinksAreNotGoneRound(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	to := socks.FromAddrPort(netip.MustParseAddrPort(server.Addr().String()))
	for name, tt := range map[string]struct {
		carrier    config.Carrier
		via        []config.Via
		capped     [2]verdict
		none, up   bool // no fallback; there is a session
		want       error
		tun, plain uint64
	}{
		"both slow":                {capped: [2]verdict{capSlow, capSlow}, up: true, tun: 1},
		"both slow, no session":    {capped: [2]verdict{capSlow, capSlow}, want: errNoTunnel},
		"the tunnel's, no session": {capped: [2]verdict{capSlow, capSlow}, carrier: config.CarrierTunnel, want: errNoTunnel},
		"no fallback":              {capped: [2]verdict{capSlow, capSlow}, none: true, up: true, want: errNoWay},
		"one slow, one stopped":    {capped: [2]verdict{capStop, capSlow}, up: true, tun: 1},
		"its own slow":             {via: []config.Via{{Link: "lte", Weight: 1}}, capped: [2]verdict{capFree, capSlow}, up: true, tun: 1},
		"through a relay over it":  {via: []config.Via{{Relays: []string{"r"}, Weight: 1}}, capped: [2]verdict{capFree, capSlow}, up: true, tun: 1},
		"both stopped":             {capped: [2]verdict{capStop, capStop}, up: true, plain: 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := heldProxy(t)
			route := config.Route{Name: "all", Dest: []config.Dest{{}}, Carrier: tt.carrier, Via: tt.via, FallbackDirect: !tt.none}
			l.portal.run.cfg.Routes = []config.Route{route}
			l.portal.run.cfg.Relays = []config.Relay{{Name: "r", Enabled: true, Link: "lte", Address: config.HostPort{Host: "127.0.0.1", Port: 9}}}
			copy(l.portal.capped, tt.capped[:])
			l.portal.sys.up.Store(tt.up)
			s, _, err := l.Connect(t.Context(), socks.Client{}, to)
			if err == nil {
				_ = s.Close()
			}
			if !errors.Is(err, tt.want) || l.counts.tunnelled.Load() != tt.tun || l.counts.fallbacks.Load() != tt.plain {
				t.Errorf("%v, %d through the tunnel, %d direct", err, l.counts.tunnelled.Load(), l.counts.fallbacks.Load())
			}
			if tt.capped == [2]verdict{capSlow, capSlow} {
				if _, _, err := l.Bind(t.Context(), socks.Client{}, to, func(socks.Address) error { return errNoWay }); err == nil || l.counts.fallbacks.Load() > 0 {
					t.Errorf("it waits for a connection round the rate: %v", err)
				}
			}
		})
	}
}

// TestLinksAreConnectedOverAsTheyWereSeen: with the device and the mark that the system task told of, whatever it is at now.
func TestLinksAreConnectedOverAsTheyWereSeen(t *testing.T) {
	l := heldProxy(t)
	l.portal.seen[1].mark = 0x1300
	for i, k := range (&walls{portal: l.portal}).list(t.Context()) {
		if want := []uint32{0, 0x1300}[i]; k.mark != want {
			t.Errorf("login pages are asked for over %s with mark %#x", k.device, k.mark)
		}
	}
	for i, k := range l.links(t.Context()) {
		if want := []uint32{0, 0x1300}[i]; k.mark != want {
			t.Errorf("connections over %s have mark %#x", k.device, k.mark)
		}
	}
}

// TestNothingPassesTheKillSwitch: neither what no route names, nor what its route cannot carry, goes directly.
func TestNothingPassesTheKillSwitch(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	to := socks.FromAddrPort(netip.MustParseAddrPort(server.Addr().String()))
	for name, routes := range map[string][]config.Route{
		"no route":       nil,
		"plain":          {{Name: "all", Dest: []config.Dest{{}}, Carrier: config.CarrierPlain, FallbackDirect: true}},
		"no session":     {{Name: "all", Dest: []config.Dest{{}}, FallbackDirect: true}},
		"through tunnel": {{Name: "all", Dest: []config.Dest{{}}, Carrier: config.CarrierTunnel, FallbackDirect: true}},
	} {
		for _, kill := range []bool{false, true} {
			l := heldProxy(t)
			copy(l.portal.capped, []verdict{capStop, capStop}) // no link is waited for
			l.portal.run.cfg.Routes = routes
			l.portal.run.cfg.Portal.Local.KillSwitch = kill
			s, _, err := l.Connect(t.Context(), socks.Client{}, to)
			if err == nil {
				_ = s.Close()
			}
			if (err != nil) != kill {
				t.Errorf("%s, kill switch %v: %v", name, kill, err)
			}
			told := false
			_, _, err = l.Bind(t.Context(), socks.Client{}, to, func(socks.Address) error { told = true; return errNoWay })
			if err == nil || told == kill {
				t.Errorf("%s, kill switch %v: listens here %v, %v", name, kill, told, err)
			}
			if kill && l.counts.fallbacks.Load()+l.counts.plain.Load() > 0 {
				t.Errorf("%s: %d fallbacks, %d plain", name, l.counts.fallbacks.Load(), l.counts.plain.Load())
			}
		}
	}
}

// TestAllWaitForTheAddress: an address that is found wakes everybody who waits for it, and nobody who comes later.
func TestAllWaitForTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newResolver(config.Remote{Endpoints: []config.HostPort{{Host: "vps.example", Port: 1}}})
		ctx, cancel := context.WithTimeout(t.Context(), firstSubflow)
		defer cancel()
		var woken atomic.Int32
		wait := func() {
			found := n.next()
			go func() {
				if n.await(ctx, found) {
					woken.Add(1)
				}
			}()
		}
		for range 3 {
			wait()
		}
		synctest.Wait()
		if woken.Load() != 0 {
			t.Error("nothing was found yet")
		}
		n.found(0, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1")})
		synctest.Wait()
		if woken.Load() != 3 {
			t.Errorf("%d of 3 woken", woken.Load())
		}
		select {
		case <-n.fresh:
		default:
			t.Error("the system task is not told")
		}
		wait()
		time.Sleep(2 * firstSubflow)
		if woken.Load() != 3 {
			t.Error("an address of before wakes who comes later")
		}
		if (*resolver)(nil).await(ctx, (*resolver)(nil).next()) || newResolver(config.Remote{}).await(ctx, nil) {
			t.Error("there is nothing to wait for")
		}
	})
}
