package wire

import "encoding/binary"

// Range is a run of received packet numbers, both ends included.
type Range struct{ First, Last uint64 }

// AckFrame acknowledges packets of one path; it may travel on any path.
type AckFrame struct {
	// Received is how many bytes of payload datagrams came on the path so far.
	Received uint64
	// CE is how many datagrams of the path came with congestion experienced so far.
	CE uint64
	// Path is the path whose packets are acknowledged.
	Path uint32
	// Behind is how far below the largest number the one stands that came last. Where packets overtake each other the largest
	// is always one of the fast ones; the one that came last is any.
	Behind uint64
	// ReceivedAt is the receiver's clock when the packet came that came last, in µs modulo 2^32.
	ReceivedAt uint32
	// DelayMicros is the time between that and the sending of this frame, in µs.
	DelayMicros uint32
	// Count is how many of Ranges are used, at least 1.
	Count int
	// Ranges are the numbers received, newest first, with at least one number missing between two.
	Ranges [MaxAckRanges]Range
}

// Largest returns the greatest number acknowledged.
func (f *AckFrame) Largest() uint64 { return f.Ranges[0].Last }

// Sample returns the number of the packet that came last: the one that ReceivedAt, DelayMicros and Received speak of.
func (f *AckFrame) Sample() uint64 { return f.Largest() - f.Behind }

// Reset makes the frame empty, ready for AddRange.
func (f *AckFrame) Reset() { f.Count = 0 }

// AddRange adds a range older than those added before. It is false if there is no room for it, or it
// is out of order, empty, or touches its predecessor.
func (f *AckFrame) AddRange(first, last uint64) bool {
	if f.Count >= MaxAckRanges || first > last || last > MaxNumber {
		return false
	}
	if f.Count > 0 && last+2 > f.Ranges[f.Count-1].First {
		return false
	}
	f.Ranges[f.Count] = Range{first, last}
	f.Count++
	return true
}

// Append appends the frame, at most MaxAckBytes long: the oldest ranges that do not fit are left out.
// With Count 0 it appends nothing.
func (f *AckFrame) Append(dst []byte) []byte {
	if f.Count == 0 {
		return dst
	}
	var scratch [MaxAckBytes]byte
	newest := f.Ranges[0]
	head := append(scratch[:0], byte(TypeAck))
	head = binary.AppendUvarint(head, uint64(f.Path))
	head = binary.AppendUvarint(head, newest.Last)
	head = binary.AppendUvarint(head, min(f.Behind, newest.Last))
	head = binary.BigEndian.AppendUint32(head, f.ReceivedAt)
	head = binary.AppendUvarint(head, uint64(f.DelayMicros))
	head = binary.AppendUvarint(head, f.CE)
	head = binary.AppendUvarint(head, f.Received)
	// The count of further ranges is at most 63: always one byte.
	room := MaxAckBytes - len(head) - 1 - uvarintBytes(newest.Last-newest.First)
	further := f.fitting(room)
	dst = append(dst, head...)
	dst = append(dst, byte(further))
	dst = binary.AppendUvarint(dst, newest.Last-newest.First)
	for i := 1; i <= further; i++ {
		dst = binary.AppendUvarint(dst, f.Ranges[i-1].First-f.Ranges[i].Last-2)
		dst = binary.AppendUvarint(dst, f.Ranges[i].Last-f.Ranges[i].First)
	}
	return dst
}

// fitting returns how many ranges behind the newest fit into room bytes.
func (f *AckFrame) fitting(room int) int {
	for i := 1; i < f.Count; i++ {
		room -= uvarintBytes(f.Ranges[i-1].First-f.Ranges[i].Last-2) + uvarintBytes(f.Ranges[i].Last-f.Ranges[i].First)
		if room < 0 {
			return i - 1
		}
	}
	return f.Count - 1
}

func uvarintBytes(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

func (f *AckFrame) parse(r *reader) {
	start := len(r.b)
	f.Path = uint32(r.uvarint(1<<32 - 1))
	largest := r.uvarint(MaxNumber)
	f.Behind = r.uvarint(largest)
	f.ReceivedAt = r.u32()
	f.DelayMicros = uint32(r.uvarint(1<<32 - 1))
	f.CE = r.uvarint(1<<64 - 1)
	f.Received = r.uvarint(1<<64 - 1)
	further := int(r.uvarint(MaxAckRanges - 1))
	length := r.uvarint(largest)
	f.Ranges[0] = Range{largest - length, largest}
	f.Count = 1
	for range further {
		if r.err != nil {
			return
		}
		before := f.Ranges[f.Count-1].First
		if before < 2 {
			r.fail(ErrRange)
			return
		}
		last := before - 2 - r.uvarint(before-2)
		f.Ranges[f.Count] = Range{last - r.uvarint(last), last}
		f.Count++
	}
	if r.err == nil && 1+start-len(r.b) > MaxAckBytes {
		r.fail(ErrTooLong)
	}
}
