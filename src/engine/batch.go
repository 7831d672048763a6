package engine

import (
	"net/netip"

	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
)

// Datagram describes one datagram to be sealed and sent.
type Datagram struct {
	// Sending has the keys, ConnID is the peer's name for the path.
	Sending *session.Sending
	Number  uint64
	Path    uint32
	ConnID  uint32
	Epoch   uint8
	// Link is the portal's number of the link or socket; To and Local are the addresses, where they matter.
	Link  int
	To    netip.AddrPort
	Local netip.Addr

	from, to       int // of the frames in the batch's arena
	buf            *packet.Buf
	bufFrom, bufTo int
}

// Raw is a handshake datagram: sent as it is.
type Raw struct {
	// Link, To and Local are as in Datagram; Data is nobody else's.
	Link  int
	To    netip.AddrPort
	Local netip.Addr
	Data  []byte
}

// Batch is what one Poll gave. It owns a reference to each packet in it until Reset.
type Batch struct {
	// Datagrams are to be sealed, Raws go as they are; both in their order on each link.
	Datagrams []Datagram
	Raws      []Raw
	arena     []byte // frames, without the inner packets
}

// Reset releases the packets and empties the batch for the next Poll.
func (b *Batch) Reset() {
	for i := range b.Datagrams {
		if p := b.Datagrams[i].buf; p != nil {
			p.Release()
		}
	}
	clear(b.Datagrams)
	clear(b.Raws)
	b.Datagrams, b.Raws, b.arena = b.Datagrams[:0], b.Raws[:0], b.arena[:0]
}

// Move appends datagram i of b to other, which then owns its packet.
func (b *Batch) Move(i int, other *Batch) {
	d := b.Datagrams[i]
	start := len(other.arena)
	other.arena = append(other.arena, b.arena[d.from:d.to]...)
	d.from, d.to = start, len(other.arena)
	other.Datagrams = append(other.Datagrams, d)
	b.Datagrams[i].buf = nil
}

// Size is the length of datagram i once sealed.
func (b *Batch) Size(i int) int {
	d := &b.Datagrams[i]
	return wire.HeaderBytes + d.to - d.from + d.bufTo - d.bufFrom + wire.TagBytes
}

// Seal appends datagram i, sealed, to dst. It may run on another goroutine than the engine's.
func (b *Batch) Seal(s *session.Sealer, dst []byte, i int) []byte {
	d := &b.Datagrams[i]
	start := len(dst)
	need := start + b.Size(i)
	if cap(dst) < need {
		dst = append(make([]byte, 0, 2*need), dst...)
	}
	plain := dst[start+wire.HeaderBytes : start+wire.HeaderBytes]
	plain = append(plain, b.arena[d.from:d.to]...)
	if d.buf != nil {
		plain = append(plain, d.buf.Bytes()[d.bufFrom:d.bufTo]...)
	}
	return s.SealDatagram(d.Sending.Keys(d.Epoch), dst, d.Epoch, d.ConnID, d.Path, d.Number, plain)
}
