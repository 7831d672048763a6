package socks

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"
)

// deaf is a destination that accepts, reads nothing and says nothing.
func deaf(t *testing.T) Address {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var kept []net.Conn
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			_ = c.SetReadBuffer(4096)
			mu.Lock()
			kept = append(kept, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range kept {
			_ = c.Close()
		}
	})
	return FromAddrPort(l.Addr().(*net.TCPAddr).AddrPort())
}

// stuff writes until nothing is taken any more.
func stuff(c *net.TCPConn) {
	b := make([]byte, 1<<20)
	for {
		_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// hanging never gets done, and ends with its context.
type hanging struct{}

// Connect implements Connector.
func (hanging) Connect(ctx context.Context, _ Client, _ Address) (Stream, Address, error) {
	<-ctx.Done()
	return nil, Address{}, ctx.Err()
}

// TestStopsAtOnce: whatever clients and destinations do, the server ends as soon as it is told.
func TestStopsAtOnce(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, at netip.AddrPort){
		"a destination takes nothing": func(t *testing.T, at netip.AddrPort) {
			c, err := through(t, at, "", "", deaf(t))
			if err != nil {
				t.Fatal(err)
			}
			stuff(c)
		},
		"a destination says nothing": func(t *testing.T, at netip.AddrPort) {
			if _, err := through(t, at, "", "", deaf(t)); err != nil {
				t.Fatal(err)
			}
		},
		"a request is half": func(t *testing.T, at netip.AddrPort) { _, _ = dial(t, at).Write([]byte{5, 1, 0, 5}) },
		"a dial hangs": func(t *testing.T, at netip.AddrPort) {
			_, _ = dial(t, at).Write(Request{Connect, Address{Name: "hangs.test", Port: 1}}.Append([]byte{5, 1, 0}))
		},
		"nobody comes to a bind": func(t *testing.T, at netip.AddrPort) {
			c := dial(t, at)
			_, _ = c.Write(Request{Bind, Address{IP: netip.MustParseAddr("127.0.0.2"), Port: 20}}.Append([]byte{5, 1, 0}))
			_, _ = io.ReadFull(c, make([]byte, 12))
		},
		"an association": func(t *testing.T, at netip.AddrPort) {
			c := dial(t, at)
			_, _ = c.Write(Request{Associate, Address{}}.Append([]byte{5, 1, 0}))
			_, _ = io.ReadFull(c, make([]byte, 12))
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Allow: loopback(), Connector: &Direct{Guard: everyone, Resolve: names}, Guard: everyone, Bind: true, UDP: true}
			if name == "a dial hangs" {
				o.Connector = hanging{}
			}
			s := NewServer(o)
			at, stop, done := serving(t, s)
			prepare(t, at)
			stop()
			select {
			case <-done:
			case <-time.After(3 * time.Second):
				b := make([]byte, 1<<16)
				t.Fatalf("still there:\n%s", b[:runtime.Stack(b, true)])
			}
		})
	}
}

// serving lets s serve on loopback until stop; then done tells how it ended.
func serving(t *testing.T, s *Server) (at netip.AddrPort, stop context.CancelFunc, done <-chan error) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	return l.Addr().(*net.TCPAddr).AddrPort(), stop, ended
}

// TestComesWhileStopping: a client that comes in the moment the server ends keeps nothing waiting.
func TestComesWhileStopping(t *testing.T) {
	for range 50 {
		s := NewServer(Options{Allow: loopback(), Connector: hanging{}})
		at, stop, done := serving(t, s)
		for range 5 {
			go func() {
				if c, err := net.Dial("tcp", at.String()); err == nil {
					_, _ = io.Copy(io.Discard, c)
					_ = c.Close()
				}
			}()
		}
		go stop()
		select {
		case <-done:
		case <-time.After(3 * time.Second):
			t.Fatal("still there")
		}
	}
	// The same, without chance: all have been closed when it comes in.
	s := NewServer(Options{Allow: loopback(), Connector: hanging{}})
	near, _ := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.closeAll()
	s.admit(ctx, near, s.serve)
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		t.Fatal("it was let in")
	}
}

// pair is a TCP connection's two ends.
func pair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b = dial(t, l.Addr().(*net.TCPAddr).AddrPort())
	if a, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a, b
}

// TestClientBreaksOff: nobody reads from a client whose destination takes nothing; that it has gone is noticed all the same.
func TestClientBreaksOff(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	s, at := start(t, nil)
	c, err := through(t, at, "", "", deaf(t))
	if err != nil {
		t.Fatal(err)
	}
	stuff(c)
	_ = c.SetLinger(0)
	_ = c.Close()
	for end := time.Now().Add(2*stallLook + time.Second); s.Counts().Active > 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("its connection is kept")
		}
	}
}

// source says as much as it is asked for, for ever, and is no TCP connection: so it is copied.
type source struct {
	over chan struct{}
	once sync.Once
}

