package engine

import (
	"encoding/binary"
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/sched"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
)

// Poll fills out with what is to be sent now: first what keeps the session alive, then repairs, then inner packets. more
// reports that the batch was full and Poll should be called again soon.
func (t *Tunnel) Poll(now mono.Time, out *Batch) (more bool) {
	if t.sending == nil {
		return false
	}
	t.polled = now
	for _, p := range t.paths {
		p.Refill(now)
	}
	t.holdGaps(now)
	t.sendControl(now, out)
	t.sendAcks(now, out)
	t.sendRepairs(now, out)
	more = t.sendQueued(now, out)
	if t.trace != nil {
		t.trace.look(now, t)
	}
	return more
}

// sendQueued binds queued packets to paths while any path has room.
func (t *Tunnel) sendQueued(now mono.Time, out *Batch) (more bool) {
	for len(out.Datagrams) < maxBatch && t.limits.out.open(now) {
		f := t.queue.Next(now, t.full(now, flowq.Way{}))
		if f == nil {
			break
		}
		on := t.roadsOf(f)
		p, prev := t.pick(now, f, on)
		if p == nil {
			t.waits(now, f, on, out)
			continue
		}
		t.sendHead(now, f, on, prev, p, out)
	}
	t.queue.Unpark()
	t.sendAllCopies(now, out)
	more = len(out.Datagrams) >= maxBatch
	if !more {
		t.markLimited()
	}
	return more
}

// full reports that flows may be asked to slow down: what they could take is full, be it the tunnel's limit. Where none of the links
// works that a rule names, waits takes what is too old.
func (t *Tunnel) full(now mono.Time, w flowq.Way) bool {
	on := t.roads(w)
	return now >= t.pardoned && !on.shut() && (t.limits.out.tight(now) || !t.anyRoom(now, on))
}

// anyRoom reports whether some eligible path could take a packet, or will soon take more: while it still looks for its
// capacity a drop would tell the sender that there is none. So it would while a path is silent that may have died, or is held for a moment.
func (t *Tunnel) anyRoom(now mono.Time, on roads) bool {
	patient := int64(t.Backlog()) < max(t.capacity*int64(searchPatience)/int64(time.Second), searchBacklog)
	for _, p := range on.eligible {
		_, held := p.Held()
		if p.CanSend() && on.sched.Spreads(p.ID) || patient && p.Usable() && p.CC.Searching() || p.Overdue(now) || held {
			return true
		}
	}
	return false
}

// markLimited tells the paths that could take more that there was nothing for them to carry, be it that nothing waits or
// that the scheduler passed them over.
func (t *Tunnel) markLimited() {
	for _, p := range t.paths {
		if p.CanSend() {
			p.Sent.MarkLimited()
		}
	}
}

// pick finds the path for a flow's next packet, and the packet: the one behind prev, or the head. A flow with a backlog
// gets a lane first, so that it may be spread and repaired in order.
func (t *Tunnel) pick(now mono.Time, f *flowq.Flow, on roads) (p *path.Path, prev *packet.Buf) {
	class := f.Class()
	urgent := class == flowq.Urgent
	// The first packets of a flow are urgent, those of a burst behind them are not: all of it has to stay in order.
	if !f.Binding.HasLane && f.Tail() != flowq.Urgent && f.BacklogBytes() > sched.Quantum && on.sched.Wide(on.eligible) {
		t.lanes.acquire(now, f)
	}
	size := f.Head().Len() + wire.HeaderBytes + FrameBytes + wire.TagBytes
	if !f.Binding.HasLane || urgent {
		return on.sched.Single(now, f, size, urgent || class == flowq.Sparse, on.eligible), nil
	}
	if t.params.Scheduler == sched.Redundant {
		return t.leading(now, size, on), nil
	}
	p, depth := on.sched.Spread(now, f.BacklogBytes(), size, on.eligible)
	if p == nil || depth <= 0 {
		return p, nil
	}
	prev, ok := t.reach(f, p, depth)
	if !ok {
		return nil, nil
	}
	return p, prev
}

