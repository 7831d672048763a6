package lane

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

func TestInOrder(t *testing.T) {
	g := newRig(t, 0).two(0)
	g.push(0, 0, 1).push(1, 2).push(0, 3).want(0, 1, 2, 3)
	if s := g.r.Stats(); s.Held != 0 || s.Delivered != 4 {
		t.Errorf("%+v", s)
	}
	g.done()
}

func TestReordered(t *testing.T) {
	g := newRig(t, 0).two(0)
	g.push(0, 0, 2, 3).want(0)
	g.at(4*ms).push(1, 1).want(1, 2, 3)
	if s := g.r.Stats(); s.Held != 2 || s.LongestHold != 4*ms || s.Holds[4] != 2 || s.Gaps != 0 {
		t.Errorf("%+v", s)
	}
	g.done()
}

// TestPending: a path that carries the lane and is later by 50 ms is waited for while it may still bring the packet,
// and the wait for a repair begins only then.
func TestPending(t *testing.T) {
	g := newRig(t, 0).two(50 * ms)
	g.push(0, 0).push(1, 1).push(0, 2).want(0, 1, 2)
	g.at(10*ms).push(0, 4).want()
	// Path 1 brought its last one at 0; if it died the sender takes a while to suspect it.
	passed := 50*ms + 4*ms + pathSlack + g.r.suspicion(&g.r.paths[1])
	due := min(passed+2*wait/repairRounds, 10*ms+50*ms+g.r.repairWait+capMargin)
	g.fire(due - ms).want()
	g.fire(due).want(4)
	g.done()
}

// TestSuspicion: what may have died with a path is waited for until the sender can have noticed and repaired it; a path
// that never carried the lane is not suspected.
func TestSuspicion(t *testing.T) {
	g := newRig(t, 0).two(10*ms).push(0, 0).push(1, 1)
	g.at(10*ms).push(0, 3).want(0, 1)
	g.fire(suspectMin + suspectMargin).want()
	g.at(suspectMin+suspectMargin+10*ms).repair(0, 2).want(2, 3)
	g.done()

	g = newRig(t, 0).two(10*ms).push(0, 0, 1)
	g.at(100*ms).push(0, 3).want(0, 1)
	g.fire(100*ms + wait).want(3)
}

// TestPendingRefreshed: each original moves the time until which the slow path is waited for.
func TestPendingRefreshed(t *testing.T) {
	g := newRig(t, 0).two(50*ms).push(0, 0).push(1, 1).push(0, 3)
	g.at(40*ms).push(0, 6).want(0, 1)
	g.at(45*ms).push(1, 2).want(2, 3)
	g.at(90*ms).push(1, 4, 5).want(4, 5, 6)
	if s := g.r.Stats(); s.Gaps != 0 {
		t.Errorf("%+v", s)
	}
	g.done()
}

// TestLost: once all paths have passed it a packet is waited for as long as two repairs take.
func TestLost(t *testing.T) {
	g := newRig(t, 0).two(0).push(0, 0).push(1, 1)
	g.at(10*ms).push(0, 3).push(1, 4).want(0, 1)
	g.fire(10*ms + wait - 1).want()
	g.fire(10*ms+wait).want(3, 4)
	if s := g.r.Stats(); s.Gaps != 1 || s.Skipped != 1 || s.Held != 2 || s.LongestHold != wait {
		t.Errorf("%+v", s)
	}
	g.done()
}

// TestRepaired: the repair ends the hold, and says nothing about the path it came on.
func TestRepaired(t *testing.T) {
	g := newRig(t, 0).two(0).push(0, 0).push(1, 1)
	g.at(10*ms).push(0, 3).push(1, 4)
	g.at(30*ms).repair(0, 2).want(0, 1, 2, 3, 4)
	g.done()

	g = newRig(t, 0).two(100*ms).push(0, 0).push(1, 1)
	g.at(10*ms).push(0, 3).repair(1, 9).want(0, 1) // were 9 an original, path 1 would have passed 2
	g.fire(10*ms + wait).want()
	g.fire(10*ms + 100*ms + g.r.repairWait + capMargin - ms).want()
	g.fire(10*ms+100*ms+g.r.repairWait+capMargin).want(3, 9)
}

