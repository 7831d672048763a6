package lab

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	serverAddress6 = "2001:db8:5::2"
	remoteAddress6 = "2001:db8:3::2"
)

// giveIPv6 gives the LAN, the server and the remote portal IPv6. The links stay without.
func giveIPv6(t *testing.T, l *Lab) {
	t.Helper()
	for _, err := range []error{
		l.Set("net", "net.ipv6.conf.remote.disable_ipv6=0", "net.ipv6.conf.server.disable_ipv6=0", "net.ipv6.conf.all.forwarding=1"),
		l.Set("router", "net.ipv6.conf.all.forwarding=1"),
		l.IP("net", false, "address add 2001:db8:3::1/64 dev remote nodad", "address add 2001:db8:5::1/64 dev server nodad"),
		l.IP("remote", false, "address add "+remoteAddress6+"/64 dev eth0 nodad", "-6 route add default via 2001:db8:3::1"),
		l.IP("server", false, "address add "+serverAddress6+"/64 dev eth0 nodad", "-6 route add default via 2001:db8:5::1"),
		l.IP("router", false, "address add fd01::1/64 dev lan0 nodad"),
		l.IP("client", false, "address add fd01::2/64 dev eth0 nodad", "-6 route add default via fd01::1"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// whoServer tells everybody the address that it sees.
func whoServer(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		_, _ = io.WriteString(c, host)
		_ = c.Close()
	}
}

// who connects from a namespace as a program that knows of no proxy, and returns what it hears.
func who(l *Lab, role, to string) (answer string, err error) {
	err = inside(l.Namespace(role), func() error {
		c, err := net.DialTimeout("tcp", to, 5*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		b, err := io.ReadAll(c)
		answer = string(b)
		return err
	})
	return answer, err
}

// TestProxyTransparent leads what rules choose into the proxy, in both families and both ways, nothing else and nothing of
// the router's own; and leaves the system as it was.
func TestProxyTransparent(t *testing.T) {
	for _, by := range []string{"redirect", "tproxy"} {
		t.Run(by, func(t *testing.T) {
			l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), RouterOptions: []string{
				"", "config socks 'lan'", "option enabled '1'", "option transparent '1'", "option transparent_by '" + by + "'",
				"", "config rule 'web'", "option target 'proxy'", "option proto 'tcp'", "list dest_port '8081-8082'", "list src_ip '10.1.0.0/24'", "list src_ip 'fd01::/64'",
				"", "config route 'all'", "list dest '*'", "option fallback 'none'"}})
			giveIPv6(t, l)
			before, err := l.Snapshot("router")
			if err != nil {
				t.Fatal(err)
			}
			startPortals(t, l)
			for _, at := range []string{ServerAddress + ":8081", ServerAddress + ":8083", "[" + serverAddress6 + "]:8082"} {
				go whoServer(listenIn(t, l, "server", at))
			}
			waitUntil(t, func() bool { return strings.Contains(ruleset(t, l), "mpproxy_proxy") })
			transparentLeads(t, l)
			transparentLoops(t, l, by)
			if err := l.StopPortals(); err != nil {
				t.Fatal(err)
			}
			after, err := l.Snapshot("router")
			if err != nil {
				t.Fatal(err)
			}
			if d := Difference(before, after); d != "" {
				t.Errorf("the router is not as it was:\n%s", d)
			}
		})
	}
}

func transparentLeads(t *testing.T, l *Lab) {
	t.Helper()
	for to, want := range map[string]string{ServerAddress + ":8081": RemoteAddress, "[" + serverAddress6 + "]:8082": remoteAddress6} {
		if got, err := who(l, "client", to); err != nil || got != want {
			t.Errorf("%s: seen from %q, want %q: %v", to, got, want, err)
		}
	}
	if s := proxyStatus(t, l.Router); s.Intercepted != 2 || s.Multipath != 2 || s.Fallbacks != 0 {
		t.Errorf("%+v", s)
	}
}

