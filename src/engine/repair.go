package engine

import (
	"slices"
	"time"

	"mpproxy/src/engine/even"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
)

// What a datagram carried beside data, in recovery.Payload.Control; in the low bits the size of an MTU probe, or else
// the turn of leaving.
const (
	controlProbe  = 1 << 31
	controlLeft   = 1 << 30
	controlNotice = 1 << 29
	controlUse    = 1 << 28
	controlCopy   = 1 << 27 // an inner packet that went over another path, too: not repaired
)

// repair is an inner packet whose datagram was lost.
type repair struct {
	load  recovery.Payload
	lost  mono.Time
	until mono.Time
	from  uint32 // the path it was lost on
}

// repairs is a bounded queue, oldest loss first. The zero value is ready.
type repairs struct {
	ring []repair
	head int
	n    int
}

func (q *repairs) len() int { return q.n }

func (q *repairs) push(r repair) bool {
	if q.n >= maxRepairs {
		return false
	}
	if q.n == len(q.ring) {
		bigger := make([]repair, max(64, 2*len(q.ring)))
		for i := range q.n {
			bigger[i] = q.ring[(q.head+i)%len(q.ring)]
		}
		q.ring, q.head = bigger, 0
	}
	q.ring[(q.head+q.n)%len(q.ring)] = r
	q.n++
	return true
}

func (q *repairs) front() *repair { return &q.ring[q.head] }

func (q *repairs) pop() repair {
	r := q.ring[q.head]
	q.ring[q.head] = repair{}
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return r
}

// unlane makes all waiting repairs plain packets: their lanes are gone with the session, and so are the datagrams that they
// repeat. In the new session those numbers would stand for others.
func (q *repairs) unlane() {
	for i := range q.n {
		r := &q.ring[(q.head+i)%len(q.ring)]
		r.load.Lane, r.load.Laned = 0, false
		r.load.FromPath, r.load.FromNumber, r.load.PartID = 0, 0, 0
	}
}

func (q *repairs) drop() {
	for q.n > 0 {
		q.pop().load.Buf.Release()
	}
}

// settle is for a packet that arrived.
func (t *Tunnel) settle(p *path.Path, s *recovery.Packet) {
	switch {
	case s.Control&controlProbe != 0:
		p.MTU.Proved(int(s.Control &^ controlProbe))
	case s.Control&controlUse != 0:
		p.UseTold(true)
	case s.Control&controlLeft != 0:
		t.leaving.acked(uint16(s.Control))
	case s.Buf != nil:
		p.MTU.Proved(int(s.Wire) - p.Overhead)
	}
	t.gaining.arrived(p, s)
	t.release(s.Buf)
}

func (t *Tunnel) release(b *packet.Buf) {
	if b != nil {
		t.held -= int64(b.Len())
		b.Release()
	}
}

// salvage queues what was lost on a path to be sent again where it arrives first.
func (t *Tunnel) salvage(now mono.Time, p *path.Path, r *recovery.Result) {
	for i := range r.Lost {
		s := &r.Lost[i]
		if s.Control&controlProbe != 0 {
			p.MTU.ProbeLost(int(s.Control &^ controlProbe))
		} else if s.Control == controlCopy {
			t.release(s.Buf)
			continue
		} else if s.Control != 0 {
			t.newsLost(s.Control)
		}
		if s.Buf == nil {
			continue
		}
		if s.PartID != 0 && !t.parts.claim(s.PartID) {
			t.release(s.Buf)
			continue
		}
		t.counts.Lost++
		if t.trace != nil {
			t.trace.lost(now, p, s)
		}
		life := repairLife
		if s.Urgent {
			life = urgentLife
		}
		fresh := repair{load: s.Payload, lost: now, until: now.Add(life), from: p.ID}
		if s.Copies > 0 {
			fresh.until = s.Until
		}
		if now > fresh.until || !t.repairs.push(fresh) {
			t.giveUp(now, s.Payload)
		}
	}
}

// giveUp lets a packet go; its lane need not wait for it.
func (t *Tunnel) giveUp(now mono.Time, load recovery.Payload) {
	t.drops.Add(stats.GaveUp, 1)
	if t.trace != nil {
		t.trace.gaveUp(now, &load)
	}
	if load.Laned {
		t.lanes.gaveUp(load.Lane, load.Seq)
	}
	t.release(load.Buf)
}

// sendRepairs sends lost packets again, ahead of new data.
func (t *Tunnel) sendRepairs(now mono.Time, out *Batch) {
	bound := min(t.repairs.len(), maxBatch)
	for t.repairs.len() > 0 && len(out.Datagrams) < maxBatch {
		r := t.repairs.front()
		if now > r.until {
			t.giveUp(now, t.repairs.pop().load)
			continue
		}
		p := t.repairPath(now, r)
		if p == nil && bound > 0 && t.roadsFor(r.load.Buf).links != 0 {
			bound-- // others need not wait for the links that this one's rule names
			t.repairs.push(t.repairs.pop())
			continue
		}
		if p == nil {
			return
		}
		load := t.repairs.pop()
		if t.trace != nil {
			t.trace.repair(now, p, &load)
		}
		load.load.Copies++
		load.load.Until = load.until
		t.counts.Repaired++
		t.sendData(now, p, load.load, true, out)
	}
}

// repairPath is where a lost packet would arrive first, be it after further losses. A path that just lost it comes second if it
// is no sooner. What was lost again may take a path of a higher metric: a third try would hardly come in time.
func (t *Tunnel) repairPath(now mono.Time, r *repair) *path.Path {
	var best *path.Path
	var bestAt mono.Time
	on := t.roadsFor(r.load.Buf)
	for _, p := range t.paths {
		if !p.CanUrge() || !p.HasWindow() || !p.Over(on.links) || !slices.Contains(on.eligible, p) && (r.load.Copies == 0 || p.Metered) {
			continue
		}
		at := now.Add(p.Arrival(now, r.load.Buf.Len(), 1))
		if p.ID == r.from && r.load.Copies > 0 {
			at = at.Add(p.Sent.RTT.Smoothed() / 2)
		}
		if loss := min(p.Loss(), mostLoss); loss > lossyShare {
			at = at.Add(2 * p.Sent.RTT.Smoothed() * time.Duration(loss) / time.Duration(65536-loss))
		}
		if best == nil || at < bestAt {
			best, bestAt = p, at
		}
	}
	return best
}

// dataFrame is the frame that carries a payload.
func dataFrame(load *recovery.Payload, again bool) wire.DataFrame {
	return wire.DataFrame{
		Laned: load.Laned, Lane: load.Lane, Seq: load.Seq, Repair: again, FromPath: load.FromPath, FromNumber: load.FromNumber,
		Copy: again && load.Control == controlCopy, Stamped: load.Laned, Stamp: even.Stamp(load.Born),
	}
}
