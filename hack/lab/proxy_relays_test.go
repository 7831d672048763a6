package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"mpproxy/src/socks"
)

// strangersRelay is where relays listen: in the Internet, between the links and the server.
const strangersRelay = "203.0.113.1"

// insideDialer connects from a namespace.
type insideDialer struct {
	l    *Lab
	role string
}

// Connect implements socks.Connector.
func (d insideDialer) Connect(_ context.Context, _ socks.Client, to socks.Address) (s socks.Stream, bound socks.Address, err error) {
	err = inside(d.l.Namespace(d.role), func() error {
		c, err := net.DialTimeout("tcp", to.String(), 5*time.Second)
		if err == nil {
			s = c.(*net.TCPConn)
		}
		return err
	})
	return s, bound, err
}

// relayOf serves as a relay in the lab's Internet, with a user if one is given.
func relayOf(t *testing.T, l *Lab, port int, user string) *socks.Server {
	t.Helper()
	o := socks.Options{Connector: insideDialer{l, "net"}, Allow: anywhere()}
	if user != "" {
		o.Users = map[string]string{user: "s3cret"}
	}
	listener := listenIn(t, l, "net", fmt.Sprintf("%s:%d", strangersRelay, port))
	s := socks.NewServer(o)
	go func() { _ = s.Serve(t.Context(), listener.(*net.TCPListener)) }()
	return s
}

// bad is a relay that does what it should not, from a certain byte of what comes back on.
type bad struct {
	socks.Stream
	kind string
	left atomic.Int64
}

func (b *bad) Read(p []byte) (int, error) {
	if b.kind == "trickles" {
		<-time.After(200 * time.Millisecond)
		p = p[:min(len(p), 100)]
	}
	n, err := b.Stream.Read(p)
	if left := b.left.Add(-int64(n)); left < 0 && n > 0 {
		switch b.kind {
		case "dies":
			return 0, io.ErrUnexpectedEOF
		case "alters":
			p[n-1] ^= 1
		case "hangs":
			select {}
		}
	}
	return n, err
}

type badDialer struct {
	insideDialer
	kind string
}

// Connect implements socks.Connector.
func (d badDialer) Connect(ctx context.Context, c socks.Client, to socks.Address) (socks.Stream, socks.Address, error) {
	if d.kind == "refuses" {
		return nil, socks.Address{}, socks.Refused
	}
	s, bound, err := d.insideDialer.Connect(ctx, c, to)
	if err != nil {
		return nil, bound, err
	}
	k := &bad{Stream: s, kind: d.kind}
	k.left.Store(200_000)
	return k, bound, nil
}

// anywhere has all addresses.
func anywhere() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} }

// badRelays are what strangers may do; each gets a port.
var badRelays = []string{"dies", "refuses", "alters", "trickles", "hangs", "garbage"}