// reach finds the packet depth bytes deep in a flow's queue that may go over p, so that lane sequences rise on each path.
func (t *Tunnel) reach(f *flowq.Flow, p *path.Path, depth int) (prev *packet.Buf, ok bool) {
	least, bound := t.lanes.find(f.Binding.Lane).last(p.ID)
	var before *packet.Buf
	f.Each(func(b *packet.Buf) bool {
		if depth <= 0 && (!bound || after(b.Seq, least)) {
			prev, ok = before, true
			return false
		}
		depth -= b.Len()
		before = b
		return true
	})
	return prev, ok
}

// sendHead takes the flow's packet behind prev, or its head, and sends it over p.
func (t *Tunnel) sendHead(now mono.Time, f *flowq.Flow, on roads, prev *packet.Buf, p *path.Path, out *Batch) {
	b := t.queue.PopBehind(now, f, prev)
	load := recovery.Payload{
		Buf: b, Born: b.Enqueued, Urgent: flowq.Class(b.Class) == flowq.Urgent, Laned: b.Laned, Lane: b.Lane, Seq: b.Seq,
	}
	rising := true
	if b.Laned {
		if l := t.lanes.find(b.Lane); l != nil {
			rising = l.went(now, p, b.Seq)
		}
	}
	if t.trace != nil {
		t.trace.wait = max(t.trace.wait, now.Sub(b.Enqueued))
	}
	t.counts.PacketsOut++
	t.counts.BytesOut += uint64(b.Len())
	t.limits.out.take(b.Len())
	t.held += int64(b.Len())
	second := t.secondPath(now, f, on, p, &load)
	t.tellRule(now, f, p, second, b, out)
	original, copied := t.originalOf(p, &load, second)
	t.sendData(now, p, load, !rising, out)
	if copied {
		t.copy(now, on, p, second, &original, out)
		original.Buf.Release()
	}
}

// sendData sends an inner packet over p, in two parts if the path is too small for it; again marks what does not count for
// the order of originals on the path. The payload passes to the path's history.
func (t *Tunnel) sendData(now mono.Time, p *path.Path, load recovery.Payload, again bool, out *Batch) {
	frame := dataFrame(&load, again)
	n := load.Buf.Len()
	overhead := wire.HeaderBytes + frame.HeaderBytes() + wire.TagBytes
	if n+overhead > p.MTU.Size() {
		t.sendParts(now, p, load, frame, again, out)
		return
	}
	d := t.datagram(p, out)
	out.arena = wire.AppendDataHeader(out.arena, frame)
	d.to = len(out.arena)
	d.buf, d.bufFrom, d.bufTo = load.Buf.Retain(), 0, n
	load.PartID = 0
	if !again {
		load.FromPath, load.FromNumber = p.ID, uint32(p.Sent.Next())
	}
	t.sent(now, p, d, out, true, t.keep(load))
}

// sendParts sends a packet in two halves. Each is watched: whichever is lost first has the whole packet sent again.
func (t *Tunnel) sendParts(now mono.Time, p *path.Path, load recovery.Payload, frame wire.DataFrame, again bool, out *Batch) {
	n := load.Buf.Len()
	frame.PartID = t.parts.begin()
	load.PartID = frame.PartID
	if !again {
		// No number stands for both halves; without a path it is this one that tells repairs what they repeat.
		load.FromPath, load.FromNumber = 0, uint32(frame.PartID)
	}
	cuts := [3]int{0, (n + 1) / 2, n}
	for i, part := range [2]wire.Part{wire.FirstPart, wire.SecondPart} {
		frame.Part = part
		d := t.datagram(p, out)
		out.arena = wire.AppendDataHeader(out.arena, frame)
		d.to = len(out.arena)
		d.buf, d.bufFrom, d.bufTo = load.Buf.Retain(), cuts[i], cuts[i+1]
		kept := load
		if part == wire.FirstPart {
			kept.Buf = load.Buf.Retain()
			t.held += int64(n)
		}
		t.sent(now, p, d, out, true, t.keep(kept))
	}
}

