package system

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"mpproxy/src/engine/packet"
)

// joiner prepares packets for the device's Write, which appends packets of a flow to the first one's buffer if that has
// the capacity. A Buf has none, so the first of a run is moved into an area of 64 KB. The zero value is ready.
//
// Which packet begins a run is a guess by the rules of GRO: the first of its flow in the batch, or the one behind a packet
// that ends a run (TCP PSH, or shorter than the one before). A wrong guess costs a copy or a packet on its own, never more.
type joiner struct {
	areas  [joinAreas][]byte
	copies [][]byte // for packets that others still read
	runs   [joinAreas]run
	used   int // areas in use
	copied int // copies in use
	n      int // runs
}

// run is a flow seen in this batch, and whether its last packet may be followed.
type run struct {
	key  []byte // version-dependent piece of the header: addresses and ports
	size int    // of the first packet
	open bool
}

// arrange fills out with batch's packets, each with tunHeaderBytes in front.
func (j *joiner) arrange(batch []*packet.Buf, out [][]byte) [][]byte {
	j.used, j.copied, j.n = 0, 0, 0
	for i, b := range batch {
		data, start := b.Raw()
		p := data[start:]
		begins := j.begins(p)
		switch {
		case len(p) == 0:
			continue
		case begins && i+1 < len(batch) && j.used < joinAreas:
			out = append(out, j.area(p))
		case b.Shared():
			out = append(out, j.copy(p))
		default:
			// Without capacity behind, so that nothing is written beyond the packet.
			out = append(out, data[start-tunHeaderBytes:len(data):len(data)])
		}
	}
	return out
}

// area moves p into the next free area.
func (j *joiner) area(p []byte) []byte {
	if j.areas[j.used] == nil {
		j.areas[j.used] = make([]byte, joinAreaBytes)
	}
	a := j.areas[j.used]
	j.used++
	return a[:tunHeaderBytes+copy(a[tunHeaderBytes:], p)]
}

// copy moves p into memory of its own, where the device may write.
func (j *joiner) copy(p []byte) []byte {
	if j.copied == len(j.copies) {
		j.copies = append(j.copies, make([]byte, copyBytes))
	}
	c := j.copies[j.copied]
	j.copied++
	n := copy(c[tunHeaderBytes:], p)
	return c[: tunHeaderBytes+n : tunHeaderBytes+n]
}

// begins notes packet p in its flow's run and reports whether it begins a new one.
func (j *joiner) begins(p []byte) bool {
	key, push, ok := flowOf(p)
	if !ok {
		return false
	}
	for i := range j.runs[:j.n] {
		r := &j.runs[i]
		if !bytes.Equal(r.key, key) {
			continue
		}
		begins := !r.open || len(p) > r.size
		if begins {
			r.size = len(p)
		}
		r.open = !push && len(p) == r.size
		return begins
	}
	if j.n < len(j.runs) {
		j.runs[j.n] = run{key: key, size: len(p), open: !push}
		j.n++
	}
	return true
}

// flowOf finds what two packets must share to be of one flow: addresses and ports, which stand together in both IP
// versions when there are no options; ok is false for packets that are never joined.
func flowOf(p []byte) (key []byte, push, ok bool) {
	var transport []byte
	var protocol byte
	switch {
	case len(p) >= 28 && p[0] == 0x45:
		protocol, key, transport = p[9], p[12:24], p[20:]
	case len(p) >= 48 && p[0]>>4 == 6:
		protocol, key, transport = p[6], p[8:44], p[40:]
	default:
		return nil, false, false
	}
	switch protocol {
	case unix.IPPROTO_UDP:
		return key, false, true
	case unix.IPPROTO_TCP:
		if len(transport) < 20 {
			return nil, false, false
		}
		const finSynRstPshUrg = 0x2f
		pure := int(transport[12]>>4)*4 >= len(transport) // no payload: never joined
		return key, binary.BigEndian.Uint16(transport[12:])&finSynRstPshUrg != 0, !pure
	}
	return nil, false, false
}