func (s *source) Read(p []byte) (int, error) {
	select {
	case <-s.over:
		return 0, net.ErrClosed
	default:
		return len(p), nil
	}
}
func (s *source) Write(p []byte) (int, error)     { return len(p), nil }
func (s *source) Close() error                    { s.once.Do(func() { close(s.over) }); return nil }
func (s *source) CloseWrite() error               { return nil }
func (s *source) SetReadDeadline(time.Time) error { return nil }

// TestSlowReadersHoldLittle: two hundred who read nothing of what is copied for them do not each hold a whole buffer.
func TestSlowReadersHoldLittle(t *testing.T) {
	const number = 200
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	var done sync.WaitGroup
	var all []*source
	var ends []net.Conn
	for range number {
		near, far := pair(t)
		_, _ = far.SetReadBuffer(4096), near.SetWriteBuffer(16384)
		s := &source{over: make(chan struct{})}
		all = append(all, s)
		ends = append(ends, near)
		done.Go(func() { Relay(near, s, time.Hour) })
	}
	<-time.After(500 * time.Millisecond)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)) / number
	t.Logf("%d bytes for each", each)
	if each > copyBytes {
		t.Errorf("%d bytes for each reader that is slow, its buffer has %d", each, copyBytes)
	}
	for _, s := range all {
		_ = s.Close()
	}
	for _, c := range ends {
		_ = c.Close()
	}
	done.Wait()
}

// TestAskingIsLimited: clients that ask for nothing leave room for those of other addresses, and for their own once they end.
func TestAskingIsLimited(t *testing.T) {
	s, at := start(t, nil)
	to := FromAddrPort(echo(t, "127.0.0.1:0"))
	var slow []*net.TCPConn
	for range maxAsking {
		slow = append(slow, dial(t, at))
	}
	for s.Counts().Accepted < maxAsking {
		<-time.After(time.Millisecond)
	}
	if _, err := through(t, at, "", "", to); err == nil {
		t.Error("one more of the same address was let in")
	}
	if n := s.Counts(); n.TooMany != 1 || n.Active != maxAsking {
		t.Errorf("%+v", n)
	}
	other, err := net.DialTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := Through(t.Context(), other, []Hop{{At: FromAddrPort(at)}}, to); err != nil {
		t.Errorf("of another address: %v", err)
	}
	_ = slow[0].Close()
	for s.Counts().Active > maxAsking {
		<-time.After(time.Millisecond)
	}
	if _, err := through(t, at, "", "", to); err != nil {
		t.Errorf("after one has gone: %v", err)
	}
	for _, c := range slow {
		_ = c.Close()
	}
	for s.Counts().Active > 2 {
		<-time.After(time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asking) != 0 || s.asked != 0 {
		t.Errorf("still counted: %v, %d", s.asking, s.asked)
	}
}

func TestBlock(t *testing.T) {
	for from, want := range map[string]string{"192.0.2.7:1": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[2001:db8:1:2:3::9]:1": "2001:db8:1:2::"} {
		if got := block(netip.MustParseAddrPort(from)).String(); got != want {
			t.Errorf("%s: %s", from, got)
		}
	}
}

// TestRemovedUserEnds: a user who is not known any more loses the connections.
func TestRemovedUserEnds(t *testing.T) {
	s, at := start(t, func(o *Options) { o.Users = map[string]string{"ann": "a", "bob": "b"} })
	to := deaf(t)
	ann, err := through(t, at, "ann", "a", to)
	if err != nil {
		t.Fatal(err)
	}
	bob, err := through(t, at, "bob", "b", to)
	if err != nil {
		t.Fatal(err)
	}
	s.SetUsers(map[string]string{"ann": "a"})
	_ = bob.SetReadDeadline(time.Now().Add(3 * time.Second))
	if _, err := bob.Read(make([]byte, 1)); err == nil || errTimeout(err) != nil {
		t.Errorf("bob's connection: %v", err)
	}
	_ = ann.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := ann.Read(make([]byte, 1)); errTimeout(err) == nil {
		t.Errorf("ann's connection: %v", err)
	}
}

// errTimeout is the error if it is a timeout, else nil.
func errTimeout(err error) error {
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		return err
	}
	return nil
}

// TestNamesThatLeadInside: an address may be reached that a name may not lead to, as names are a stranger's to choose.
func TestNamesThatLeadInside(t *testing.T) {
	inside := func(_ string, a netip.AddrPort) bool { return !a.Addr().IsLoopback() }
	_, at := start(t, func(o *Options) { o.Connector = &Direct{Guard: everyone, Names: inside, Resolve: names} })
	to := echo(t, "127.0.0.1:0")
	if _, err := through(t, at, "", "", FromAddrPort(to)); err != nil {
		t.Error(err)
	}
	if _, err := through(t, at, "", "", Address{Name: "four.test", Port: to.Port()}); !errors.Is(err, NotAllowed) {
		t.Errorf("a name: %v", err)
	}
}
