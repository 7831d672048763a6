package wire

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestHeaderGolden(t *testing.T) {
	got := AppendHeader(nil, 6, 0xDEADBEEF, 0x1234567)
	if hex.EncodeToString(got) != "60deadbeef234567" {
		t.Fatalf("header = %x", got)
	}
	datagram := append(got, make([]byte, TagBytes)...)
	header, ok := ParseHeader(datagram)
	if !ok || header != (Header{Epoch: 2, ConnID: 0xDEADBEEF, Number: 0x234567}) {
		t.Fatalf("parsed %+v, %v", header, ok)
	}
	datagram[0] |= 0x0F
	if again, ok := ParseHeader(datagram); !ok || again != header {
		t.Errorf("reserved bits not ignored: %+v, %v", again, ok)
	}
	if _, ok := ParseHeader(datagram[:HeaderBytes+TagBytes-1]); ok {
		t.Error("a datagram without room for the tag was accepted")
	}
}

func TestKind(t *testing.T) {
	want := map[byte]DatagramKind{
		0x00: KindUnknown, 0x01: KindInitiation, 0x02: KindResponse, 0x03: KindCookieReply, 0x04: KindVersionReply,
		0x05: KindUnknown, 0x3F: KindUnknown, 0x40: KindData, 0x7F: KindData, 0x80: KindUnknown, 0xC0: KindUnknown,
	}
	for first, kind := range want {
		if got := Kind([]byte{first}); got != kind {
			t.Errorf("Kind(%#x) = %d, want %d", first, got, kind)
		}
	}
	if Kind(nil) != KindUnknown {
		t.Error("nothing has a kind")
	}
}

func TestExpandNumber(t *testing.T) {
	const window = 1 << NumberBits
	tests := []struct {
		low     uint32
		largest uint64
		want    uint64
	}{
		{0, 0, 0},
		{1, 0, 1},
		{5, 3, 5},
		{window - 1, 0, window - 1}, // never negative
		{window - 1, window, window - 1},
		{0, window - 1, window},
		{3, 2*window - 2, 2*window + 3},
		{window - 3, 5 * window, 5*window - 3},
		{7, 5*window + 100, 5*window + 7},
		{0, window + window/2 - 1, 2 * window}, // exactly half a window away
		{1, window + window/2 - 1, window + 1},
		{0, 1<<64 - 1, MaxNumber + 1 - window},
	}
	for _, test := range tests {
		if got := ExpandNumber(test.low, test.largest); got != test.want {
			t.Errorf("ExpandNumber(%#x, %#x) = %#x, want %#x", test.low, test.largest, got, test.want)
		}
	}
}

func TestExpandNumberWithinHalfAWindow(t *testing.T) {
	const half = 1 << (NumberBits - 1)
	for _, largest := range []uint64{0, 1, half, 2*half - 1, 2 * half, 1 << 40, MaxNumber - 4*half} {
		for _, offset := range []int64{-half + 2, -1000, -1, 0, 1, 77, half - 1} {
			number := int64(largest) + offset
			if number < 0 {
				continue
			}
			if got := ExpandNumber(uint32(number)&(2*half-1), largest); got != uint64(number) {
				t.Errorf("largest %#x: %#x became %#x", largest, number, got)
			}
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add(append(AppendHeader(nil, 1, 2, 3), make([]byte, TagBytes)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		header, ok := ParseHeader(b)
		if ok != (Kind(b) == KindData && len(b) >= HeaderBytes+TagBytes) {
			t.Fatal("ParseHeader and Kind disagree")
		}
		if !ok {
			return
		}
		again := AppendHeader(nil, header.Epoch, header.ConnID, uint64(header.Number))
		if again[0] != b[0]&^0x0F || !bytes.Equal(again[1:], b[1:HeaderBytes]) {
			t.Fatalf("%x became %x", b[:HeaderBytes], again)
		}
	})
}
