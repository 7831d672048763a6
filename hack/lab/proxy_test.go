package lab

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"mpproxy/src/socks"
	"mpproxy/src/stats"
)

// proxyOptions are sections that make the router a proxy, with a route over several links to the lab's server.
func proxyOptions(further ...string) []string {
	return append([]string{"", "config socks 'lan'", "option enabled '1'", "", "config route 'server'", "list dest '" + ServerAddress + "'"}, further...)
}

// listenIn listens in a namespace.
func listenIn(t *testing.T, l *Lab, role, at string) net.Listener {
	t.Helper()
	var listener net.Listener
	if err := inside(l.Namespace(role), func() (err error) { listener, err = net.Listen("tcp", at); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// generous serves size bytes of noise to everyone, after a byte was asked for.
func generous(l net.Listener, size int) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
				_, _ = io.Copy(c, noise(size))
			}
		}()
	}
}

func noise(size int) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{7}), int64(size)) }

func sumOf(r io.Reader) string {
	h := sha256.New()
	_, _ = io.Copy(h, r)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// askProxy connects from the client's network through the router's proxy.
func askProxy(t *testing.T, l *Lab, to string) net.Conn {
	t.Helper()
	var conn net.Conn
	if err := inside(l.Namespace("client"), func() (err error) {
		conn, err = net.DialTimeout("tcp", RouterAddress+":1080", 5*time.Second)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	proxy, target := netip.MustParseAddrPort(RouterAddress+":1080"), netip.MustParseAddrPort(to)
	if err := socks.Through(ctx, conn, []socks.Hop{{At: socks.FromAddrPort(proxy)}}, socks.FromAddrPort(target)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// download takes size bytes and returns bit/s, after the first tenth; during is called in the middle.
func download(t *testing.T, l *Lab, at string, size int, during func()) float64 {
	t.Helper()
	c := askProxy(t, l, at)
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := c.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	got, _ := io.CopyN(h, c, int64(size/10))
	begin := time.Now()
	n, err := io.CopyN(h, c, int64(size/3))
	got += n
	if during != nil {
		during()
	}
	n, _ = io.Copy(h, c)
	if got += n; got != int64(size) || fmt.Sprintf("%x", h.Sum(nil)) != sumOf(noise(size)) {
		t.Fatalf("got %d of %d bytes: %v", got, size, err)
	}
	return float64(size-size/10) * 8 / time.Since(begin).Seconds()
}

// proxyStatus is the router's.
func proxyStatus(t *testing.T, d *Daemon) stats.Proxy {
	t.Helper()
	text, err := d.Status()
	var s stats.Status
	if err != nil || json.Unmarshal([]byte(text), &s) != nil || s.Proxy == nil {
		t.Fatal("no proxy in status", err, text)
	}
	return *s.Proxy
}

// TestProxyJoinsLinks: one TCP connection through the proxy gets the sum of two links, every byte of it is right, and it
// goes on when one of them dies. It is held against a connection over one link on the same machine, which may be busy.
func TestProxyJoinsLinks(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), RouterOptions: append(proxyOptions("list dest_port '8081'"),
		"", "config route 'one'", "list dest '"+ServerAddress+"'", "list dest_port '8082'", "list via 'link1'")})
	startPortals(t, l)
	go generous(listenIn(t, l, "server", ServerAddress+":8081"), 30<<20)
	go generous(listenIn(t, l, "server", ServerAddress+":8082"), 10<<20)
	const gain = 1.5
	var made uint64
	got := reaches(t, gain, func() float64 {
		alone := download(t, l, ServerAddress+":8082", 10<<20, nil)
		rate := download(t, l, ServerAddress+":8081", 30<<20, nil)
		t.Logf("%.1f Mbit/s over two links of 20, %.1f over one", rate/1e6, alone/1e6)
		made += 2
		return rate / alone
	})
	if got < gain {
		t.Errorf("%.2f times what one link gives", got)
	}
	s := proxyStatus(t, l.Router)
	if s.Multipath != made || s.Fallbacks != 0 || s.Plain != 0 || len(s.Listen) != 1 || !strings.HasPrefix(s.Listen[0], RouterAddress) {
		t.Errorf("%+v", s)
	}
	if r := proxyStatus(t, l.Remote); r.Multipath != made || r.Subflows < 3 || r.RefusedSubflows != 0 {
		t.Errorf("%+v", r)
	}
	rate := download(t, l, ServerAddress+":8081", 30<<20, func() { l.Links[1].Cut(Up, Down) })
	t.Logf("%.1f Mbit/s with a link cut in the middle", rate/1e6)
	l.Links[1].Restore()
}

// TestProxyFallsBack: without a route, and without an answer of the server, connections are made directly.
func TestProxyFallsBack(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms"), RouterOptions: proxyOptions("list dest_port '8081'")})
	startPortals(t, l)
	for _, port := range []string{":8081", ":8082"} {
		go generous(listenIn(t, l, "server", ServerAddress+port), 1<<20)
	}
	download(t, l, ServerAddress+":8082", 1<<20, nil)
	if s := proxyStatus(t, l.Router); s.Plain != 1 || s.Multipath != 0 {
		t.Errorf("%+v", s)
	}
	if err := l.Remote.Stop(); err != nil {
		t.Fatal(err)
	}
	l.Remote = nil
	download(t, l, ServerAddress+":8081", 1<<20, nil)
	if s := proxyStatus(t, l.Router); s.Fallbacks != 1 {
		t.Errorf("%+v", s)
	}
}

// TestProxyCarriesDatagrams: UDP ASSOCIATE goes through the tunnel, so the server sees the remote portal's address.
func TestProxyCarriesDatagrams(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms"), RouterOptions: proxyOptions()})
	startPortals(t, l)
	echo(t, l, "server", ServerAddress+":5353")
	// The proxy may hear of the tunnel a moment after the status does.
	seen := ""
	for range 5 {
		if seen = whoAmI(t, l); strings.HasPrefix(seen, "who am I "+RemoteAddress+":") {
			return
		}
		<-time.After(200 * time.Millisecond)
	}
	t.Errorf("the server sees %q, want the address of the remote portal", seen)
}

// whoAmI asks the server at port 5353, by way of a UDP association of the router's proxy, which address it sees.
func whoAmI(t *testing.T, l *Lab) string {
	t.Helper()
	a := associate(t, l)
	got, err := a.ask(ServerAddress+":5353", "who am I")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// associated is a UDP association of the router's proxy, for the client.
type associated struct{ control, inner net.Conn }

func associate(t *testing.T, l *Lab) associated {
	t.Helper()
	var a associated
	if err := inside(l.Namespace("client"), func() (err error) {
		a.control, err = net.Dial("tcp", RouterAddress+":1080")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.control.Close() })
	_ = a.control.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = a.control.Write(socks.Request{Command: socks.Associate}.Append([]byte{5, 1, 0}))
	if _, err := io.ReadFull(a.control, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	relay, err := socks.ReadReply(a.control)
	if err != nil {
		t.Fatal(err)
	}
	if err := inside(l.Namespace("client"), func() (err error) { a.inner, err = net.Dial("udp", relay.String()); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.inner.Close() })
	return a
}

// ask sends a question and returns the answer.
func (a associated) ask(at, question string) (string, error) {
	host, port, _ := net.SplitHostPort(at)
	number, _ := strconv.Atoi(port)
	to, err := socks.ParseAddress(host, uint16(number))
	if err != nil {
		return "", err
	}
	_, _ = a.inner.Write(append(socks.AppendDatagramHeader(nil, to), question...))
	_ = a.inner.SetReadDeadline(time.Now().Add(2 * time.Second))
	b := make([]byte, 2000)
	n, err := a.inner.Read(b)
	if err != nil {
		return "", err
	}
	from, got, err := socks.ParseDatagram(b[:n])
	if err == nil && to.Name == "" && from != to {
		err = fmt.Errorf("an answer from %v", from)
	}
	return string(got), err
}
