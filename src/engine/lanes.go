package engine

import (
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/lane"
	"mpproxy/src/engine/mono"
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
	ended  [16]uint32               // path ids the peer closed lately
	ends   int
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

// close remembers that the peer closed a path, so that a late datagram does not open it again.
func (s *laneSender) close(id uint32) {
	s.ended[s.ends%len(s.ended)] = id + 1
	s.ends++
}

func (s *laneSender) closed(id uint32) bool {
	for _, e := range s.ended {
		if e == id+1 {
			return true
		}
	}
	return false
}

// laneOut is a lane in use.
type laneOut struct {
	key  uint64 // the flow's
	id   uint16
	next uint32
	last mono.Time
	use  [MaxPaths]laneUse
	uses int
}

// laneUse says that a lane runs over a path: until it was marked as left.
type laneUse struct {
	path   uint32
	last   mono.Time
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
	*l = laneOut{key: f.Key(), id: id, next: next, last: now}
	s.active = append(s.active, l)
	s.byID[id] = l
	f.Binding.HasLane, f.Binding.Lane = true, id
	return true
}

// find returns the active lane with that id.
func (s *laneSender) find(id uint16) *laneOut { return s.byID[id] }

// take gives the next sequence number, for a packet that goes over p.
func (l *laneOut) take(now mono.Time, p *path.Path) uint32 {
	seq := l.next
	l.next = (l.next + 1) & 0xFFFFFF
	l.last = now
	mark := now.Add(max(p.Sent.RTT.Smoothed()/4, 2*time.Millisecond))
	for i := range l.use[:l.uses] {
		if u := &l.use[i]; u.path == p.ID {
			u.last, u.markAt = now, mark
			return seq
		}
	}
	if l.uses < len(l.use) {
		l.use[l.uses] = laneUse{path: p.ID, last: now, markAt: mark}
		l.uses++
	}
	return seq
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
		if f != nil && (now.Sub(l.last) < laneIdle || f.BacklogBytes() > 0) {
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
