package transport

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// refuse lets check judge each message before it may go to the kernel.
func refuse(u *UDP, check func(m *unix.Mmsghdr, datagrams int) unix.Errno) {
	w := &u.write.writer
	w.sendmmsg = func(fd uintptr, msgs []unix.Mmsghdr) (int, unix.Errno) {
		for i := range msgs {
			if errno := check(&msgs[i], w.count[i]); errno != 0 {
				if i == 0 {
					return 0, errno
				}
				return sendmmsg(fd, msgs[:i])
			}
		}
		return sendmmsg(fd, msgs)
	}
}

func pair(t testing.TB) (a, b *UDP) {
	a = listen(t, Options{Local: netip.AddrPortFrom(loop4, 0)})
	b = listen(t, Options{Local: netip.AddrPortFrom(loop4, 0)})
	if a.Stats().Segments == 1 {
		t.Skip("this kernel has no UDP_SEGMENT")
	}
	return a, b
}

func TestEIOTurnsSegmentsOffForGood(t *testing.T) {
	a, b := pair(t)
	refuse(a, func(_ *unix.Mmsghdr, n int) unix.Errno {
		if n > 1 {
			return unix.EIO
		}
		return 0
	})
	segs := pattern(repeat(100, 900)...)
	if n, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, segs); n != 100 || err != nil {
		t.Fatal(n, err)
	}
	checkSame(t, receive(t, b, 100), segs)
	if s := a.Stats(); s.Segments != 1 {
		t.Errorf("still %d segments", s.Segments)
	}
}

func TestTooManySegmentsLowersTheirNumber(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EINVAL, unix.EMSGSIZE} {
		a, b := pair(t)
		refuse(a, func(_ *unix.Mmsghdr, n int) unix.Errno {
			if n > 10 {
				return errno
			}
			return 0
		})
		segs := pattern(repeat(200, 900)...)
		if n, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, segs); n != 200 || err != nil {
			t.Fatal(n, err)
		}
		checkSame(t, receive(t, b, 200), segs)
		if s := a.Stats(); s.Segments != 8 {
			t.Errorf("%v: %d segments, want 8", errno, s.Segments)
		}
	}
}

func TestTooBigIsNamedAndTheRestGoes(t *testing.T) {
	a, b := pair(t)
	const mtu = 1000
	refuse(a, func(m *unix.Mmsghdr, _ int) unix.Errno {
		if m.Hdr.Iov.Len > mtu {
			return unix.EMSGSIZE
		}
		return 0
	})
	segs := pattern(500, 500, 1200, 1200, 300)
	var got []int
	for at := 0; at < len(segs); {
		n, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, segs[at:])
		at += n
		var big *TooBigError
		if errors.As(err, &big) {
			got = append(got, big.Size)
			at++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 2 || got[0] != 1200 || got[1] != 1200 {
		t.Errorf("too big: %v", got)
	}
	checkSame(t, receive(t, b, 3), [][]byte{segs[0], segs[1], segs[4]})
	if s := a.Stats(); s.Segments != maxSegments {
		t.Errorf("a matter of size lowered the number to %d", s.Segments)
	}
}

func TestOversizeForReal(t *testing.T) {
	a, b := pair(t)
	n, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, pattern(100, 66000))
	var big *TooBigError
	if n != 1 || !errors.As(err, &big) || big.Size != 66000 {
		t.Errorf("sent %d: %v", n, err)
	}
	if err.Error() == "" {
		t.Error("no message")
	}
}

func TestTypedErrors(t *testing.T) {
	for errno, want := range map[unix.Errno]error{
		unix.EAGAIN: ErrBusy, unix.ENOBUFS: ErrBusy, unix.ECONNREFUSED: ErrRefused, unix.ENETUNREACH: ErrUnreachable,
		unix.EHOSTUNREACH: ErrUnreachable, unix.ENETDOWN: ErrUnreachable, unix.EPERM: ErrUnreachable, unix.EPROTO: unix.EPROTO,
	} {
		a, b := pair(t)
		messages := 0
		refuse(a, func(*unix.Mmsghdr, int) unix.Errno {
			if messages++; messages > 1 {
				return errno
			}
			return 0
		})
		if n, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, pattern(10, 20, 30)); n != 1 || !errors.Is(err, want) {
			t.Errorf("%v: sent %d, %v", errno, n, err)
		}
	}
}

func TestInterruptedIsTriedAgain(t *testing.T) {
	a, b := pair(t)
	calls := 0
	refuse(a, func(*unix.Mmsghdr, int) unix.Errno {
		if calls++; calls < 3 {
			return unix.EINTR
		}
		return 0
	})
	if n, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, pattern(10)); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestUnreachableForReal(t *testing.T) {
	a, _ := pair(t)
	if _, err := a.WriteBatch(netip.AddrPortFrom(loop6, 9), netip.Addr{}, 0, pattern(3)); !errors.Is(err, ErrUnreachable) {
		t.Errorf("IPv6 from an IPv4 socket: %v", err)
	}
	foreign := netip.MustParseAddr("192.0.2.77")
	if n, err := a.WriteBatch(a.LocalAddr(), foreign, 0, pattern(3, 3, 3)); n != 0 || !errors.Is(err, ErrUnreachable) {
		t.Errorf("from an address that is not ours: sent %d, %v", n, err)
	}
	if s := a.Stats(); s.Segments != maxSegments {
		t.Errorf("a wrong address lowered the number of segments to %d", s.Segments)
	}
}

func TestTruncatedIsCountedAndSkipped(t *testing.T) {
	a := listen(t, Options{Local: netip.AddrPortFrom(loop4, 0)})
	b := listen(t, Options{Local: netip.AddrPortFrom(loop4, 0), NoOffload: true})
	segs := pattern(plainSlotBytes+1, 40)
	for i := range segs {
		if _, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, segs[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if d := receive(t, b, 1); !bytes.Equal(d[0].Data, segs[1]) {
		t.Error("the short one did not come")
	}
	if s := b.Stats(); s.Truncated != 1 {
		t.Errorf("truncated %d", s.Truncated)
	}
}

func TestOverflowIsCounted(t *testing.T) {
	a := listen(t, Options{Local: netip.AddrPortFrom(loop4, 0)})
	b := listen(t, Options{Local: netip.AddrPortFrom(loop4, 0)})
	_ = b.conn.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	segs := pattern(repeat(50, 1000)...)
	for _, s := range segs {
		if _, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, [][]byte{s}); err != nil {
			t.Fatal(err)
		}
	}
	got := len(receive(t, b, 1))
	// The count comes beside the next datagram that found room.
	if _, err := a.WriteBatch(b.LocalAddr(), netip.Addr{}, 0, segs[:1]); err != nil {
		t.Fatal(err)
	}
	receive(t, b, 1)
	if s := b.Stats(); int(s.Overflow) != len(segs)-got {
		t.Errorf("sent %d, read %d, counted %d", len(segs), got, s.Overflow)
	}
}
