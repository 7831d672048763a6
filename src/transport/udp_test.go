package transport

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	loop4 = netip.MustParseAddr("127.0.0.1")
	loop6 = netip.IPv6Loopback()
)

func listen(t testing.TB, o Options) *UDP {
	t.Helper()
	u, err := ListenUDP(o)
	if err != nil {
		if o.Local.Addr().Is6() && errors.Is(err, unix.EADDRNOTAVAIL) {
			t.Skip("no IPv6 on loopback")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

// receive reads n datagrams and returns copies. A watchdog closes the socket when they do not come.
func receive(t testing.TB, u *UDP, n int) []Datagram {
	t.Helper()
	dog := time.AfterFunc(3*time.Second, func() { u.Close() })
	defer dog.Stop()
	var b ReadBatch
	var all []Datagram
	for len(all) < n {
		if _, err := u.ReadBatch(&b); err != nil {
			t.Fatalf("after %d of %d datagrams: %v", len(all), n, err)
		}
		for _, d := range b.Datagrams {
			d.Data = bytes.Clone(d.Data)
			all = append(all, d)
		}
	}
	return all
}

// pattern makes datagrams of the given sizes with recognisable contents.
func pattern(sizes ...int) [][]byte {
	r := rand.New(rand.NewSource(int64(len(sizes))))
	segs := make([][]byte, len(sizes))
	for i, n := range sizes {
		segs[i] = make([]byte, n)
		r.Read(segs[i])
	}
	return segs
}

func repeat(n, size int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = size
	}
	return sizes
}

func checkSame(t *testing.T, got []Datagram, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d datagrams, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i].Data, want[i]) {
			t.Fatalf("datagram %d: %d bytes that differ from the %d sent", i, len(got[i].Data), len(want[i]))
		}
	}
}

func TestBatchesArriveEqualWithAndWithoutOffload(t *testing.T) {
	for name, sizes := range map[string][]int{
		"one":                 {100},
		"equal":               repeat(64, 1300),
		"last shorter":        append(repeat(20, 1400), 60),
		"mixed":               {10, 20, 20, 20, 5, 1400, 1400, 700, 1400, 1, 1, 1},
		"more than a message": repeat(200, 1200),
		"more than 64 KB":     repeat(60, 1472),
		"many different":      {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
	} {
		for _, addr := range []netip.Addr{loop4, loop6} {
			for _, plain := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v/plain=%v", name, addr, plain), func(t *testing.T) {
					a := listen(t, Options{Local: netip.AddrPortFrom(addr, 0), NoOffload: plain})
					b := listen(t, Options{Local: netip.AddrPortFrom(addr, 0), NoOffload: plain})
					segs := pattern(sizes...)
					if n, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, segs); n != len(segs) || err != nil {
						t.Fatalf("sent %d of %d: %v", n, len(segs), err)
					}
					checkSame(t, receive(t, b, len(segs)), segs)
					if s := a.Stats(); plain != (s.Segments == 1) {
						t.Errorf("segments %d", s.Segments)
					}
				})
			}
		}
	}
}

func TestArenaIsOnePiece(t *testing.T) {
	arena := pattern(10*500 + 7)[0]
	var segs [][]byte
	for at := 0; at < len(arena); at += 500 {
		segs = append(segs, arena[at:min(at+500, len(arena))])
	}
	a := listen(t, Options{Local: netip.AddrPortFrom(loop4, 0)})
	b := listen(t, Options{Local: netip.AddrPortFrom(loop4, 0)})
	if n, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, segs); n != 11 || err != nil {
		t.Fatal(n, err)
	}
	if a.write.n != 1 || a.write.msgs[0].Hdr.Iovlen != 1 {
		t.Errorf("%d messages, the first of %d pieces", a.write.n, a.write.msgs[0].Hdr.Iovlen)
	}
	checkSame(t, receive(t, b, 11), segs)
}

