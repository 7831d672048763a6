package engine

import (
	"math"
	"slices"
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/sched"
)

const (
	// maxWays bounds the ways that are known at once; of more, the one that was not used for longest is made anew when it is.
	maxWays = 16
	// wayIdle is after what time a way that no flow takes is forgotten.
	wayIdle = 20 * time.Second
	// noWayPatience is how long a packet waits for a link that its rule names while none of those works: as long as a link that is
	// only slow to answer may take. Kept any longer, what nobody waits for any more would hold places for flows.
	noWayPatience = time.Second
)

// way is where flows may go of which rules say over which links, or how much delay they may have.
type way struct {
	flowq.Way
	sched    *sched.Scheduler
	eligible []*path.Path
	metric   int
	of       []*path.Path // scratch
	used     mono.Time
}

// roads is what flows of one way may take: paths, and who chooses among them. metric is that of the best of them, links as in flowq.Way.
type roads struct {
	sched    *sched.Scheduler
	eligible []*path.Path
	metric   int
	links    uint64
}

// shut reports that rules name links none of which works.
func (r roads) shut() bool {
	return r.links != 0 && !slices.ContainsFunc(r.eligible, (*path.Path).Usable)
}

// roadsOf are those of a flow.
func (t *Tunnel) roadsOf(f *flowq.Flow) roads { return t.roads(f.Verdict().Way) }

// roadsFor are those of a packet that was queued before.
func (t *Tunnel) roadsFor(b *packet.Buf) roads {
	if len(t.ways) > 0 {
		if f := t.queue.Lookup(b.Flow); f != nil {
			return t.roadsOf(f)
		}
	}
	return t.roads(flowq.Way{})
}

// roads are those of a way.
func (t *Tunnel) roads(w flowq.Way) roads {
	if w == (flowq.Way{}) {
		return roads{t.sched, t.eligible, t.metric, 0}
	}
	for _, known := range t.ways {
		if known.Way == w {
			known.used = t.polled
			return roads{known.sched, known.eligible, known.metric, w.Links}
		}
	}
	fresh := t.newWay(w)
	return roads{fresh.sched, fresh.eligible, fresh.metric, w.Links}
}

// newWay gets to know a way.
func (t *Tunnel) newWay(w flowq.Way) *way {
	profile := t.params.Profile
	if w.Own {
		profile = w.Profile
	}
	fresh := &way{Way: w, sched: sched.New(t.params.Scheduler, budget(profile)), metric: t.metric, used: t.polled}
	if len(t.ways) < maxWays {
		t.ways = append(t.ways, fresh)
	} else {
		oldest := 0
		for i := range t.ways {
			if t.ways[i].used < t.ways[oldest].used {
				oldest = i
			}
		}
		t.queue.ForgetWay(t.ways[oldest].Way)
		t.ways[oldest] = fresh
	}
	t.refreshWay(t.polled, fresh)
	return fresh
}

// refreshWay decides anew which paths a way has.
func (t *Tunnel) refreshWay(now mono.Time, w *way) {
	w.of = w.of[:0]
	for _, p := range t.paths {
		if p.Over(w.Links) {
			w.of = append(w.of, p)
		}
	}
	w.eligible, w.metric = choose(w.of, w.metric, w.eligible[:0])
	if w.Links == 0 {
		w.sched.Bar(t.gaining.meter.Barred())
	}
	w.sched.Refresh(w.eligible)
	v := view(w.eligible, w.sched)
	t.queue.SetWayRTT(w.Way, v.single, v.spread, w.sched.Ahead(now, w.eligible))
}

// refreshWays is refreshWay for all; it forgets those that no flow takes any more.
func (t *Tunnel) refreshWays(now mono.Time) {
	for i := 0; i < len(t.ways); i++ {
		if w := t.ways[i]; now.Sub(w.used) < wayIdle {
			t.refreshWay(now, w)
			continue
		}
		t.queue.ForgetWay(t.ways[i].Way)
		t.ways = slices.Delete(t.ways, i, i+1)
		i--
	}
}

// leaveWays is for a path that is closed.
func (t *Tunnel) leaveWays(p *path.Path) {
	for _, w := range t.ways {
		w.eligible = slices.DeleteFunc(w.eligible, func(e *path.Path) bool { return e == p })
		w.sched.Forget(p.ID)
	}
}

// waits sets a flow aside of which no path took the next packet. One that is bound to links none of which works loses what came too
// long ago.
func (t *Tunnel) waits(now mono.Time, f *flowq.Flow, on roads, out *Batch) {
	if on.links == 0 {
		t.gaining.waits(f)
	} else if on.shut() {
		if best, _ := sched.Soonest(now, probeBytes, 1, t.eligible, nil); best != nil {
			t.tellRule(now, f, best, nil, f.Head(), out)
		}
		t.queue.Drop(f, now.Add(-noWayPatience))
	}
	t.queue.Park(f)
}

// choose collects into eligible the paths that data may use: those of the lowest metric that works, and those that take the overflow;
// metric was that so far. While all paths of that metric lose too much, those of the next one help.
func choose(paths []*path.Path, metric int, eligible []*path.Path) ([]*path.Path, int) {
	if least, _, found := leastMetric(paths, math.MinInt); found {
		metric = least
	}
	helper := math.MaxInt
	if _, broken, ok := leastMetric(paths, metric); ok && broken {
		helper, _, _ = leastMetric(paths, metric+1)
	}
	for _, p := range paths {
		if p.Metric == metric {
			eligible = append(eligible, p)
		}
	}
	for _, p := range paths {
		if p.Metric > metric && (p.Overflow || p.Metric == helper) && p.Usable() {
			eligible = append(eligible, p)
		}
	}
	return eligible, metric
}

// leastMetric is the lowest metric, from least on, of which a path is usable; broken says that all of those lose too much.
func leastMetric(paths []*path.Path, least int) (metric int, broken, ok bool) {
	for _, p := range paths {
		if p.Usable() && p.Metric >= least && (!ok || p.Metric < metric) {
			metric, ok = p.Metric, true
		}
	}
	broken = true
	for _, p := range paths {
		broken = broken && !(p.Usable() && p.Metric == metric && p.Loss() < brokenShare)
	}
	return metric, broken, ok
}
