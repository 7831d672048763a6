package streams

import (
	"io"
	"math"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTailOf: what may wait unsent leaves in tailTime at the pace of the moment, within bounds, also where the kernel does
// not pace at all.
func TestTailOf(t *testing.T) {
	for pace, want := range map[uint64]int{0: minTail, 100e6 / 8: 125000, ^uint64(0): maxTail} {
		if got := tailOf(&unix.TCPInfo{Pacing_rate: pace}); got != want {
			t.Errorf("%d bytes at %d bytes per second, want %d", got, pace, want)
		}
	}
}

// TestWiden: a socket gets room for its congestion window beyond the kernel's own bound, if the process may; it never
// loses any, and a small window changes nothing.
func TestWiden(t *testing.T) {
	conn := loopback(t)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	room := func() int {
		n := 0
		_ = raw.Control(func(fd uintptr) { n, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF) })
		return n
	}
	widened := func(window uint32) int {
		_ = raw.Control(func(fd uintptr) { widen(int(fd), &unix.TCPInfo{Snd_cwnd: window, Snd_mss: 1448}) })
		return room()
	}
	before := room()
	if got := widened(100); got != before {
		t.Errorf("%d bytes for a small window, before %d", got, before)
	}
	if got := widened(1000); os.Geteuid() == 0 && got < 3*1000*1448 {
		t.Errorf("%d bytes for a window of 1000 packets", got)
	}
	if got, had := widened(10), room(); got < had {
		t.Errorf("%d bytes, before %d", got, had)
	}
	if got := widened(1 << 20); got > maxSend {
		t.Errorf("%d bytes, more than %d", got, maxSend)
	}
}

// TestTunedForGood: a subflow that has carried more than an int can count is still looked at.
func TestTunedForGood(t *testing.T) {
	var k tuning
	if k.sent(tuneFrom - 1); k.worthwhile() {
		t.Error("too early")
	}
	for range 3 {
		if k.sent(math.MaxInt / 2); !k.worthwhile() {
			t.Error("it is not looked at any more")
		}
	}
}

// TestTune: the socket is looked at seldom, and a new connection with bbr is told to be in its start-up.
func TestTune(t *testing.T) {
	conn := loopback(t)
	prepare(conn)
	if _, err := conn.Write(make([]byte, 1000)); err != nil { // bbr says its gain from the first acknowledgement on
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	var k tuning
	if !k.tune(conn) || k.tail < minTail || k.tail > maxTail {
		t.Errorf("tail %d", k.tail)
	}
	if k.tune(conn) {
		t.Error("looked again at once")
	}
	raw, _ := conn.SyscallConn()
	name := ""
	_ = raw.Control(func(fd uintptr) { name, _ = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION) })
	if want := name == "bbr"; k.starting != want {
		t.Errorf("%s: starting %v", name, k.starting)
	}
}

// loopback is one end of a connection to this machine; the other one says all again.
func loopback(t *testing.T) *net.TCPConn {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		if other, err := l.Accept(); err == nil {
			_, _ = io.Copy(other, other)
			_ = other.Close()
		}
	}()
	conn, err := net.DialTimeout("tcp4", l.Addr().String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}