func TestWildcardAnswersFromWhereItWasAsked(t *testing.T) {
	server := listen(t, Options{})
	port := server.LocalAddr().Port()
	for _, addr := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.9.8.7"), loop6} {
		source := loop4
		if addr.Is6() {
			source = loop6
		}
		client := listen(t, Options{Local: netip.AddrPortFrom(source, 0)})
		if _, err := client.WriteBatch(netip.AddrPortFrom(addr, port), netip.Addr{}, 0, pattern(9)); err != nil {
			t.Fatal(err)
		}
		d := receive(t, server, 1)[0]
		if d.Local != addr || d.Addr != client.LocalAddr() || d.IfIndex != 1 {
			t.Errorf("sent to %v from %v, got %+v", addr, client.LocalAddr(), d)
		}
		if _, err := server.WriteBatch(d.Addr, d.Local, 0, pattern(8, 8, 8)); err != nil {
			t.Fatal(err)
		}
		for _, answer := range receive(t, client, 3) {
			if answer.Addr != netip.AddrPortFrom(addr, port) {
				t.Errorf("asked %v, the answer came from %v", addr, answer.Addr)
			}
		}
	}
}

func TestECN(t *testing.T) {
	server := listen(t, Options{})
	for _, addr := range []netip.Addr{loop4, loop6} {
		client := listen(t, Options{Local: netip.AddrPortFrom(addr, 0)})
		for ecn := range uint8(4) {
			tos := 46<<2 | ecn
			if _, err := client.WriteBatch(netip.AddrPortFrom(addr, server.LocalAddr().Port()), netip.Addr{}, tos, pattern(7, 7)); err != nil {
				t.Fatal(err)
			}
			for _, d := range receive(t, server, 2) {
				if d.ECN != ecn {
					t.Errorf("%v: sent ECN %d, got %d", addr, ecn, d.ECN)
				}
			}
		}
	}
}

func TestReceiveTimes(t *testing.T) {
	clock := NewClock()
	a := listen(t, Options{Local: netip.AddrPortFrom(loop4, 0)})
	b := listen(t, Options{Local: netip.AddrPortFrom(loop4, 0), Clock: clock})
	// The kernel begins to take stamps some time after the first socket asked for them; until then the read time serves.
	for range 3 {
		before := clock.Now()
		if _, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, pattern(5)); err != nil {
			t.Fatal(err)
		}
		d := receive(t, b, 1)[0]
		if after := clock.Now(); d.At.Before(before.Add(-time.Millisecond)) || d.At.After(after) {
			t.Errorf("received at %v, between %v and %v", d.At, before, after)
		}
	}
}

func TestCloseUnblocksReader(t *testing.T) {
	u := listen(t, Options{})
	done := make(chan error)
	go func() {
		var b ReadBatch
		_, err := u.ReadBatch(&b)
		done <- err
	}()
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("reader got %v", err)
		}
	case <-time.After(3 * time.Second):
		t.Fatal("reader still waits")
	}
	if _, err := u.WriteBatch(netip.AddrPortFrom(loop4, 9), netip.Addr{}, 0, pattern(1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writer got %v", err)
	}
	if err := u.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close gave %v", err)
	}
}

func TestOptions(t *testing.T) {
	u := listen(t, Options{Local: netip.AddrPortFrom(loop4, 0), ReusePort: true, Device: "lo"})
	listen(t, Options{Local: u.LocalAddr(), ReusePort: true})
	if s := u.Stats(); s.RecvBuffer < 200<<10 || s.SendBuffer < 200<<10 {
		t.Errorf("buffers %+v", s)
	}
	if _, err := ListenUDP(Options{Device: "nosuchdev0"}); err == nil {
		t.Error("a device that does not exist was accepted")
	}
	if _, err := ListenUDP(Options{Local: u.LocalAddr()}); err == nil {
		t.Error("a port in use was accepted")
	}
}

func TestNeverFragmentsNorTrustsThePathMTU(t *testing.T) {
	u := listen(t, Options{})
	_ = u.conn.Control(func(fd uintptr) {
		for _, o := range [][2]int{{unix.SOL_IP, unix.IP_MTU_DISCOVER}, {unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER}} {
			if v, err := unix.GetsockoptInt(int(fd), o[0], o[1]); err == nil && v != unix.IP_PMTUDISC_PROBE {
				t.Errorf("option %v is %d", o, v)
			}
		}
	})
}
