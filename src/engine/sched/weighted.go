package sched

import (
	"mpproxy/src/engine/path"
)

// share is what a path has carried, in units of its weight: the paths with the least are due.
type share struct {
	id     uint32
	weight int64 // bytes per second, at least 1
	served int64 // nanoseconds that what it carried takes at its weight
}

const (
	// maxOwed is how far a path that could not send may fall behind and catch up later, in nanoseconds of its own rate.
	maxOwed = 20e6
	// lossUnit is the whole in path.Loss.
	lossUnit = 65536
)

// weigh sets the weights by what is known now: the delivery rate less what is lost. Paths that are gone are forgotten.
func (s *Scheduler) weigh(paths []*path.Path) {
	fresh := s.spare[:0]
	for _, p := range paths {
		w := p.CC.Bandwidth()
		if w == 0 {
			w = p.Rate()
		}
		w -= w / lossUnit * min(p.Loss(), lossUnit)
		served := s.clock
		if old := s.shareOf(p.ID); old != nil {
			served = old.served
		}
		fresh = append(fresh, share{p.ID, max(w, 1), served})
	}
	s.shares, s.spare = fresh, s.shares
}

// weighted takes the path that is furthest behind its share among those that can send, and charges it with size bytes. A
// path that cannot send is not waited for, and may catch up maxOwed afterwards.
func (s *Scheduler) weighted(size int, paths []*path.Path) *path.Path {
	var best *path.Path
	var due *share
	for _, p := range paths {
		if !s.spread[p.ID] || !p.CanSend() {
			continue
		}
		h := s.shareOf(p.ID)
		if h == nil {
			return p // new since the last Refresh
		}
		h.served = max(h.served, s.clock-maxOwed)
		if due == nil || h.served < due.served {
			best, due = p, h
		}
	}
	if best == nil {
		return nil
	}
	s.clock = max(s.clock, due.served)
	due.served += int64(size) * 1e9 / due.weight
	return best
}

func (s *Scheduler) shareOf(id uint32) *share {
	for i := range s.shares {
		if s.shares[i].id == id {
			return &s.shares[i]
		}
	}
	return nil
}
