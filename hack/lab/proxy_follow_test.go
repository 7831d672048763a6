package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mpproxy/src/socks"
)

// relayUser asks the server's own proxy, at a port, from the Internet, for a connection to the lab's server.
func relayUser(t *testing.T, l *Lab, port, user, password string) (net.Conn, error) {
	t.Helper()
	at := netip.MustParseAddrPort(RemoteAddress + port)
	var conn net.Conn
	if err := inside(l.Namespace("net"), func() (err error) { conn, err = net.DialTimeout("tcp", at.String(), 2*time.Second); return err }); err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	hop := socks.Hop{At: socks.FromAddrPort(at), User: user, Password: password}
	return conn, socks.Through(ctx, conn, []socks.Hop{hop}, socks.FromAddrPort(netip.MustParseAddrPort(ServerAddress+":8082")))
}

// lives reports whether a connection to an echo still carries something.
func lives(c net.Conn) bool {
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	_, _ = c.Write([]byte{1})
	_, err := io.ReadFull(c, make([]byte, 1))
	return err == nil
}

// TestProxyServerReload: users and sections of a server change without a restart: a user who is gone loses the connections,
// the others keep theirs, and a section that is gone listens no more. The tunnel goes on.
func TestProxyServerReload(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms"), RemoteOptions: []string{
		"option allow_private '1'", "", "config socks 'relay'", "option enabled '1'", "list listen '" + RemoteAddress + ":1080'", "option allow_wan '1'",
		"option auth 'user'", "", "config user 'ann'", "option password 's3cret'", "", "config user 'bob'", "option password 's3cret'"}})
	startPortals(t, l)
	go echoes(listenIn(t, l, "server", ServerAddress+":8082"))
	waitUntil(t, func() bool { return len(proxyStatus(t, l.Remote).Listen) == 1 })
	before := l.Router.status(t)
	ann, err := relayUser(t, l, ":1080", "ann", "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	bob, err := relayUser(t, l, ":1080", "bob", "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	if !lives(ann) || !lives(bob) {
		t.Fatal("nothing comes through")
	}
	change := func(old, text, says string) {
		t.Helper()
		l.Remote.edit(t, old, text)
		if out, err := l.Remote.reload(); err != nil || !strings.Contains(out, says) || strings.Contains(out, "restart") {
			t.Fatalf("%q, %v", out, err)
		}
	}
	change("config user 'bob'", "config user 'carl'", "users of proxy relay")
	if lives(bob) || !lives(ann) {
		t.Error("bob, who is gone, or ann, who is not")
	}
	if _, err := relayUser(t, l, ":1080", "bob", "s3cret"); !errors.Is(err, socks.ErrAuth) {
		t.Errorf("bob comes in again: %v", err)
	}
	if _, err := relayUser(t, l, ":1080", "carl", "s3cret"); err != nil {
		t.Errorf("carl: %v", err)
	}
	change(RemoteAddress+":1080", RemoteAddress+":1081", "proxy relay")
	waitUntil(t, func() bool {
		s := proxyStatus(t, l.Remote)
		return len(s.Listen) == 1 && strings.HasSuffix(s.Listen[0], ":1081")
	})
	if _, err := relayUser(t, l, ":1080", "ann", "s3cret"); err == nil {
		t.Error("it listens where it did before")
	}
	again, err := relayUser(t, l, ":1081", "ann", "s3cret")
	if err != nil || !lives(again) || !lives(ann) {
		t.Errorf("at the new place: %v", err)
	}
	change("option enabled '1'\n\tlist listen '"+RemoteAddress+":1081'", "option enabled '0'\n\tlist listen '"+RemoteAddress+":1081'", "proxy relay is not as before")
	if _, err := relayUser(t, l, ":1081", "ann", "s3cret"); err == nil {
		t.Error("a section that is switched off listens")
	}
	if lives(again) {
		t.Error("its clients stay")
	}
	if out, err := l.Exec("remote", "ss", "-ltnH", "sport", "=", ":1081"); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("listens: %q, %v", out, err)
	}
	sameWay(t, "sections changed", before, l.Router.status(t), "link1")
}

// echoes sends back what comes, at once.
func echoes(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}()
	}
}

// TestProxyRevokedRouter: a router that may have no streams any more loses those that it has, and has them again when it may,
// in the same session.
func TestProxyRevokedRouter(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms"), RouterOptions: proxyOptions("option fallback 'none'")})
	startPortals(t, l)
	go echoes(listenIn(t, l, "server", ServerAddress+":8082"))
	c := askProxy(t, l, ServerAddress+":8082")
	if !lives(c) {
		t.Fatal("nothing comes through")
	}
	for _, to := range []string{"0", "1"} {
		if to == "0" {
			l.Remote.edit(t, "\toption public_key", "\toption socks '0'\n\toption public_key")
		} else {
			l.Remote.edit(t, "\toption socks '0'\n", "")
		}
		if out, err := l.Remote.reload(); err != nil {
			t.Fatalf("%q, %v", out, err)
		}
		if to == "0" && (lives(c) || downloads(l, ServerAddress+":8082", 1)) {
			t.Error("it still has streams")
		}
	}
	waitUntil(t, func() bool { return downloads(l, ServerAddress+":8082", 1) })
}

