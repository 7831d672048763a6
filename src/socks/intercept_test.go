package socks

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// startIntercepted serves connections that were led to a place, to where original says.
func startIntercepted(t *testing.T, original Original, guard Guard) (*Server, string) {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(Options{Connector: &Direct{Guard: guard}, Guard: guard, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.ServeIntercepted(ctx, l, original) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// TestIntercept connects a client that says nothing of SOCKS to where it was led from; one that was not led here, or
// wants to go where nobody may, or where nobody is, is reset.
func TestIntercept(t *testing.T) {
	echo, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	there := netip.MustParseAddrPort(echo.Addr().String())
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := netip.MustParseAddrPort(closed.Addr().String())
	_ = closed.Close()
	all := func(netip.AddrPort) bool { return true }
	led := func(to netip.AddrPort) Original { return func(*net.TCPConn) (netip.AddrPort, error) { return to, nil } }
	for name, tt := range map[string]struct {
		original Original
		guard    Guard
		ok       bool
		want     Counts
	}{
		"led here":     {led(there), all, true, Counts{Accepted: 1, Intercepted: 1}},
		"by itself":    {Redirected, all, false, Counts{Accepted: 1, BadRequests: 1}},
		"not allowed":  {led(there), func(netip.AddrPort) bool { return false }, false, Counts{Accepted: 1, BadRequests: 1}},
		"by default":   {led(there), nil, false, Counts{Accepted: 1, BadRequests: 1}},
		"nobody there": {led(nobody), all, false, Counts{Accepted: 1, Intercepted: 1, Failed: 1}},
	} {
		s, at := startIntercepted(t, tt.original, tt.guard)
		if got, err := hello(at); (err == nil && got == "hello") != tt.ok {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for end := time.Now().Add(5 * time.Second); s.Counts().Active > 0 && time.Now().Before(end); {
			<-time.After(time.Millisecond)
		}
		n := s.Counts()
		n.Active, n.UpBytes, n.DownBytes = 0, 0, 0
		if n != tt.want {
			t.Errorf("%s: %+v, want %+v", name, n, tt.want)
		}
	}
}

// hello says it and returns what comes back; a reset may come as early as the connection.
func hello(at string) (string, error) {
	c, err := net.Dial("tcp", at)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(c, "hello")
	_ = c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	return string(b), err
}

// TestListenerCloses: clients that are there go on when their listener is closed, and end with the server.
func TestListenerCloses(t *testing.T) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	far, near := net.Pipe()
	defer far.Close()
	s := NewServer(Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Connector: pipeConnector{near}, Guard: func(netip.AddrPort) bool { return true }})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- s.ServeIntercepted(ctx, l, func(*net.TCPConn) (netip.AddrPort, error) { return netip.MustParseAddrPort("192.0.2.1:80"), nil })
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func(text string) {
		t.Helper()
		_ = far.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(c, text)
		b := make([]byte, len(text))
		if _, err := io.ReadFull(far, b); err != nil || string(b) != text {
			t.Fatalf("%q: %v", b, err)
		}
	}
	say("before")
	_ = l.Close()
	say("after")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// pipeConnector connects everybody to one end of a pipe.
type pipeConnector struct{ end net.Conn }

// Connect implements Connector.
func (p pipeConnector) Connect(context.Context, Client, Address) (Stream, Address, error) {
	return pipeStream{p.end}, Address{}, nil
}

type pipeStream struct{ net.Conn }

// CloseWrite implements Stream.
func (p pipeStream) CloseWrite() error { return nil }
