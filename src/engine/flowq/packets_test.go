package flowq

import (
	"encoding/binary"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
)

// shape describes an inner packet for tests.
type shape struct {
	v6       bool
	size     int // whole packet; 0: headers only
	host     byte
	proto    uint8
	src, dst uint16
	tos      byte
	flags    byte // TCP
}

// build returns the packet's bytes with a right IPv4 checksum.
func (s shape) build() []byte {
	if s.proto == 0 {
		s.proto = ProtoUDP
	}
	transport := 8
	if s.proto == ProtoTCP {
		transport = 20
	}
	header := 20
	if s.v6 {
		header = 40
	}
	p := make([]byte, max(s.size, header+transport))
	if s.v6 {
		p[0], p[1] = 6<<4|s.tos>>4, s.tos<<4
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
		p[6], p[7] = s.proto, 64
		p[8], p[23] = 0xfd, s.host
		p[24], p[39] = 0xfd, 200
	} else {
		p[0], p[1] = 0x45, s.tos
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		p[8], p[9] = 64, s.proto
		copy(p[12:], []byte{192, 168, 1, s.host})
		copy(p[16:], []byte{203, 0, 113, 9})
		binary.BigEndian.PutUint16(p[10:], ^onesSum(p[:20]))
	}
	binary.BigEndian.PutUint16(p[header:], s.src)
	binary.BigEndian.PutUint16(p[header+2:], s.dst)
	if s.proto == ProtoTCP {
		p[header+12], p[header+13] = 5<<4, s.flags
	}
	return p
}

// onesSum is the Internet checksum's sum (RFC 1071); over a right header it is 0xffff.
func onesSum(p []byte) uint16 {
	sum := uint32(0)
	for ; len(p) >= 2; p = p[2:] {
		sum += uint32(binary.BigEndian.Uint16(p))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// bench is a Queue with a pool and a clock.
type bench struct {
	t    testing.TB
	q    *Queue
	pool *packet.Pool
	now  mono.Time
}

func newBench(t testing.TB, p Params) *bench {
	p.Seed = 7
	return &bench{t: t, q: New(p), pool: packet.NewPool(100000), now: mono.Time(time.Second)}
}

func (b *bench) buf(s shape) *packet.Buf {
	buf := b.pool.Get()
	if buf == nil {
		b.t.Fatal("the pool is empty")
	}
	buf.Set(s.build())
	return buf
}

// put enqueues n packets and returns their flow.
func (b *bench) put(s shape, n int) *Flow {
	var key uint64
	for range n {
		buf := b.buf(s)
		b.q.Enqueue(b.now, buf)
		key = buf.Flow
	}
	return b.q.Lookup(key)
}

// pop takes the next packet and returns its flow and length; it releases the packet.
func (b *bench) pop(full bool) (*Flow, int) {
	f := b.q.Next(b.now, full)
	if f == nil {
		return nil, 0
	}
	buf := b.q.Pop(b.now, f)
	n := buf.Len()
	buf.Release()
	return f, n
}

// drain empties the queue and checks that nothing was lost on the way.
func (b *bench) drain() {
	b.t.Helper()
	for b.q.Next(b.now, false) != nil {
		b.pop(false)
	}
	if packets, bytes := b.q.Backlog(); packets != 0 || bytes != 0 || b.q.cost != 0 {
		b.t.Errorf("an empty queue counts %d packets, %d bytes, cost %d", packets, bytes, b.q.cost)
	}
	if lent, _ := b.pool.Lent(); lent != 0 {
		b.t.Errorf("%d buffers are still lent", lent)
	}
}

// past returns a bulk flow beyond its urgent first packets, with nothing queued and in no list.
func (b *bench) past(s shape) *Flow {
	f := b.put(s, urgentFirst)
	for b.q.Next(b.now, false) != nil {
		b.pop(false)
	}
	return f
}
