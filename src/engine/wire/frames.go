package wire

import "encoding/binary"

// PaddingFrame fills a datagram with Bytes zero bytes (at least 1), its type included.
type PaddingFrame struct{ Bytes int }

// Append appends the frame.
func (f PaddingFrame) Append(dst []byte) []byte { return append(dst, make([]byte, max(f.Bytes, 1))...) }

// PingFrame asks for an acknowledgement and nothing else.
type PingFrame struct{}

// Append appends the frame.
func (PingFrame) Append(dst []byte) []byte { return append(dst, byte(TypePing)) }

// ChallengeFrame asks the address it is sent to for a ResponseFrame with the same bytes (RFC 9000 section 8.2).
type ChallengeFrame struct{ Data [8]byte }

// Append appends the frame.
func (f ChallengeFrame) Append(dst []byte) []byte {
	return append(append(dst, byte(TypeChallenge)), f.Data[:]...)
}

// ResponseFrame answers a ChallengeFrame on the path it came by.
type ResponseFrame struct{ Data [8]byte }

// Append appends the frame.
func (f ResponseFrame) Append(dst []byte) []byte {
	return append(append(dst, byte(TypeResponse)), f.Data[:]...)
}

// PathStateFrame tells the sender's verdict on a path, for status only; the states are those of package path.
type PathStateFrame struct {
	Path  uint32
	State uint8
}

// Append appends the frame.
func (f PathStateFrame) Append(dst []byte) []byte {
	return append(binary.AppendUvarint(append(dst, byte(TypePathState)), uint64(f.Path)), f.State)
}

// PathDelay is what the sender knows of one path's delay to the receiver, in units of 100 µs.
type PathDelay struct {
	Path uint32
	// Relative is the delay above that of the fastest path.
	Relative uint16
	// Deviation is the mean deviation of the delay.
	Deviation uint16
	// Reorder is how much later than others a packet may come before the sender takes it for lost.
	Reorder uint16
}

// DelaysFrame tells the receiver how long waiting for a gap can help.
type DelaysFrame struct {
	// RepairWait is how long after its report a repair may take to arrive, in units of 100 µs.
	RepairWait uint16
	// Count is how many of Paths are used, at most MaxDelays.
	Count int
	Paths [MaxDelays]PathDelay
}

// Append appends the frame.
func (f *DelaysFrame) Append(dst []byte) []byte {
	n := min(max(f.Count, 0), MaxDelays)
	dst = append(appendU16(append(dst, byte(TypeDelays)), f.RepairWait), byte(n))
	for _, p := range f.Paths[:n] {
		dst = binary.AppendUvarint(dst, uint64(p.Path))
		dst = appendU16(appendU16(appendU16(dst, p.Relative), p.Deviation), p.Reorder)
	}
	return dst
}

func (f *DelaysFrame) parse(r *reader) {
	f.RepairWait = r.u16()
	f.Count = int(r.u8())
	if f.Count > MaxDelays {
		f.Count = 0
		r.fail(ErrTooLong)
		return
	}
	for i := range f.Count {
		f.Paths[i] = PathDelay{Path: uint32(r.uvarint(1<<32 - 1)), Relative: r.u16(), Deviation: r.u16(), Reorder: r.u16()}
	}
}

// LaneMarkFrame says that no original of the lane below Seq will still come on the path that carries this frame.
type LaneMarkFrame struct {
	Lane uint16
	Seq  uint32
}

// Append appends the frame.
func (f LaneMarkFrame) Append(dst []byte) []byte {
	return appendU24(appendU16(append(dst, byte(TypeLaneMark)), f.Lane), f.Seq)
}

// GaveUpFrame says that Count packets of the lane from First on will not be sent (again).
type GaveUpFrame struct {
	Lane  uint16
	First uint32
	// Count is 1 to MaxGaveUp.
	Count uint32
}

// Append appends the frame.
func (f GaveUpFrame) Append(dst []byte) []byte {
	dst = appendU24(appendU16(append(dst, byte(TypeGaveUp)), f.Lane), f.First)
	return binary.AppendUvarint(dst, uint64(f.Count))
}

