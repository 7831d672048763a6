package engine

import (
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
)

// parts joins packets that came in two halves, because their path was too small. The zero value is ready.
type parts struct {
	nextID uint16 // of the sender's side
	// repaired are packets of which one half was lost, by id: they are sent again once, though both halves be lost.
	repaired [256]uint16
	// done are packets that came, by id: their repairs are duplicates, and so are they if a repair was faster.
	done    [256]uint16
	waiting []half
}

// begin returns the id for the next packet in two halves, never 0.
func (p *parts) begin() uint16 {
	if p.nextID++; p.nextID == 0 {
		p.nextID++
	}
	p.repaired[p.nextID%256] = 0
	return p.nextID
}

// claim reports that no half of the packet was lost before.
func (p *parts) claim(id uint16) bool {
	r := &p.repaired[id%256]
	if *r == id {
		return false
	}
	*r = id
	return true
}

// came reports that the packet with this id came before, and notes that now it has.
func (p *parts) came(id uint16) bool {
	d := &p.done[id%256]
	if *d == id {
		return true
	}
	*d = id
	return false
}

type half struct {
	id   uint16
	part wire.Part
	at   mono.Time
	buf  *packet.Buf
}

// join takes one half; it returns the whole packet once both are there, else nil. The oldest half makes room. Every half
// that comes to nothing is counted.
func (p *parts) join(now mono.Time, d *wire.DataFrame, b *packet.Buf, drops *stats.Drops) *packet.Buf {
	for i, h := range p.waiting {
		if h.id != d.PartID {
			continue
		}
		p.remove(i)
		if h.part == d.Part { // one that nobody came for
			drops.Add(stats.PartTimeout, 1)
			h.buf.Release()
			break
		}
		first, second := h.buf, b
		if d.Part == wire.FirstPart {
			first, second = b, h.buf
		}
		n := first.Len() + second.Len()
		if n > packet.MaxBytes || !first.Append(second.Bytes()) {
			drops.Add(stats.MalformedFrame, 1)
			first.Release()
			second.Release()
			return nil
		}
		second.Release()
		return first
	}
	if len(p.waiting) >= maxParts {
		drops.Add(stats.PartTimeout, 1)
		p.waiting[0].buf.Release()
		p.remove(0)
	}
	p.waiting = append(p.waiting, half{d.PartID, d.Part, now, b})
	return nil
}

func (p *parts) remove(i int) {
	copy(p.waiting[i:], p.waiting[i+1:])
	p.waiting[len(p.waiting)-1] = half{}
	p.waiting = p.waiting[:len(p.waiting)-1]
}

// expire lets halves go whose other half did not come.
func (p *parts) expire(now mono.Time, drops *stats.Drops) {
	for len(p.waiting) > 0 && now.Sub(p.waiting[0].at) > partLife {
		drops.Add(stats.PartTimeout, 1)
		p.waiting[0].buf.Release()
		p.remove(0)
	}
}

// drop lets everything go: another session numbers its halves anew.
func (p *parts) drop() {
	p.done = [256]uint16{}
	for len(p.waiting) > 0 {
		p.waiting[0].buf.Release()
		p.remove(0)
	}
}
