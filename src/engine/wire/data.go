package wire

const (
	dataBit    = 0x80
	laneBit    = 0x40
	lengthBit  = 0x20
	repairBit  = 0x10
	partMask   = 0x0C
	partShift  = 2
	dataUnused = 0x03
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
	// Length says that other frames follow: the payload's length is on the wire (<= 65535).
	Length bool
	// Repair marks a packet sent again; it does not count for the order of originals on its path.
	Repair bool
	// Part, and for parts the id common to both.
	Part   Part
	PartID uint16
}

// HeaderBytes returns what stands in front of the payload.
func (f DataFrame) HeaderBytes() int {
	n := 1
	if f.Laned {
		n += 5
	}
	if f.Part != Whole {
		n += 2
	}
	if f.Length {
		n += 2
	}
	return n
}

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
	dst = append(dst, first)
	if f.Laned {
		dst = appendU24(appendU16(dst, f.Lane), f.Seq)
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
		Laned:  first&laneBit != 0,
		Length: first&lengthBit != 0,
		Repair: first&repairBit != 0,
		Part:   Part(first & partMask >> partShift),
	}
	if first&dataUnused != 0 || f.Part > SecondPart {
		r.fail(ErrReserved)
		return
	}
	if f.Laned {
		f.Lane, f.Seq = r.u16(), r.u24()
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