// TestEachGapItsOwnClock: a gap behind another one was lost when it was lost, not when its turn came.
func TestEachGapItsOwnClock(t *testing.T) {
	g := newRig(t, 0).two(0).push(0, 0).push(1, 1)
	g.at(10*ms).push(0, 3).push(1, 4)
	g.at(15*ms).push(0, 6).push(1, 7)
	g.fire(10*ms+wait).want(0, 1, 3, 4)
	g.fire(15*ms + wait - 1).want()
	g.fire(15*ms+wait).want(6, 7)
	g.done()
}

// TestReorderingPath: a path that was seen to bring packets late by 30 ms is given them.
func TestReorderingPath(t *testing.T) {
	g := newRig(t, 0)
	g.r.SetPath(0, PathInfo{Up: true, Reorder: 30 * ms})
	g.r.SetRepairWait(20 * ms)
	g.push(0, 0, 2).fire(30*ms + wait - 1).want(0)
	g.fire(30*ms + wait).want(2)
	g.done()
}

// TestSinglePath: with one path that keeps order only a repair is waited for; the deviation counts four times.
func TestSinglePath(t *testing.T) {
	g := newRig(t, 0)
	g.r.SetPath(0, PathInfo{Up: true, Deviation: 2 * ms})
	g.r.SetRepairWait(20 * ms)
	g.push(0, 0, 2).fire(wait + 2*8*ms - 1).want(0)
	g.fire(wait + 2*8*ms).want(2)
	g.done()
}

// TestFastestDeviation: the deviation that counts is the fastest path's.
func TestFastestDeviation(t *testing.T) {
	g := newRig(t, 0)
	g.r.SetPath(0, PathInfo{Up: true, Relative: 100 * ms, Deviation: 50 * ms})
	g.r.SetPath(1, PathInfo{Up: true, Deviation: 2 * ms})
	g.r.SetRepairWait(20 * ms)
	if want := 25*ms + 8*ms + waitMargin; g.r.wait != want {
		t.Errorf("wait %v, want %v", g.r.wait, want)
	}
}

// slowRepair is a round trip so long that the cap comes before the wait for a repair; capWithout is the cap of a lane without delay.
const (
	slowRepair = 100 * ms
	capWithout = slowRepair + capMargin
)

// TestCap: no rule holds longer than the lane's recent delay, a round trip and 150 ms, counted from the first packet that waits.
func TestCap(t *testing.T) {
	g := newRig(t, 0).two(0)
	g.r.SetRepairWait(slowRepair)
	g.push(0, 0).push(1, 1)
	g.at(10*ms).push(0, 3)
	g.at(100*ms).push(1, 4)
	g.fire(10*ms+capWithout-1).want(0, 1)
	g.fire(10*ms+capWithout).want(3, 4)
	g.done()
}

// TestCapFollowsDelay: a lane whose packets lately had to be held for 100 ms is given 100 more; a slow path that carries it,
// its delay; and never more than capMax.
func TestCapFollowsDelay(t *testing.T) {
	g := newRig(t, 0).two(0)
	g.r.SetRepairWait(slowRepair)
	g.push(0, 0).push(1, 1).push(0, 3)
	g.at(100*ms).push(1, 2).want(0, 1, 2, 3)
	g.push(0, 5)
	g.fire(100*ms + 345*ms).want()
	g.fire(100*ms + 350*ms).want(5)
	for _, tt := range []struct{ relative, hold time.Duration }{{100 * ms, 350 * ms}, {450 * ms, capMax}} {
		g = newRig(t, 0).two(tt.relative)
		g.r.SetRepairWait(slowRepair)
		g.push(0, 0).push(1, 1).push(0, 3).fire(tt.hold-1).want(0, 1)
		g.fire(tt.hold).want(3)
	}
	g.done()
}

