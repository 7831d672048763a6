package system

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"mpproxy/src/engine/packet"
)

// tcpSegment makes an IPv4 TCP segment with PSH clear; checksums are left zero.
func tcpSegment(from, to netip.AddrPort, seq uint32, payload int) []byte {
	p := make([]byte, 40+payload)
	p[0], p[8], p[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], from.Addr().AsSlice())
	copy(p[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(p[20:], from.Port())
	binary.BigEndian.PutUint16(p[22:], to.Port())
	binary.BigEndian.PutUint32(p[24:], seq)
	p[32], p[33] = 0x50, 0x10
	return p
}

func TestArrange(t *testing.T) {
	a, b, c := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2"), netip.MustParseAddrPort("10.0.0.3:3")
	push := func(p []byte) []byte { p[33] |= 8; return p }
	ack := tcpSegment(b, a, 0, 0)
	v6 := make([]byte, 100)
	v6[0], v6[6] = 0x60, 17
	for name, x := range map[string]struct {
		packets [][]byte
		begin   []bool // has room for what may follow
	}{
		"single":          {[][]byte{tcpSegment(a, b, 0, 100)}, []bool{false}},
		"run":             {[][]byte{tcpSegment(a, b, 0, 100), tcpSegment(a, b, 100, 100), tcpSegment(a, b, 200, 50)}, []bool{true, false, false}},
		"two flows":       {[][]byte{tcpSegment(a, b, 0, 100), tcpSegment(a, c, 0, 100), tcpSegment(a, b, 100, 100), tcpSegment(a, c, 100, 100)}, []bool{true, true, false, false}},
		"push ends":       {[][]byte{tcpSegment(a, b, 0, 100), push(tcpSegment(a, b, 0, 100)), tcpSegment(a, b, 0, 100), ack}, []bool{true, false, true, false}},
		"short ends":      {[][]byte{tcpSegment(a, b, 0, 100), tcpSegment(a, b, 0, 50), tcpSegment(a, b, 0, 100), ack}, []bool{true, false, true, false}},
		"acks":            {[][]byte{ack, ack, ack}, []bool{false, false, false}},
		"UDP over IPv6":   {[][]byte{v6, v6, v6}, []bool{true, false, false}},
		"rubbish":         {[][]byte{{1}, {0x45}, {0x60, 1, 2}, bytes.Repeat([]byte{0x45}, 27)}, []bool{false, false, false, false}},
		"options, not IP": {[][]byte{append([]byte{0x46}, make([]byte, 60)...), make([]byte, 60)}, []bool{false, false}},
	} {
		pool := packet.NewPool(8)
		var batch []*packet.Buf
		for _, p := range x.packets {
			buf := pool.Get()
			buf.Set(p)
			batch = append(batch, buf)
		}
		var j joiner
		out := j.arrange(batch, nil)
		if len(out) != len(batch) {
			t.Fatalf("%s: %d of %d", name, len(out), len(batch))
		}
		for i, o := range out {
			if !bytes.Equal(o[tunHeaderBytes:], x.packets[i]) {
				t.Errorf("%s: packet %d changed", name, i)
			}
			if got := cap(o) > 60000; got != x.begin[i] {
				t.Errorf("%s: packet %d has room %v, want %v", name, i, got, x.begin[i])
			}
		}
	}
}

func TestArrangeSkipsEmptyAndBoundsMemory(t *testing.T) {
	pool := packet.NewPool(200)
	var batch []*packet.Buf
	for i := range 100 {
		b := pool.Get()
		if i != 50 {
			b.Set(tcpSegment(netip.MustParseAddrPort("10.0.0.1:1"), netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(i)), 0, 10))
		}
		batch = append(batch, b.Retain())
	}
	var j joiner
	for range 3 {
		out := j.arrange(batch, nil)
		if len(out) != 99 || j.used > joinAreas || len(j.copies) > len(batch) {
			t.Errorf("%d packets, %d areas, %d copies", len(out), j.used, len(j.copies))
		}
	}
	if n := testing.AllocsPerRun(10, func() { j.arrange(batch, make([][]byte, 0, 128)) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