// keep bounds what is held for repair: beyond the limit a packet is sent but cannot be repaired.
func (t *Tunnel) keep(load recovery.Payload) recovery.Payload {
	if t.held <= int64(t.params.RepairBytes) {
		return load
	}
	t.drops.Add(stats.RepairPushedOut, 1)
	t.release(load.Buf)
	return recovery.Payload{}
}

// datagram begins a descriptor for p.
func (t *Tunnel) datagram(p *path.Path, out *Batch) *Datagram {
	if p.ConnID == 0 {
		p.ConnID = t.ids.ConnID(t.out, p.ID) // a keyed hash: once per path, not per packet
	}
	out.Datagrams = append(out.Datagrams, Datagram{
		Sending: t.sending, Path: p.ID, ConnID: p.ConnID, Link: p.Link,
		To: p.Peer.Remote, Local: p.Peer.Local, from: len(out.arena), to: len(out.arena),
	})
	return &out.Datagrams[len(out.Datagrams)-1]
}

// sent finishes a descriptor: number, epoch, accounts.
func (t *Tunnel) sent(now mono.Time, p *path.Path, d *Datagram, out *Batch, eliciting bool, load recovery.Payload) {
	d.Number = p.Sent.Next()
	d.Epoch = t.sending.Next()
	if d.Epoch != t.epoch {
		t.epoch, t.epochSince = d.Epoch, now
	}
	size := out.Size(len(out.Datagrams) - 1)
	p.OnSent(now, size, eliciting, load)
}

// sendControl sends what keeps paths and session alive: probes, challenges, marks, configuration.
func (t *Tunnel) sendControl(now mono.Time, out *Batch) {
	for _, p := range t.paths {
		t.sendChallenges(now, p, out)
		t.sendProbes(now, p, out)
	}
	for _, r := range t.responses {
		t.sendResponse(now, r, out)
	}
	t.responses = t.responses[:0]
	t.sendMarks(now, out)
	best, _ := sched.Soonest(now, 100, 1, t.wanted(false), nil)
	if best == nil {
		return
	}
	if t.config.due(now) {
		d := t.datagram(best, out)
		out.arena = wire.ConfigFrame{ID: t.config.id, Blob: t.config.blob}.Append(out.arena)
		t.finish(now, best, d, out)
	}
	if len(t.configAcks) > 0 || len(t.lanes.given) > 0 || t.leaving.due || t.notice.due || t.delaysDue(now) {
		d := t.datagram(best, out)
		for _, id := range t.configAcks {
			out.arena = wire.ConfigAckFrame{ID: id}.Append(out.arena)
		}
		t.configAcks = t.configAcks[:0]
		load := t.appendNews(out)
		out.arena = t.lanes.appendGiven(out.arena)
		if now >= t.delaysAt {
			out.arena = t.appendDelays(out.arena)
			t.delaysAt = now.Add(delaysEvery)
		}
		t.finishWith(now, best, d, out, load)
	}
}

// delaysDue reports that the receiver should be told about delays: only while lanes are used.
func (t *Tunnel) delaysDue(now mono.Time) bool { return len(t.lanes.active) > 0 && now >= t.delaysAt }

// finish closes a descriptor that carries only control frames; an empty one is taken back.
func (t *Tunnel) finish(now mono.Time, p *path.Path, d *Datagram, out *Batch) {
	t.finishWith(now, p, d, out, recovery.Payload{})
}

func (t *Tunnel) finishWith(now mono.Time, p *path.Path, d *Datagram, out *Batch, load recovery.Payload) {
	d.to = len(out.arena)
	if d.to == d.from {
		out.Datagrams = out.Datagrams[:len(out.Datagrams)-1]
		return
	}
	t.sent(now, p, d, out, true, load)
}

