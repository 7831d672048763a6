package lab

import (
	"os"
	"strings"
	"testing"
	"time"
)

// carrierOptions make the router a proxy with one route to the lab's server.
func carrierOptions(carrier string, further ...string) []string {
	return append(proxyOptions("option carrier '"+carrier+"'"), further...)
}

// TestProxyMPTCP: carrier mptcp spreads one connection over two links, by endpoints that come and go.
func TestProxyMPTCP(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/mptcp/enabled"); err != nil {
		t.Skip("this kernel has no MPTCP")
	}
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/15ms"), RouterOptions: carrierOptions("mptcp", "option fallback 'none'")})
	multipath := func(role string) string {
		out, err := l.Exec(role, "ip", "mptcp", "endpoint")
		limits, err2 := l.Exec(role, "ip", "mptcp", "limits")
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		return out + limits
	}
	router, remote := multipath("router"), multipath("remote")
	before, err := l.Snapshot("router")
	if err != nil {
		t.Fatal(err)
	}
	startPortals(t, l)
	waitUntil(t, func() bool { return strings.Count(multipath("router"), "subflow dev wan") == 2 })
	go generous(listenIn(t, l, "server", ServerAddress+":8081"), 30<<20)
	rate := download(t, l, ServerAddress+":8081", 30<<20, nil)
	t.Logf("%.1f Mbit/s over two links of 20", rate/1e6)
	s := proxyStatus(t, l.Router)
	if s.MPTCP == 0 || s.Multipath != 1 || s.Fallbacks != 0 {
		t.Errorf("%+v", s)
	}
	if a, b := l.Links[0].Stats(Down).DeliveredBytes, l.Links[1].Stats(Down).DeliveredBytes; a < b/2 || b < a/2 {
		t.Errorf("the links carried %d and %d bytes", a, b)
	}
	if rate < 1.3*20e6*plainShare {
		t.Errorf("%.1f Mbit/s", rate/1e6)
	}
	if err := l.StopPortals(); err != nil {
		t.Fatal(err)
	}
	after, err := l.Snapshot("router")
	if err != nil {
		t.Fatal(err)
	}
	if d := Difference(before, after); d != "" || multipath("router") != router || multipath("remote") != remote {
		t.Errorf("not as before:\n%s%s%s", d, multipath("router"), multipath("remote"))
	}
}

// TestProxyWithoutMPTCP: where something on the way takes MPTCP's option out, as many do, the first connection comes up as
// plain TCP and goes on over one link; the next ones are carried by mpp.
func TestProxyWithoutMPTCP(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/mptcp/enabled"); err != nil {
		t.Skip("this kernel has no MPTCP")
	}
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/15ms"), RouterOptions: carrierOptions("mptcp", "option fallback 'none'")})
	if _, err := l.Feed("net", "table inet strip { chain f { type filter hook forward priority 0; reset tcp option mptcp; }; }", "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	startPortals(t, l)
	for port, size := range map[string]int{":8081": 20 << 20, ":8082": 1 << 20} {
		go generous(listenIn(t, l, "server", ServerAddress+port), size)
	}
	download(t, l, ServerAddress+":8082", 1<<20, nil)
	rate := download(t, l, ServerAddress+":8081", 20<<20, nil)
	t.Logf("%.1f Mbit/s over two links of 20 without MPTCP", rate/1e6)
	if s := proxyStatus(t, l.Router); s.MPTCP != 0 || s.Multipath != 2 || s.Fallbacks != 0 || rate < 1.3*20e6*plainShare {
		t.Errorf("%.1f Mbit/s; %+v", rate/1e6, s)
	}
}

