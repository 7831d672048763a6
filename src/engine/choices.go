package engine

import (
	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/sched"
)

// SetChoices changes scheduler and congestion control while the session goes on: only paths whose congestion control becomes
// another begin anew with it.
func (t *Tunnel) SetChoices(now mono.Time, s sched.Kind, c congestion.Kind) {
	if s != t.params.Scheduler {
		t.params.Scheduler = s
		t.sched = sched.New(s, budget(t.params.Profile))
		t.sched.Bar(t.gaining.meter.Barred())
		t.ways = nil // they are made anew
		t.refreshAt = now
	}
	t.params.Congestion = c
	for _, p := range t.paths {
		if !t.params.Initiator {
			p.Config.Use.Congestion = t.allowed(p.Config.Use.Congestion)
		}
		p.ChooseCongestion(now, c)
	}
}

// ChooseCongestion gives a path the congestion control that its use asks for now.
func (t *Tunnel) ChooseCongestion(now mono.Time, p *path.Path) {
	p.ChooseCongestion(now, t.params.Congestion)
}

// Choices are the scheduler and the congestion control in use.
func (t *Tunnel) Choices() (sched.Kind, congestion.Kind) {
	return t.params.Scheduler, t.params.Congestion.Or(congestion.UseBBR)
}

// allowed is what the router may ask of the server: without congestion control only where the scheduler stands in for it.
func (t *Tunnel) allowed(k congestion.Kind) congestion.Kind {
	if !k.Valid() || k == congestion.UseNone && t.params.Scheduler != sched.Weighted {
		return congestion.Default
	}
	return k
}
