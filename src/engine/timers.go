package engine

import (
	"time"

	"mpproxy/src/engine/lane"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/sched"
	"mpproxy/src/engine/wire"
)

// NextTimeout is when OnTimeout and Poll want to be called next if nothing else happens.
func (t *Tunnel) NextTimeout() mono.Time {
	if t.sending == nil {
		return noTime
	}
	at := mono.Min(t.refreshAt, mono.Min(t.in.NextTimeout(), t.even.NextTimeout()))
	waiting := t.repairs.len() > 0 || t.Backlog() > 0
	for _, p := range t.paths {
		at = mono.Min(at, mono.Min(p.Sent.NextTimeout(), p.NextCheck(t.polled, t.lastHeard, t.lastData)))
		if t.params.Initiator {
			at = mono.Min(at, p.TellAt())
		}
		at = mono.Min(at, mono.Min(t.ackDue(p), p.Peer.NextChallenge()))
		if !waiting {
			at = mono.Min(at, p.TailAt())
		} else if until, held := p.Held(); held {
			at = mono.Min(at, until)
		}
		if (waiting || t.copies[p.ID] != nil && t.copies[p.ID].n > 0) && p.Usable() && !p.Busy && !p.Pace.Ready() && p.HasWindow() {
			// A path that is ready was passed over by choice.
			at = mono.Min(at, p.NextSend())
		}
	}
	if until, shut := t.limits.out.shut(); shut && waiting {
		at = mono.Min(at, until)
	}
	return mono.Min(at, t.lanes.nextMark())
}

// OnTimeout does what time alone decides. Poll afterwards.
func (t *Tunnel) OnTimeout(now mono.Time) {
	if t.sending == nil {
		return
	}
	for _, p := range t.paths {
		if now >= p.Sent.NextTimeout() {
			r := p.Timeout(now)
			t.salvage(now, p, r)
			if r.Probe {
				p.ProbeNow()
			}
		}
		if p.Check(now, t.lastHeard) {
			t.failed(now, p)
		}
		moved, host := p.Peer.Settle(now)
		if moved {
			p.Link = p.Peer.Link
		}
		if moved && host {
			p.Restart(now)
		}
	}
	if now >= t.in.NextTimeout() {
		t.ordered = t.in.OnTimeout(now, t.ordered)
		t.level(now)
	}
	if now >= t.even.NextTimeout() {
		t.delivered = t.even.OnTimeout(now, t.delivered)
	}
	if now >= t.refreshAt {
		t.refresh(now)
	}
}

// refresh makes the slow decisions: who is eligible, how long flows may queue, which lanes are idle.
func (t *Tunnel) refresh(now mono.Time) {
	t.refreshAt = now.Add(refreshEvery)
	t.eligible, t.metric = choose(t.paths, t.metric, t.eligible[:0])
	t.sched.Refresh(t.eligible)
	t.measureGain(now)
	t.joint.refresh(now, t.paths)
	v := view(t.eligible, t.sched)
	capacity, searching := v.capacity, v.searching
	t.queue.SetRTT(v.single, v.spread, t.sched.Ahead(now, t.eligible))
	t.refreshWays(now)
	t.capacity = capacity
	t.ackSpacing = 0
	if capacity > 0 && !searching {
		t.ackSpacing = min(time.Duration(ackCost*int64(time.Second)/capacity), ackSpacingMax)
	}
	t.queue.SetCapacity(float64(t.limits.narrow(capacity)) * 8)
	t.ruled.refresh(now, t.queue, t.limits.narrow(capacity), searching)
	t.queue.Expire(now)
	t.lanes.expire(now, t.queue)
	t.parts.expire(now, &t.drops)
	for _, p := range t.paths {
		t.in.SetPath(p.ID, t.pathInfo(now, p))
	}
}

// outlook is what paths promise flows: round trips to expect of those on one path and of those that are spread, and how many bytes
// per second; searching while a path is still looking for its own.
type outlook struct {
	single, spread time.Duration
	capacity       int64
	searching      bool
}

// view looks at the paths that flows may take.
func view(eligible []*path.Path, s *sched.Scheduler) (v outlook) {
	var best, slowest time.Duration
	first, lossy := true, false
	for _, p := range eligible {
		if !p.Usable() {
			continue
		}
		// What there is, others' queue in it: who is dropped from by less gives way to them.
		rtt := max(max(p.Sent.RTT.Min(), p.Sent.Busy())+p.Sent.Reordered(), p.Sent.Flight())
		if p.Competing() { // its trials hold packets back for two round trips
			rtt = max(rtt, 2*p.Sent.Flight())
		}
		if first || rtt < best {
			best = rtt
		}
		if s.Spreads(p.ID) {
			slowest = max(slowest, rtt)
		}
		v.capacity += p.CC.Bandwidth()
		v.searching = v.searching || p.CC.Searching()
		lossy = lossy || p.Loss() > lossyShare
		first = false
	}
	back := best
	if lossy {
		// Behind each gap the flow waits for the repair, a round trip of the fastest path.
		slowest += 2 * best
	}
	v.single, v.spread = best+20*time.Millisecond, (slowest+back)/2+20*time.Millisecond
	return v
}

// pathInfo is what the lanes need to know of a path that packets come on.
func (t *Tunnel) pathInfo(now mono.Time, p *path.Path) lane.PathInfo {
	info := t.lanes.told(p.ID)
	info.Up = p.Rx.Heard() != 0 && now.Sub(p.Rx.Heard()) < time.Second
	info.Reorder = max(info.Reorder, p.Rx.Reorder())
	return info
}

// appendDelays tells the receiver which path is how much later than the fastest, and how long a repair takes.
func (t *Tunnel) appendDelays(dst []byte) []byte {
	var f wire.DelaysFrame
	var best time.Duration
	repair, first := time.Duration(0), true
	for _, p := range t.paths {
		if !p.Usable() || !p.Sent.Delay.Known() {
			continue
		}
		if first || p.Base() < best {
			best = p.Base()
		}
		if rtt := p.Sent.RTT.Smoothed(); first || rtt < repair {
			repair = rtt
		}
		first = false
	}
	if first {
		return dst
	}
	for _, p := range t.paths {
		if !p.Usable() || !p.Sent.Delay.Known() || f.Count >= len(f.Paths) {
			continue
		}
		late := p.Sent.Delay.Recent() - best
		f.Paths[f.Count] = wire.PathDelay{Path: p.ID, Relative: units(late), Deviation: units(p.Sent.Delay.Deviation()), Reorder: units(p.Sent.Patience())}
		f.Count++
	}
	f.RepairWait = units(repair)
	return f.Append(dst)
}

// units turns a duration into the wire's 100 µs.
func units(d time.Duration) uint16 {
	return uint16(min(max(d, 0)/(100*time.Microsecond), 65535))
}
