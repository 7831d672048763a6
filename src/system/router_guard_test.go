package system

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func (h *home) guard() *Guard {
	return &Guard{Device: "mpth", LAN: []string{"br-lan"}, DNSUser: nameServer}
}

// knock lets the client send to the outside in both families for a while.
func (h *home) knock(times int, pause time.Duration) {
	for range times {
		h.client.do(func() {
			for _, to := range []string{"203.0.113.9:6779", "[2001:db8:9::9]:6779"} {
				h.send(to)
			}
		})
		if pause > 0 {
			<-time.After(pause)
		}
	}
}

func TestKillSwitchHolds(t *testing.T) {
	h := newHome(t)
	far := newFarEnd(t, "p-wan2", "addr add 198.51.100.1/24 dev p-wan2", "addr add 192.168.100.1/24 dev p-wan2", "route add 192.168.1.0/24 via 198.51.100.5")
	echo(t, far, "192.168.100.1:80", "modem page")
	runCommand(t, "ip", "route", "add", "192.168.100.0/24", "via", "198.51.100.1", "dev", "wan2")
	t.Cleanup(func() { _, _ = LowerGuard(h.router.base) })
	h.knock(1, 0)
	if h.leaked() == 0 {
		t.Fatal("the control leaks nothing: the sniffer is blind")
	}
	if err := h.router.SetGuard(h.guard()); err != nil {
		t.Fatal(err)
	}
	for network, c := range map[string]struct {
		to   string
		want error
	}{"udp4": {"203.0.113.9:6779", unix.EHOSTUNREACH}, "udp6": {"[2001:db8:9::9]:6779", unix.EACCES}} {
		if took, err := h.refused(network, c.to); !errors.Is(err, c.want) || took > 100*time.Millisecond {
			t.Errorf("%s: %v after %v", network, err, took)
		}
	}
	if got := h.asks("192.168.100.1:80"); got != "modem page" {
		t.Errorf("modem page: %q", got)
	}
	leaks := func(what string) {
		t.Helper()
		h.knock(3, 0)
		if n := h.leaked(); n > 0 {
			t.Errorf("%s: %d packets leaked", what, n)
		}
	}
	leaks("no session yet")
	h.set(h.tunnel("10.99.0.2/32"))
	leaks("session, IPv4 inside only")
	h.tun.Close()
	leaks("the TUN is gone")
	if err := h.router.Close(); err != nil {
		t.Error(err)
	}
	leaks("stopped")
	p := h.router.base
	if plain, held, err := GuardState(p); !plain || held || err != nil {
		t.Errorf("after the stop: plain %v held %v %v", plain, held, err)
	}
	if err := Cleanup(p, quietLog()); err != nil {
		t.Error(err)
	}
	leaks("cleaned up")
	if removed, err := LowerGuard(p); !removed || err != nil {
		t.Error(removed, err)
	}
	if removed, err := LowerGuard(p); removed || err != nil {
		t.Error(removed, err)
	}
	if got := h.asks("203.0.113.9:6779"); got != "direct" {
		t.Errorf("without a guard: %q", got)
	}
	h.leaked()
	// At boot, before anything else.
	if err := RaiseGuard(p, *h.guard(), quietLog()); err != nil {
		t.Fatal(err)
	}
	leaks("before the daemon")
	if err := RaiseGuard(p, Guard{Device: "mpth"}, quietLog()); err == nil || !strings.Contains(err.Error(), "no LAN device") {
		t.Error(err)
	}
}

// TestGuardOutlivesFlushes: other programs flush all tables again and again, as "firewall stop" does, while the client sends.
func TestGuardOutlivesFlushes(t *testing.T) {
	h := newHome(t)
	t.Cleanup(func() { _, _ = LowerGuard(h.router.base) })
	if err := h.router.SetGuard(h.guard()); err != nil {
		t.Fatal(err)
	}
	list := func() string {
		out, _ := exec.Command("nft", "list", "table", "inet", "mpproxy_guard").CombinedOutput()
		return string(out)
	}
	before := list()
	keepUp(t, h.router)
	h.leaked()
	for range 5 {
		for _, flush := range []string{"nft flush ruleset", "nft delete table inet mpproxy_guard", "nft flush chain inet mpproxy_guard from_lan"} {
			f := strings.Fields(flush)
			_ = runQuiet(f[0], f[1:]...) // what is gone already cannot be flushed
			h.knock(2, 0)
		}
	}
	if n := h.leaked(); n > 0 {
		t.Errorf("%d packets leaked", n)
	}
	has(t, before, `iifname "br-lan" jump from_lan`)
	within(t, time.Second, "the plain guard is back", func() bool { return list() == before })
}

