package mpp

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"mpproxy/src/engine/session"
)

func TestFrameRoundTrip(t *testing.T) {
	tests := []Frame{
		{Type: FrameAttach, MID: 1, Subflow: 3},
		{Type: FrameAttach, MID: 1, Subflow: 3, RTT: 70 * time.Millisecond},
		{Type: FrameData, Flags: FlagFin, MID: ^uint64(0), Offset: 1 << 40, Payload: []byte("hello")},
		{Type: FrameAck, MID: 2, Offset: 7, HasLimit: true, Limit: 1 << 30, Ranges: []Span{{9, 10}, {20, 1 << 33}}, Progress: []Progress{{1, 5}, {65535, 1 << 50}}},
		{Type: FrameReset, MID: 2, Code: CodeGone},
		{Type: FramePing, MID: 2, Offset: ^uint64(0)},
	}
	var wire []byte
	for i := range tests {
		wire = AppendFrame(wire, &tests[i])
	}
	var got Frame
	for _, want := range tests {
		rest, err := ParseFrame(wire, &got)
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		wire = rest
		if len(got.Ranges) == 0 {
			got.Ranges = nil
		}
		if len(got.Progress) == 0 {
			got.Progress = nil
		}
		if len(got.Payload) == 0 {
			got.Payload = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if len(wire) != 0 {
		t.Errorf("%d bytes left", len(wire))
	}
}

func TestFrameGolden(t *testing.T) {
	got := AppendFrame(nil, &Frame{Type: FrameData, Flags: FlagFin, MID: 0x0102030405060708, Offset: 9, Payload: []byte{0xaa}})
	want := []byte{2, 1, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0xaa}
	if !bytes.Equal(got, want) {
		t.Errorf("got % x", got)
	}
}

func TestFrameRefused(t *testing.T) {
	ranges := func(list ...Span) []byte { return AppendFrame(nil, &Frame{Type: FrameAck, Ranges: list}) }
	good := AppendFrame(nil, &Frame{Type: FrameAck, HasLimit: true, Ranges: []Span{{1, 2}}})
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for name, b := range map[string][]byte{
		"short": good[:HeaderBytes-1], "cut options": good[:len(good)-1], "type 0": change(0, 0), "type 9": change(0, 9),
		"payload in ack": append(change(7, 1), 1), "option runs out": change(HeaderBytes+1, 200), "wrong option length": change(HeaderBytes+1, 7),
		"empty range": change(len(good)-1, 1), "offset": change(16, 0xff),
		"range again": ranges(Span{5, 9}, Span{5, 9}), "ranges fall": ranges(Span{5, 9}, Span{2, 3}), "ranges touch": ranges(Span{5, 9}, Span{9, 12}),
	} {
		if _, err := ParseFrame(b, new(Frame)); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unknown := append(bytes.Clone(good), 77, 1, 5)
	unknown[3] += 3
	if _, err := ParseFrame(unknown, new(Frame)); err != nil {
		t.Errorf("unknown option: %v", err)
	}
}

// TestRecordHasRoom: all that a record may have to hold fits.
func TestRecordHasRoom(t *testing.T) {
	ack := Frame{Type: FrameAck, HasLimit: true}
	for i := range uint64(maxRanges) {
		ack.Ranges = append(ack.Ranges, Span{3*i + 1, 3*i + 2})
	}
	for i := range uint16(maxSubflows) {
		ack.Progress = append(ack.Progress, Progress{i, 1})
	}
	for _, first := range []Frame{{Type: FrameAttach, Subflow: 1}, {Type: FramePong}} {
		b := AppendFrame(nil, &first)
		b = AppendFrame(b, &Frame{Type: FramePing})
		b = AppendFrame(b, &ack)
		b = AppendFrame(b, &Frame{Type: FrameData, Payload: make([]byte, BlockBytes)})
		if len(b) > MaxRecord {
			t.Errorf("%d bytes, and %d fit", len(b), MaxRecord)
		}
	}
}

func TestTickets(t *testing.T) {
	w := NewTickets()
	model := map[uint64]bool{}
	rng := rand.New(rand.NewPCG(1, 1))
	greatest := uint64(0)
	for range 200000 {
		n := greatest + uint64(rng.IntN(40))
		switch rng.IntN(30) {
		case 0:
			n = greatest + uint64(rng.IntN(3*ticketWindow))
		case 1, 2, 3, 4:
			n = greatest - min(greatest, uint64(rng.IntN(2*ticketWindow)))
		}
		want := !model[n] && (n > greatest || greatest+1-n <= ticketWindow)
		if w.Fresh(n) != want || w.Use(n) != want {
			t.Fatalf("number %d, greatest %d: want %v", n, greatest, want)
		}
		model[n], greatest = true, max(greatest, n)
	}
	if w.Use(^uint64(0)) {
		t.Error("the greatest number of all would wrap")
	}
}

func TestSpans(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		var r spans
		var model [100]bool
		for range 20 {
			from := rng.IntN(99)
			to := from + 1 + rng.IntN(100-from-1)
			r.add(Span{uint64(from), uint64(to)}, 1000)
			for i := from; i < to; i++ {
				model[i] = true
			}
			if cut := rng.IntN(10); cut == 0 {
				at := rng.IntN(30)
				r.cut(uint64(at))
				clear(model[:at])
			}
		}
		var got [100]bool
		for i, s := range r {
			if s.From >= s.To || i > 0 && r[i-1].To >= s.From {
				t.Fatalf("malformed %v", r)
			}
			for j := s.From; j < s.To; j++ {
				got[j] = true
			}
		}
		if got != model {
			t.Fatalf("got %v", r)
		}
	}
	r := spans{{1, 2}}
	if r.add(Span{5, 6}, 1) || !r.add(Span{2, 3}, 1) {
		t.Error("limit")
	}
}

// pair returns both ends of a subflow.
func pair(t testing.TB, ticket uint64) (*Sealer, *Opener, *Sealer, *Opener) {
	s := NewSecret(session.ChaCha20Poly1305, [32]byte{1})
	cs, co, err := s.Client(ticket)
	if err != nil {
		t.Fatal(err)
	}
	ss, so, err := s.Server(ticket)
	if err != nil {
		t.Fatal(err)
	}
	return cs, co, ss, so
}

func record(s *Sealer, text string) []byte {
	return s.Seal(append(make([]byte, RecordSpace, RecordSpace+len(text)+16), text...))
}

func TestRecords(t *testing.T) {
	up, _, down, _ := pair(t, 1)
	_, atClient, _, atServer := pair(t, 1)
	a, b := record(up, "first"), record(up, "second")
	stream := append(bytes.Clone(a), b...)
	for _, want := range []string{"first", "second"} {
		if _, took, needs, err := atServer.Open(stream[:1]); took != 0 || needs == 0 || err != nil {
			t.Fatal("half a record", took, needs, err)
		}
		plain, took, _, err := atServer.Open(stream)
		if err != nil || string(plain) != want {
			t.Fatalf("%q %v", plain, err)
		}
		stream = stream[took:]
	}
	if plain, _, _, err := atClient.Open(record(down, "back")); err != nil || string(plain) != "back" {
		t.Fatal(err)
	}
}

func TestRecordsRefused(t *testing.T) {
	up, _, _, _ := pair(t, 1)
	a, b := record(up, "first"), record(up, "second")
	other, _, _, _ := pair(t, 2)
	reflected, _, _, _ := pair(t, 1)
	_ = reflected
	change := func(at int) []byte {
		c := bytes.Clone(a)
		c[at] ^= 1
		return c
	}
	for name, bad := range map[string][]byte{
		"changed": change(5), "tag": change(len(a) - 1), "out of turn": b, "of another subflow": record(other, "first"),
		"too short": {0, 3, 1, 2, 3}, "too long": {0xff, 0xff},
	} {
		_, _, _, atServer := pair(t, 1)
		if _, _, _, err := atServer.Open(bytes.Clone(bad)); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	_, _, _, atServer := pair(t, 1)
	if _, _, _, err := atServer.Open(bytes.Clone(a)); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := atServer.Open(bytes.Clone(a)); err == nil {
		t.Error("replayed record opened")
	}
	_, atClient, _, _ := pair(t, 1)
	if _, _, _, err := atClient.Open(bytes.Clone(a)); err == nil {
		t.Error("reflected record opened")
	}
}

func TestHello(t *testing.T) {
	h := AppendHello(nil, 5, 6)
	if secret, ticket, err := ParseHello(h); secret != 5 || ticket != 6 || err != nil || len(h) != HelloBytes {
		t.Error(secret, ticket, err)
	}
	for _, bad := range [][]byte{h[:HelloBytes-1], append([]byte{'X'}, h[1:]...), append([]byte{'M', 9}, h[2:]...)} {
		if _, _, err := ParseHello(bad); !errors.Is(err, ErrHello) {
			t.Errorf("% x: %v", bad, err)
		}
	}
	one, two := NewSecret(session.AES256GCM, [32]byte{1}), NewSecret(session.AES256GCM, [32]byte{2})
	if one.ID() == two.ID() || one.String() != "(secret hidden)" {
		t.Error("secrets")
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add(AppendFrame(nil, &Frame{Type: FrameAck, HasLimit: true, Ranges: []Span{{1, 2}}, Progress: []Progress{{1, 2}}}))
	f.Add(AppendFrame(nil, &Frame{Type: FrameData, Payload: []byte("x")}))
	f.Add(AppendFrame(nil, &Frame{Type: FrameAttach, Subflow: 1, RTT: time.Hour}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var frame, again Frame
		rest, err := ParseFrame(b, &frame)
		if err != nil {
			return
		}
		if len(rest) > len(b)-HeaderBytes {
			t.Fatal("took less than a header")
		}
		wire := AppendFrame(nil, &frame)
		if _, err := ParseFrame(wire, &again); err != nil || !bytes.Equal(again.Payload, frame.Payload) || again.Offset != frame.Offset || len(again.Ranges) != len(frame.Ranges) {
			t.Fatalf("%+v: %v", frame, err)
		}
	})
}

// FuzzReceive gives an end frames of somebody who has the keys and no manners: no panic, no memory beyond the window.
func FuzzReceive(f *testing.F) {
	f.Add(AppendFrame(nil, &Frame{Type: FrameData, MID: 7, Offset: 100, Flags: FlagFin, Payload: []byte("x")}))
	f.Add(AppendFrame(AppendFrame(nil, &Frame{Type: FrameAck, MID: 7, Offset: 9, HasLimit: true, Limit: 1 << 40, Progress: []Progress{{1, 5}}}), &Frame{Type: FrameData, MID: 7, Payload: []byte("y")}))
	f.Add(AppendFrame(nil, &Frame{Type: FrameReset, MID: 7, Code: CodeGone}))
	f.Fuzz(func(t *testing.T, b []byte) {
		pool := NewPool(1 << 20)
		c := NewConn(1, Params{MID: 7, Pool: pool})
		c.Add(1, 1)
		c.Add(1, 2)
		_, _ = c.Write(1, []byte("some bytes"))
		_ = c.Poll(1, 1, nil)
		now := c.NextTimeout()
		_ = c.Receive(now, 1, b)
		c.OnTimeout(now)
		_ = c.Poll(now, 2, nil)
		var buf [64]byte
		_, _ = c.Read(now, buf[:])
		c.Remove(now, 1)
		_ = c.Poll(now, 2, nil)
		c.Close()
		if pool.Used() != 0 {
			t.Fatalf("%d bytes kept", pool.Used())
		}
	})
}

func FuzzOpen(f *testing.F) {
	up, _, _, _ := pair(f, 1)
	f.Add(record(up, "first"))
	f.Add([]byte{0, 16})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _, o := pair(t, 9)
		plain, took, needs, err := o.Open(b)
		if plain != nil || took > 0 {
			t.Fatal("opened")
		}
		if err == nil && needs <= len(b) {
			t.Fatalf("needs %d of %d", needs, len(b))
		}
		_, _, _ = ParseHello(b)
	})
}

// FuzzTickets holds the window of numbers against a set: no number is good twice, and one that is new is good unless it is
// far behind the greatest.
func FuzzTickets(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0, 2, 0, 0, 1})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		tickets, used, greatest := NewTickets(), map[uint64]bool{}, uint64(0)
		for ; len(b) >= 3; b = b[3:] {
			n := uint64(b[0])<<16 | uint64(b[1])<<8 | uint64(b[2])
			fresh, ok := tickets.Fresh(n), tickets.Use(n)
			want := !used[n] && (n >= greatest || greatest-n < ticketWindow)
			if fresh != ok || ok != want {
				t.Fatalf("%d, greatest %d: fresh %v, used %v, want %v", n, greatest, fresh, ok, want)
			}
			if ok {
				used[n] = true
				greatest = max(greatest, n)
			}
		}
		if !tickets.Use(1<<40) || tickets.Use(^uint64(0)) {
			t.Fatal("the far end")
		}
	})
}

// FuzzHello: what is taken apart was a hello.
func FuzzHello(f *testing.F) {
	f.Add(AppendHello(nil, 1, 2))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if secret, ticket, err := ParseHello(b); err == nil && !bytes.Equal(AppendHello(nil, secret, ticket), b[:HelloBytes]) {
			t.Errorf("%x", b)
		}
	})
}
