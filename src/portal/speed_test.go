package portal

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/socks"
)

// tcpPair is a TCP connection's two ends.
func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), d.Close() })
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

func TestSpeedEnds(t *testing.T) {
	for _, port := range []uint16{speedDownPort, speedUpPort} {
		router, server := tcpPair(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			socks.Relay(server, newSpeedEnd(port), time.Minute)
		}()
		moved, want := int64(0), int64(speedDownBytes)
		if port == speedUpPort {
			want = 3_000_000
			if n, err := router.Write(make([]byte, want)); err != nil || int64(n) != want {
				t.Fatalf("up: %d, %v", n, err)
			}
			moved = want
		}
		if err := router.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, router)
		if moved += n; err != nil || moved != want {
			t.Errorf("port %d: moved %d of %d bytes, %v", port, moved, want, err)
		}
		<-done
	}
}

func TestSpeedEndsInTime(t *testing.T) {
	for _, port := range []uint16{speedDownPort, speedUpPort} {
		e := newSpeedEnd(port)
		e.ends = time.Now().Add(-time.Second)
		if _, err := e.Write([]byte{0}); err == nil {
			t.Errorf("port %d: it takes bytes for ever", port)
		}
		_ = e.Close()
		if _, err := e.Read(make([]byte, 9)); err != io.EOF {
			t.Errorf("port %d: it gives bytes for ever: %v", port, err)
		}
	}
}

func TestShares(t *testing.T) {
	before := map[string][2]uint64{"a": {100, 1000}, "b": {0, 500}}
	after := map[string][2]uint64{"a": {100, 4000}, "b": {0, 1500}, "c": {50, 0}}
	down, up := shares(before, after, true), shares(before, after, false)
	if down["a"] != 0.75 || down["b"] != 0.25 || down["c"] != 0 || up["c"] != 1 {
		t.Errorf("down %v, up %v", down, up)
	}
	if none := shares(after, after, true); len(none) != 0 {
		t.Errorf("of nothing: %v", none)
	}
	if again := shares(after, before, true); again["a"] != 0 {
		t.Errorf("a path that began anew: %v", again)
	}
}

func TestMeter(t *testing.T) {
	said := 0
	m := meter{begin: time.Now().Add(-2 * time.Second), told: func(float64) { said++ }}
	m.add(1000) // begins to count here
	m.warm = time.Now().Add(-time.Second)
	m.add(1_000_000)
	if r := m.rate(); r < 7e6 || r > 8.1e6 {
		t.Errorf("%.0f bit/s", r)
	}
	if said != 1 {
		t.Errorf("told %d times", said)
	}
}

func TestRelayTrouble(t *testing.T) {
	_, refused := net.Dial("tcp", "127.0.0.1:1")
	for _, c := range []struct {
		err  error
		want string
	}{
		{refused, "cannot be reached: connect: connection refused"},
		{&socks.HopError{Err: socks.ErrAuth}, "user or password"},
		{&socks.HopError{Err: socks.HostUnreachable}, "does not connect to the server: host unreachable"},
		{&socks.HopError{Err: io.ErrUnexpectedEOF}, "no SOCKS5 relay"},
		{context.DeadlineExceeded, "does not answer"},
		{errors.New("odd"), "cannot be reached: odd"},
	} {
		if got := relayTrouble(c.err).Error(); !strings.Contains(got, c.want) {
			t.Errorf("%v: %s", c.err, got)
		}
	}
}

func TestNamesThatGoElsewhere(t *testing.T) {
	cfg := &config.Config{}
	cfg.Portal.Local.DNS = config.DNSTunnel
	if s := tryNames(t.Context(), cfg, nil); s.State != StepNote || !strings.Contains(s.Text, "names no name server") {
		t.Errorf("%+v", s)
	}
	cfg.Portal.Device = "nosuch"
	if s := tryNames(t.Context(), cfg, []string{"192.0.2.1"}); s.State != StepNote || !strings.Contains(s.Text, "192.0.2.1 does not answer") {
		t.Errorf("%+v", s)
	}
	cfg.Portal.Local.DNS = "system"
	if s := tryNames(t.Context(), cfg, []string{"192.0.2.1"}); s.State != StepNote || !strings.Contains(s.Text, "as configured") {
		t.Errorf("%+v", s)
	}
}

func TestPerSecond(t *testing.T) {
	if got := perSecond(1000, 2000, 500*time.Millisecond); got != 16000 {
		t.Errorf("%d bit/s", got)
	}
	if got := perSecond(2000, 10, time.Second); got != 0 {
		t.Errorf("after a new session: %d bit/s", got)
	}
}
