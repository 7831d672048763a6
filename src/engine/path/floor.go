package path

import (
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/recovery"
)

// drain watches whether a queue shrinks as it must when less is sent than the path can carry.
type drain struct {
	began   time.Duration // the queue at the beginning; 0 while nothing is watched
	drained time.Duration // how much of it must have gone
	last    mono.Time
}

// checkFloor notices a queue that does not shrink though less is sent than arrives: the path itself has become longer,
// jitters more than it did, or others fill its queue.
func (p *Path) checkFloor(now mono.Time, r *recovery.Result) {
	p.lowest = min(p.lowest, p.Sent.Delay.Floor()+r.RoundQueue)
	d := &p.drain
	standing := p.Sent.Delay.Above()
	stuck := max(floorStuck, min(p.Sent.RTT.Min()/8, floorStuckMax))
	bandwidth := p.CC.Bandwidth()
	if p.CC.Searching() || standing < stuck || r.Rate == 0 || bandwidth == 0 || r.Rate*100 < r.SendRate*97 {
		*d = drain{}
		return
	}
	if d.began == 0 {
		*d = drain{began: standing, last: now}
		return
	}
	if spare := bandwidth - r.SendRate; spare*100 > bandwidth*8 {
		d.drained += time.Duration(int64(now.Sub(d.last)) / 1024 * (spare * 1024 / bandwidth))
	}
	d.last = now
	if d.drained < max(d.began/2, stuck) {
		return
	}
	if standing > d.began-d.drained/2 && !p.Shared(now) {
		if standing > max(rebasedLeast, rebasedNoise*p.Sent.Delay.Deviation()) {
			p.rebased = now
		}
		p.crowded = crowded(standing, p.Sent.RTT.Min(), p.Sent.Delay.Deviation())
		p.Sent.Delay.Rebase(now)
	}
	*d = drain{}
}

// crowded reports that a queue that did not shrink is others'. Only a long one is for sure: a path may also have become longer, or
// jitter more than it did.
func crowded(standing, floor, deviation time.Duration) bool {
	return standing > max(crowdLeast, floor*crowdTimes/4, crowdNoise*deviation)
}

// takeCrowded reports once that others fill the path's queue.
func (p *Path) takeCrowded() bool {
	was := p.crowded
	p.crowded = false
	return was
}

// Rebased is when a standing queue was last taken for the path's own delay, if it was more than jitter makes; 0: never.
func (p *Path) Rebased() mono.Time { return p.rebased }

// LetGo empties the path's queue, as far as it is ours, if the congestion control can do that; Lowest tells what came of it.
func (p *Path) LetGo(now mono.Time) {
	p.lowest = unheard
	if c, ok := p.CC.(interface{ LetGo(now mono.Time) }); ok {
		c.LetGo(now)
	}
}

// Lowest is the least delay that stood for a whole round since LetGo, on the scale of Sent.Delay; far off before there was one.
func (p *Path) Lowest() time.Duration { return p.lowest }

// Share tells that the path shares its bottleneck with another of ours: until then a queue that does not shrink is taken for ours,
// however little the path itself sends.
func (p *Path) Share(until mono.Time) { p.shares = until }

// Shared reports that it does.
func (p *Path) Shared(now mono.Time) bool { return now < p.shares }

// Competing reports that the path holds its own in a queue that others fill, at the cost of the delay.
func (p *Path) Competing() bool {
	c, ok := p.CC.(interface{ Competing() bool })
	return ok && c.Competing()
}
