package engine

import (
	"math"
	"time"

	"mpproxy/src/engine/lane"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
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
	t.chooseMetric()
	t.sched.Refresh(t.eligible)
	t.measureGain(now)
	t.joint.refresh(now, t.paths)
	var best, slowest, back time.Duration
	var capacity int64
	first, lossy, searching := true, false, false
	for _, p := range t.eligible {
		if !p.Usable() {
			continue
		}
		rtt := max(p.Sent.RTT.Min(), p.Sent.Busy()) + p.Sent.Reordered()
		rtt = max(rtt, p.Sent.Flight())
		if p.Competing() { // its trials hold packets back for two round trips
			rtt = max(rtt, 2*p.Sent.Flight())
		}
		if first || rtt < best {
			best = rtt
		}
		if t.sched.Spreads(p.ID) {
			slowest = max(slowest, rtt)
		}
		capacity += p.CC.Bandwidth()
		searching = searching || p.CC.Searching()
		lossy = lossy || p.Loss() > lossyShare
		first = false
	}
	back = best
	if lossy {
		// Behind each gap the flow waits for the repair, a round trip of the fastest path.
		slowest += 2 * best
	}
	t.queue.SetRTT(best+20*time.Millisecond, (slowest+back)/2+20*time.Millisecond, t.sched.Ahead(now, t.eligible))
	t.capacity = capacity
	t.ackSpacing = 0
	if capacity > 0 && !searching {
		t.ackSpacing = min(time.Duration(ackCost*int64(time.Second)/capacity), ackSpacingMax)
	}
	t.queue.SetCapacity(float64(t.limits.narrow(capacity)) * 8)
	t.twice.refresh(now, t.limits.narrow(capacity), searching)
	t.queue.Expire(now)
	t.lanes.expire(now, t.queue)
	t.parts.expire(now, &t.drops)
	for _, p := range t.paths {
		t.in.SetPath(p.ID, t.pathInfo(now, p))
	}
}

// pathInfo is what the lanes need to know of a path that packets come on.
func (t *Tunnel) pathInfo(now mono.Time, p *path.Path) lane.PathInfo {
	info := t.lanes.told(p.ID)
	info.Up = p.Rx.Heard() != 0 && now.Sub(p.Rx.Heard()) < time.Second
	info.Reorder = max(info.Reorder, p.Rx.Reorder())
	return info
}

// chooseMetric collects the paths that data may use: those of the lowest metric that works, and those that take the overflow.
// While all paths of that metric lose too much, those of the next one help.
func (t *Tunnel) chooseMetric() {
	t.eligible = t.eligible[:0]
	metric, _, found := t.leastMetric(math.MinInt)
	if !found {
		metric = t.metric
	}
	t.metric = metric
	helper := math.MaxInt
	if _, broken, ok := t.leastMetric(metric); ok && broken {
		helper, _, _ = t.leastMetric(metric + 1)
	}
	for _, p := range t.paths {
		if p.Metric == metric {
			t.eligible = append(t.eligible, p)
		}
	}
	for _, p := range t.paths {
		if p.Metric > metric && (p.Overflow || p.Metric == helper) && p.Usable() {
			t.eligible = append(t.eligible, p)
		}
	}
}

// leastMetric is the lowest metric, from least on, of which a path is usable; broken says that all of those lose too much.
func (t *Tunnel) leastMetric(least int) (metric int, broken, ok bool) {
	for _, p := range t.paths {
		if p.Usable() && p.Metric >= least && (!ok || p.Metric < metric) {
			metric, ok = p.Metric, true
		}
	}
	broken = true
	for _, p := range t.paths {
		broken = broken && !(p.Usable() && p.Metric == metric && p.Loss() < brokenShare)
	}
	return metric, broken, ok
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
