package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"testing"
)

// appendFrame appends the member of f that its type names.
func appendFrame(dst []byte, f *Frame) []byte {
	switch f.Type {
	case TypeData:
		return f.Data.Append(dst)
	case TypePadding:
		return f.Padding.Append(dst)
	case TypeAck:
		return f.Ack.Append(dst)
	case TypePing:
		return PingFrame{}.Append(dst)
	case TypeChallenge:
		return f.Challenge.Append(dst)
	case TypeResponse:
		return f.Response.Append(dst)
	case TypePathState:
		return f.PathState.Append(dst)
	case TypeDelays:
		return f.Delays.Append(dst)
	case TypeLaneMark:
		return f.LaneMark.Append(dst)
	case TypeGaveUp:
		return f.GaveUp.Append(dst)
	case TypeConfig:
		return f.Config.Append(dst)
	case TypeConfigAck:
		return f.ConfigAck.Append(dst)
	case TypeClose:
		return f.Close.Append(dst)
	case TypePathUse:
		return f.PathUse.Append(dst)
	case TypePathClose:
		return f.PathClose.Append(dst)
	case TypeNotice:
		return f.Notice.Append(dst)
	case TypeFlow:
		return f.Flow.Append(dst)
	case TypePathLink:
		return f.PathLink.Append(dst)
	}
	panic("no such frame")
}

func sampleAck() AckFrame {
	ack := AckFrame{Path: 300, Behind: 7, ReceivedAt: 0x01020304, DelayMicros: 5, CE: 6, Received: 1000}
	ack.AddRange(90, 100)
	ack.AddRange(80, 85)
	ack.AddRange(78, 78)
	return ack
}

