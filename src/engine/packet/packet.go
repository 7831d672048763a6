// Package packet has the buffers in which packets cross the rooms, and the one pool that bounds them.
//
// A Buf is counted: whoever receives one owns one reference and either passes it on or calls Release.
// Who keeps a Buf beside passing it on calls Retain first. The bytes of a Buf with more than one
// reference are read-only.
package packet

import (
	"sync"
	"sync/atomic"

	"mpproxy/src/engine/mono"
)

const (
	// HeadroomBytes stands in front of a packet in every Buf: the TUN device's virtio header (10 bytes) and some to spare.
	HeadroomBytes = 32
	// MaxBytes is the longest packet or datagram plaintext that a Buf holds.
	MaxBytes = 2048 - HeadroomBytes
)

// Buf holds one inner packet, or the plaintext of one received datagram.
type Buf struct {
	// Next links Bufs in one queue; it belongs to whoever owns the Buf.
	Next *Buf
	// Enqueued is when the packet entered its queue; of one received in a lane, when it came or, but for a loss, would have.
	Enqueued mono.Time
	// Flow is the keyed hash of the inner flow.
	Flow uint64
	// Lane and Seq are the packet's place in its lane; valid while Laned.
	Seq   uint32
	Lane  uint16
	Laned bool
	// Stamp is when the sender took the packet in, in its own time; valid while Stamped.
	Stamped bool
	Stamp   uint16
	// Class is the queueing class, in the words of package flowq.
	Class uint8

	start, end int32
	refs       atomic.Int32
	pool       *Pool
	data       [HeadroomBytes + MaxBytes]byte
}

// Bytes returns the packet. The slice is valid until the last Release.
func (b *Buf) Bytes() []byte { return b.data[b.start:b.end] }

// Len returns the packet's length in bytes.
func (b *Buf) Len() int { return int(b.end - b.start) }

// Room returns the whole space behind the headroom, to be filled by a reader and then cut with SetLen.
func (b *Buf) Room() []byte { return b.data[HeadroomBytes:] }

// Raw returns the whole buffer and the offset of the packet in it, for devices that write in front of a packet.
func (b *Buf) Raw() (data []byte, offset int) { return b.data[:b.end], int(b.start) }

// SetLen says that the packet is the first n bytes of Room.
func (b *Buf) SetLen(n int) {
	if n < 0 || n > MaxBytes {
		panic("packet: length out of range")
	}
	b.start, b.end = HeadroomBytes, HeadroomBytes+int32(n)
}

// Set copies p into the Buf.
func (b *Buf) Set(p []byte) {
	b.SetLen(len(p))
	copy(b.Bytes(), p)
}

// Slice narrows the packet to bytes [from, to) of what it is now.
func (b *Buf) Slice(from, to int) {
	if from < 0 || to < from || to > b.Len() {
		panic("packet: slice out of range")
	}
	b.start, b.end = b.start+int32(from), b.start+int32(to)
}

// Append adds p behind the packet; false if there is no room. Nobody else may hold a reference.
func (b *Buf) Append(p []byte) bool {
	if int(b.end)+len(p) > len(b.data) {
		return false
	}
	b.end += int32(copy(b.data[b.end:], p))
	return true
}

// Retain adds a reference and returns b.
func (b *Buf) Retain() *Buf {
	if b.refs.Add(1) < 2 {
		panic("packet: retain after release")
	}
	return b
}

// Shared reports whether somebody else holds a reference too.
func (b *Buf) Shared() bool { return b.refs.Load() > 1 }

// Release gives one reference back; the last one returns the Buf to its pool.
func (b *Buf) Release() {
	switch n := b.refs.Add(-1); {
	case n < 0:
		panic("packet: released twice")
	case n == 0:
		b.pool.put(b)
	}
}

// Pool lends Bufs, at most its limit at a time. It is safe for concurrent use.
type Pool struct {
	mu    sync.Mutex
	free  *Buf
	made  int
	lent  int
	limit int
	spare int // the least that were free at a time since the last Trim
}

// NewPool returns a pool that lends at most limit Bufs (each about 2 KiB) at a time.
func NewPool(limit int) *Pool { return &Pool{limit: limit} }

// Get returns an empty Buf with one reference, or nil when the limit is reached.
func (p *Pool) Get() *Buf {
	p.mu.Lock()
	b := p.free
	switch {
	case b != nil:
		p.free = b.Next
	case p.made < p.limit:
		p.made++
		b = &Buf{pool: p}
	default:
		p.mu.Unlock()
		return nil
	}
	p.lent++
	p.spare = min(p.spare, p.made-p.lent)
	p.mu.Unlock()
	b.Next, b.Enqueued, b.Flow, b.Laned, b.Class = nil, 0, 0, false, 0
	b.start, b.end = HeadroomBytes, HeadroomBytes
	b.refs.Store(1)
	return b
}

// Lent returns how many Bufs are out and the limit.
func (p *Pool) Lent() (lent, limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lent, p.limit
}

// Trim lets go of half of the Bufs that nobody has needed since the last Trim. Called now and then it makes the pool follow
// the load down, without making anew what a steady load uses.
func (p *Pool) Trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.spare / 2 {
		p.free = p.free.Next
		p.made--
	}
	p.spare = p.made - p.lent
}

func (p *Pool) put(b *Buf) {
	p.mu.Lock()
	b.Next = p.free
	p.free = b
	p.lent--
	p.mu.Unlock()
}
