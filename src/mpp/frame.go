package mpp

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// HeaderBytes is the length of a frame's fixed header.
const HeaderBytes = 24

// FrameType says what a frame is. The values are on the wire.
type FrameType uint8

// The frame types.
const (
	FrameAttach FrameType = 1
	FrameData   FrameType = 2
	FrameAck    FrameType = 3
	FrameReset  FrameType = 4
	FramePing   FrameType = 5
	FramePong   FrameType = 6
)

// The flags: FlagFin of data frames, FlagComplete of acknowledgements.
const (
	FlagFin      = 1
	FlagComplete = 1
)

// The options' kinds and lengths.
const (
	optLimit    = 1 // u64
	optRange    = 2 // from u64, to u64
	optProgress = 3 // subflow u16, bytes u64
	optCode     = 4 // u8
	optSubflow  = 5 // u16
	optRTT      = 6 // u32, microseconds
)

// Code says why a connection was reset. The values are on the wire.
type Code uint8

// The codes.
const (
	CodeAborted  Code = 1 // one of the two clients broke its connection off
	CodeInUse    Code = 2 // the MID is another connection's
	CodeGone     Code = 3 // the MID is of a connection that has ended
	CodeRefused  Code = 4 // this router may not have one more
	CodeProtocol Code = 5 // a frame made no sense
	CodeLost     Code = 6 // no subflow for too long
	CodeNoMemory Code = 7 // the memory for connections does not hold one more
)

// String says the code in words.
func (c Code) String() string {
	switch c {
	case CodeAborted:
		return "the connection was broken off"
	case CodeInUse:
		return "the connection id is in use"
	case CodeGone:
		return "the connection has ended"
	case CodeRefused:
		return "refused: too many connections"
	case CodeProtocol:
		return "the other side sent something that makes no sense"
	case CodeLost:
		return "all ways to the other side were lost"
	case CodeNoMemory:
		return "refused: the memory for connections over several links is used up"
	}
	return "reset for an unknown reason"
}

// ErrFrame is returned for bytes that are no frame.
var ErrFrame = errors.New("parse frame: malformed")

// Span is the bytes From to To of a stream, To excluded.
type Span struct{ From, To uint64 }

// Progress is how many bytes of payload have come on a subflow.
type Progress struct {
	Subflow uint16
	Bytes   uint64
}

// Frame is a frame taken apart. Payload belongs to the caller of ParseFrame; Ranges and Progress are reused by the
// next call with the same Frame.
type Frame struct {
	Type     FrameType
	Flags    uint8
	MID      uint64
	Offset   uint64
	Limit    uint64
	HasLimit bool
	Ranges   []Span
	Progress []Progress
	Code     Code
	Subflow  uint16
	RTT      time.Duration
	Payload  []byte
}

// maxOffset keeps sums of offsets and lengths away from overflow.
const maxOffset = 1 << 62

// ParseFrame takes the first frame of b apart and returns what follows it. The error is ErrFrame.
func ParseFrame(b []byte, f *Frame) (rest []byte, err error) {
	if len(b) < HeaderBytes {
		return nil, ErrFrame
	}
	options, payload := int(binary.BigEndian.Uint16(b[2:])), int64(binary.BigEndian.Uint32(b[4:]))
	*f = Frame{
		Type: FrameType(b[0]), Flags: b[1], MID: binary.BigEndian.Uint64(b[8:]), Offset: binary.BigEndian.Uint64(b[16:]),
		Ranges: f.Ranges[:0], Progress: f.Progress[:0],
	}
	if f.Type < FrameAttach || f.Type > FramePong || f.Offset > maxOffset && f.Type <= FrameReset {
		return nil, ErrFrame
	}
	b = b[HeaderBytes:]
	if int64(len(b)) < int64(options)+payload || payload > 0 && f.Type != FrameData || payload > BlockBytes {
		return nil, ErrFrame
	}
	if err := f.parseOptions(b[:options]); err != nil {
		return nil, err
	}
	b = b[options:]
	f.Payload = b[:payload:payload]
	return b[payload:], nil
}

func (f *Frame) parseOptions(b []byte) error {
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return ErrFrame
		}
		kind, v := b[0], b[2:2+int(b[1])]
		b = b[2+int(b[1]):]
		if want := optionBytes(kind); want > 0 && len(v) != want {
			return ErrFrame
		}
		switch kind {
		case optLimit:
			f.Limit, f.HasLimit = binary.BigEndian.Uint64(v), true
			if f.Limit > maxOffset {
				return ErrFrame
			}
		case optRange:
			s := Span{binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])}
			// They rise, so that to look for all of them costs no more than to look through all that was sent.
			if n := len(f.Ranges); s.From >= s.To || s.To > maxOffset || n > 0 && s.From <= f.Ranges[n-1].To {
				return ErrFrame
			}
			f.Ranges = append(f.Ranges, s)
		case optProgress:
			f.Progress = append(f.Progress, Progress{binary.BigEndian.Uint16(v), binary.BigEndian.Uint64(v[2:])})
		case optCode:
			f.Code = Code(v[0])
		case optSubflow:
			f.Subflow = binary.BigEndian.Uint16(v)
		case optRTT:
			f.RTT = time.Duration(binary.BigEndian.Uint32(v)) * time.Microsecond
		}
	}
	return nil
}

// optionBytes is the length of a known option, else 0.
func optionBytes(kind byte) int {
	switch kind {
	case optLimit:
		return 8
	case optRange:
		return 16
	case optProgress:
		return 10
	case optCode:
		return 1
	case optSubflow:
		return 2
	case optRTT:
		return 4
	}
	return 0
}

// AppendFrame appends f to b. Limit is written if HasLimit, Code, Subflow and RTT if they are not 0.
func AppendFrame(b []byte, f *Frame) []byte {
	start := len(b)
	b = append(b, byte(f.Type), f.Flags, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.Payload)))
	b = binary.BigEndian.AppendUint64(b, f.MID)
	b = binary.BigEndian.AppendUint64(b, f.Offset)
	if f.HasLimit {
		b = binary.BigEndian.AppendUint64(append(b, optLimit, 8), f.Limit)
	}
	for _, r := range f.Ranges {
		b = binary.BigEndian.AppendUint64(append(b, optRange, 16), r.From)
		b = binary.BigEndian.AppendUint64(b, r.To)
	}
	for _, p := range f.Progress {
		b = binary.BigEndian.AppendUint16(append(b, optProgress, 10), p.Subflow)
		b = binary.BigEndian.AppendUint64(b, p.Bytes)
	}
	if f.Code != 0 {
		b = append(b, optCode, 1, byte(f.Code))
	}
	if f.Subflow != 0 {
		b = binary.BigEndian.AppendUint16(append(b, optSubflow, 2), f.Subflow)
	}
	if us := min(f.RTT.Microseconds(), math.MaxUint32); us > 0 {
		b = binary.BigEndian.AppendUint32(append(b, optRTT, 4), uint32(us))
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start-HeaderBytes))
	return append(b, f.Payload...)
}
