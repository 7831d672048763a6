package engine

import (
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/sched"
	"mpproxy/src/engine/wire"
)

// maxCopies bounds the copies that wait for a path: older ones would come long after the packet itself.
const maxCopies = 32

// copies are packets that went over one path and are to go over another too, oldest first. The zero value is ready.
type copies struct {
	ring    [maxCopies]recovery.Payload
	head, n int
}

// secondPath is where a packet of f about to go over p for the first time goes, too, by the choice of what is sent twice, or by a
// rule: the soonest of the other paths that take it, none of a higher metric; nil if it goes over p only.
func (t *Tunnel) secondPath(now mono.Time, f *flowq.Flow, on roads, p *path.Path, load *recovery.Payload) (second *path.Path) {
	var secondAt time.Duration
	level, judged, named := path.CopyNothing, false, false
	for _, o := range on.eligible {
		if o.Copies == path.CopyNothing || o == p || o.Metric != on.metric || !o.Open() {
			continue
		}
		if !judged {
			level, judged, named = copyLevel(f, load), true, t.named(now, f, load)
		}
		if !named && !o.Copies.Has(level) {
			continue
		}
		if at := o.Arrival(now, load.Buf.Len(), 2); second == nil || at < secondAt {
			second, secondAt = o, at
		}
	}
	if second != nil && !second.Copies.Has(level) {
		t.ruled.room.take(load.Buf.Len())
	}
	return second
}

// copyLevel is the least choice that has a packet sent twice; nothing if none does.
func copyLevel(f *flowq.Flow, load *recovery.Payload) path.Copies {
	switch {
	case f.Call(load.Buf.Bytes()):
		return path.CopyCalls
	case load.Urgent:
		return path.CopyUrgent
	}
	return path.CopyNothing
}

// copiesOf returns the copies that wait for a path; nil if it gets none.
func (t *Tunnel) copiesOf(on roads, p, second *path.Path) *copies {
	if p != second && (t.params.Scheduler != sched.Redundant || p.Metric != on.metric || p.Metered && !t.params.CopyMetered) {
		return nil
	}
	c := t.copies[p.ID]
	if c == nil {
		c = &copies{}
		t.copies[p.ID] = c
	}
	return c
}

// copy has a packet that just went over from sent on second, too, or on every other path.
func (t *Tunnel) copy(now mono.Time, on roads, from, second *path.Path, load *recovery.Payload, out *Batch) {
	for _, p := range on.eligible {
		if p == from || !p.Usable() {
			continue
		}
		c := t.copiesOf(on, p, second)
		if c == nil {
			continue
		}
		if c.n == maxCopies {
			t.release(c.pop().Buf) // the oldest: the flow is ahead elsewhere
		}
		again := *load
		again.Buf = load.Buf.Retain()
		again.Urgent = again.Urgent || p == second
		t.held += int64(again.Buf.Len())
		c.push(again)
		t.sendCopies(now, p, c, out)
	}
}

// sendCopies sends what waits, as far as the path lets it. Urgent ones go ahead of its pacing.
func (t *Tunnel) sendCopies(now mono.Time, p *path.Path, c *copies, out *Batch) {
	for c.n > 0 && len(out.Datagrams) < maxBatch {
		if !p.CanSend() && !(c.ring[c.head].Urgent && p.CanUrge()) {
			return
		}
		load := c.pop()
		load.Control = controlCopy
		t.counts.Copies++
		t.sendData(now, p, load, true, out)
	}
}

// sendAllCopies is for copies that had to wait.
func (t *Tunnel) sendAllCopies(now mono.Time, out *Batch) {
	if len(t.copies) == 0 {
		return
	}
	for _, p := range t.paths {
		if c := t.copies[p.ID]; c != nil && p.Usable() {
			t.sendCopies(now, p, c, out)
		}
	}
}

// push adds a copy; those of flows that must not wait go ahead of the others.
func (c *copies) push(load recovery.Payload) {
	if class := flowq.Class(load.Buf.Class); class == flowq.Urgent || class == flowq.Sparse {
		c.head = (c.head + maxCopies - 1) % maxCopies
		c.ring[c.head] = load
	} else {
		c.ring[(c.head+c.n)%maxCopies] = load
	}
	c.n++
}

func (c *copies) pop() recovery.Payload {
	load := c.ring[c.head]
	c.ring[c.head] = recovery.Payload{}
	c.head = (c.head + 1) % maxCopies
	c.n--
	return load
}

// dropCopies forgets what waits for a path that is closed.
func (t *Tunnel) dropCopies(id uint32) {
	c := t.copies[id]
	if c == nil {
		return
	}
	for c.n > 0 {
		t.release(c.pop().Buf)
	}
	delete(t.copies, id)
}

// leading is the path that takes a spread flow's next packet when all paths get it: one that has sent all its copies, and of
// those the soonest.
func (t *Tunnel) leading(now mono.Time, size int, on roads) *path.Path {
	var best *path.Path
	var bestAt int64
	for _, p := range on.eligible {
		if !p.CanSend() || !on.sched.Spreads(p.ID) {
			continue
		}
		if c := t.copies[p.ID]; c != nil && c.n > 0 {
			continue
		}
		if at := int64(p.Arrival(now, size, 1)); best == nil || at < bestAt {
			best, bestAt = p, at
		}
	}
	return best
}

// originalOf is what a packet about to go over p for the first time is called in its copies, with a reference of its own; ok is
// false if there are to be none, or if it has no name because it goes in parts.
func (t *Tunnel) originalOf(p *path.Path, load *recovery.Payload, second *path.Path) (named recovery.Payload, ok bool) {
	if t.params.Scheduler != sched.Redundant && second == nil {
		return named, false
	}
	named = *load
	if !load.Laned {
		frame := dataFrame(load, false)
		if load.Buf.Len()+wire.HeaderBytes+frame.HeaderBytes()+wire.TagBytes > p.MTU.Size() {
			return named, false
		}
		named.FromPath, named.FromNumber = p.ID, uint32(p.Sent.Next())
	}
	named.Buf = load.Buf.Retain()
	return named, true
}