// TestVainHoldsDoNotCount: what was released in vain does not make the next hold longer.
func TestVainHoldsDoNotCount(t *testing.T) {
	g := newRig(t, 0).two(0)
	g.r.SetRepairWait(slowRepair)
	g.push(0, 0, 2).fire(capWithout).want(0, 2)
	start := capWithout
	for seq := uint32(4); seq < 20; seq += 2 {
		g.at(start).push(0, seq).fire(start + capWithout - 1).want()
		start += capWithout
		g.fire(start).want(seq)
	}
	g.done()
}

func TestGaveUp(t *testing.T) {
	g := newRig(t, 0).two(0).push(0, 0).push(0, 3, 6).want(0)
	g.out = g.r.GaveUp(g.now, 0, 4, 2, g.out)
	g.collect()
	g.want()
	g.out = g.r.GaveUp(g.now, 0, 1, 2, g.out)
	g.collect()
	g.want(3, 6)
	g.push(0, 5).want(5) // it came nevertheless
	g.push(0, 5).want()
	// The last packets of a lane, behind which nothing is held.
	g.out = g.r.GaveUp(g.now, 0, 7, 3, g.out)
	g.push(0, 10).want(10)
	// Some that may yet come, then some that will not.
	g.out = g.r.GaveUp(g.now, 0, 13, 2, g.out)
	g.push(1, 12).want()
	g.push(0, 11).want(11, 12)
	g.push(0, 15).want(15)
	if s := g.r.Stats(); s.GaveUp != 9 || s.Gaps != 0 || s.Late != 1 {
		t.Errorf("%+v", s)
	}
	g.done()
}

// TestMark: a lane that left a path need not wait for it.
func TestMark(t *testing.T) {
	g := newRig(t, 0).two(100*ms).push(0, 0).push(1, 1)
	g.at(10*ms).push(0, 3).want(0, 1)
	g.at(12 * ms)
	g.out = g.r.Mark(g.now, 0, 4, 1, g.out)
	g.fire(12*ms + wait - 1).want()
	g.fire(12*ms + wait).want(3)
	g.done()
}

// TestMarkAnnounces: a path that has not carried the lane, and will, is waited for.
func TestMarkAnnounces(t *testing.T) {
	for _, announced := range []bool{false, true} {
		g := newRig(t, 0).two(100*ms).push(0, 0)
		g.at(200*ms).push(0, 1)
		if announced {
			g.out = g.r.Mark(g.now, 0, 2, 1, g.out)
		}
		g.push(0, 3).want(0, 1)
		g.fire(200*ms + 100*ms)
		g.push(1, 2)
		if announced {
			g.want(2, 3)
		} else {
			g.want(3, 2)
		}
		g.done()
	}
}

// TestPathDown: nobody waits for a path that brings nothing any more.
func TestPathDown(t *testing.T) {
	g := newRig(t, 0).two(300*ms).push(0, 0).push(1, 1)
	g.at(10*ms).push(0, 3).want(0, 1)
	g.at(20 * ms)
	g.r.SetPath(1, PathInfo{Relative: 300 * ms})
	g.fire(20*ms + wait - 1).want()
	g.fire(20*ms + wait).want(3)
	g.done()
}

// TestFirstPacket: the first packet seen of a lane need not be its first. Paths that may bring an earlier one are
// waited for, though they never carried the lane, but only in its beginning.
func TestFirstPacket(t *testing.T) {
	g := newRig(t, 0).two(100*ms).push(0, 1, 2).want()
	g.fire(100*ms).push(1, 0).want(0, 1, 2)
	g.at(150*ms).push(0, 3, 5).want(3)
	g.at(500*ms).push(0, 6, 7)
	g.done2(5)

	g = newRig(t, 0).two(50*ms).push(0, 5).want()
	passed := 50*ms + 4*ms + pathSlack
	g.fire(passed + wait - 1).want()
	g.fire(passed + wait).want(5)

	// The same lane after a silence is new again, its sequence goes on.
	g.at(5*time.Second).push(0, 7)
	g.fire(5*time.Second+50*ms).push(1, 6).want(6, 7)
	// After another silence it does not matter that path 1 carried it before.
	g.two(100*ms).at(10*time.Second).push(0, 9)
	g.fire(10*time.Second+100*ms).push(1, 8).want(8, 9)
	g.done()
}

