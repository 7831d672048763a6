package engine

import (
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/lane"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/wire"
)

// laneSender is the sender's side of the lanes: who has which, and which paths each runs over.
type laneSender struct {
	alloc  *lane.Allocator
	byID   []*laneOut // active lanes by id
	active []*laneOut
	spare  []*laneOut
	info   map[uint32]lane.PathInfo // what the peer told about the paths that we receive on
	given  []gap                    // given up, to be told
}

// gap is a packet that will not come.
type gap struct {
	lane uint16
	seq  uint32
}

// maxGiven bounds what is told at once; lanes that hear nothing wait a little longer.
const maxGiven = 64

func (s *laneSender) gaveUp(id uint16, seq uint32) {
	if len(s.given) < maxGiven {
		s.given = append(s.given, gap{id, seq})
	}
}

func (s *laneSender) appendGiven(dst []byte) []byte {
	for _, g := range s.given {
		dst = wire.GaveUpFrame{Lane: g.lane, First: g.seq, Count: 1}.Append(dst)
	}
	s.given = s.given[:0]
	return dst
}

// laneOut is a lane in use.
type laneOut struct {
	key  uint64 // the flow's
	id   uint16
	next uint32    // sequence for the next packet that is queued
	seen mono.Time // when it last sent
	use  [MaxPaths]laneUse
	uses int
}

// laneUse says that a lane runs over a path: until it was marked as left.
type laneUse struct {
	path   uint32
	seq    uint32 // greatest sent there
	markAt mono.Time
}

func newLaneSender() laneSender {
	return laneSender{alloc: lane.NewAllocator(), byID: make([]*laneOut, lane.MaxLanes), info: make(map[uint32]lane.PathInfo)}
}

// reset forgets everything: a new session begins with fresh lanes.
func (s *laneSender) reset(q *flowq.Queue) {
	for _, l := range s.active {
		if f := q.Lookup(l.key); f != nil {
			f.Binding.HasLane = false
			f.Each(func(b *packet.Buf) bool { b.Laned = false; return true })
		}
	}
	*s = newLaneSender()
}

// told returns what the peer said of a path.
func (s *laneSender) told(id uint32) lane.PathInfo { return s.info[id] }

// acquire gives the flow a lane; false if there is none left.
func (s *laneSender) acquire(now mono.Time, f *flowq.Flow) bool {
	id, next, ok := s.alloc.Acquire()
	if !ok {
		return false
	}
	l := &laneOut{}
	if n := len(s.spare); n > 0 {
		l, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	*l = laneOut{key: f.Key(), id: id, next: next, seen: now}
	s.active = append(s.active, l)
	s.byID[id] = l
	f.Binding.HasLane, f.Binding.Lane = true, id
	f.Each(func(b *packet.Buf) bool { l.number(b); return true })
	return true
}

// find returns the active lane with that id.
func (s *laneSender) find(id uint16) *laneOut { return s.byID[id] }

// number gives a packet its place in the lane.
func (l *laneOut) number(b *packet.Buf) {
	b.Laned, b.Lane, b.Seq = true, l.id, l.next
	l.next = (l.next + 1) & seqMask
}

const seqMask = 1<<lane.SeqBits - 1

// after reports that sequence a comes after b.
func after(a, b uint32) bool { return (a-b)&seqMask-1 < 1<<(lane.SeqBits-1)-1 }

// last returns the greatest sequence that went over a path lately.
func (l *laneOut) last(id uint32) (seq uint32, ok bool) {
	for i := range l.use[:l.uses] {
		if l.use[i].path == id {
			return l.use[i].seq, true
		}
	}
	return 0, false
}

// went notes that a packet goes over p. rising is false if a later one went there before it.
func (l *laneOut) went(now mono.Time, p *path.Path, seq uint32) (rising bool) {
	l.seen = now
	mark := now.Add(max(p.Sent.RTT.Smoothed()/4, 2*time.Millisecond))
	for i := range l.use[:l.uses] {
		u := &l.use[i]
		if u.path != p.ID {
			continue
		}
		u.markAt = mark
		if !after(seq, u.seq) {
			return false
		}
		u.seq = seq
		return true
	}
	if l.uses < len(l.use) {
		l.use[l.uses] = laneUse{path: p.ID, seq: seq, markAt: mark}
		l.uses++
	}
	return true
}

// nextMark is when a lane may turn out to have left a path.
func (s *laneSender) nextMark() mono.Time {
	at := noTime
	for _, l := range s.active {
		if l.uses < 2 {
			continue
		}
		for _, u := range l.use[:l.uses] {
			at = mono.Min(at, u.markAt)
		}
	}
	return at
}

// dueMark returns a lane that has left a path, once for each time it does.
func (s *laneSender) dueMark(now mono.Time) (l *laneOut, path uint32, ok bool) {
	for _, l := range s.active {
		if l.uses < 2 {
			continue
		}
		for i := range l.use[:l.uses] {
			if u := l.use[i]; u.markAt <= now {
				l.uses--
				l.use[i] = l.use[l.uses]
				return l, u.path, true
			}
		}
	}
	return nil, 0, false
}

// expire takes lanes back from flows that have not used them for a while.
func (s *laneSender) expire(now mono.Time, q *flowq.Queue) {
	for i := 0; i < len(s.active); i++ {
		l := s.active[i]
		f := q.Lookup(l.key)
		if f != nil && (now.Sub(l.seen) < laneIdle || f.BacklogBytes() > 0) {
			continue
		}
		if f != nil {
			f.Binding.HasLane = false
		}
		s.release(i)
		i--
	}
}

func (s *laneSender) release(i int) {
	l := s.active[i]
	s.alloc.Release(l.id, l.next)
	s.byID[l.id] = nil
	s.active[i] = s.active[len(s.active)-1]
	s.active = s.active[:len(s.active)-1]
	s.spare = append(s.spare, l)
}

// dropLane takes a forgotten flow's lane back.
func (t *Tunnel) dropLane(f *flowq.Flow) {
	if !f.Binding.HasLane {
		return
	}
	for i, l := range t.lanes.active {
		if l.id == f.Binding.Lane {
			t.lanes.release(i)
			return
		}
	}
}

// firstUnsent is the lowest sequence of the lane that may still be sent for the first time.
func (t *Tunnel) firstUnsent(l *laneOut) uint32 {
	if f := t.queue.Lookup(l.key); f != nil {
		if b := f.Head(); b != nil && b.Laned && b.Lane == l.id {
			return b.Seq
		}
	}
	return l.next
}
