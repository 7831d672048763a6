package engine

import (
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
)

// holdWhile is how long after the last inner packet gaps are still waited out: probes of a tunnel that carries nothing are for nobody.
const holdWhile = 2 * time.Second

// holdGaps keeps packets off paths that are about to be silent for a moment, as they are regularly, while there are others for
// them: what is not lost need not be repaired, and repairs of a whole round trip would stand in the way of calls on those others.
func (t *Tunnel) holdGaps(now mono.Time) {
	for _, p := range t.paths {
		until := p.Gaps.Until(now)
		if until != 0 && (now.Sub(t.lastData) > holdWhile || !t.otherWay(now, until, p)) {
			until = 0
		}
		p.Hold(until)
	}
}

// otherWay reports that what p would carry until then can go over another path, which is not about to be silent itself.
func (t *Tunnel) otherWay(now, until mono.Time, p *path.Path) bool {
	wanted, other, half := false, false, now.Add(until.Sub(now)/2)
	for _, o := range t.eligible {
		wanted = wanted || o == p
		other = other || o != p && o.Usable() && o.Gaps.Until(now) == 0 && o.Gaps.Until(half) == 0 && (t.sched.Spreads(o.ID) || !t.sched.Spreads(p.ID))
	}
	return wanted && other
}