// TestNeverCarried: in the middle of a lane's use, a path that never carried it does not count.
func TestNeverCarried(t *testing.T) {
	g := newRig(t, 0).two(50*ms).push(0, 0)
	g.at(200*ms).push(0, 1, 3).want(0, 1)
	g.fire(200*ms + wait - 1).want()
	g.fire(200*ms + wait).want(3)
	g.done()
}

// done2 checks that a number came out.
func (g *rig) done2(number uint32) {
	g.t.Helper()
	for _, n := range g.got {
		if n == number {
			return
		}
	}
	g.t.Errorf("%d did not come out: %v", number, g.got)
}

// TestLateAndTwice: what comes after its release is delivered at once, and nothing twice.
func TestLateAndTwice(t *testing.T) {
	g := newRig(t, 0).two(0).push(0, 0, 2).fire(4*ms+pathSlack+wait).want(0, 2)
	g.repair(1, 1).want(1).push(0, 1).want().push(0, 2).want().repair(1, 0).want()
	g.push(0, 4, 4).want()
	g.push(1, 3).want(3, 4)
	if s := g.r.Stats(); s.Late != 1 || s.Duplicates != 4 || s.TooOld != 0 {
		t.Errorf("%+v", s)
	}
	g.done()
}

// TestDuplicateOriginalCounts: an original whose repair was faster still tells how far its path is.
func TestDuplicateOriginalCounts(t *testing.T) {
	g := newRig(t, 0).two(100*ms).push(0, 0).push(1, 1)
	g.at(10*ms).push(0, 3).repair(0, 4).want(0, 1)
	g.fire(20*ms).push(1, 4)
	g.fire(20*ms + wait - 1).want()
	g.fire(20*ms+wait).want(3, 4)
	g.done()
}

// TestPathGoesOnlyForward: an original that comes late does not move its path back.
func TestPathGoesOnlyForward(t *testing.T) {
	g := newRig(t, 0).two(100*ms).push(0, 0).push(1, 1)
	g.at(10*ms).push(0, 2).push(1, 6, 4).push(0, 7).want(0, 1, 2)
	g.fire(10*ms + wait - 1).want()
	g.fire(10*ms+wait).want(4, 6, 7)
	g.done()
}

// TestEnqueued: packets say when they came, and a repair says when its original should have.
func TestEnqueued(t *testing.T) {
	g := newRig(t, 0).two(0).push(0, 0)
	came := func(d time.Duration, path, seq uint32, repair bool) {
		g.at(d)
		g.out = g.r.Push(g.now, 0, seq, path, repair, g.buf(seq, 100), g.out)
	}
	came(5*ms, 0, 1, false) // in order
	came(10*ms, 0, 3, false)
	came(12*ms, 1, 4, false)
	came(30*ms, 0, 2, true)
	came(40*ms, 0, 6, false)
	came(45*ms, 1, 5, false)
	came(50*ms, 0, 7, true) // in order, and the first of it that came
	want := []time.Duration{5 * ms, 10 * ms, 10 * ms, 12 * ms, 45 * ms, 40 * ms, 50 * ms}
	if len(g.out) != len(want) {
		t.Fatalf("%d packets, want %d", len(g.out), len(want))
	}
	for i, b := range g.out {
		if got := b.Enqueued.Sub(mono.Time(time.Second)); got != want[i] {
			t.Errorf("packet %d says %v, want %v", i+1, got, want[i])
		}
	}
	g.collect()
}
