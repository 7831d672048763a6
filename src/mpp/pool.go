package mpp

import (
	"sync"
	"sync/atomic"
)

// Pool is the memory of all connections of a portal: what each takes as long as it is there, and blocks for what is under way.
// Safe for concurrent use.
type Pool struct {
	limit int64
	used  atomic.Int64
	fixed atomic.Int64 // the part of it that was reserved
	free  sync.Pool    // of *[BlockBytes]byte; the runtime takes those that nobody has needed for a while
}

// NewPool returns a pool of at most limit bytes.
func NewPool(limit int) *Pool { return &Pool{limit: int64(limit)} }

// Used returns the bytes in use. It may exceed Limit by one block for each connection that holds nothing else.
func (p *Pool) Used() int { return int(p.used.Load()) }

// Reserve takes bytes for as long as something is there: a connection, a subflow. It fails if they would leave too little for
// what connections carry. Windows are smaller the more is reserved.
func (p *Pool) Reserve(n int) bool {
	if p.fixed.Add(int64(n)) > int64(float64(p.limit)*poolReserved) {
		p.fixed.Add(-int64(n))
		return false
	}
	p.used.Add(int64(n))
	return true
}

// Return gives reserved bytes back.
func (p *Pool) Return(n int) {
	p.fixed.Add(-int64(n))
	p.used.Add(-int64(n))
}

// Reserved returns the bytes in use that are reserved.
func (p *Pool) Reserved() int { return int(p.fixed.Load()) }

// Limit returns the bytes that the pool may use.
func (p *Pool) Limit() int { return int(p.limit) }

// fill is the used part of the pool.
func (p *Pool) fill() float64 { return float64(p.used.Load()) / float64(p.limit) }

// get returns a block, or nil if the pool is empty and the caller can wait.
func (p *Pool) get(must bool) []byte {
	if p.used.Add(BlockBytes) > p.limit && !must {
		p.used.Add(-BlockBytes)
		return nil
	}
	if b, ok := p.free.Get().(*[BlockBytes]byte); ok {
		return b[:]
	}
	return make([]byte, BlockBytes)
}

func (p *Pool) put(b []byte) {
	p.used.Add(-BlockBytes)
	p.free.Put((*[BlockBytes]byte)(b))
}

// buffer holds a part of a stream in blocks of a pool.
type buffer struct {
	pool   *Pool
	first  uint64   // the stream's offset of blocks[0]
	end    uint64   // behind the last byte that was put in
	blocks [][]byte // nil: nothing there yet
	held   int      // blocks that are not nil
}

// put stores bytes at an offset not below first, and returns how many found room. A buffer that holds nothing gets
// one block in any case, so that every connection goes on however slowly.
func (b *buffer) put(offset uint64, p []byte) int {
	done := 0
	for done < len(p) {
		at := offset + uint64(done) - b.first
		i, from := int(at/BlockBytes), int(at%BlockBytes)
		for i >= len(b.blocks) {
			b.blocks = append(b.blocks, nil)
		}
		if b.blocks[i] == nil {
			// The block that holds up all others is given in any case.
			if b.blocks[i] = b.pool.get(b.held == 0 || i == 0); b.blocks[i] == nil {
				break
			}
			b.held++
		}
		done += copy(b.blocks[i][from:], p[done:])
	}
	b.end = max(b.end, offset+uint64(done))
	return done
}

// view returns at most n of the bytes at offset, as many as lie together.
func (b *buffer) view(offset uint64, n int) []byte {
	at := offset - b.first
	block, from := b.blocks[at/BlockBytes], int(at%BlockBytes)
	return block[from:min(BlockBytes, from+n)]
}

// release gives back what is below offset; nothing remains if that is the end.
func (b *buffer) release(offset uint64) {
	n := int((offset - b.first) / BlockBytes)
	all := offset >= b.end
	if all {
		n = len(b.blocks)
	}
	for _, block := range b.blocks[:min(n, len(b.blocks))] {
		if block != nil {
			b.held--
			b.pool.put(block)
		}
	}
	switch {
	case all:
		b.blocks, b.first = b.blocks[:0], offset
		if cap(b.blocks) > 64 {
			b.blocks = nil
		}
	case n > 0:
		left := copy(b.blocks, b.blocks[n:])
		clear(b.blocks[left:])
		b.blocks = b.blocks[:left]
		b.first += uint64(n) * BlockBytes
	}
}

// drop gives all back.
func (b *buffer) drop() {
	b.end = min(b.end, b.first)
	b.release(b.first)
}