// TestProxyRelays: a connection over a link, and over another one by good relays, a chain of them, and one of Debian's
// where it is installed; relays that die, refuse, alter, trickle, hang or talk nonsense cost only what they had.
func TestProxyRelays(t *testing.T) {
	options := proxyOptions("option fallback 'none'", "list via 'link1'", "list via 'link2:good'", "list via 'link2:good>second'")
	sections := []string{
		"", "config relay 'good'", "option address '" + strangersRelay + ":1100'", "option username 'ann'", "option password 's3cret'",
		"", "config relay 'second'", "option address '" + strangersRelay + ":1101'", "option resolve 'local'"}
	stranger := findProgram("microsocks")
	if stranger != "" {
		options = append(options, "list via 'link2:stranger'")
		sections = append(sections, "", "config relay 'stranger'", "option address '"+strangersRelay+":1102'")
	}
	for i, kind := range badRelays {
		options = append(options, "list via 'link1:"+kind+"'")
		sections = append(sections, "", "config relay '"+kind+"'", fmt.Sprintf("option address '%s:%d'", strangersRelay, 1110+i))
	}
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), RouterOptions: append(options, sections...)})
	good, second := relayOf(t, l, 1100, "ann"), relayOf(t, l, 1101, "")
	if stranger != "" {
		p, err := start(l.Namespace("net"), nil, func(string) {}, stranger, "-i", strangersRelay, "-p", "1102")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.stop() })
	}
	for i, kind := range badRelays {
		listener := listenIn(t, l, "net", fmt.Sprintf("%s:%d", strangersRelay, 1110+i)).(*net.TCPListener)
		if kind == "garbage" {
			go chatter(listener)
			continue
		}
		o := socks.Options{Connector: badDialer{insideDialer{l, "net"}, kind}, Allow: anywhere()}
		go func() { _ = socks.NewServer(o).Serve(t.Context(), listener) }()
	}
	startPortals(t, l)
	go generous(listenIn(t, l, "server", ServerAddress+":8081"), 30<<20)
	rate := download(t, l, ServerAddress+":8081", 30<<20, nil)
	s := proxyStatus(t, l.Router)
	seen := map[string]uint64{}
	for _, one := range s.Streams {
		for _, k := range one.Subflows {
			seen[k.Via] += k.ReceivedBytes
		}
	}
	t.Logf("%.1f Mbit/s over two links of 20; %v", rate/1e6, seen)
	least := 1.4 * 20e6 * plainShare
	if rate < 0.6*20e6*plainShare { // a bad relay that holds the stream up now and then
		t.Errorf("%.1f Mbit/s: link 1 alone has more", rate/1e6)
	}
	if rate < least {
		rate = reaches(t, least, func() float64 { return download(t, l, ServerAddress+":8081", 30<<20, nil) })
	}
	if s.Fallbacks != 0 || s.Multipath != 1 || rate < least {
		t.Errorf("%.1f Mbit/s, %+v", rate/1e6, s)
	}
	if g, n := good.Counts(), second.Counts(); g.Connects < 2 || g.WrongUsers+g.BadRequests > 0 || n.Connects < 1 || n.Failed > 0 {
		t.Errorf("the good relay: %+v; the one behind it: %+v", g, n)
	}
	if n := l.Links[1].Stats(Down).DeliveredBytes; n < 5<<20 {
		t.Errorf("link 2, by relays, carried %d bytes", n)
	}
}

// chatter answers with nonsense.
func chatter(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(c, noise(100_000))
			_ = c.Close()
		}()
	}
}

// findProgram finds a program of the system, also where it was only unpacked (PROGRAMS); or "".
func findProgram(name string) string {
	for _, dir := range append(filepath.SplitList(os.Getenv("PROGRAMS")), "/usr/bin", "/usr/sbin", "/bin") {
		if path := filepath.Join(dir, name); !errors.Is(statError(path), os.ErrNotExist) {
			return path
		}
	}
	return ""
}

func statError(path string) error {
	_, err := os.Stat(path)
	return err
}

// TestProxyOnlyRelays: all ways lead over relays; the one that carried most dies in the middle.
func TestProxyOnlyRelays(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/10ms"), RouterOptions: append(
		proxyOptions("option fallback 'none'", "list via 'link1:a'", "list via 'link2:b'"),
		"", "config relay 'a'", "option address '"+strangersRelay+":1100'", "", "config relay 'b'", "option address '"+strangersRelay+":1101'")})
	ctx, cancel := context.WithCancel(t.Context())
	for i, c := range []context.Context{t.Context(), ctx} {
		listener := listenIn(t, l, "net", fmt.Sprintf("%s:%d", strangersRelay, 1100+i)).(*net.TCPListener)
		go func() {
			_ = socks.NewServer(socks.Options{Connector: insideDialer{l, "net"}, Allow: anywhere()}).Serve(c, listener)
		}()
	}
	startPortals(t, l)
	go generous(listenIn(t, l, "server", ServerAddress+":8081"), 20<<20)
	rate := download(t, l, ServerAddress+":8081", 20<<20, cancel)
	s := proxyStatus(t, l.Router)
	alone := 20e6 * plainShare
	late := max(l.Links[0].Lateness(), l.Links[1].Lateness())
	if late > 50*time.Millisecond { // a machine that stalls is slow by itself: what is left carries less here than it could
		alone = min(alone, download(t, l, ServerAddress+":8081", 20<<20, nil))
	}
	t.Logf("%.1f Mbit/s with a relay that dies in the middle, %.1f the other alone, links late by at most %v", rate/1e6, alone/1e6, late)
	if s.Multipath != 1 || s.Fallbacks != 0 || rate < 0.75*alone {
		t.Errorf("%.1f Mbit/s, %+v", rate/1e6, s)
	}
}

