package flowq

import (
	"bytes"
	"encoding/binary"

	"mpproxy/src/engine/packet"
)

// TCP options (IANA) that the filter looks into.
const (
	optionEnd        = 0
	optionNop        = 1
	optionTimestamps = 8
	timestampsBytes  = 10
)

// supersedes puts b, a pure acknowledgement of flow f described by info, in the place of the one at the flow's end if that says
// nothing that b does not say (as sch_cake's ack-filter): it is b's release then. Acknowledgements wait only where there is less
// room up than a download needs for them; each that goes unsent makes room for the others.
func (q *Queue) supersedes(f *Flow, b *packet.Buf, info *Info) bool {
	old := f.tail
	if !info.PureAck || old == nil || old.Shared() || old.Len() != b.Len() {
		return false
	}
	was, ok := ParseIP(old.Bytes())
	if !ok || !was.PureAck || !redundant(old.Bytes(), b.Bytes(), &was, info) {
		return false
	}
	old.Set(b.Bytes()) // it keeps its place, and its time of waiting
	b.Release()
	q.counts.SupersededAcks++
	return true
}

// redundant reports that acknowledgement b of the same flow and length says all that a does: it acknowledges more, and flags and
// options are the same but for the timestamps.
func redundant(a, b []byte, was, is *Info) bool {
	if was.Transport != is.Transport || was.Length != is.Length || was.DSCP != is.DSCP || was.ECN != is.ECN || was.TCPFlags != is.TCPFlags {
		return false
	}
	s, t := a[was.Transport:was.Length], b[is.Transport:is.Length]
	const ports, sequence, acknowledged, header = 0, 4, 8, 20
	if !bytes.Equal(s[ports:sequence+4], t[ports:sequence+4]) || s[12] != t[12] {
		return false // data went between them
	}
	if int32(binary.BigEndian.Uint32(t[acknowledged:])-binary.BigEndian.Uint32(s[acknowledged:])) <= 0 {
		return false // a duplicate tells of a loss
	}
	return sameOptions(s[header:], t[header:])
}

// sameOptions compares two lists of TCP options of the same length, without the values of timestamps. SACK blocks thus have to be
// the same.
func sameOptions(a, b []byte) bool {
	for len(a) > 0 {
		n := 1
		switch a[0] {
		case optionEnd, optionNop:
		default:
			if len(a) < 2 || int(a[1]) < 2 || int(a[1]) > len(a) {
				return bytes.Equal(a, b)
			}
			n = int(a[1])
		}
		compared := n
		if a[0] == optionTimestamps && n == timestampsBytes {
			compared = 2
		}
		if !bytes.Equal(a[:compared], b[:compared]) {
			return false
		}
		if a[0] == optionEnd {
			return true
		}
		a, b = a[n:], b[n:]
	}
	return true
}
