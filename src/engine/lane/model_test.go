package lane

import (
	"encoding/binary"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// model is a naive receiver of a few lanes: it knows what was pushed and what came out, and checks order.
type model struct {
	*rig
	pushed   map[[2]uint32]bool // lane and sequence
	returned map[[2]uint32]bool
	newest   [4]uint32
	last     [4]int64 // highest sequence returned, -1: none
	arrived  map[[2]uint32]mono.Time
	dropped  uint64 // pushed twice
	limit    int
}

func newModel(t *testing.T, limit int) *model {
	return &model{rig: newRig(t, limit), pushed: map[[2]uint32]bool{}, returned: map[[2]uint32]bool{},
		arrived: map[[2]uint32]mono.Time{}, last: [4]int64{-1, -1, -1, -1}, limit: limit}
}

func (m *model) push(id uint16, seq, path uint32, repair bool) {
	key := [2]uint32{uint32(id), seq}
	b := m.buf(0, 200)
	binary.BigEndian.PutUint32(b.Bytes(), uint32(id))
	binary.BigEndian.PutUint32(b.Bytes()[4:], seq)
	if m.pushed[key] {
		m.dropped++
	} else {
		m.arrived[key] = m.now
	}
	m.pushed[key] = true
	m.out = m.r.Push(m.now, id, seq, path, repair, b, m.out)
	m.check()
}

// check reads what came out: each packet once, and in order unless its place had been released.
func (m *model) check() {
	late := uint64(0)
	for _, b := range m.out {
		id, seq := binary.BigEndian.Uint32(b.Bytes()), binary.BigEndian.Uint32(b.Bytes()[4:])
		key := [2]uint32{id, seq}
		if !m.pushed[key] || m.returned[key] {
			m.t.Fatalf("lane %d: %d came out, pushed %v, returned before %v", id, seq, m.pushed[key], m.returned[key])
		}
		m.returned[key] = true
		if int64(seq) < m.last[id] {
			late++
			if m.now != m.arrived[key] {
				m.t.Fatalf("lane %d: %d was held although %d had come out", id, seq, m.last[id])
			}
		}
		if held := m.now.Sub(m.arrived[key]); held > capMax {
			m.t.Fatalf("lane %d: %d was held for %v", id, seq, held)
		}
		m.last[id] = max(m.last[id], int64(seq))
		b.Release()
	}
	m.out = m.out[:0]
	s := m.r.Stats()
	lent, _ := m.pool.Lent()
	if lent != s.HeldPackets || s.HeldPackets+len(m.returned) != len(m.pushed) || s.HeldBytes != 200*lent {
		m.t.Fatalf("%d buffers lent, %d of %d returned: %+v", lent, len(m.returned), len(m.pushed), s)
	}
	if s.Duplicates != m.dropped || s.TooOld+s.Malformed != 0 || s.Delivered != uint64(len(m.returned)) {
		m.t.Fatalf("%d came twice: %+v", m.dropped, s)
	}
	if late > 0 && s.Late == 0 {
		m.t.Fatalf("%d came out late: %+v", late, s)
	}
	if used := m.r.cost + m.r.ringBytes; used > m.limit {
		m.t.Fatalf("%d bytes in use", used)
	}
}

// advance lets time pass, firing timers at their instants or, if late, all at its end.
func (m *model) advance(d time.Duration, punctual bool) {
	end := m.now.Add(d)
	for n := 0; punctual && m.r.NextTimeout() <= end; n++ {
		m.now = mono.Max(m.now, m.r.NextTimeout())
		m.out = m.r.OnTimeout(m.now, m.out)
		m.check()
		if n > 100000 || m.r.NextTimeout() <= m.now {
			m.t.Fatal("the timer stands still")
		}
	}
	m.now = end
}

func (m *model) step(op, arg byte) {
	id := uint16(op >> 6)
	switch op % 16 {
	case 0, 1, 2, 3, 4, 5: // originals, some missing
		m.newest[id] += 1 + uint32(arg>>6)
		m.push(id, m.newest[id], uint32(op%16)/2, false)
	case 6, 7, 8: // something older, perhaps known
		m.push(id, m.newest[id]-min(m.newest[id], uint32(arg%32)), uint32(op%16)-6, op&16 != 0)
	case 9: // a run
		for range arg {
			m.newest[id]++
			m.push(id, m.newest[id], uint32(arg%3), false)
		}
	case 10:
		m.advance(time.Duration(arg)*ms/8, true)
	case 11:
		m.advance(time.Duration(arg)*4*ms, true)
	case 12:
		m.out = m.r.GaveUp(m.now, id, m.newest[id]-min(m.newest[id], uint32(arg%64)), 1+int(arg>>4), m.out)
		m.check()
	case 13:
		m.out = m.r.Mark(m.now, id, m.newest[id]+uint32(arg%8), uint32(arg)/8%4, m.out)
		m.check()
	case 14:
		info := PathInfo{Up: arg&1 != 0, Relative: time.Duration(arg>>4) * 20 * ms, Deviation: time.Duration(arg>>3&1) * 5 * ms}
		info.Reorder = time.Duration(arg>>2&1) * 15 * ms
		m.r.SetPath(uint32(arg>>1&3), info)
		m.r.SetRepairWait(time.Duration(arg) * ms / 2)
	case 15:
		m.r.Heard(uint32(arg), m.now)
	}
}

// FuzzReceiver: whatever comes, each packet comes out exactly once, in order unless its place was released, no
// later than the cap, within memory.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{0, 0, 2, 64, 0, 0, 6, 1, 10, 200, 0, 0, 4, 128, 11, 100, 6, 2, 6, 2, 14, 241, 2, 65, 10, 255, 12, 19, 13, 44})
	f.Add([]byte{14, 3, 14, 255, 0, 64, 9, 200, 73, 255, 137, 255, 201, 255, 64, 255, 73, 255, 11, 255, 6, 31, 14, 0, 11, 255})
	f.Add([]byte{192, 192, 201, 250, 201, 250, 202, 8, 204, 255, 192, 192, 204, 31, 198, 1, 214, 1, 203, 255})
	long := make([]byte, 3000)
	x := uint32(3)
	for i := range long {
		x = x*1664525 + 1013904223
		long[i] = byte(x >> 24)
	}
	f.Add(long)
	f.Fuzz(func(t *testing.T, ops []byte) {
		m := newModel(t, 200<<10)
		for ; len(ops) >= 2 && m.newest[0]+m.newest[1]+m.newest[2]+m.newest[3] < 7000; ops = ops[2:] {
			m.step(ops[0], ops[1])
		}
		m.advance(time.Second, true)
		if s := m.r.Stats(); s.HeldPackets != 0 {
			t.Fatalf("held for ever: %+v", s)
		}
		m.done()
	})
}

// TestLateTimer: a timer that fires late releases what is due, no more, and in order.
func TestLateTimer(t *testing.T) {
	g := newRig(t, 0).two(0).push(0, 0).push(1, 1)
	g.at(10*ms).push(0, 3).push(1, 4)
	g.at(60*ms).push(0, 6).push(1, 7).want(0, 1)
	g.at(60*ms + wait - 1)
	g.out = g.r.OnTimeout(g.now, g.out)
	g.collect()
	g.want(3, 4)
	g.fire(60*ms+wait).want(6, 7)
	g.done()
}
