// Package sched chooses the path of the next packet, as late as possible.
//
// A packet that is not part of a backlog goes where it arrives first, and its flow stays there as long as moving could
// reorder it, by the delays of the paths as they are now, unless moving would have gained much for a while; bare
// acknowledgements always go where they arrive first. A backlogged flow is spread over every path whose one-way delay is
// within the profile's budget, so that all links carry it.
//
// No clock, no randomness of its own, no goroutine, no log, no I/O.
package sched

import (
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
)

// Kind is a scheduler by name.
type Kind uint8

// The schedulers.
const (
	// Earliest sends each packet where it is predicted to arrive first.
	Earliest Kind = iota
	// Greedy lets every path take from one queue whenever its congestion control lets it.
	Greedy
	// Weighted shares the packets of backlogged flows by the capacity of the paths, as delivery rate and loss show it.
	Weighted
	// Redundant sends everything on every path: the one that is ahead takes new packets, the others their copies.
	Redundant
)

// kinds are the names in the words of the configuration.
var kinds = [...]string{"earliest", "greedy", "weighted", "redundant"}

// String is the name in the configuration.
func (k Kind) String() string { return kinds[min(int(k), len(kinds)-1)] }

// ParseKind is the reverse of String; ok is false for a name that is none.
func ParseKind(name string) (k Kind, ok bool) {
	for i, n := range kinds {
		if n == name {
			return Kind(i), true
		}
	}
	return Earliest, false
}

const (
	// Quantum of backlog (bytes) is what makes a flow worth spreading.
	Quantum = 2 * 1500
	// flowletMargin is added to the one-way difference that a pause must exceed for a flow to move without reordering.
	flowletMargin = time.Millisecond
	// moveGain and movePercent of what the path takes must be gained for moveAfter for a flow to move anyway.
	moveGain    = 5 * time.Millisecond
	movePercent = 20
	moveAfter   = 500 * time.Millisecond
	// slack is a difference of arrival that is left to the lanes: queues differ that much all the time.
	slack = 2 * time.Millisecond
	// hysteresis keeps a path in the budget once it is in, in percent.
	hysteresis = 110
)

// Scheduler picks paths. Make it with New.
type Scheduler struct {
	kind   Kind
	budget time.Duration
	turn   int
	spread map[uint32]bool // paths within the budget
	barred uint32          // the path that spread flows do not take,
	bars   bool            // if there is one
	ways   []way           // scratch
	shares []share         // of Weighted
	spare  []share         // scratch
	clock  int64           // of Weighted: the share that was served last
}

// New returns a scheduler that spreads flows over paths whose one-way delays differ by at most budget.
func New(kind Kind, budget time.Duration) *Scheduler {
	return &Scheduler{kind: kind, budget: budget, spread: make(map[uint32]bool)}
}

// Forget drops what is remembered of a path.
func (s *Scheduler) Forget(id uint32) { delete(s.spread, id) }

// Bar keeps spread flows off a path, unless it is the only one; with bars false they may take all. Refresh afterwards.
func (s *Scheduler) Bar(id uint32, bars bool) { s.barred, s.bars = id, bars }

// Refresh decides anew which paths are within the budget; call it some times per second, and when paths change.
func (s *Scheduler) Refresh(paths []*path.Path) {
	best, ok := time.Duration(0), false
	for _, p := range paths {
		if p.Usable() && (!ok || p.Base() < best) {
			best, ok = p.Base(), true
		}
	}
	for _, p := range paths {
		limit := s.budget
		if s.spread[p.ID] {
			limit = limit * hysteresis / 100
		}
		s.spread[p.ID] = p.Usable() && p.Base()-best <= limit && (!s.bars || p.ID != s.barred || only(p, paths))
	}
	if s.kind == Weighted {
		s.weigh(paths)
	}
}

// only reports that no other path is usable.
func only(p *path.Path, paths []*path.Path) bool {
	for _, other := range paths {
		if other != p && other.Usable() {
			return false
		}
	}
	return true
}

// Spreads reports whether the path is within the budget.
func (s *Scheduler) Spreads(id uint32) bool { return s.spread[id] }

// Wide reports whether a backlogged flow has a path to be spread over, be it one: a lane also puts repairs in order.
func (s *Scheduler) Wide(paths []*path.Path) bool {
	for _, p := range paths {
		if s.spread[p.ID] {
			return true
		}
	}
	return false
}

