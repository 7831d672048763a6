package engine

import (
	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/gain"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/wire"
)

// gaining feeds the gain meter and does what it decides.
type gaining struct {
	meter gain.Meter
	began mono.Time
	bytes int64 // inner bytes acknowledged since
	busy  bool  // a spread flow waited for a path since
	ways  [gain.MaxWays]gain.Way
	marks [gain.MaxWays]mark
	mark  int // of marks that were given out
}

// arrived counts a packet that was acknowledged.
func (g *gaining) arrived(p *path.Path, s *recovery.Packet) {
	if s.Buf != nil && s.Control&controlCopy == 0 {
		g.bytes += int64(s.Buf.Len())
		p.Carried += int64(s.Buf.Len())
	}
}

// since is what a path carried since the last slot.
func (g *gaining) since(p *path.Path) int64 {
	for i := range g.marks {
		if g.marks[i].path == p.ID {
			was := g.marks[i].carried
			g.marks[i].carried = p.Carried
			return p.Carried - was
		}
	}
	g.marks[g.mark%len(g.marks)] = mark{p.ID, p.Carried}
	g.mark++
	return p.Carried
}

// mark is what a path had carried when a slot ended.
type mark struct {
	path    uint32
	carried int64
}

// waits notes that no path took a flow's next packet.
func (g *gaining) waits(f *flowq.Flow) { g.busy = g.busy || f.Binding.HasLane }

// measureGain closes a slot when it is over.
func (t *Tunnel) measureGain(now mono.Time) {
	g := &t.gaining
	took := now.Sub(g.began)
	if g.began != 0 && took < gain.Slot {
		return
	}
	l := gain.Look{Bytes: g.bytes, Time: took, Busy: g.busy, Flows: len(t.lanes.active), Ways: g.ways[:0]}
	for _, p := range t.eligible {
		if t.sched.Spreads(p.ID) && len(l.Ways) < len(g.ways) {
			l.Ways = append(l.Ways, gain.Way{
				Path: p.ID, Capacity: t.innerCapacity(p), Bytes: g.since(p), Base: p.Base(), Sure: p.Sent.Delay.Deviation() < calmDeviation,
			})
		}
	}
	first := g.began == 0
	g.began, g.bytes, g.busy = now, 0, false
	if first || !g.meter.Look(now, &l) || t.params.KeepPaths {
		return
	}
	t.sched.Bar(t.gaining.meter.Barred())
	t.sched.Refresh(t.eligible)
}

// forgetGain is for a path that is closed.
func (t *Tunnel) forgetGain(now mono.Time, id uint32) {
	t.gaining.meter.Forget(now, id)
	t.sched.Bar(t.gaining.meter.Barred())
}

// innerCapacity is what a path alone could carry, in inner bytes per second.
func (t *Tunnel) innerCapacity(p *path.Path) int64 {
	outer := int64(t.params.MTU + wire.HeaderBytes + FrameBytes + wire.TagBytes + p.Overhead)
	c := p.CC.Bandwidth() * int64(t.params.MTU) / outer
	return c - c/65536*min(p.Loss(), 65536)
}

// Gain is what this side's sending brings over the best path alone; 0 if nothing kept the paths busy lately.
func (t *Tunnel) Gain(now mono.Time) float64 { return t.gaining.meter.Gain(now) }

// GainTrials are how often a path was taken from spread flows on trial because the gain was below one, and how often that
// was right.
func (t *Tunnel) GainTrials() (trials, right uint64) { return t.gaining.meter.Trials() }
