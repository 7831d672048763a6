package streams

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"mpproxy/src/engine/mono"
	"mpproxy/src/mpp"
)

// isPatient says that the kernel waits with the acknowledgement of what comes alone.
func isPatient(t *testing.T, conn net.Conn) bool {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	quick := -1
	_ = raw.Control(func(fd uintptr) { quick, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK) })
	if err != nil || quick < 0 {
		t.Fatal(quick, err)
	}
	return quick == 0
}

func TestPatient(t *testing.T) {
	conn := loopback(t)
	if isPatient(t, conn) {
		t.Error("a new connection is")
	}
	if patient(conn); !isPatient(t, conn) {
		t.Error("it is not")
	}
}

// twice is a listener that tells of the first connection when the next one is waited for.
type twice struct {
	net.Listener
	first net.Conn
	next  chan struct{}
}

func (l *twice) Accept() (net.Conn, error) {
	if l.first != nil {
		close(l.next)
		return nil, net.ErrClosed
	}
	var err error
	l.first, err = l.Listener.Accept()
	return l.first, err
}

// TestServerIsPatient from the begin on, before anything is read.
func TestServerIsPatient(t *testing.T) {
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	l := &twice{Listener: inner, next: make(chan struct{})}
	s := NewServer(ServerOptions{Clock: func() mono.Time { return 1 }, Pool: mpp.NewPool(1 << 20)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _ = s.Serve(ctx, l); close(done) }()
	conn, err := net.Dial("tcp4", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-l.next
	if !isPatient(t, l.first) {
		t.Error("it is not")
	}
	cancel()
	<-done
}