// transparentLoops tries all that could go in circles: each attempt costs one connection, or none.
func transparentLoops(t *testing.T, l *Lab, by string) {
	t.Helper()
	if got, err := who(l, "client", ServerAddress+":8083"); err != nil || got != RemoteAddress { // no rule: by the tunnel
		t.Errorf("without a rule: %q, %v", got, err)
	}
	if got, err := who(l, "router", ServerAddress+":8081"); err != nil || got == RemoteAddress {
		t.Errorf("the router's own: %q, %v", got, err)
	}
	var ports []string
	out, err := l.Exec("router", "ss", "-Htln")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if at := strings.Fields(line)[3]; strings.Contains(at, "%lan0:") {
			ports = append(ports, at[strings.LastIndex(at, ":")+1:])
		}
	}
	if len(ports) != 2 {
		t.Fatalf("listens at %v\n%s", ports, out)
	}
	// The proxy's own port, by itself: on the LAN, and at a link's address. From a link nobody reaches it.
	for _, port := range ports {
		for _, host := range []string{RouterAddress, "192.168.1.2", "fd01::1"} {
			_, _ = who(l, "client", net.JoinHostPort(host, port))
		}
		if _, err := who(l, "nat1", net.JoinHostPort("192.168.1.2", port)); err == nil {
			t.Error("reached from a link")
		}
	}
	s := proxyStatus(t, l.Router)
	if s.Intercepted != 2 || s.Multipath != 2 || by == "redirect" && s.BadRequests == 0 {
		t.Errorf("%s: %+v", by, s)
	}
}

// ruleset is the router's firewall.
func ruleset(t *testing.T, l *Lab) string {
	t.Helper()
	out, err := l.Exec("router", "nft", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// waitUntil waits a while for something to come true.
func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); wait(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 10 s")
		}
	}
}

// TestProxyReload: rules, users and sections change while a connection through the proxy goes on, and after a crash nothing
// is led anywhere.
func TestProxyReload(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms"), RouterOptions: []string{
		"", "config socks 'lan'", "option enabled '1'", "option transparent '1'", "",
		"config rule 'web'", "option target 'proxy'", "list dest_port '8081'", "", "config route 'all'", "list dest '*'"}})
	startPortals(t, l)
	go whoServer(listenIn(t, l, "server", ServerAddress+":8081"))
	echo := listenIn(t, l, "server", ServerAddress+":7")
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
	waitUntil(t, func() bool { return strings.Contains(ruleset(t, l), "8081") })
	c := askProxy(t, l, ServerAddress+":7")
	goesOn := func(what string) {
		t.Helper()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for _, change := range []struct{ old, new, rules string }{
		{"list dest_port '8081'", "list dest_port '9001'", "9001"},
		{"option transparent '1'", "option transparent '1'\n\toption udp '0'", "9001"},
		{"option transparent '1'", "option transparent '0'", ""},
	} {
		l.Router.edit(t, change.old, change.new)
		if change.rules == "" {
			l.Router.edit(t, "config rule 'web'", "config rule 'web'\n\toption enabled '0'")
		}
		if out, err := l.Router.reload(); err != nil {
			t.Fatalf("%s: %q, %v", change.new, out, err)
		}
		goesOn(change.new)
		waitUntil(t, func() bool { return strings.Contains(ruleset(t, l), "mpproxy_proxy") == (change.rules != "") })
		waitUntil(t, func() bool { return strings.Contains(ruleset(t, l), change.rules) })
	}
	askProxy(t, l, ServerAddress+":7")
	if s := proxyStatus(t, l.Router); s.Connects != 2 {
		t.Errorf("%d connections counted, want 2", s.Connects)
	}
	l.Router.edit(t, "option transparent '0'", "option transparent '1'")
	if out, err := l.Router.reload(); err != nil {
		t.Fatalf("%q, %v", out, err)
	}
	waitUntil(t, func() bool { return strings.Contains(ruleset(t, l), "mpproxy_proxy") })
	l.Router.Kill()
	if strings.Contains(ruleset(t, l), "mpproxy_proxy") {
		t.Error("a dead proxy is still led connections")
	}
}
