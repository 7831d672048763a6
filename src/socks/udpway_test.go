package socks

import (
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestAssociationChangesItsWay: datagrams take the way that is right when they are sent, also in an association that was made
// before; answers to what was sent before still come.
func TestAssociationChangesItsWay(t *testing.T) {
	var way atomic.Uint64
	s, at := start(t, func(o *Options) {
		o.Way = way.Load
		o.ListenUDP = func() (*net.UDPConn, error) {
			if way.Load() == 2 {
				return nil, syscall.ENETDOWN
			}
			return net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, byte(2+way.Load()))})
		}
	})
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c, relay := associate(t, at)
	u := dialUDP(t, relay)
	to := FromAddrPort(server.LocalAddr().(*net.UDPAddr).AddrPort())
	b := make([]byte, 100)
	send := func() (from netip.AddrPort, err error) {
		_, _ = u.Write(append(AppendDatagramHeader(nil, to), "hello"...))
		_ = server.SetReadDeadline(time.Now().Add(time.Second))
		_, from, err = server.ReadFromUDPAddrPort(b)
		return from, err
	}
	first, err := send()
	if err != nil || first.Addr() != netip.MustParseAddr("127.0.0.2") {
		t.Fatal(first, err)
	}
	if again, err := send(); err != nil || again != first {
		t.Fatalf("%v then %v: %v", first, again, err)
	}
	way.Store(1)
	if second, err := send(); err != nil || second.Addr() != netip.MustParseAddr("127.0.0.3") {
		t.Fatal(second, err)
	}
	_, _ = server.WriteToUDPAddrPort([]byte("late"), first)
	_ = u.SetReadDeadline(time.Now().Add(time.Second))
	n, err := u.Read(b)
	if err != nil {
		t.Fatal("a late answer:", err)
	}
	if _, got, err := ParseDatagram(b[:n]); err != nil || string(got) != "late" {
		t.Errorf("%q, %v", got, err)
	}
	way.Store(2) // no way at all
	if from, err := send(); err == nil {
		t.Errorf("sent from %v, though there was no way", from)
	}
	way.Store(3)
	if third, err := send(); err != nil || third.Addr() != netip.MustParseAddr("127.0.0.5") {
		t.Fatal(third, err)
	}
	_ = c.Close()
	for end := time.Now().Add(2 * time.Second); s.Counts().Active > 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the association stays")
		}
	}
}

func dialUDP(t *testing.T, relay Address) *net.UDPConn {
	t.Helper()
	u, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(relay.IP, relay.Port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close() })
	return u
}
