package transport

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPutControlIsReadBack(t *testing.T) {
	for _, from := range []string{"192.0.2.1", "2001:db8::1"} {
		addr := netip.MustParseAddr(from)
		buf := putControl(make([]byte, 0, writeControlSize), addr, addr, 0xB9, 1234)
		seen := map[[2]int32]int{}
		for {
			level, kind, data, rest, ok := nextControl(buf)
			if !ok {
				break
			}
			seen[[2]int32{level, kind}] = len(data)
			buf = rest
		}
		if len(buf) != 0 || len(seen) != 3 || seen[[2]int32{unix.SOL_UDP, unix.UDP_SEGMENT}] != 2 {
			t.Errorf("%s: %v and %d bytes left", from, seen, len(buf))
		}
	}
	if len(putControl(make([]byte, 0, writeControlSize), loop4, netip.Addr{}, 0, 0)) != 0 {
		t.Error("control messages for nothing")
	}
	if n := unix.CmsgSpace(2) + unix.CmsgSpace(4) + unix.CmsgSpace(unix.SizeofInet6Pktinfo); n > writeControlSize {
		t.Errorf("writeControlSize must be at least %d", n)
	}
}

func FuzzControl(f *testing.F) {
	f.Add([]byte{})
	f.Add(putControl(make([]byte, 0, writeControlSize), loop4, loop4, 3, 100))
	f.Add(putControl(make([]byte, 0, writeControlSize), loop6, loop6, 3, 100))
	f.Fuzz(func(t *testing.T, buf []byte) {
		var b ReadBatch
		var d Datagram
		b.parseControl(&UDP{}, &d, buf)
		if d.ECN > 3 {
			t.Errorf("ECN %d", d.ECN)
		}
	})
}

func TestAddresses(t *testing.T) {
	for _, s := range []string{"192.0.2.1:80", "[2001:db8::1]:443", "[fe80::1%1]:9"} {
		want := netip.MustParseAddrPort(s)
		for _, v6 := range []bool{true, false} {
			var sa unix.RawSockaddrInet6
			n := putAddr(&sa, want, v6)
			if !v6 && want.Addr().Is6() {
				if n != 0 {
					t.Errorf("%v on an IPv4 socket", want)
				}
				continue
			}
			if got := getAddr(&sa); got != want || n == 0 {
				t.Errorf("%v became %v", want, got)
			}
		}
	}
	if zoneIndex("lo") != 1 || zoneIndex("nosuchdev0") != 0 || zoneIndex("7") != 7 {
		t.Error("zones")
	}
}