// TestProxyBind: a program asks for a connection from the server; it comes in at the remote portal and is carried over both
// links. Somebody else who connects there is turned away.
func TestProxyBind(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), RouterOptions: proxyOptions("option fallback 'none'")})
	startPortals(t, l)
	var c net.Conn
	if err := inside(l.Namespace("client"), func() (err error) { c, err = net.Dial("tcp", RouterAddress+":1080"); return err }); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(40 * time.Second))
	peer := socks.FromAddrPort(netip.MustParseAddrPort(ServerAddress + ":20"))
	_, _ = c.Write(socks.Request{Command: socks.Bind, To: peer}.Append([]byte{5, 1, 0}))
	if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	at, err := socks.ReadReply(c)
	if err != nil || at.IP.String() != RemoteAddress {
		t.Fatalf("listens at %v: %v", at, err)
	}
	_ = inside(l.Namespace("net"), func() error {
		if stranger, err := net.DialTimeout("tcp", at.String(), time.Second); err == nil {
			_ = stranger.Close()
		}
		return nil
	})
	const size = 10 << 20
	go func() {
		_ = inside(l.Namespace("server"), func() error {
			d, err := net.Dial("tcp", at.String())
			if err != nil {
				return err
			}
			_, _ = io.Copy(d, noise(size))
			return d.Close()
		})
	}()
	who, err := socks.ReadReply(c)
	if err != nil || who.IP != peer.IP {
		t.Fatalf("from %v: %v", who, err)
	}
	if got := sumOf(c); got != sumOf(noise(size)) {
		t.Error("other bytes came")
	}
	if s := proxyStatus(t, l.Router); s.Binds != 1 || s.Multipath != 1 || s.Fallbacks != 0 {
		t.Errorf("%+v", s)
	}
}

// TestProxyAtServer: the server is a relay for programs that know its user, and for nobody else.
func TestProxyAtServer(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms"), RemoteOptions: []string{
		"option allow_private '1'", "", "config socks 'relay'", "option enabled '1'", "list listen '" + RemoteAddress + ":1080'", "option allow_wan '1'",
		"option auth 'user'", "", "config user 'ann'", "option password 's3cret'"}})
	startPortals(t, l)
	go whoServer(listenIn(t, l, "server", ServerAddress+":8082"))
	at := netip.MustParseAddrPort(RemoteAddress + ":1080")
	ask := func(user, password string) (answer string, err error) {
		err = inside(l.Namespace("net"), func() error {
			c, err := net.DialTimeout("tcp", at.String(), 5*time.Second)
			if err != nil {
				return err
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			hop := socks.Hop{At: socks.FromAddrPort(at), User: user, Password: password}
			if err := socks.Through(ctx, c, []socks.Hop{hop}, socks.FromAddrPort(netip.MustParseAddrPort(ServerAddress+":8082"))); err != nil {
				return err
			}
			b, err := io.ReadAll(c)
			answer = string(b)
			return err
		})
		return answer, err
	}
	waitUntil(t, func() bool { s := proxyStatus(t, l.Remote); return len(s.Listen) == 1 })
	if got, err := ask("ann", "s3cret"); err != nil || got != RemoteAddress {
		t.Errorf("%q, %v", got, err)
	}
	for _, wrong := range []string{"", "other"} {
		if got, err := ask("ann", wrong); err == nil {
			t.Errorf("password %q: %q", wrong, got)
		}
	}
	if got, err := ask("", ""); err == nil {
		t.Errorf("without a user: %q", got)
	}
	if s := proxyStatus(t, l.Remote); s.Connects != 1 || s.RefusedUsers != 2 {
		t.Errorf("%+v", s)
	}
}
