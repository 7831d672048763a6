package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpproxy/src/socks"
)

// TestProxyWithoutSession: where UDP does not pass there is no tunnel, and the proxy works all the same; it costs one more
// round trip once.
func TestProxyWithoutSession(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), RouterOptions: proxyOptions("option fallback 'none'")})
	if _, err := l.Feed("net", "table inet block { chain f { type filter hook forward priority 0; udp dport 6779 drop; }; }", "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	for _, f := range []func() error{l.Configure, l.StartRemote, l.StartRouter} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.Router.Log(), l.Remote.Log())
		}
	})
	go generous(listenIn(t, l, "server", ServerAddress+":8081"), 20<<20)
	waitUntil(t, func() bool {
		s, err := l.Router.Status()
		return err == nil && strings.Contains(s, RouterAddress+":1080")
	})
	rate := download(t, l, ServerAddress+":8081", 20<<20, nil)
	t.Logf("%.1f Mbit/s over two links of 20 without a session", rate/1e6)
	s, r := proxyStatus(t, l.Router), proxyStatus(t, l.Remote)
	least := 1.4 * 20e6 * plainShare
	if rate < least {
		rate = reaches(t, least, func() float64 { return download(t, l, ServerAddress+":8081", 20<<20, nil) })
	}
	if s.Multipath != 1 || s.Fallbacks != 0 || r.Multipath != 1 || rate < least {
		t.Errorf("%.1f Mbit/s; router %+v; remote %+v", rate/1e6, s, r)
	}
	// The remote starts anew and knows no secret of before: the next connection makes another.
	if err := l.Remote.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := l.StartRemote(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { _, err := l.Remote.Status(); return err == nil })
	for end := time.Now().Add(20 * time.Second); ; wait(200 * time.Millisecond) {
		if downloads(l, ServerAddress+":8081", 1<<20) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the proxy does not work after the remote's start")
		}
	}
}

// downloads reports whether some bytes come through the proxy.
func downloads(l *Lab, at string, size int) bool {
	got := 0
	_ = inside(l.Namespace("client"), func() error {
		c, err := net.DialTimeout("tcp", RouterAddress+":1080", 5*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		hop, to := netip.MustParseAddrPort(RouterAddress+":1080"), netip.MustParseAddrPort(at)
		if err := socks.Through(ctx, c, []socks.Hop{{At: socks.FromAddrPort(hop)}}, socks.FromAddrPort(to)); err != nil {
			return err
		}
		_, _ = c.Write([]byte{1})
		b := make([]byte, 64<<10)
		for got < size {
			n, err := c.Read(b)
			if got += n; err != nil {
				return err
			}
		}
		return nil
	})
	return got >= size
}

// TestProxyOtherRemote: a route names a remote with which there is no session; later one that is switched off.
func TestProxyOtherRemote(t *testing.T) {
	const destination = strangersRelay + ":8081" // the other remote itself may not be reached through it
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), RouterOptions: append(proxyOptions("option fallback 'none'"), "list dest '"+strangersRelay+"'")})
	startPortals(t, l)
	key := otherRemote(t, l)
	more := fmt.Sprintf("config remote 'other'\n\toption public_key '%s'\n\toption priority '9'\n\tlist endpoint '%s:6779'\n", key, ServerAddress)
	l.Router.edit(t, "config route 'server'", more+"\nconfig route 'server'\n\toption remote 'other'")
	if out, err := l.Router.reload(); err != nil {
		t.Fatalf("%q, %v", out, err)
	}
	go generous(listenIn(t, l, "net", destination), 10<<20)
	download(t, l, destination, 10<<20, nil)
	if s, r := proxyStatus(t, l.Router), proxyStatus(t, l.Remote); s.Multipath != 1 || s.Fallbacks != 0 || r.Multipath != 0 {
		t.Errorf("router %+v; the remote of the session %+v", s, r)
	}
	l.Router.edit(t, "config remote 'other'", "config remote 'other'\n\toption enabled '0'")
	if out, err := l.Router.reload(); err != nil {
		t.Fatalf("%q, %v", out, err)
	}
	if downloads(l, destination, 1000) {
		t.Error("a remote that is switched off was used")
	}
}

// otherRemote starts one more remote portal that knows the router, and returns its public key.
func otherRemote(t *testing.T, l *Lab) string {
	t.Helper()
	k, err := l.makeKeys()
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := l.secrets("server", map[string]string{"private_key": k.remotePrivate})
	if err != nil {
		t.Fatal(err)
	}
	router, err := run("", "sh", "-c", l.options.Program+" pubkey < "+filepath.Join(l.dir, "router.secrets", "private_key"))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`config portal 'main'
	option enabled '1'
	option role 'remote'
	list listen '0.0.0.0:6779'
	option address '10.98.0.1/24'
	option interface 'eth0'
	option control '%s'
	option secrets_dir '%s'
	option peers_dir '%s'
config peer 'home'
	option public_key '%s'
	option address '10.98.0.2'
`, l.socket("server"), secrets, filepath.Join(l.dir, "server.d"), strings.TrimSpace(router))
	if err := os.WriteFile(l.config("server"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := l.startDaemon("server")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.Log())
		}
	})
	waitUntil(t, func() bool { _, err := d.Status(); return err == nil })
	return k.remotePublic
}
