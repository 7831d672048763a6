package wire

// Type is a frame's type byte; every DATA frame has TypeData whatever its flags.
type Type uint8

// The frame types.
const (
	TypePadding   Type = 0x00
	TypeAck       Type = 0x01
	TypePing      Type = 0x02
	TypeChallenge Type = 0x03
	TypeResponse  Type = 0x04
	TypePathState Type = 0x05
	TypeDelays    Type = 0x06
	TypeLaneMark  Type = 0x07
	TypeGaveUp    Type = 0x08
	TypeConfig    Type = 0x09
	TypeConfigAck Type = 0x0A
	TypeClose     Type = 0x0B
	TypePathClose Type = 0x0C
	TypePathUse   Type = 0x0F
	TypeNotice    Type = 0x0D
	TypeFEC       Type = 0x0E // reserved, not understood yet
	TypeFlow      Type = 0x10
	TypePathLink  Type = 0x11
	TypeData      Type = 0x80
)

// AckEliciting reports whether the receiver owes an acknowledgement for a datagram with such a frame.
func AckEliciting(t Type) bool {
	switch t {
	case TypePadding, TypeAck, TypeConfigAck, TypeClose:
		return false
	}
	return true
}

// Frame is room for any frame, to be used again for each call of Next. Only Type and the member named
// after it are valid. It is over 1 KiB: pass it by pointer.
type Frame struct {
	Type      Type
	Data      DataFrame
	Ack       AckFrame
	Padding   PaddingFrame
	Challenge ChallengeFrame
	Response  ResponseFrame
	PathState PathStateFrame
	Delays    DelaysFrame
	LaneMark  LaneMarkFrame
	GaveUp    GaveUpFrame
	Config    ConfigFrame
	ConfigAck ConfigAckFrame
	Close     CloseFrame
	PathClose PathCloseFrame
	PathUse   PathUseFrame
	Notice    NoticeFrame
	Flow      FlowFrame
	PathLink  PathLinkFrame
}

// Next parses the first frame of b into f and returns what follows it. Slices in f borrow b.
// After an error rest is nil and f is not to be used: nothing behind a bad frame can be trusted to be a frame.
// It does not allocate and always consumes at least one byte.
func Next(b []byte, f *Frame) (rest []byte, err error) {
	r := reader{b: b}
	first := r.u8()
	if first&dataBit != 0 {
		f.Type = TypeData
		f.Data.parse(first, &r)
		return r.b, r.err
	}
	f.Type = Type(first)
	if r.err == nil {
		f.parseControl(&r)
	}
	return r.b, r.err
}

func (f *Frame) parseControl(r *reader) {
	switch f.Type {
	case TypePadding:
		f.Padding.Bytes = 1 + len(r.b)
		r.b = nil
	case TypeAck:
		f.Ack.parse(r)
	case TypePing:
	case TypeChallenge:
		copy(f.Challenge.Data[:], r.take(8))
	case TypeResponse:
		copy(f.Response.Data[:], r.take(8))
	case TypePathState:
		f.PathState = PathStateFrame{Path: uint32(r.uvarint(1<<32 - 1)), State: r.u8()}
	case TypeDelays:
		f.Delays.parse(r)
	case TypeLaneMark:
		f.LaneMark = LaneMarkFrame{Lane: r.u16(), Seq: r.u24()}
	case TypeGaveUp:
		f.GaveUp = GaveUpFrame{Lane: r.u16(), First: r.u24(), Count: uint32(r.uvarint(MaxGaveUp))}
		if f.GaveUp.Count == 0 {
			r.fail(ErrRange)
		}
	case TypeConfig:
		f.parseConfig(r)
	case TypeConfigAck:
		f.ConfigAck.ID = r.uvarint(1<<64 - 1)
	case TypeClose:
		f.Close = CloseFrame{Reason: r.u8(), Text: r.take(int(r.u8()))}
	case TypePathUse:
		f.PathUse.parse(r)
	case TypePathClose:
		f.PathClose.Path = uint32(r.uvarint(1<<32 - 1))
	case TypeNotice:
		f.Notice = NoticeFrame{Code: r.u8(), Text: r.take(int(r.u8()))}
	case TypeFlow:
		f.Flow.parse(r)
	case TypePathLink:
		f.PathLink.parse(r)
	default:
		r.fail(ErrUnknownFrame)
	}
}

func (f *Frame) parseConfig(r *reader) {
	f.Config.ID = r.uvarint(1<<64 - 1)
	n := int(r.u16())
	if n > MaxConfigBytes {
		r.fail(ErrTooLong)
		return
	}
	f.Config.Blob = r.take(n)
}
