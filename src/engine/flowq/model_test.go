package flowq

import (
	"encoding/binary"
	"testing"
	"time"
)

// stepper runs operations on a queue and keeps what must come out of it.
type stepper struct {
	*bench
	t      *testing.T
	next   map[uint64]uint32 // highest number that left, by flow
	number uint32
	popped uint64
}

// enqueue puts in a packet whose last four bytes are its number.
func (s *stepper) enqueue(kind, flow byte) {
	shape := shape{v6: kind&1 != 0, host: flow % 16, src: uint16(flow % 32), dst: 443, size: 80 + int(kind)*7,
		tos: []byte{0, 2, dscpEF << 2, 8 << 2}[kind>>1&3]}
	buf := s.buf(shape)
	if kind>>5 == 7 {
		buf.Bytes()[0] = 0x10 // not IP
	}
	s.number++
	binary.BigEndian.PutUint32(buf.Bytes()[buf.Len()-4:], s.number)
	s.q.Enqueue(s.now, buf)
}

func (s *stepper) pop(f *Flow) {
	head := f.Head()
	buf := s.q.Pop(s.now, f)
	if buf != head || buf.Flow != f.Key() || buf.Next != nil {
		s.t.Fatal("Pop did not return the head")
	}
	n := binary.BigEndian.Uint32(buf.Bytes()[buf.Len()-4:])
	if n <= s.next[buf.Flow] {
		s.t.Fatalf("flow %x: %d after %d", buf.Flow, n, s.next[buf.Flow])
	}
	s.next[buf.Flow] = n
	s.popped++
	buf.Release()
}

// check holds the queue against what must be true at any time.
func (s *stepper) check() {
	c := s.q.Counts()
	packets, bytes := s.q.Backlog()
	dropped := c.DroppedNotIP + c.DroppedFull + c.DroppedDelay + c.DroppedTable + c.SupersededAcks
	if c.Enqueued != c.Sent+dropped+uint64(packets) || c.Sent != s.popped {
		s.t.Fatalf("%d packets queued, %d taken: %+v", packets, s.popped, c)
	}
	if lent, _ := s.pool.Lent(); lent != packets {
		s.t.Fatalf("%d packets queued, %d buffers lent", packets, lent)
	}
	sum, cost := 0, 0
	for key, f := range s.q.flows {
		if f.key != key || (f.head == nil) != (f.packets == 0) || f.packets == 0 && f.bytes != 0 || f.packets > 0 && !f.listed {
			s.t.Fatalf("flow %x: %+v", key, f)
		}
		sum, cost = sum+f.bytes, cost+f.cost
	}
	if sum != bytes || cost != s.q.cost || cost > s.q.params.LimitBytes {
		s.t.Fatalf("%d bytes in flows, %d by count, cost %d", sum, bytes, cost)
	}
}

func (s *stepper) run(op, arg byte) {
	switch op % 8 {
	case 0, 1, 2:
		for range 1 + arg>>5 {
			s.enqueue(op, arg)
		}
	case 3:
		for range arg % 16 {
			f := s.q.Next(s.now, arg&0x80 != 0)
			if f == nil {
				packets, _ := s.q.Backlog()
				for _, other := range s.q.flows {
					if packets > 0 && other.head != nil && !other.parked {
						s.t.Fatal("nothing is next, but a flow waits")
					}
				}
				return
			}
			s.pop(f)
		}
	case 4:
		if f := s.q.Next(s.now, true); f != nil {
			s.q.Park(f)
			if arg&1 != 0 {
				s.pop(f)
			}
		}
	case 5:
		s.q.Unpark()
	case 6:
		s.now = s.now.Add(time.Duration(arg) * time.Millisecond)
	case 7:
		s.now = s.now.Add(time.Duration(arg) * 50 * time.Millisecond)
		s.q.Expire(s.now)
		s.q.SetCapacity(float64(arg) * 1e4)
	}
}

// FuzzQueue: whatever happens, each packet leaves exactly once, in its flow's order, and the sums are right.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0, 1, 8, 2, 3, 15, 6, 200, 3, 255, 4, 0, 5, 0, 3, 15})
	f.Add([]byte{0, 255, 0, 255, 1, 254, 2, 253, 6, 250, 3, 143, 6, 100, 3, 143, 6, 100, 3, 143, 7, 250, 0, 1, 4, 1})
	f.Add([]byte{224, 1, 232, 7, 0, 3, 4, 0, 0, 3, 4, 0, 3, 7, 5, 0, 3, 15, 7, 255, 7, 1})
	long := make([]byte, 1200)
	x := uint32(1)
	for i := range long {
		x = x*1664525 + 1013904223
		long[i] = byte(x >> 24)
	}
	f.Add(long)
	f.Fuzz(func(t *testing.T, ops []byte) {
		s := &stepper{bench: newBench(t, Params{LimitBytes: 30 << 10, MaxFlows: 20, Profile: Latency}), t: t, next: map[uint64]uint32{}}
		forgotten := 0
		s.q.OnForget = func(f *Flow) {
			forgotten++
			if f.head != nil {
				t.Fatal("a flow with packets was forgotten")
			}
		}
		for ; len(ops) >= 2; ops = ops[2:] {
			s.run(ops[0], ops[1])
			s.check()
		}
		s.q.Unpark()
		for fl := s.q.Next(s.now, false); fl != nil; fl = s.q.Next(s.now, false) {
			s.pop(fl)
		}
		s.check()
		s.q.Close()
		s.drain()
		if s.q.Flows() != 0 {
			t.Fatal("flows after Close")
		}
	})
}
