package system

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// What the client sends is masqueraded on its way into the tunnel; the kernel still says whose it is.
func TestSourcesBehindTheTunnel(t *testing.T) {
	h := newHome(t)
	h.set(h.tunnel("10.99.0.2/32", "fd00:99::2/128"))
	var s Sources
	defer s.Close()
	for _, c := range []struct{ network, to, inside, want string }{
		{"udp4", "203.0.113.9:3074", "10.99.0.2", "192.168.1.77"},
		{"udp6", "[2001:db8:9::9]:3074", "fd00:99::2", "2001:db8:77::77"},
	} {
		h.client.do(func() {
			if conn, err := net.Dial(c.network, c.to); err == nil {
				_, _ = conn.Write([]byte("ask"))
				conn.Close()
			}
		})
		var from, to netip.AddrPort
		if c.network == "udp4" {
			from, to = ends(h.end.next(protocol4(unix.IPPROTO_UDP)))
		} else {
			p := h.end.next(func(p []byte) bool { return p[0]>>4 == 6 && p[6] == unix.IPPROTO_UDP })
			from = netip.AddrPortFrom(netip.AddrFrom16([16]byte(p[8:])), uint16(p[40])<<8|uint16(p[41]))
			to = netip.AddrPortFrom(netip.AddrFrom16([16]byte(p[24:])), uint16(p[42])<<8|uint16(p[43]))
		}
		if from.Addr().String() != c.inside || to.String() != c.to {
			t.Fatalf("from %v to %v", from, to)
		}
		if got, err := s.Of(unix.IPPROTO_UDP, from, to); err != nil || got.String() != c.want {
			t.Errorf("%s: %v, %v", c.network, got, err)
		}
		stranger := netip.AddrPortFrom(to.Addr(), to.Port()+1)
		if got, err := s.Of(unix.IPPROTO_UDP, from, stranger); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a connection that there is not: %v, %v", c.network, got, err)
		}
		if got, err := s.Of(unix.IPPROTO_UDP, from, to); err != nil || got.String() != c.want { // and the socket still works
			t.Errorf("%s: %v, %v", c.network, got, err)
		}
		if _, err := s.Of(unix.IPPROTO_ICMP, netip.AddrPortFrom(from.Addr(), 0), netip.AddrPortFrom(to.Addr(), 0)); err == nil {
			t.Error("an answer without ports or names")
		}
	}
}

// What the kernel never says has no source, and ends nothing.
func FuzzReadSource(f *testing.F) {
	f.Add([]byte{20, 0, 1, 0x80, 16, 0, 1, 0x80, 8, 0, 1, 0, 192, 168, 1, 77})
	f.Add([]byte{8, 0, 1, 0x80, 3, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := readSource(b); err == nil && !a.IsValid() {
			t.Error("no source and no error")
		}
	})
}