// TestProxyDatagramsChangeWay: an association that was made before there was a tunnel goes through it once there is one.
func TestProxyDatagramsChangeWay(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms"), RouterOptions: proxyOptions()})
	for _, f := range []func() error{l.Configure, l.StartRouter} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.Router.Log())
		}
	})
	echo(t, l, "server", ServerAddress+":5353")
	waitUntil(t, func() bool {
		s, err := l.Router.Status()
		return err == nil && strings.Contains(s, RouterAddress+":1080")
	})
	a := associate(t, l)
	sees := func(at string) func() bool {
		return func() bool {
			got, err := a.ask(ServerAddress+":5353", "hello")
			return err == nil && strings.HasPrefix(got, "hello "+at) == (at == RemoteAddress+":") && strings.HasPrefix(got, "hello ")
		}
	}
	waitUntil(t, sees("not the server's"))
	if err := l.StartRemote(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, sees(RemoteAddress+":"))
	if err := l.Remote.Stop(); err != nil {
		t.Fatal(err)
	}
	l.Remote = nil
	for end := time.Now().Add(40 * time.Second); !sees("not the server's")(); { // as the LAN, it waits for the session a while
		if time.Now().After(end) {
			t.Fatal("no datagram comes through without the tunnel")
		}
	}
}

// TestProxyKeepsOffTheRouter: clients reach neither the router itself through its proxy, nor the proxy through itself.
func TestProxyKeepsOffTheRouter(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms"), RouterOptions: proxyOptions()})
	startPortals(t, l)
	go whoServer(listenIn(t, l, "router", "0.0.0.0:8083"))
	tunnelled(t, l)
	for _, at := range []string{RouterAddress + ":1080", RouterAddress + ":8083", "192.168.1.2:8083", "127.0.0.1:8083", "10.99.0.2:8083", "10.1.0.255:8083", "0.0.0.0:8083"} {
		if got := refusal(l, at); !errors.Is(got, socks.NotAllowed) {
			t.Errorf("%s: %v", at, got)
		}
	}
	if s := proxyStatus(t, l.Router); s.Failed != 7 {
		t.Errorf("%+v", s)
	}
}

// refusal is what the router's proxy says to a request of the client's.
func refusal(l *Lab, at string) error {
	return inside(l.Namespace("client"), func() error {
		c, err := net.DialTimeout("tcp", RouterAddress+":1080", 2*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		hop := socks.Hop{At: socks.FromAddrPort(netip.MustParseAddrPort(RouterAddress + ":1080"))}
		return socks.Through(ctx, c, []socks.Hop{hop}, socks.FromAddrPort(netip.MustParseAddrPort(at)))
	})
}

// TestProxyStopsInTime: both portals stop at once, whatever the destinations of their clients do: nothing, with much that they
// were sent unread, never answer a connection, or a look-up.
func TestProxyStopsInTime(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), RouterOptions: append(proxyOptions("list dest_port '8081'", "list dest 'test'"),
		"", "config route 'inside'", "list dest '"+ServerAddress+"'", "list dest_port '8082'", "option carrier 'tunnel'")})
	startPortals(t, l)
	tunnelled(t, l)
	for _, port := range []string{":8081", ":8082", ":8083"} { // over many, through the tunnel, directly
		listener := listenIn(t, l, "server", ServerAddress+port)
		go func() {
			for {
				c, err := listener.Accept() // and never a byte is read
				if err != nil {
					return
				}
				t.Cleanup(func() { _ = c.Close() })
			}
		}()
		for range 20 {
			c := askProxy(t, l, ServerAddress+port)
			go func() {
				for {
					if _, err := c.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			}()
		}
	}
	if _, err := l.Feed("net", "table inet deaf { chain f { type filter hook forward priority 0; ip daddr 198.51.100.77 drop; udp dport 53 drop; }; }", "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	for _, to := range []socks.Request{
		{Command: socks.Connect, To: socks.Address{IP: netip.MustParseAddr("198.51.100.77"), Port: 80}},
		{Command: socks.Connect, To: socks.Address{Name: "slow.example", Port: 80}},
		{Command: socks.Connect, To: socks.Address{Name: "slow.test", Port: 80}},
		{Command: socks.Bind, To: socks.FromAddrPort(netip.MustParseAddrPort(ServerAddress + ":20"))},
		{Command: socks.Associate},
	} {
		for range 5 {
			var c net.Conn
			if err := inside(l.Namespace("client"), func() (err error) { c, err = net.Dial("tcp", RouterAddress+":1080"); return err }); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			_, _ = c.Write(to.Append([]byte{5, 1, 0}))
		}
	}
	wait(time.Second)
	s := proxyStatus(t, l.Router)
	if s.Clients < 70 {
		t.Errorf("only %d clients: %+v", s.Clients, s)
	}
	for _, d := range []*Daemon{l.Router, l.Remote} {
		begin := time.Now()
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		t.Logf("%s: stopped after %v", d.Role, time.Since(begin))
	}
	l.Router, l.Remote = nil, nil
}
