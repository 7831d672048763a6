package wire

import "encoding/binary"

const (
	dataBit   = 0x80
	laneBit   = 0x40
	lengthBit = 0x20
	repairBit = 0x10
	partMask  = 0x0C
	partShift = 2
	copyBit   = 0x02
	stampBit  = 0x01
)

// Part says how much of an inner packet a DATA frame carries.
type Part uint8

// The parts of an inner packet.
const (
	Whole Part = iota
	FirstPart
	SecondPart
)

// DataFrame carries an inner packet, or one of its two parts.
type DataFrame struct {
	// Payload is the packet or part; after parsing it borrows the parsed bytes.
	Payload []byte
	// Seq is the packet's 24-bit sequence in Lane; valid while Laned.
	Seq   uint32
	Lane  uint16
	Laned bool
	// Stamp, while Stamped, which only a Laned packet is: when the sender took it in.
	Stamp   uint16
	Stamped bool
	// Length says that other frames follow: the payload's length is on the wire (<= 65535).
	Length bool
	// Repair marks a packet sent again; it does not count for the order of originals on its path.
	Repair bool
	// Copy marks a Repair of what was not lost: a packet sent over a second path by choice. The first may yet come.
	Copy bool
	// Part, and for parts the id common to both.
	Part   Part
	PartID uint16
	// FromPath and FromNumber name the datagram that first carried the packet, in a Repair that is not Laned: a lane knows
	// its packets, here only this tells whether the packet came after all. FromPath 0: it went in two
	// parts, and FromNumber is their id; 0 if that is not known either. FromNumber has 32 bits.
	FromPath   uint32
	FromNumber uint32
}

// HeaderBytes returns what stands in front of the payload.
func (f DataFrame) HeaderBytes() int {
	n := 1
	if f.Laned {
		n += 5
	}
	if f.Stamped {
		n += 2
	}
	if f.named() {
		n += uvarintBytes(uint64(f.FromPath)) + 4
	}
	if f.Part != Whole {
		n += 2
	}
	if f.Length {
		n += 2
	}
	return n
}

// named reports that the frame says which datagram carried the packet first.
func (f *DataFrame) named() bool { return f.Repair && !f.Laned }

// AppendDataHeader appends what stands in front of the payload, whose length it takes from f.Payload.
func AppendDataHeader(dst []byte, f DataFrame) []byte {
	first := byte(dataBit) | byte(f.Part)<<partShift&partMask
	if f.Laned {
		first |= laneBit
	}
	if f.Length {
		first |= lengthBit
	}
	if f.Repair {
		first |= repairBit
	}
	if f.Copy {
		first |= copyBit
	}
	if f.Stamped {
		first |= stampBit
	}
	dst = append(dst, first)
	if f.Laned {
		dst = appendU24(appendU16(dst, f.Lane), f.Seq)
	}
	if f.Stamped {
		dst = appendU16(dst, f.Stamp)
	}
	if f.named() {
		dst = binary.BigEndian.AppendUint32(binary.AppendUvarint(dst, uint64(f.FromPath)), f.FromNumber)
	}
	if f.Part != Whole {
		dst = appendU16(dst, f.PartID)
	}
	if f.Length {
		dst = appendU16(dst, uint16(len(f.Payload)))
	}
	return dst
}

// Append appends the frame with its payload.
func (f DataFrame) Append(dst []byte) []byte {
	return append(AppendDataHeader(dst, f), f.Payload...)
}

func (f *DataFrame) parse(first byte, r *reader) {
	*f = DataFrame{
		Laned:   first&laneBit != 0,
		Stamped: first&stampBit != 0,
		Length:  first&lengthBit != 0,
		Repair:  first&repairBit != 0,
		Copy:    first&copyBit != 0,
		Part:    Part(first & partMask >> partShift),
	}
	if f.Stamped && !f.Laned || f.Part > SecondPart || f.Copy && !f.Repair {
		r.fail(ErrReserved)
		return
	}
	if f.Laned {
		f.Lane, f.Seq = r.u16(), r.u24()
	}
	if f.Stamped {
		f.Stamp = r.u16()
	}
	if f.named() {
		f.FromPath, f.FromNumber = uint32(r.uvarint(1<<32-1)), r.u32()
	}
	if f.Part != Whole {
		f.PartID = r.u16()
	}
	n := len(r.b)
	if f.Length {
		n = int(r.u16())
	}
	f.Payload = r.take(n)
}
