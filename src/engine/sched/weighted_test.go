package sched

import (
	"testing"
)

// serve has the scheduler pick n packets of 1000 bytes over idle paths and returns how many each path got.
func serve(s *Scheduler, l *lab, n int) map[uint32]int {
	got := map[uint32]int{}
	for range n {
		if p, _ := s.Spread(l.now, 1<<20, 1000, l.paths); p != nil {
			got[p.ID]++
		}
	}
	return got
}

// Packets are shared by capacity, less what is lost.
func TestWeightedSharesByCapacity(t *testing.T) {
	l := newLab(t, 1, mbit(40, 10*ms), mbit(10, 10*ms))
	s := New(Weighted, 120*ms)
	for i, rate := range []int64{4_000_000, 1_000_000} {
		l.paths[i].CC.Resume(rate)
	}
	s.Refresh(l.paths)
	a, b := l.paths[0], l.paths[1]
	got := serve(s, l, 1000)
	share := float64(a.CC.Bandwidth()) / float64(a.CC.Bandwidth()+b.CC.Bandwidth())
	if ratio := float64(got[a.ID]) / 1000; ratio < share-0.02 || ratio > share+0.02 {
		t.Errorf("the path of %.2f of the capacity gets %.2f", share, ratio)
	}
}

// A path that cannot send is not waited for, and catches up only a little afterwards; new paths begin at their share.
func TestWeightedDoesNotWait(t *testing.T) {
	l := newLab(t, 1, mbit(10, 10*ms), mbit(10, 10*ms))
	s := New(Weighted, 120*ms)
	for _, p := range l.paths {
		p.CC.Resume(1_000_000)
	}
	s.Refresh(l.paths)
	serve(s, l, 100)
	l.paths[0].Busy = true
	got := serve(s, l, 1000)
	want(t, "while the other is busy", got[l.paths[1].ID], 1000)
	l.paths[0].Busy = false
	got = serve(s, l, 200)
	if ahead := got[l.paths[0].ID] - got[l.paths[1].ID]; ahead < 0 || ahead > 2*int(maxOwed*l.paths[0].CC.Bandwidth()/1e9/1000)+4 {
		t.Errorf("afterwards %v", got)
	}
	s.Refresh(l.paths[:1])
	s.Refresh(l.paths)
	got = serve(s, l, 100)
	if got[l.paths[0].ID] < 40 || got[l.paths[1].ID] < 40 {
		t.Errorf("after one was away: %v", got)
	}
}

// A path beyond the budget gets nothing, and nothing is picked when no path can send.
func TestWeightedKeepsTheBudget(t *testing.T) {
	l := newLab(t, 1, mbit(10, 10*ms), mbit(10, 300*ms))
	s := New(Weighted, 10*ms)
	s.Refresh(l.paths)
	got := serve(s, l, 50)
	want(t, "near", got[l.paths[0].ID], 50)
	l.paths[0].Busy = true
	want(t, "none", len(serve(s, l, 50)), 0)
}

// A barred path is off limits to spread flows until the bar is lifted, or as soon as it is the only one left.
func TestBar(t *testing.T) {
	l := newLab(t, 1, mbit(10, 10*ms), mbit(10, 10*ms))
	for _, kind := range []Kind{Earliest, Greedy, Weighted} {
		s := New(kind, 120*ms)
		s.Bar(l.paths[1].ID, true)
		s.Refresh(l.paths)
		got := serve(s, l, 50)
		want(t, kind.String()+" barred", got[l.paths[1].ID], 0)
		want(t, kind.String()+" other", got[l.paths[0].ID], 50)
		s.Refresh(l.paths[1:])
		want(t, kind.String()+" only one", s.Spreads(l.paths[1].ID), true)
		s.Bar(0, false)
		s.Refresh(l.paths)
		want(t, kind.String()+" lifted", s.Spreads(l.paths[1].ID), true)
	}
}

func TestKinds(t *testing.T) {
	for k := Earliest; k <= Redundant; k++ {
		if back, ok := ParseKind(k.String()); !ok || back != k {
			t.Errorf("%v is read as %v", k, back)
		}
	}
	if _, ok := ParseKind("fastest"); ok {
		t.Error("fastest is known")
	}
}

func TestWeightedDoesNotAllocate(t *testing.T) {
	l := newLab(t, 1, mbit(10, 10*ms), mbit(10, 10*ms))
	s := New(Weighted, 120*ms)
	s.Refresh(l.paths)
	if n := testing.AllocsPerRun(1000, func() { s.Refresh(l.paths); s.Spread(l.now, 1<<20, 1000, l.paths) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
