package mpp

import (
	"sync"
	"sync/atomic"
)

// Pool is the memory of all connections of a portal: what each takes as long as it is there, and pieces for what is under way.
// Safe for concurrent use.
type Pool struct {
	limit int64
	used  atomic.Int64
	kept  atomic.Int64 // the part of it that was reserved
	extra atomic.Int64 // the part of it that was charged
	free  sync.Pool    // of *[pieceBytes]byte; the runtime takes those that nobody has needed for a while
}

// NewPool returns a pool of at most limit bytes.
func NewPool(limit int) *Pool { return &Pool{limit: int64(limit)} }

// Used returns the bytes in use. It may exceed Limit by what was charged, and by what connections hold
// in any case: minWindow and a piece in each direction.
func (p *Pool) Used() int { return int(p.used.Load()) }

// Reserve takes bytes for as long as something is there: a connection, a subflow. It fails if they would leave too little for
// what connections carry. Windows are smaller the more is reserved.
func (p *Pool) Reserve(n int) bool {
	if p.kept.Add(int64(n)) > int64(float64(p.limit)*poolReserved) {
		p.kept.Add(-int64(n))
		return false
	}
	p.used.Add(int64(n))
	return true
}

// Return gives reserved bytes back.
func (p *Pool) Return(n int) {
	p.kept.Add(-int64(n))
	p.used.Add(-int64(n))
}

// Charge takes bytes for what there is in any case, as for a connection on which something moves, or gives them back: n < 0.
// Windows are smaller for it.
func (p *Pool) Charge(n int) {
	p.extra.Add(int64(n))
	p.used.Add(int64(n))
}

// Carried returns the bytes in use but for what is reserved and charged: what connections hold of their streams.
func (p *Pool) Carried() int { return int(p.used.Load() - p.kept.Load() - p.extra.Load()) }

// Limit returns the bytes that the pool may use.
func (p *Pool) Limit() int { return int(p.limit) }

// fill is the used part of what is left for connections to carry.
func (p *Pool) fill() float64 {
	left := max(p.limit-p.kept.Load()-p.extra.Load(), p.limit/leastCarried)
	return float64(p.Carried()) / float64(left)
}

// get returns a piece, or nil if the pool is empty and the caller can wait.
func (p *Pool) get(must bool) *[pieceBytes]byte {
	if p.used.Add(pieceBytes) > p.limit && !must {
		p.used.Add(-pieceBytes)
		return nil
	}
	if b, ok := p.free.Get().(*[pieceBytes]byte); ok {
		return b
	}
	return new([pieceBytes]byte)
}

func (p *Pool) put(b *[pieceBytes]byte) {
	p.used.Add(-pieceBytes)
	p.free.Put(b)
}

// buffer holds a part of a stream in pieces of a pool.
type buffer struct {
	pool   *Pool
	first  uint64              // the stream's offset of pieces[0]
	end    uint64              // behind the last byte that was put in
	pieces []*[pieceBytes]byte // nil: nothing there yet
	held   int                 // pieces that are not nil
}

// put stores bytes at an offset not below first, and returns how many found room. The least window is given in any case, so that
// every connection goes on however slowly.
func (b *buffer) put(offset uint64, p []byte) int {
	done := 0
	for done < len(p) {
		at := offset + uint64(done) - b.first
		i, from := int(at/pieceBytes), int(at%pieceBytes)
		for i >= len(b.pieces) {
			b.pieces = append(b.pieces, nil)
		}
		if b.pieces[i] == nil {
			// The piece that holds up all others is given in any case.
			if b.pieces[i] = b.pool.get(b.held <= minWindow/pieceBytes || i == 0); b.pieces[i] == nil {
				break
			}
			b.held++
		}
		done += copy(b.pieces[i][from:], p[done:])
	}
	b.end = max(b.end, offset+uint64(done))
	return done
}

// view returns at most n of the bytes at offset, as many as lie together.
func (b *buffer) view(offset uint64, n int) []byte {
	at := offset - b.first
	piece, from := b.pieces[at/pieceBytes], int(at%pieceBytes)
	return piece[from:min(pieceBytes, from+n)]
}

// release gives back what is below offset; nothing remains if that is the end.
func (b *buffer) release(offset uint64) {
	n := int((offset - b.first) / pieceBytes)
	all := offset >= b.end
	if all {
		n = len(b.pieces)
	}
	for _, piece := range b.pieces[:min(n, len(b.pieces))] {
		if piece != nil {
			b.held--
			b.pool.put(piece)
		}
	}
	switch {
	case all:
		b.pieces, b.first = b.pieces[:0], offset
		if cap(b.pieces) > 64 {
			b.pieces = nil
		}
	case n > 0:
		left := copy(b.pieces, b.pieces[n:])
		clear(b.pieces[left:])
		b.pieces = b.pieces[:left]
		b.first += uint64(n) * pieceBytes
	}
}

// drop gives all back.
func (b *buffer) drop() {
	b.end = min(b.end, b.first)
	b.release(b.first)
}
