package flowq

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

func TestParsePlain(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		s := shape{v6: v6, host: 5, proto: ProtoTCP, src: 4321, dst: 443, tos: dscpEF<<2 | ECT0, flags: FlagACK}
		info, ok := ParseIP(s.build())
		if !ok {
			t.Fatal("refused")
		}
		want := Info{Src: netip.MustParseAddr("192.168.1.5"), Dst: netip.MustParseAddr("203.0.113.9"), SrcPort: 4321, DstPort: 443,
			Transport: 20, Length: 40, Version: 4, Proto: ProtoTCP, DSCP: dscpEF, ECN: ECT0, TCPFlags: FlagACK, HasPorts: true, PureAck: true}
		if v6 {
			want.Src, want.Dst = netip.MustParseAddr("fd00::5"), netip.MustParseAddr("fd00::c8")
			want.Transport, want.Length, want.Version = 40, 60, 6
		}
		if info != want {
			t.Errorf("got %+v\nwant %+v", info, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	four, six := shape{size: 100}.build(), shape{v6: true, size: 100}.build()
	change := func(p []byte, at int, v byte) []byte {
		p = bytes.Clone(p)
		p[at] = v
		return p
	}
	for name, p := range map[string][]byte{
		"empty":             {},
		"version 5":         change(four, 0, 0x55),
		"cut header":        four[:19],
		"cut v6 header":     six[:39],
		"header of 16":      change(four, 0, 0x44),
		"longer than it is": four[:99],
		"v6 longer":         six[:99],
		"total below head":  change(change(four, 2, 0), 3, 19),
	} {
		if _, ok := ParseIP(p); ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

// extended returns a v6 UDP packet with extension headers put in front of UDP.
func extended(first byte, ext []byte) []byte {
	p := shape{v6: true, src: 1000, dst: 53}.build()
	p = append(p[:40:40], append(bytes.Clone(ext), p[40:]...)...)
	p[6] = first
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
	return p
}

func TestParseExtensions(t *testing.T) {
	options := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	long := append([]byte{ProtoUDP, 1}, make([]byte, 14)...)
	tests := []struct {
		name      string
		packet    []byte
		proto     uint8
		transport int
		fragment  bool
		ports     bool
	}{
		{"none", extended(ProtoUDP, nil), ProtoUDP, 40, false, true},
		{"hop by hop", extended(extHopByHop, options(ProtoUDP)), ProtoUDP, 48, false, true},
		{"two", extended(extHopByHop, append(options(extDestination), options(ProtoUDP)...)), ProtoUDP, 56, false, true},
		{"long", extended(extRouting, long), ProtoUDP, 56, false, true},
		{"authentication counts in words", extended(extAuth, append([]byte{ProtoUDP, 1}, make([]byte, 10)...)), ProtoUDP, 52, false, true},
		{"first fragment", extended(extFragment, []byte{ProtoUDP, 0, 0, 1, 0, 0, 0, 9}), ProtoUDP, 48, true, true},
		{"later fragment", extended(extFragment, []byte{ProtoUDP, 0, 0, 8, 0, 0, 0, 9}), ProtoUDP, 0, true, false},
		{"atomic fragment", extended(extFragment, []byte{ProtoUDP, 0, 0, 0, 0, 0, 0, 9}), ProtoUDP, 48, false, true},
		{"beyond the end", extended(extRouting, []byte{ProtoUDP, 255, 0, 0, 0, 0, 0, 0}), ProtoUDP, 0, false, false},
		{"endless", extended(extHopByHop, bytes.Repeat(options(extDestination), 20)), extDestination, 0, false, false},
		{"no next header", extended(59, nil), 59, 40, false, false},
	}
	for _, tt := range tests {
		info, ok := ParseIP(tt.packet)
		if !ok || info.Proto != tt.proto || info.Transport != tt.transport || info.Fragment != tt.fragment || info.HasPorts != tt.ports {
			t.Errorf("%s: ok %v, %+v", tt.name, ok, info)
		}
	}
}

func TestParseFragment4(t *testing.T) {
	for _, tt := range []struct {
		field    uint16
		fragment bool
		ports    bool
	}{{0, false, true}, {0x4000, false, true}, {0x2000, true, true}, {0x2010, true, false}, {0x0010, true, false}} {
		p := shape{size: 60}.build()
		binary.BigEndian.PutUint16(p[6:], tt.field)
		if info, _ := ParseIP(p); info.Fragment != tt.fragment || info.HasPorts != tt.ports {
			t.Errorf("%#x: fragment %v, ports %v", tt.field, info.Fragment, info.HasPorts)
		}
	}
}

func TestPureAck(t *testing.T) {
	for _, tt := range []struct {
		flags byte
		size  int
		want  bool
	}{{FlagACK, 40, true}, {FlagACK | FlagPSH, 40, true}, {FlagACK | FlagECE, 40, true}, {FlagACK, 41, false},
		{FlagSYN | FlagACK, 40, false}, {FlagFIN | FlagACK, 40, false}, {FlagRST | FlagACK, 40, false}, {0, 40, false}} {
		if info, _ := ParseIP(shape{proto: ProtoTCP, flags: tt.flags, size: tt.size}.build()); info.PureAck != tt.want {
			t.Errorf("flags %#x, size %d: %v", tt.flags, tt.size, info.PureAck)
		}
	}
}

func TestMarkCE(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for tos := range 256 {
			p := shape{v6: v6, tos: byte(tos), host: byte(tos * 7)}.build()
			before := bytes.Clone(p)
			marked := MarkCE(p)
			info, _ := ParseIP(p)
			was, _ := ParseIP(before)
			switch {
			case marked != (tos&3 != NotECT):
				t.Fatalf("tos %#x: marked %v", tos, marked)
			case !marked && !bytes.Equal(p, before):
				t.Fatalf("tos %#x: changed without a mark", tos)
			case marked && (info.ECN != CE || info.DSCP != was.DSCP || info.Src != was.Src):
				t.Fatalf("tos %#x: %+v", tos, info)
			case !v6 && onesSum(p[:20]) != 0xffff:
				t.Fatalf("tos %#x: checksum is wrong", tos)
			}
		}
	}
	for _, p := range [][]byte{nil, {0x45}, make([]byte, 39)} {
		if MarkCE(p) {
			t.Error("marked what is no packet")
		}
	}
}

func FuzzParseIP(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		f.Add(shape{v6: v6, size: 100, tos: ECT1}.build())
		f.Add(shape{v6: v6, proto: ProtoTCP, flags: FlagSYN}.build())
	}
	f.Add(extended(extHopByHop, bytes.Repeat([]byte{extDestination, 0, 0, 0, 0, 0, 0, 0}, 20)))
	f.Add(extended(extFragment, []byte{ProtoTCP, 0, 0, 8, 0, 0, 0, 9}))
	f.Add(extended(extAuth, []byte{ProtoTCP, 255, 0, 8, 0, 0, 0, 9}))
	f.Add([]byte{0x4f, 0, 0, 60})
	f.Fuzz(func(t *testing.T, p []byte) {
		info, ok := ParseIP(p)
		if !ok {
			return
		}
		switch {
		case info.Version != p[0]>>4 || info.Length > len(p) || info.Length < 20:
			t.Fatalf("version or length: %+v", info)
		case info.Transport != 0 && (info.Transport < 20 || info.Transport >= info.Length):
			t.Fatalf("transport header outside of the packet: %+v", info)
		case info.HasPorts && info.Transport+4 > info.Length:
			t.Fatalf("ports from nowhere: %+v", info)
		case info.Src.Is4() != (info.Version == 4) || info.Dst.Is4() != (info.Version == 4):
			t.Fatalf("address family: %+v", info)
		}
		if info.Version == 4 {
			binary.BigEndian.PutUint16(p[10:], 0)
			binary.BigEndian.PutUint16(p[10:], ^onesSum(p[:20]))
		}
		if marked := MarkCE(p); marked != (info.ECN != NotECT) {
			t.Fatalf("marked %v with ECN %d", marked, info.ECN)
		}
		if info.Version == 4 && onesSum(p[:20]) != 0xffff {
			t.Fatal("the mark broke the checksum")
		}
		after, ok := ParseIP(p)
		if info.ECN != NotECT {
			info.ECN = CE
		}
		if !ok || after != info {
			t.Fatalf("the mark changed more: %+v\nwas %+v", after, info)
		}
	})
}
