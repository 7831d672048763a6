package engine

import (
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
)

// parts joins packets that came in two halves, because their path was too small. The zero value is ready.
type parts struct {
	nextID  uint16 // of the sender's side
	waiting []half
}

type half struct {
	id   uint16
	part wire.Part
	at   mono.Time
	buf  *packet.Buf
}

// join takes one half; it returns the whole packet once both are there, else nil. The oldest half makes room.
func (p *parts) join(now mono.Time, d *wire.DataFrame, b *packet.Buf) *packet.Buf {
	for i, h := range p.waiting {
		if h.id != d.PartID || h.part == d.Part {
			continue
		}
		p.remove(i)
		first, second := h.buf, b
		if d.Part == wire.FirstPart {
			first, second = b, h.buf
		}
		n := first.Len() + second.Len()
		if n > packet.MaxBytes || !first.Append(second.Bytes()) {
			first.Release()
			second.Release()
			return nil
		}
		second.Release()
		return first
	}
	if len(p.waiting) >= maxParts {
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

func (p *parts) drop() {
	for len(p.waiting) > 0 {
		p.waiting[0].buf.Release()
		p.remove(0)
	}
}
