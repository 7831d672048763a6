package socks

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestAddressRoundTrip(t *testing.T) {
	for _, a := range []Address{
		{IP: netip.MustParseAddr("192.0.2.1"), Port: 80}, {IP: netip.MustParseAddr("2001:db8::1"), Port: 65535},
		{Name: "example.org", Port: 443}, {Name: strings.Repeat("a", 255), Port: 1},
	} {
		r := bytes.NewReader(append(a.Append(nil), "rest"...))
		got, err := ReadAddress(r)
		if err != nil || got != a || r.Len() != 4 {
			t.Errorf("%v: %v %v, %d left", a, got, err, r.Len())
		}
	}
	if got, err := ParseAddress("::ffff:192.0.2.1", 1); err != nil || !got.IP.Is4() {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "a b", "a\x00", "é.org", strings.Repeat("a", 256)} {
		if _, err := ParseAddress(bad, 1); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestReplyRoundTrip(t *testing.T) {
	want := Address{IP: netip.MustParseAddr("192.0.2.1"), Port: 80}
	got, err := ReadReply(bytes.NewReader(AppendReply(nil, Succeeded, want)))
	if err != nil || got != want {
		t.Error(got, err)
	}
	if _, err = ReadReply(bytes.NewReader(AppendReply(nil, Refused, Address{}))); !errors.Is(err, Refused) || err.Error() != "connection refused" {
		t.Error(err)
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add(Request{Connect, Address{Name: "example.org", Port: 443}}.Append(nil))
	f.Add(Request{Bind, Address{IP: netip.MustParseAddr("2001:db8::1"), Port: 1}}.Append(nil))
	f.Add([]byte{5, 1, 0, 3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		q, err := ReadRequest(r)
		if err != nil {
			return
		}
		took := len(b) - r.Len()
		again, err := ReadRequest(bytes.NewReader(q.Append(nil)))
		if err != nil || again != q || took < 10-3 {
			t.Fatalf("%v %v %v", q, again, err)
		}
	})
}

func FuzzParseDatagram(f *testing.F) {
	f.Add(append(AppendDatagramHeader(nil, Address{Name: "example.org", Port: 53}), 1, 2))
	f.Add([]byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		to, payload, err := ParseDatagram(b)
		if err != nil {
			return
		}
		if got := AppendDatagramHeader(nil, to); len(got)+len(payload) > len(b)+16 {
			t.Fatal("more than there was")
		}
	})
}

func FuzzNegotiation(f *testing.F) {
	f.Add([]byte{5, 1, 2, 1, 1, 'a', 1, 'b'})
	f.Add([]byte{5, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		r := bytes.NewReader(b)
		if ok, err := readMethods(r, methodPassword); ok && err == nil {
			_, _, _ = readPassword(r)
		}
		_ = ask(&script{Reader: bytes.NewReader(b)}, Hop{User: "a", Password: "b"}, Request{Connect, Address{Name: "x", Port: 1}})
	})
}

// script answers with given bytes, whatever is asked.
type script struct{ *bytes.Reader }

func (s *script) Write(p []byte) (int, error) { return len(p), nil }