// samples is one frame of each kind with the bytes that it must have on the wire.
func samples() []struct {
	hex   string
	frame Frame
} {
	payload := []byte{0x45, 0xAA}
	delays := DelaysFrame{RepairWait: 0x0102, Count: 2}
	delays.Paths[0] = PathDelay{1, 0, 3, 9}
	delays.Paths[1] = PathDelay{200, 500, 4, 0}
	challenge := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	return []struct {
		hex   string
		frame Frame
	}{
		{"8045aa", Frame{Type: TypeData, Data: DataFrame{Payload: payload}}},
		{"c012345678 9a45aa", Frame{Type: TypeData, Data: DataFrame{Payload: payload, Laned: true, Lane: 0x1234, Seq: 0x56789A}}},
		{"fc1234000001 0a0b 0002 45aa", Frame{Type: TypeData, Data: DataFrame{
			Payload: payload, Laned: true, Lane: 0x1234, Seq: 1, Repair: true, Length: true, Part: 3, PartID: 0x0A0B}}},
		{"f41234000001 0a0b 0002 45aa", Frame{Type: TypeData, Data: DataFrame{
			Payload: payload, Laned: true, Lane: 0x1234, Seq: 1, Repair: true, Length: true, Part: FirstPart, PartID: 0x0A0B}}},
		{"c1 1234 56789a beef 45aa", Frame{Type: TypeData, Data: DataFrame{Payload: payload, Laned: true, Lane: 0x1234, Seq: 0x56789A, Stamped: true, Stamp: 0xBEEF}}},
		{"92 ac02 01020304 45aa", Frame{Type: TypeData, Data: DataFrame{Payload: payload, Repair: true, Copy: true, FromPath: 300, FromNumber: 0x01020304}}},
		{"90 ac02 01020304 45aa", Frame{Type: TypeData, Data: DataFrame{Payload: payload, Repair: true, FromPath: 300, FromNumber: 0x01020304}}},
		{"88 0a0b 45aa", Frame{Type: TypeData, Data: DataFrame{Payload: payload, Part: SecondPart, PartID: 0x0A0B}}},
		{"000000", Frame{Type: TypePadding, Padding: PaddingFrame{Bytes: 3}}},
		{"01 ac02 64 07 01020304 05 06 e807 02 0a 03 05 00 00", Frame{Type: TypeAck, Ack: sampleAck()}},
		{"02", Frame{Type: TypePing}},
		{"030102030405060708", Frame{Type: TypeChallenge, Challenge: ChallengeFrame{challenge}}},
		{"040102030405060708", Frame{Type: TypeResponse, Response: ResponseFrame{challenge}}},
		{"05 ac02 07", Frame{Type: TypePathState, PathState: PathStateFrame{300, 7}}},
		{"06 0102 02 01 0000 0003 0009 c801 01f4 0004 0000", Frame{Type: TypeDelays, Delays: delays}},
		{"07 1234 56789a", Frame{Type: TypeLaneMark, LaneMark: LaneMarkFrame{0x1234, 0x56789A}}},
		{"08 1234 56789a 8040", Frame{Type: TypeGaveUp, GaveUp: GaveUpFrame{0x1234, 0x56789A, MaxGaveUp}}},
		{"09 81 01 0002 45aa", Frame{Type: TypeConfig, Config: ConfigFrame{129, payload}}},
		{"0a 8101", Frame{Type: TypeConfigAck, ConfigAck: ConfigAckFrame{129}}},
		{"0b 03 02 6869", Frame{Type: TypeClose, Close: CloseFrame{3, []byte("hi")}}},
		{"0f 0102 15 e807", Frame{Type: TypePathUse, PathUse: PathUseFrame{Metric: 0x0102, Overflow: true, Metered: true, Limit: 1000, Congestion: 2}}},
		{"0f 0102 a1 e807", Frame{Type: TypePathUse, PathUse: PathUseFrame{Metric: 0x0102, Overflow: true, Limit: 1000, Congestion: 4, Copies: 2}}},
		{"10 02 11 0a630002 cb007109 0fa0 01bb", Frame{Type: TypeFlow, Flow: FlowFrame{Wishes: Wishes{Twice: true}, Protocol: 17, HasPorts: true,
			From: netip.MustParseAddrPort("10.99.0.2:4000"), To: netip.MustParseAddrPort("203.0.113.9:443")}}},
		{"10 01 3a fd000099000000000000000000000002 20010db8000000000000000000000009", Frame{Type: TypeFlow, Flow: FlowFrame{Wishes: Wishes{Twice: true}, Protocol: 58,
			From: netip.MustParseAddrPort("[fd00:99::2]:0"), To: netip.MustParseAddrPort("[2001:db8::9]:0")}}},
		{"10 06 11 0a630002 cb007109 0fa0 01bb 13 8502", Frame{Type: TypeFlow, Flow: FlowFrame{Wishes: Wishes{Twice: true, Class: 1, Profile: 2, Links: 261},
			Protocol: 17, HasPorts: true, From: netip.MustParseAddrPort("10.99.0.2:4000"), To: netip.MustParseAddrPort("203.0.113.9:443")}}},
		{"10 04 2f 0a630002 cb007109 1c 00", Frame{Type: TypeFlow, Flow: FlowFrame{Wishes: Wishes{Class: 2, Profile: 3},
			Protocol: 47, From: netip.MustParseAddrPort("10.99.0.2:0"), To: netip.MustParseAddrPort("203.0.113.9:0")}}},
		{"11 40", Frame{Type: TypePathLink, PathLink: PathLinkFrame{MaxLink}}},
		{"0f 0102 05 e807", Frame{Type: TypePathUse, PathUse: PathUseFrame{Metric: 0x0102, Overflow: true, Metered: true, Limit: 1000}}},
		{"0c ac02", Frame{Type: TypePathClose, PathClose: PathCloseFrame{300}}},
		{"0d 04 02 6869", Frame{Type: TypeNotice, Notice: NoticeFrame{4, []byte("hi")}}},
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(text), []byte(" "), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFramesGolden(t *testing.T) {
	for _, sample := range samples() {
		want := unhex(t, sample.hex)
		if got := appendFrame(nil, &sample.frame); !bytes.Equal(got, want) {
			t.Errorf("type %#x: appended %x, want %x", sample.frame.Type, got, want)
			continue
		}
		if sample.frame.Type == TypeData && sample.frame.Data.Part > SecondPart {
			if _, err := Next(want, new(Frame)); !errors.Is(err, ErrReserved) {
				t.Errorf("part 3: %v", err)
			}
			continue
		}
		var got Frame
		rest, err := Next(want, &got)
		if err != nil || len(rest) != 0 || !reflect.DeepEqual(got, sample.frame) {
			t.Errorf("type %#x: parsed %+v, rest %x, %v", sample.frame.Type, got, rest, err)
		}
		if sample.frame.Type == TypeData && len(want)-2 != sample.frame.Data.HeaderBytes() {
			t.Errorf("%x: HeaderBytes = %d", want, sample.frame.Data.HeaderBytes())
		}
	}
}

func TestFramesTruncated(t *testing.T) {
	for _, sample := range samples() {
		whole := unhex(t, sample.hex)
		toTheEnd := sample.frame.Type == TypePadding || sample.frame.Type == TypeData && !sample.frame.Data.Length
		if toTheEnd || sample.frame.Data.Part > SecondPart {
			continue
		}
		for n := range whole {
			if rest, err := Next(whole[:n], new(Frame)); !errors.Is(err, ErrTruncated) || rest != nil {
				t.Errorf("%x: rest %x, %v", whole[:n], rest, err)
			}
		}
	}
}

func TestFramesRefused(t *testing.T) {
	tests := map[string]error{
		"":                                       ErrTruncated,
		"0e":                                     ErrUnknownFrame,
		"12":                                     ErrUnknownFrame,
		"10 08 11 0a630002 cb007109":             ErrReserved,
		"10 04 11 0a630002 cb007109 20 00":       ErrReserved,
		"10 04 11 0a630002 cb007109 06 00":       ErrReserved, // class 3
		"11 41":                                  ErrRange,
		"7f":                                     ErrUnknownFrame,
		"81 45":                                  ErrReserved,
		"82 45":                                  ErrReserved,
		"a0 0003 45aa":                           ErrTruncated,
		"06 0000 11":                             ErrTooLong,
		"08 1234 56789a 00":                      ErrRange,
		"08 1234 56789a 8140":                    ErrRange,
		"09 01 0401":                             ErrTooLong,
		"0c 8080808010":                          ErrRange, // path 2^32
		"0c ffffffffffffffff7f":                  ErrRange,
		"0c ffffffffffffffffffffff01":            ErrRange,
		"01 01 05 06 00000000 00 00 00 00 00":    ErrRange, // the last to come below 0
		"01 01 05 00 00000000 00 00 00 00 06":    ErrRange, // first range below 0
		"01 01 05 00 00000000 00 00 00 40 00":    ErrRange, // 65 ranges
		"01 01 05 00 00000000 00 00 00 01 04 00": ErrRange, // no number left for a second range
		"01 01 05 00 00000000 00 00 00 01 00 04 00": ErrRange,
		"01 01 05 00 00000000 00 00 00 01 00 00 04": ErrRange,
	}
	for text, want := range tests {
		if _, err := Next(unhex(t, text), new(Frame)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestSeveralFramesInOneDatagram(t *testing.T) {
	ack := sampleAck()
	b := ack.Append(nil)
	b = PingFrame{}.Append(b)
	b = DataFrame{Payload: []byte("first"), Length: true}.Append(b)
	b = DataFrame{Payload: []byte("second")}.Append(b)
	var types []Type
	var f Frame
	for len(b) > 0 {
		var err error
		if b, err = Next(b, &f); err != nil {
			t.Fatal(err)
		}
		types = append(types, f.Type)
	}
	if !reflect.DeepEqual(types, []Type{TypeAck, TypePing, TypeData, TypeData}) || string(f.Data.Payload) != "second" {
		t.Errorf("types %v, last payload %q", types, f.Data.Payload)
	}
}

func TestHeaderBudget(t *testing.T) {
	full := DataFrame{Laned: true, Stamped: true, Payload: make([]byte, 1400)}
	if n := HeaderBytes + full.HeaderBytes() + TagBytes; n != 32 || full.HeaderBytes() != LanedHeaderBytes {
		t.Errorf("a full laned packet costs %d bytes", n)
	}
	longest := DataFrame{Laned: true, Stamped: true, Part: FirstPart, Length: true}
	if longest.HeaderBytes() != MaxDataHeaderBytes {
		t.Errorf("longest header %d", longest.HeaderBytes())
	}
}

func TestTextIsCut(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 300)
	var f Frame
	if rest, err := Next(CloseFrame{Text: long}.Append(nil), &f); err != nil || len(rest) != 0 || len(f.Close.Text) != MaxTextBytes {
		t.Errorf("close: %d bytes, rest %d, %v", len(f.Close.Text), len(rest), err)
	}
}

func TestAckEliciting(t *testing.T) {
	not := map[Type]bool{TypePadding: true, TypeAck: true, TypeConfigAck: true, TypeClose: true}
	for _, sample := range samples() {
		if AckEliciting(sample.frame.Type) == not[sample.frame.Type] {
			t.Errorf("type %#x", sample.frame.Type)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	ack := sampleAck()
	data := DataFrame{Laned: true, Payload: make([]byte, 1400)}
	datagram := make([]byte, 0, 2048)
	f := new(Frame)
	allocations := testing.AllocsPerRun(100, func() {
		b := data.Append(ack.Append(AppendHeader(datagram[:0], 1, 2, 3)))
		b = b[HeaderBytes:]
		for len(b) > 0 {
			b, _ = Next(b, f)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations per datagram", allocations)
	}
}

func FuzzNext(f *testing.F) {
	for _, sample := range samples() {
		f.Add(unhex(f, sample.hex))
	}
	ack := manyRanges()
	f.Add(ack.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second Frame
		for len(b) > 0 {
			rest, err := Next(b, &first)
			if err != nil {
				if rest != nil {
					t.Fatal("rest after an error")
				}
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			again := appendFrame(nil, &first)
			left, err := Next(again, &second)
			if err != nil || len(left) != 0 {
				t.Fatalf("%x: own frame %x refused: left %x, %v", b, again, left, err)
			}
			if third := appendFrame(nil, &second); !bytes.Equal(again, third) {
				t.Fatalf("%x: no fixpoint: %x, %x", b, again, third)
			}
			if first.Type == TypeAck && len(again) > MaxAckBytes {
				t.Fatalf("ack of %d bytes", len(again))
			}
			b = rest
		}
	})
}