func (t *Tunnel) sendChallenges(now mono.Time, p *path.Path, out *Batch) {
	for {
		c, due := p.Peer.Challenge(now, wire.HeaderBytes+challengeFrameBytes+wire.TagBytes+p.Overhead)
		if !due {
			return
		}
		d := t.datagram(p, out)
		d.To, d.Local, d.Link = c.To, c.Local, c.Link
		var f wire.ChallengeFrame
		binary.BigEndian.PutUint64(f.Data[:], c.Token)
		out.arena = f.Append(out.arena)
		t.finish(now, p, d, out)
	}
}

func (t *Tunnel) sendResponse(now mono.Time, r response, out *Batch) {
	p := t.Path(r.path)
	if p == nil || !p.Peer.Allows(100) {
		return
	}
	d := t.datagram(p, out)
	out.arena = wire.ResponseFrame{Data: r.data}.Append(out.arena)
	t.finish(now, p, d, out)
}

// sendProbes asks a path whether it is alive, and how large its datagrams may be.
func (t *Tunnel) sendProbes(now mono.Time, p *path.Path, out *Batch) {
	if !p.Peer.Remote.IsValid() || !p.Peer.Allows(probeBytes) && !p.Peer.Allows(100) {
		return
	}
	tail, tell := t.Backlog() == 0 && now >= p.TailAt(), t.params.Initiator && now >= p.TellAt()
	if p.Probe(now, t.lastData) || tail || tell {
		t.sendProbe(now, p, tell, out)
	}
	if size := t.mtuProbe(p); size != 0 {
		d := t.datagram(p, out)
		out.arena = wire.PingFrame{}.Append(out.arena)
		out.arena = pad(out.arena, d, size)
		d.to = len(out.arena)
		t.sent(now, p, d, out, true, recovery.Payload{Control: controlProbe | uint32(size)})
	}
}

// sendProbe asks for an answer. The router's first ones, and those with news, also tell how the path is to be used.
func (t *Tunnel) sendProbe(now mono.Time, p *path.Path, tell bool, out *Batch) {
	d := t.datagram(p, out)
	opening := p.State() == path.Opening && t.params.Initiator
	if !tell && !opening {
		out.arena = wire.PingFrame{}.Append(out.arena)
		if t.params.Initiator {
			// As large as a challenge: if this is the first that comes from a new address, that may be asked at once.
			out.arena = pad(out.arena, d, wire.HeaderBytes+challengeFrameBytes+wire.TagBytes)
		}
		t.finish(now, p, d, out)
		return
	}
	u := p.Config.Use
	out.arena = wire.PathUseFrame{
		Metric: uint16(min(max(u.Metric, 0), 65535)), Overflow: u.Overflow, Standby: u.Standby, Metered: u.Metered, Limit: uint64(u.PeerLimit) / 125,
		Congestion: uint8(u.Congestion), Copies: uint8(u.Copies),
	}.Append(out.arena)
	if u.Number > 0 {
		out.arena = wire.PathLinkFrame{Link: uint8(min(u.Number, wire.MaxLink))}.Append(out.arena)
	}
	if opening {
		out.arena = pad(out.arena, d, probeBytes)
	}
	p.Telling(now)
	t.finishWith(now, p, d, out, recovery.Payload{Control: controlUse})
}

func (t *Tunnel) mtuProbe(p *path.Path) int {
	if !p.Open() {
		return 0
	}
	return p.MTU.Next()
}

// pad fills the datagram up to size bytes once sealed.
func pad(arena []byte, d *Datagram, size int) []byte {
	if n := size - wire.HeaderBytes - wire.TagBytes - (len(arena) - d.from); n > 0 {
		arena = wire.PaddingFrame{Bytes: n}.Append(arena)
	}
	return arena
}