// TestProxyThroughTunnel: carrier tunnel goes as the LAN's other traffic does, and directly without a session.
func TestProxyThroughTunnel(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms"), RouterOptions: carrierOptions("tunnel")})
	startPortals(t, l)
	tunnelled(t, l)
	go generous(listenIn(t, l, "server", ServerAddress+":8081"), 1<<20)
	go whoServer(listenIn(t, l, "server", ServerAddress+":8082"))
	download(t, l, ServerAddress+":8081", 1<<20, nil)
	c := askProxy(t, l, ServerAddress+":8082")
	b := make([]byte, 100)
	n, _ := c.Read(b)
	if s := proxyStatus(t, l.Router); s.Tunnelled != 2 || s.Multipath != 0 || s.Fallbacks != 0 || string(b[:n]) != RemoteAddress {
		t.Errorf("from %q: %+v", b[:n], s)
	}
	const lost = "no answer from the server"
	before := strings.Count(l.Router.Log(), lost) // a busy machine may have caused some
	if err := l.Remote.Stop(); err != nil {
		t.Fatal(err)
	}
	l.Remote = nil
	waitUntil(t, func() bool { return strings.Count(l.Router.Log(), lost) > before })
	download(t, l, ServerAddress+":8081", 1<<20, nil)
	if s := proxyStatus(t, l.Router); s.Fallbacks != 1 || s.FallbackWhy == "" {
		t.Errorf("%+v", s)
	}
}

// tunnelled waits until the LAN is led into the tunnel, which the proxy hears of a moment after the status does.
func tunnelled(t *testing.T, l *Lab) {
	t.Helper()
	waitUntil(t, func() bool { return strings.Contains(l.Router.Log(), "ip -6 rule add pref 2510") })
	wait(300 * time.Millisecond)
}

// TestProxyLinkComes: a connection that begins while a link is away uses that link as soon as it is there.
func TestProxyLinkComes(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), RouterOptions: proxyOptions("option fallback 'none'")})
	if err := l.Links[1].Carrier(false); err != nil {
		t.Fatal(err)
	}
	startPortals(t, l)
	go generous(listenIn(t, l, "server", ServerAddress+":8081"), 30<<20)
	var before uint64
	rate := download(t, l, ServerAddress+":8081", 30<<20, func() {
		before = uint64(l.Links[1].Stats(Down).DeliveredBytes)
		if err := l.Links[1].Carrier(true); err != nil {
			t.Error(err)
		}
	})
	after := uint64(l.Links[1].Stats(Down).DeliveredBytes)
	t.Logf("%.1f Mbit/s, %d bytes over the link that came, %d before", rate/1e6, after, before)
	if s := proxyStatus(t, l.Router); s.Multipath != 1 || before > 100_000 || after < 3<<20 {
		t.Errorf("%d bytes over the link that came: %+v", after, s)
	}
}

// TestMPTCPLeavesHeldLinks: a transfer over the kernel's MPTCP leaves a link that is paused, whether it began there or not.
func TestMPTCPLeavesHeldLinks(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/mptcp/enabled"); err != nil {
		t.Skip("this kernel has no MPTCP")
	}
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/15ms"), RouterOptions: carrierOptions("mptcp", "option fallback 'none'")})
	startPortals(t, l)
	waitUntil(t, func() bool {
		out, err := l.Exec("router", "ip", "mptcp", "endpoint")
		return err == nil && strings.Count(out, "subflow dev wan") == 2
	})
	go generous(listenIn(t, l, "server", ServerAddress+":8081"), 30<<20)
	act := func(link, action string) {
		if out, err := run("", "ip", "netns", "exec", l.Namespace("router"), l.options.Program, "--socket", l.Router.Socket, "link", link, action); err != nil {
			t.Fatal(out, err)
		}
	}
	for i, link := range []string{"link2", "link1"} {
		download(t, l, ServerAddress+":8081", 30<<20, func() {
			wait(time.Second)
			act(link, "pause")
			wait(time.Second)
			n := 1 - i
			had := carried(l.Links[n])
			wait(2 * time.Second)
			if more := carried(l.Links[n]) - had; more > 5000 {
				t.Errorf("%d bytes went over %s in 2 s after it was paused", more, link)
			}
		})
		act(link, "resume")
		wait(2 * time.Second)
	}
}