// ConfigFrame carries a SessionConfig; it is repeated until a ConfigAckFrame with its id comes.
type ConfigFrame struct {
	ID uint64
	// Blob is at most MaxConfigBytes; after parsing it borrows the parsed bytes.
	Blob []byte
}

// Append appends the frame.
func (f ConfigFrame) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, byte(TypeConfig)), f.ID)
	return append(appendU16(dst, uint16(len(f.Blob))), f.Blob...)
}

// ConfigAckFrame says that the configuration ID is in force.
type ConfigAckFrame struct{ ID uint64 }

// Append appends the frame.
func (f ConfigAckFrame) Append(dst []byte) []byte {
	return binary.AppendUvarint(append(dst, byte(TypeConfigAck)), f.ID)
}

// CloseFrame ends the session.
type CloseFrame struct {
	Reason uint8
	// Text is for people; what exceeds MaxTextBytes is cut off. After parsing it borrows the parsed bytes.
	Text []byte
}

// Append appends the frame.
func (f CloseFrame) Append(dst []byte) []byte {
	return appendText(append(dst, byte(TypeClose), f.Reason), f.Text)
}

// PathCloseFrame ends one path; its id is not used again.
type PathCloseFrame struct{ Path uint32 }

// Append appends the frame.
func (f PathCloseFrame) Append(dst []byte) []byte {
	return binary.AppendUvarint(append(dst, byte(TypePathClose)), uint64(f.Path))
}

// NoticeFrame tells the other side something that changes nothing, for its log and status.
type NoticeFrame struct {
	Code uint8
	// Text is as in CloseFrame.
	Text []byte
}

// Append appends the frame.
func (f NoticeFrame) Append(dst []byte) []byte {
	return appendText(append(dst, byte(TypeNotice), f.Code), f.Text)
}

func appendText(dst, text []byte) []byte {
	text = text[:min(len(text), MaxTextBytes)]
	return append(append(dst, byte(len(text))), text...)
}

// PathUseFrame tells how the router wants the path that carries the frame to be used: it knows its links, the server does not.
type PathUseFrame struct {
	// Metric orders paths: one of a higher metric is used only when none of a lower one works, or with Overflow also while
	// all of those are full.
	Metric   uint16
	Overflow bool
	// Standby and Metered paths are probed less often.
	Standby, Metered bool
	// Limit is how fast the receiver of this frame may send on the path, in kbit/s; 0 is no limit.
	Limit uint64
	// Congestion is the congestion control asked for on the path, 0 if the choice is left to the receiver of this frame:
	// 1 bbr, 2 cubic, 3 newreno, 4 none.
	Congestion uint8
	// Copies says of which packets the path carries copies: 0 none, 1 calls, 2 all urgent ones, 3 those of FlowFrames only,
	// which 1 and 2 include.
	Copies uint8
}

const (
	useOverflow = 1 << iota
	useStandby
	useMetered
	// useCongestion is where three bits with Congestion begin, useCopies where two with Copies do; the others are the greatest values
	// that mean something.
	useCongestion = 3
	useCopies     = 6
	maxCongestion = 4
	maxCopies     = 3
)

// Append appends the frame.
func (f PathUseFrame) Append(dst []byte) []byte {
	flags := byte(0)
	if f.Overflow {
		flags |= useOverflow
	}
	if f.Standby {
		flags |= useStandby
	}
	if f.Metered {
		flags |= useMetered
	}
	flags |= min(f.Congestion, maxCongestion)<<useCongestion | min(f.Copies, maxCopies)<<useCopies
	return binary.AppendUvarint(append(appendU16(append(dst, byte(TypePathUse)), f.Metric), flags), f.Limit)
}

func (f *PathUseFrame) parse(r *reader) {
	metric, flags := r.u16(), r.u8()
	chosen, copies := flags>>useCongestion&7, flags>>useCopies
	if chosen > maxCongestion || copies > maxCopies {
		r.fail(ErrReserved)
	}
	*f = PathUseFrame{
		Metric: metric, Overflow: flags&useOverflow != 0, Standby: flags&useStandby != 0, Metered: flags&useMetered != 0,
		Limit: r.uvarint(maxLimit), Congestion: chosen, Copies: copies,
	}
}

// maxLimit is a petabit per second: beyond it a limit is nonsense.
const maxLimit = 1e12