func TestGuardHoldsLookUps(t *testing.T) {
	needRoot(t)
	h := newHome(t)
	t.Cleanup(func() { _, _ = LowerGuard(h.router.base) })
	if got := h.looksUp(nameServer, "udp4", "203.0.113.9:53"); got != "by the link" {
		t.Fatalf("the control: %q", got)
	}
	if err := h.router.SetGuard(h.guard()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		uid                   int
		network, server, want string
	}{
		{nameServer, "udp4", "203.0.113.9:53", ""}, {nameServer, "tcp4", "203.0.113.9:53", ""}, {nameServer, "udp6", "[2001:db8:9::9]:53", ""},
		{nameServer, "udp4", "203.0.113.9:6779", "by the link"}, {0, "udp4", "203.0.113.9:53", "by the link"},
	} {
		if got := h.looksUp(c.uid, c.network, c.server); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	tunnel := h.tunnel("10.99.0.2/32")
	tunnel.DNS = &DNS{User: nameServer, Resolvers: addrs("10.99.0.1")}
	h.set(tunnel)
	if got := h.looksUp(nameServer, "udp4", "203.0.113.9:53"); got != "" {
		t.Error(got)
	}
	h.end.next(protocol4(unix.IPPROTO_UDP)) // the guard lets it into the tunnel
}

// TestNetworkRestart wipes what a restart of OpenWrt's network wipes, in its order and time: addresses, routes with a
// device in any table, the TUN's link at once; 1.16 s later all rules of both families in one burst, as the devices come back.
func TestNetworkRestart(t *testing.T) {
	h := newHome(t)
	t.Cleanup(func() { _, _ = LowerGuard(h.router.base) })
	if err := h.router.SetGuard(h.guard()); err != nil {
		t.Fatal(err)
	}
	h.set(h.tunnel("10.99.0.2/32", "fd00:99::2/128"))
	keepUp(t, h.router)
	whole := func() string {
		return runCommand(t, "ip", "rule") + runCommand(t, "ip", "-6", "rule") + runCommand(t, "ip", "route", "show", "table", "7000") +
			runCommand(t, "ip", "-6", "route", "show", "table", "7000") + runCommand(t, "ip", "route", "show", "table", "7001") + runCommand(t, "ip", "-o", "addr", "show", "mpth", "scope", "global")
	}
	before := whole()
	h.leaked()
	lines := func(text string) {
		for l := range strings.Lines(text) {
			if l = strings.TrimSpace(l); l != "" {
				_ = runQuiet("ip", strings.Fields(l)...)
			}
		}
	}
	began := time.Now()
	lines(`link set mpth down
		addr flush dev mpth
		link set br-lan down
		addr flush dev br-lan
		link set wan1 down
		addr flush dev wan1
		link set wan2 down
		addr flush dev wan2`)
	// netifd brings the links up before the LAN's rules are back: the moment in which all would leak.
	lines(`addr add 192.168.1.1/24 dev br-lan
		link set br-lan up
		-6 addr add 2001:db8:77::1/64 dev br-lan nodad
		addr add 192.0.2.5/24 dev wan1
		link set wan1 up
		-6 addr add 2001:db8:1::5/64 dev wan1 nodad
		route add default via 192.0.2.1 dev wan1 metric 10
		-6 route add default via fe80::1 dev wan1
		addr add 198.51.100.5/24 dev wan2
		link set wan2 up`)
	h.knock(10, 20*time.Millisecond)
	<-time.After(time.Until(began.Add(1160 * time.Millisecond)))
	for _, family := range []string{"-4", "-6"} {
		lines(family + " rule flush\n" + family + " rule add pref 32766 lookup main")
	}
	lines("-4 rule add pref 32767 lookup default")
	burst := time.Now()
	for whole() != before {
		h.knock(1, 0)
		if time.Since(burst) > 3*time.Second {
			t.Fatalf("not repaired:\n%s\nbefore:\n%s", whole(), before)
		}
	}
	took := time.Since(burst)
	h.knock(3, 0)
	t.Logf("repaired %v after the burst", took.Round(time.Millisecond))
	if took > time.Second {
		t.Errorf("repaired only after %v", took)
	}
	if n := h.leaked(); n > 0 {
		t.Errorf("%d packets leaked", n)
	}
	h.end.next(protocol4(unix.IPPROTO_UDP))
}
