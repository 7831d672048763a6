package socks

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAcceptGoesOn: a client that comes while there are no more files is served once there are.
func TestAcceptGoesOn(t *testing.T) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		over <- NewServer(Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).Serve(ctx, l)
	}()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	client := os.NewFile(uintptr(fd), "client")
	defer client.Close()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	came := unix.Connect(fd, &unix.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}})
	ended := false
	select {
	case err = <-over:
		ended = true
	case <-time.After(3 * acceptPause):
	}
	back := unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	if ended || back != nil || came != nil {
		t.Fatalf("over %v: %v, %v, %v", ended, err, back, came)
	}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})
	answer := make([]byte, 2)
	if _, err := client.Write([]byte{version5, 1, methodNone}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, answer); err != nil || answer[1] != methodNone {
		t.Errorf("not served: %v %v", answer, err)
	}
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
}