// Single picks the path for the head of a flow that is not spread: nil if none may take it now. urgent packets may go
// ahead of the pacing. The flow's binding follows.
func (s *Scheduler) Single(now mono.Time, f *flowq.Flow, size int, urgent bool, paths []*path.Path) *path.Path {
	k := time.Duration(1)
	if urgent {
		k = 2
	}
	best, bestAt := Soonest(now, size, k, paths, nil)
	if best == nil {
		return nil
	}
	b := &f.Binding
	use := best
	if b.HasPath && b.Path != best.ID && !f.PureAck() { // order means nothing to acknowledgements, delay much
		if old := find(paths, b.Path); old != nil && old.Open() && !old.Busy {
			if !moves(now, b, old.Arrival(now, size, k)-bestAt, old.Sent.RTT.Smoothed()/2) {
				use = old
			}
		}
	}
	if b.Path == best.ID {
		b.Moved = 0
	}
	ready := use.CanSend() || urgent && use.CanUrge()
	if !ready {
		return nil
	}
	b.Path, b.HasPath, b.LastSent = use.ID, true, now
	return use
}

// moves decides whether a flow leaves a path that takes about whole for one where its packets arrive earlier by gain.
func moves(now mono.Time, b *flowq.Binding, gain, whole time.Duration) bool {
	if now.Sub(b.LastSent) > gain+flowletMargin {
		b.Moved = 0
		return true
	}
	if gain < moveGain || gain*100 < whole*movePercent {
		b.Moved = 0
		return false
	}
	if b.Moved == 0 {
		b.Moved = now
	}
	if now.Sub(b.Moved) < moveAfter {
		return false
	}
	b.Moved = 0
	return true
}

// Spread picks the path for a packet of a spread flow with backlog bytes queued, and how deep in the flow's queue that
// packet stands: a slower path takes the packet that the faster ones will have come to when it arrives, so that all
// arrive in order (sending from the future, as in STTF). A path for which the backlog is not deep enough can only hurt
// the flow and gets nothing; a flow that is limited by its own window thus stays on the paths that are fast enough for it.
func (s *Scheduler) Spread(now mono.Time, backlog, size int, paths []*path.Path) (best *path.Path, depth int) {
	switch s.kind {
	case Greedy:
		return s.greedy(paths), 0
	case Weighted:
		return s.weighted(size, paths), 0
	}
	s.order(now, paths)
	for i := range s.ways {
		w := &s.ways[i]
		if !w.path.CanSend() {
			continue
		}
		ahead := s.ahead(i)
		if ahead > 0 && ahead+size > backlog {
			break
		}
		return w.path, ahead
	}
	return nil, 0
}

// way is a path that spread flows may take, and how long a packet sent there takes to arrive.
type way struct {
	path  *path.Path
	takes time.Duration
}

// order sorts the usable paths within the budget by how long a packet takes on them.
func (s *Scheduler) order(now mono.Time, paths []*path.Path) {
	s.ways = s.ways[:0]
	for _, p := range paths {
		if !p.Open() || !s.spread[p.ID] {
			continue
		}
		w := way{p, p.Takes(now)}
		i := len(s.ways)
		s.ways = append(s.ways, w)
		for ; i > 0 && s.ways[i-1].takes > w.takes; i-- {
			s.ways[i] = s.ways[i-1]
		}
		s.ways[i] = w
	}
}

// ahead is how many bytes the faster paths deliver before a packet sent on way i arrives. Differences below slack are noise.
func (s *Scheduler) ahead(i int) int {
	var bytes int64
	for j := range i {
		if late := s.ways[i].takes - s.ways[j].takes - slack; late > 0 {
			bytes += s.ways[j].path.Carries() * int64(late/time.Microsecond) / 1e6
		}
	}
	return int(bytes)
}

// Ahead is how long the deepest path's packets must stand in a spread flow's queue for it to be fed from the future.
func (s *Scheduler) Ahead(now mono.Time, paths []*path.Path) time.Duration {
	if s.kind != Earliest {
		return 0
	}
	s.order(now, paths)
	var rate int64
	for _, w := range s.ways {
		rate += w.path.Carries()
	}
	if len(s.ways) < 2 || rate <= 0 {
		return 0
	}
	return time.Duration(int64(s.ahead(len(s.ways)-1)) * int64(time.Second) / rate)
}

func (s *Scheduler) greedy(paths []*path.Path) *path.Path {
	for i := range paths {
		p := paths[(s.turn+i)%len(paths)]
		if p.CanSend() && s.spread[p.ID] {
			s.turn = (s.turn + i + 1) % len(paths)
			return p
		}
	}
	return nil
}

// Soonest returns the usable path on which n bytes would arrive first, nil if there is none; except is left out.
func Soonest(now mono.Time, n int, k time.Duration, paths []*path.Path, except *path.Path) (*path.Path, time.Duration) {
	var best *path.Path
	var bestAt time.Duration
	for _, p := range paths {
		if p == except || !p.Open() || p.Busy {
			continue
		}
		if at := p.Arrival(now, n, k); best == nil || at < bestAt {
			best, bestAt = p, at
		}
	}
	return best, bestAt
}

func find(paths []*path.Path, id uint32) *path.Path {
	for _, p := range paths {
		if p.ID == id {
			return p
		}
	}
	return nil
}
