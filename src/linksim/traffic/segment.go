package traffic

import "encoding/binary"

// TCP header flags.
const (
	flagSYN, flagPSH, flagACK, flagECE, flagCWR = 1 << 1, 1 << 3, 1 << 4, 1 << 6, 1 << 7
)

const (
	tcpBytes    = 20
	stampBytes  = 12 // the timestamps option with its padding, in every segment
	maxSacks    = 3  // what fits beside the timestamps
	windowScale = 10 // 64 MB at most
	// isn starts the wire's numbers shortly before they wrap, so that every transfer crosses it.
	isn = 0xffff_8000
)

// span is the part [from, to) of the stream, in offsets that never wrap; the SYN is number 0, data starts at 1.
type span struct{ from, to uint64 }

// segment is a TCP segment with its numbers unwrapped.
type segment struct {
	seq, ack    uint64
	flags       uint8
	window      uint64 // bytes
	stamp, echo uint32 // milliseconds
	mss         int    // in a SYN
	sacks       [maxSacks + 1]span
	sackCount   int
	payload     int // bytes
	data        []byte
	ecn         uint8
}

// put writes the segment with its payload (the stream's offset, then zeros) as an IP packet and returns its length.
func (s *segment) put(e *ends, buf []byte) int {
	n := e.headerBytes() + e.shimBytes()
	b := buf[n:]
	clear(b[:tcpBytes])
	binary.BigEndian.PutUint32(b[4:], isn+uint32(s.seq))
	binary.BigEndian.PutUint32(b[8:], isn+uint32(s.ack))
	window := s.window
	if s.flags&flagSYN == 0 {
		window >>= windowScale
	}
	binary.BigEndian.PutUint16(b[14:], uint16(min(window, 0xffff)))
	b[13] = s.flags
	head := s.putOptions(b)
	b[12] = uint8(head/4) << 4
	clear(b[head : head+s.payload])
	if s.payload >= 8 {
		binary.BigEndian.PutUint64(b[head:], s.seq)
	}
	total := n + head + s.payload
	if e.quic {
		shim := buf[n-udpBytes : n]
		clear(shim)
		binary.BigEndian.PutUint16(shim[4:], uint16(total-n+udpBytes))
	}
	e.seal(buf[:total], e.proto(), s.ecn)
	return total
}

// putOptions writes the options and returns the length of the TCP header.
func (s *segment) putOptions(b []byte) int {
	o := tcpBytes
	if s.flags&flagSYN != 0 {
		o += copy(b[o:], []byte{2, 4, uint8(s.mss >> 8), uint8(s.mss), 4, 2, 1, 1, 1, 3, 3, windowScale})
	}
	o += copy(b[o:], []byte{1, 1, 8, 10})
	binary.BigEndian.PutUint32(b[o:], s.stamp)
	binary.BigEndian.PutUint32(b[o+4:], s.echo)
	o += 8
	if s.sackCount > 0 {
		o += copy(b[o:], []byte{1, 1, 5, uint8(2 + 8*s.sackCount)})
		for _, k := range s.sacks[:s.sackCount] {
			binary.BigEndian.PutUint32(b[o:], isn+uint32(k.from))
			binary.BigEndian.PutUint32(b[o+4:], isn+uint32(k.to))
			o += 8
		}
	}
	return o
}

// parse reads a packet for us. The numbers near which its own lie unwrap them.
func (s *segment) parse(e *ends, pkt []byte, nearSeq, nearAck uint64) bool {
	b, ecn, ok := e.open(pkt, e.proto())
	if !ok || len(b) < e.shimBytes()+tcpBytes {
		return false
	}
	b = b[e.shimBytes():]
	head := int(b[12]>>4) * 4
	if head < tcpBytes || head > len(b) {
		return false
	}
	*s = segment{flags: b[13], ecn: ecn, data: b[head:], payload: len(b) - head}
	s.seq = unwrap(binary.BigEndian.Uint32(b[4:]), nearSeq)
	s.ack = unwrap(binary.BigEndian.Uint32(b[8:]), nearAck)
	s.window = uint64(binary.BigEndian.Uint16(b[14:]))
	if s.flags&flagSYN == 0 {
		s.window <<= windowScale
	}
	return s.parseOptions(b[tcpBytes:head], nearAck)
}

func (s *segment) parseOptions(o []byte, near uint64) bool {
	for len(o) > 0 {
		if o[0] <= 1 { // end, padding
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return false
		}
		kind, body := o[0], o[2:o[1]]
		o = o[o[1]:]
		switch {
		case kind == 2 && len(body) == 2:
			s.mss = int(binary.BigEndian.Uint16(body))
		case kind == 8 && len(body) == 8:
			s.stamp, s.echo = binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
		case kind == 5:
			for ; len(body) >= 8 && s.sackCount < len(s.sacks); body = body[8:] {
				s.sacks[s.sackCount] = span{unwrap(binary.BigEndian.Uint32(body), near), unwrap(binary.BigEndian.Uint32(body[4:]), near)}
				s.sackCount++
			}
		}
	}
	return true
}

// unwrap returns the offset nearest to near that has the wire's number.
func unwrap(wire uint32, near uint64) uint64 {
	distance := int64(int32(wire - isn - uint32(near)))
	return uint64(max(0, int64(near)+distance))
}
