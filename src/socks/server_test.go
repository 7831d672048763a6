package socks

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/src/park"
)

// everyone may be reached in tests: all is on loopback.
func everyone(netip.AddrPort) bool { return true }

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// names resolves what tests ask for.
func names(_ context.Context, name string) ([]netip.Addr, error) {
	switch name {
	case "four.test":
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	case "six.test":
		return []netip.Addr{netip.MustParseAddr("::1")}, nil
	case "inside.test":
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// start runs a server on loopback and returns its address.
func start(t *testing.T, change func(*Options)) (*Server, netip.AddrPort) {
	t.Helper()
	o := Options{Allow: loopback(), Connector: &Direct{Guard: everyone, Resolve: names}, Guard: everyone, Resolve: names, Bind: true, UDP: true}
	if change != nil {
		change(&o)
	}
	lot, err := park.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lot.Close() })
	o.Lot = lot
	s := NewServer(o)
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().(*net.TCPAddr).AddrPort()
}

// echo answers each connection with all it sent, once the sender has ended its side.
func echo(t *testing.T, at string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Skipf("listen at %s: %v", at, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				all, _ := io.ReadAll(c)
				_, _ = c.Write(all)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func dial(t *testing.T, at netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// through asks the server at a for a connection.
func through(t *testing.T, at netip.AddrPort, user, password string, to Address) (*net.TCPConn, error) {
	c := dial(t, at)
	err := Through(t.Context(), c, []Hop{{At: FromAddrPort(at), User: user, Password: password}}, to)
	return c, err
}

// exchange sends a megabyte and wants it back.
func exchange(t *testing.T, c *net.TCPConn) {
	t.Helper()
	data := make([]byte, 1<<20)
	_, _ = rand.Read(data)
	go func() {
		_, _ = c.Write(data)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes: %v", len(got), err)
	}
}

func TestConnect(t *testing.T) {
	s, at := start(t, nil)
	four := echo(t, "127.0.0.1:0")
	for name, to := range map[string]Address{
		"IPv4": FromAddrPort(four), "name": {Name: "four.test", Port: four.Port()},
	} {
		c, err := through(t, at, "", "", to)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		exchange(t, c)
	}
	t.Run("IPv6", func(t *testing.T) {
		six := echo(t, "[::1]:0")
		for _, to := range []Address{FromAddrPort(six), {Name: "six.test", Port: six.Port()}} {
			c, err := through(t, at, "", "", to)
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, c)
		}
	})
	if n := s.Counts(); n.Connects < 2 || n.Failed != 0 {
		t.Errorf("%+v", n)
	}
}

func TestReplies(t *testing.T) {
	_, at := start(t, func(o *Options) {
		o.Connector = &Direct{Resolve: names, Guard: func(a netip.AddrPort) bool { return a.Addr().IsLoopback() }}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	for name, tt := range map[string]struct {
		to   Address
		want Code
	}{
		"refused":        {FromAddrPort(closed), Refused},
		"no such name":   {Address{Name: "nowhere.test", Port: 1}, HostUnreachable},
		"guarded":        {Address{IP: netip.MustParseAddr("10.0.0.1"), Port: 1}, NotAllowed},
		"guarded by DNS": {Address{Name: "inside.test", Port: 1}, NotAllowed},
	} {
		if _, err := through(t, at, "", "", tt.to); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	raw := func(b ...byte) Code {
		c := dial(t, at)
		_, _ = c.Write(append([]byte{5, 1, 0}, b...))
		var got [4]byte
		if _, err := io.ReadFull(c, got[:]); err != nil {
			t.Fatal(err)
		}
		return Code(got[3])
	}
	if got := raw(5, 9, 0, 1, 127, 0, 0, 1, 0, 1); got != NoCommand {
		t.Error(got)
	}
	if got := raw(5, 1, 0, 9, 1, 2, 3); got != NoAddressType {
		t.Error(got)
	}
}

func TestDefaultGuard(t *testing.T) {
	for text, want := range map[string][2]bool{
		"127.0.0.1:80": {false, false}, "0.0.0.0:80": {false, false}, "0.1.2.3:80": {false, false}, "224.0.0.1:80": {false, false}, "169.254.169.254:80": {false, false},
		"[::1]:80": {false, false}, "[fe80::1]:80": {false, false}, "[::ffff:127.0.0.1]:80": {false, false}, "255.255.255.255:80": {false, false},
		"192.168.1.9:80": {true, false}, "100.64.0.1:80": {true, false}, "[fd00::1]:80": {true, false}, "192.0.2.1:80": {true, true}, "[2001:db8::1]:80": {true, true},
		"240.0.0.1:80": {false, false}, "192.0.0.192:80": {true, false}, "198.18.0.1:80": {true, false}, "[64:ff9b::c000:201]:80": {true, true},
		"[64:ff9b::7f00:1]:80": {false, false}, "[64:ff9b::a00:1]:80": {true, false}, "[2002:a00:1::1]:80": {true, false}, "[2002:a9fe:a9fe::]:80": {false, false},
		"[::7f00:1]:80": {false, false}, "[fec0::1]:80": {true, false}, "[64:ff9b:1::1]:80": {true, false},
	} {
		a := netip.MustParseAddrPort(text)
		if got := [2]bool{PublicOrPrivate(a), Public(a)}; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	_, at := start(t, func(o *Options) { o.Connector = &Direct{} })
	if _, err := through(t, at, "", "", Address{IP: netip.MustParseAddr("127.0.0.1"), Port: 22}); !errors.Is(err, NotAllowed) {
		t.Error(err)
	}
}

func TestUsers(t *testing.T) {
	s, at := start(t, func(o *Options) { o.Users = map[string]string{"ann": "secret", "bob": ""} })
	to := FromAddrPort(echo(t, "127.0.0.1:0"))
	c, err := through(t, at, "ann", "secret", to)
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, c)
	for name, who := range map[string][2]string{"wrong password": {"ann", "x"}, "unknown": {"eve", "secret"}, "nobody": {"", ""}, "unknown, empty": {"eve", ""}} {
		if _, err := through(t, at, who[0], who[1], to); !errors.Is(err, ErrAuth) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := s.Counts(); n.WrongUsers != 3 || n.Connects != 1 {
		t.Errorf("%+v", n)
	}
}

func TestStrangersAndLimits(t *testing.T) {
	s, at := start(t, func(o *Options) { o.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	if n, err := dial(t, at).Read(make([]byte, 1)); err == nil {
		t.Error("a stranger was answered", n)
	}
	if s.Counts().Strangers != 1 {
		t.Error(s.Counts())
	}
	s, at = start(t, func(o *Options) { o.MaxConnections = 2 })
	a, b := dial(t, at), dial(t, at)
	for _, c := range []*net.TCPConn{a, b} {
		_, _ = c.Write([]byte{5, 1, 0})
		if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dial(t, at).Read(make([]byte, 1)); err == nil {
		t.Error("a third client was answered")
	}
	if s.Counts().TooMany != 1 {
		t.Error(s.Counts())
	}
	s.SetMax(3)
	c := dial(t, at)
	_, _ = c.Write([]byte{5, 1, 0})
	if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
		t.Errorf("a third client when three are allowed: %v", err)
	}
}

// TestGarbage gives the server what is no request: it closes, and answers with nothing that is not SOCKS.
func TestGarbage(t *testing.T) {
	s, at := start(t, nil)
	for _, b := range []string{"GET / HTTP/1.0\r\n\r\n", "\x04\x01\x00\x50\x7f\x00\x00\x01\x00", "\x05\x00", "\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50",
		"\x05\x01\x00\x05\x01\x00\x03\x03a b\x00\x50", "\x05\x01\x00\x04\x01\x00", strings.Repeat("\xff", 600)} {
		c := dial(t, at)
		_, _ = io.WriteString(c, b)
		_ = c.CloseWrite()
		got, _ := io.ReadAll(c)
		if len(got) > 12 {
			t.Errorf("%q was answered with %q", b, got)
		}
	}
	if n := s.Counts(); n.BadRequests != 7 || n.Connects != 0 {
		t.Errorf("%+v", n)
	}
}

func TestBind(t *testing.T) {
	_, at := start(t, nil)
	c := dial(t, at)
	_, _ = c.Write(Request{Bind, Address{IP: netip.MustParseAddr("127.0.0.2"), Port: 20}}.Append([]byte{5, 1, 0}))
	if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	bound, err := ReadReply(c)
	if err != nil {
		t.Fatal(err)
	}
	to := net.TCPAddrFromAddrPort(netip.AddrPortFrom(bound.IP, bound.Port))
	wrong, err := net.DialTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 3)}, to)
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if _, err := wrong.Read(make([]byte, 1)); err == nil {
		t.Error("the wrong peer came in")
	}
	peer, err := net.DialTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, to)
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	second, err := ReadReply(c)
	if err != nil || FromAddrPort(peer.LocalAddr().(*net.TCPAddr).AddrPort()) != second {
		t.Fatal(second, err)
	}
	go func() {
		_, _ = io.Copy(peer, peer)
		_ = peer.CloseWrite()
	}()
	exchange(t, c)
}

// associate asks for a UDP association: it lasts as long as c, and its datagrams go to relay.
func associate(t *testing.T, at netip.AddrPort) (c net.Conn, relay Address) {
	t.Helper()
	c = dial(t, at)
	_, _ = c.Write(Request{Associate, Address{}}.Append([]byte{5, 1, 0}))
	if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	relay, err := ReadReply(c)
	if err != nil {
		t.Fatal(err)
	}
	return c, relay
}

func TestAssociate(t *testing.T) {
	s, at := start(t, func(o *Options) { o.Guard, o.GuardUDP = func(netip.AddrPort) bool { return false }, everyone })
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		b := make([]byte, 2000)
		for {
			n, from, err := server.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = server.WriteToUDPAddrPort(slices.Concat([]byte("re: "), b[:n]), from)
		}
	}()
	c, relay := associate(t, at)
	u, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(relay.IP, relay.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	port := server.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	for _, to := range []Address{{IP: netip.MustParseAddr("127.0.0.1"), Port: port}, {Name: "four.test", Port: port}} {
		_, _ = u.Write(append(AppendDatagramHeader(nil, to), "hello"...))
		b := make([]byte, 100)
		_ = u.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := u.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		from, got, err := ParseDatagram(b[:n])
		if err != nil || string(got) != "re: hello" || from.Port != port {
			t.Fatalf("%v %q %v", from, got, err)
		}
	}
	// Another port may not use it, a fragment is not relayed, and all ends with the TCP connection.
	other, err := net.DialUDP("udp", nil, u.RemoteAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for s.Counts().UpBytes < 2*uint64(len("hello")) { // they are counted once they are sent
		<-time.After(time.Millisecond)
	}
	before := s.Counts().UpBytes
	_, _ = other.Write(append(AppendDatagramHeader(nil, Address{Name: "four.test", Port: port}), "hello"...))
	_, _ = u.Write([]byte{0, 0, 1, 1, 127, 0, 0, 1, byte(port >> 8), byte(port), 'x'})
	_ = u.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := u.Read(make([]byte, 100)); err == nil {
		t.Error("an answer of", n)
	}
	if got := s.Counts().UpBytes; got != before {
		t.Errorf("%d bytes of others were relayed", got-before)
	}
	dropped := func(want uint64) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); s.Counts().DroppedDatagrams != want; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d datagrams are counted as dropped, want %d", s.Counts().DroppedDatagrams, want)
			}
		}
	}
	dropped(2)
	_, _ = u.Write(append(AppendDatagramHeader(nil, Address{Name: "none.test", Port: port}), "hello"...))
	dropped(3)
	_, _ = u.Write(append(AppendDatagramHeader(nil, Address{IP: netip.MustParseAddr("127.0.0.1")}), "hello"...)) // no port
	dropped(4)
	_ = c.Close()
	for s.Counts().Active > 0 {
		_ = other.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		_, _ = other.Read(make([]byte, 1))
	}
}

// TestResetGoesThrough tells a client that its peer has broken off.
func TestResetGoesThrough(t *testing.T) {
	_, at := start(t, nil)
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := through(t, at, "", "", FromAddrPort(l.Addr().(*net.TCPAddr).AddrPort()))
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	_ = peer.SetLinger(0)
	_ = peer.Close()
	if _, err := io.ReadAll(c); err == nil {
		t.Error("a clean end, though the peer broke off")
	}
}

func TestChain(t *testing.T) {
	_, one := start(t, func(o *Options) { o.Users = map[string]string{"ann": "secret"} })
	_, two := start(t, nil)
	_, three := start(t, func(o *Options) { o.Users = map[string]string{"bob": "other"} })
	to := echo(t, "127.0.0.1:0")
	hops := []Hop{{At: FromAddrPort(one), User: "ann", Password: "secret"}, {At: FromAddrPort(two)}, {At: FromAddrPort(three), User: "bob", Password: "other"}}
	c := dial(t, one)
	if err := Through(t.Context(), c, hops, FromAddrPort(to)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	exchange(t, c)
	hops[2].Password = "wrong"
	err := Through(t.Context(), dial(t, one), hops, FromAddrPort(to))
	var hop *HopError
	if !errors.As(err, &hop) || hop.Hop != 2 || !errors.Is(err, ErrAuth) {
		t.Error(err)
	}
}

func TestUsersChange(t *testing.T) {
	s, at := start(t, func(o *Options) { o.Users = map[string]string{"ann": "secret"} })
	to := FromAddrPort(echo(t, "127.0.0.1:0"))
	c, err := through(t, at, "ann", "secret", to)
	if err != nil {
		t.Fatal(err)
	}
	list := s.Connections(10)
	if len(list) != 1 || list[0].User != "ann" || list[0].To != to || list[0].Out == nil || list[0].From.Port() == 0 || list[0].Since.IsZero() {
		t.Errorf("told of: %+v", list)
	}
	s.SetUsers(map[string]string{"ann": "other"})
	if _, err := through(t, at, "ann", "secret", to); !errors.Is(err, ErrAuth) {
		t.Errorf("the earlier password: %v", err)
	}
	again, err := through(t, at, "ann", "other", to)
	if err != nil {
		t.Fatal(err)
	}
	if n, one := len(s.Connections(10)), len(s.Connections(1)); n < 2 || one != 1 {
		t.Errorf("%d connections, %d of at most one", n, one)
	}
	exchange(t, c) // goes on
	exchange(t, again)
}

// TestAllowChanges: another network's clients are let in from now on, and those of the one before are not.
func TestAllowChanges(t *testing.T) {
	s, at := start(t, nil)
	greet := func() error {
		c := dial(t, at)
		_, _ = c.Write([]byte{version5, 1, methodNone})
		_, err := io.ReadFull(c, make([]byte, 2))
		return err
	}
	if err := greet(); err != nil {
		t.Fatal(err)
	}
	s.SetAllow([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	if err := greet(); err == nil {
		t.Error("a stranger was answered")
	}
	if n := s.Counts(); n.Strangers != 1 || n.Active != 1 {
		t.Errorf("another network: %+v", n)
	}
	s.SetAllow(loopback())
	if err := greet(); err != nil {
		t.Error(err)
	}
}