// sendMarks tells the receiver that a lane has left a path, so that it does not wait there.
func (t *Tunnel) sendMarks(now mono.Time, out *Batch) {
	for {
		l, id, ok := t.lanes.dueMark(now)
		if !ok {
			return
		}
		p := t.Path(id)
		if p == nil || p.State() == path.Down || len(out.Datagrams) >= maxBatch {
			continue
		}
		d := t.datagram(p, out)
		out.arena = wire.LaneMarkFrame{Lane: l.id, Seq: t.firstUnsent(l)}.Append(out.arena)
		t.finish(now, p, d, out)
	}
}

// sendAcks acknowledges what came on all paths, on the way back that is the earliest, and now and then on a second.
func (t *Tunnel) sendAcks(now mono.Time, out *Batch) {
	due, troubled := false, false
	for _, p := range t.paths {
		due = due || now >= t.ackDue(p)
		troubled = troubled || p.State() == path.Suspect
	}
	if !due {
		return
	}
	best, _ := sched.Soonest(now, 100, 1, t.wanted(false), nil)
	if best == nil {
		t.ackEverywhere(now, out)
		return
	}
	second, _ := sched.Soonest(now, 100, 1, t.wanted(troubled), best)
	every := min(max(2*best.Sent.RTT.Smoothed(), ackCopyMin), ackCopyMax)
	if second != nil && second.Metered && !troubled {
		second = nil
	}
	copied := second != nil && (troubled || now.Sub(t.lastAckCopy) >= every)
	t.acked = now
	told := t.ackOn(now, best, out)
	if copied {
		t.lastAckCopy = now
		t.ackOn(now, second, out)
	}
	for _, p := range t.paths {
		if told > 0 && p.Rx.Pending() {
			p.Rx.Acked(now)
			told--
		}
	}
}

// ackDue is when what came on a path is to be acknowledged; not too soon after the last time where there is little room for that.
func (t *Tunnel) ackDue(p *path.Path) mono.Time {
	return mono.Max(p.Rx.Due(p.Sent.RTT.Smoothed()), t.acked.Add(t.ackSpacing))
}

// wanted are the paths that control frames may use: those that data uses, so that a link kept in reserve stays quiet; all of
// them if none of those works, or if the frames must get through.
func (t *Tunnel) wanted(all bool) []*path.Path {
	if all {
		return t.paths
	}
	for _, p := range t.eligible {
		if p.Usable() {
			return t.eligible
		}
	}
	return t.paths
}

// ackOn sends one datagram on p with the acknowledgements of every path that owes some, as far as they fit: told is how many
// paths of those.
func (t *Tunnel) ackOn(now mono.Time, p *path.Path, out *Batch) (told int) {
	d := t.datagram(p, out)
	for _, of := range t.paths {
		if of.Rx.Pending() && len(out.arena)-d.from < probeBytes-wire.MaxAckBytes && of.Rx.Fill(now, of.ID, of.Sent.RTT.Smoothed(), &t.ack) {
			out.arena = t.ack.Append(out.arena)
			told++
		}
	}
	ping := now.Sub(p.Sent.LastSent()) >= max(ackPingEvery, p.Sent.RTT.Smoothed()/2)
	if ping {
		out.arena = wire.PingFrame{}.Append(out.arena)
	}
	d.to = len(out.arena)
	t.counts.Acks++
	t.sent(now, p, d, out, ping, recovery.Payload{})
	return told
}

// ackEverywhere is for a tunnel without usable path: each path that something came on answers for itself.
func (t *Tunnel) ackEverywhere(now mono.Time, out *Batch) {
	for _, p := range t.paths {
		if !p.Peer.Remote.IsValid() || !p.Peer.Allows(probeBytes) || now.Sub(p.Rx.Heard()) > time.Second {
			continue
		}
		t.ackOn(now, p, out)
	}
	for _, p := range t.paths {
		if p.Rx.Pending() {
			p.Rx.Acked(now)
		}
	}
}
