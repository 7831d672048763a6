package engine

import (
	"encoding/binary"
	"net/netip"
	"time"

	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/lane"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
)

// Received is one datagram that was opened.
type Received struct {
	// Buf holds the plaintext; it passes to the tunnel.
	Buf *packet.Buf
	// Number and Path are what it was sealed with.
	Number uint64
	Path   uint32
	// Wire is its size on the link; CE says that it came with congestion experienced.
	Wire int
	CE   bool
	// At is when it came.
	At mono.Time
	// Link is the portal's number of the link or socket it came by, From and Local its addresses.
	Link  int
	From  netip.AddrPort
	Local netip.Addr
}

// Receive takes one authentic datagram of the session.
func (t *Tunnel) Receive(now mono.Time, r *Received) {
	p, why := t.pathFor(now, r)
	if p == nil {
		t.drops.Add(why, 1)
		if why == stats.TooManyLinks {
			t.tellLinks(now)
		}
		r.Buf.Release()
		return
	}
	replay := t.replay[p.ID]
	newest := p.Rx.Newer(r.Number)
	switch replay.Judge(r.Number) {
	case session.Duplicate:
		t.drops.Add(stats.Replayed, 1)
		r.Buf.Release()
		return
	case session.Old:
		t.drops.Add(stats.TooOld, 1)
		r.Buf.Release()
		return
	}
	replay.Accept(r.Number)
	if !t.params.Initiator {
		p.Peer.From(now, r.From, r.Local, r.Link, r.Wire, newest, t.params.Random)
		p.Link = p.Peer.Link
	}
	eliciting := t.frames(now, p, r)
	p.Rx.On(now, r.At, r.Number, r.Wire, r.CE, eliciting)
	t.in.Heard(p.ID, now)
}

// pathFor returns the path a datagram came by, or nil and why there is none; at the server the router opens paths by
// sending on them.
func (t *Tunnel) pathFor(now mono.Time, r *Received) (*path.Path, stats.Reason) {
	if p := t.Path(r.Path); p != nil {
		return p, 0
	}
	if t.params.Initiator || t.pathIDs.wasUsed(r.Path) {
		return nil, stats.UnknownConnection
	}
	if most, why := t.mostPaths(); !t.makeRoom(now, most) {
		return nil, why
	}
	bandwidth, rtt := t.past.recall(r.From.Addr())
	return t.OpenPath(now, PathSpec{ID: r.Path, Link: uint32(r.Link), Overhead: Overhead(r.From), Bandwidth: bandwidth, RTT: rtt}, netip.AddrPort{}), 0
}

// Overhead is what IP and UDP headers to that address take.
func Overhead(to netip.AddrPort) int {
	if to.Addr().Unmap().Is4() {
		return 28
	}
	return 48
}

// frames handles all frames of a datagram; eliciting reports that it is to be acknowledged.
func (t *Tunnel) frames(now mono.Time, p *path.Path, r *Received) (eliciting bool) {
	rest := r.Buf.Bytes()
	for len(rest) > 0 {
		before := len(rest)
		next, err := wire.Next(rest, &t.frame)
		if err != nil {
			t.drops.Add(stats.MalformedFrame, 1)
			break
		}
		eliciting = eliciting || wire.AckEliciting(t.frame.Type)
		if t.frame.Type == wire.TypeData {
			d := &t.frame.Data
			if len(next) == 0 {
				// The usual case: one packet, handed on in the buffer it came in.
				start := r.Buf.Len() - len(d.Payload)
				r.Buf.Slice(start, r.Buf.Len())
				t.data(now, p, d, r.Buf, r)
				return true
			}
			if b := t.params.Pool.Get(); b != nil {
				b.Set(d.Payload)
				t.data(now, p, d, b, r)
			} else {
				t.drops.Add(stats.PoolExhausted, 1)
			}
		} else {
			t.control(now, p, r)
		}
		if len(next) >= before {
			break
		}
		rest = next
	}
	r.Buf.Release()
	return eliciting
}

// data takes one inner packet of the datagram r, or a part of one, over.
func (t *Tunnel) data(now mono.Time, p *path.Path, d *wire.DataFrame, b *packet.Buf, r *Received) {
	if d.Part != wire.Whole {
		if b = t.parts.join(now, d, b, &t.drops); b == nil {
			return
		}
	}
	if !d.Laned && t.duplicate(p.ID, r.Number, d) {
		t.drops.Add(stats.LaneDuplicate, 1)
		b.Release()
		return
	}
	if !t.admit(b) {
		b.Release()
		return
	}
	if r.CE {
		flowq.MarkCE(b.Bytes()) // RFC 6040: congestion outside is congestion inside
	}
	t.lastData = now
	if !d.Laned {
		t.delivered = append(t.delivered, b)
		return
	}
	if d.Lane >= lane.MaxLanes {
		t.drops.Add(stats.MalformedFrame, 1)
		b.Release()
		return
	}
	b.Lane, b.Stamp, b.Stamped = d.Lane, d.Stamp, d.Stamped
	t.ordered = t.in.Push(now, d.Lane, d.Seq, p.ID, d.Repair, b, t.ordered)
	t.level(now)
}

// level takes the jitter out of what the lanes have put in order.
func (t *Tunnel) level(now mono.Time) {
	for _, b := range t.ordered {
		t.delivered = t.even.Push(now, b, t.delivered)
	}
	t.ordered = t.ordered[:0]
}

// flush delivers all that waits for order or to be even.
func (t *Tunnel) flush() {
	t.delivered = t.in.Flush(t.even.Flush(t.delivered))
}

// came remembers what came on the paths closed last, because repairs of what was on the way there still come.
type came struct {
	ids    [4]uint32
	replay [4]*session.Replay
	others [4]*session.Replay // as Tunnel.others; may be nil
	next   int
}

func (c *came) keep(id uint32, r, others *session.Replay) {
	i := c.next % len(c.ids)
	c.ids[i], c.replay[i], c.others[i] = id, r, others
	c.next++
}

// duplicate reports that a packet without a lane, come in that datagram, came before.
func (t *Tunnel) duplicate(id uint32, number uint64, d *wire.DataFrame) bool {
	switch {
	case d.Repair && d.FromPath == 0 && d.FromNumber != 0:
		return t.parts.came(uint16(d.FromNumber))
	case d.Repair:
		return t.cameBefore(d.FromPath, d.FromNumber, d.Copy)
	}
	if d.Part != wire.Whole {
		return t.parts.came(d.PartID)
	}
	other := t.others[id]
	return other != nil && other.Judge(uint64(uint32(number))) == session.Duplicate
}

// cameBefore reports that the datagram which first carried a packet, or a repair of it, came before, and notes that
// now it has. low is the low half of its number; chosen says that it was no repair, but sent twice by choice.
func (t *Tunnel) cameBefore(id, low uint32, chosen bool) bool {
	r, other := t.replay[id], t.others[id]
	for i, closed := range t.came.ids {
		if r == nil && closed == id {
			r, other = t.came.replay[i], t.came.others[i]
		}
	}
	if id == 0 || r == nil {
		return false
	}
	number := uint64(low)
	if r.Judge(number) == session.Duplicate {
		return true
	}
	if other != nil && other.Judge(number) == session.Duplicate {
		return true
	}
	if !chosen || t.Path(id) == nil {
		// What was taken for lost comes too late to be of use, be it acknowledged.
		r.Accept(number)
		return false
	}
	// Not in the path's own window: the datagram itself will come, and is to be acknowledged then.
	if other == nil {
		other = new(session.Replay)
		t.others[id] = other
	}
	other.Accept(number)
	return false
}

// admit checks that the peer may send this packet to us.
func (t *Tunnel) admit(b *packet.Buf) bool {
	info, ok := flowq.ParseIP(b.Bytes())
	if !ok {
		t.drops.Add(stats.NotIP, 1)
		return false
	}
	addr, reason := info.Src, stats.SourceNotOwned
	if t.ownedDst {
		addr, reason = info.Dst, stats.DestinationNotOwned
	}
	for _, o := range t.owned {
		if o.Contains(addr) {
			return true
		}
	}
	t.drops.Add(reason, 1)
	return false
}

// control handles a frame that is not data.
func (t *Tunnel) control(now mono.Time, p *path.Path, r *Received) {
	f := &t.frame
	switch f.Type {
	case wire.TypeAck:
		t.onAck(now, &f.Ack)
	case wire.TypeChallenge:
		// From elsewhere it may be somebody else's address, who did not ask.
		if len(t.responses) < 2*MaxPaths && (t.params.Initiator || r.From == p.Peer.Remote) {
			t.responses = append(t.responses, response{f.Challenge.Data, p.ID})
		}
	case wire.TypeResponse:
		p.Peer.Response(now, r.From, binary.BigEndian.Uint64(f.Response.Data[:]))
		t.refreshAt = now
	case wire.TypeDelays:
		t.onDelays(&f.Delays)
	case wire.TypeLaneMark:
		if f.LaneMark.Lane < lane.MaxLanes {
			t.ordered = t.in.Mark(now, f.LaneMark.Lane, f.LaneMark.Seq, p.ID, t.ordered)
			t.level(now)
		}
	case wire.TypeGaveUp:
		if f.GaveUp.Lane < lane.MaxLanes {
			t.ordered = t.in.GaveUp(now, f.GaveUp.Lane, f.GaveUp.First, int(f.GaveUp.Count), t.ordered)
			t.level(now)
		}
	case wire.TypeConfig:
		t.onConfig(f.Config.ID, f.Config.Blob)
	case wire.TypeConfigAck:
		t.config.acked(f.ConfigAck.ID)
	case wire.TypePathUse:
		t.onUse(now, p, &f.PathUse)
	case wire.TypeFlow:
		t.onFlow(now, &f.Flow)
	case wire.TypePathLink:
		t.onPathLink(now, p, int(f.PathLink.Link))
	case wire.TypePathClose:
		t.pathIDs.use(f.PathClose.Path)
		if f.PathClose.Path != p.ID {
			t.ClosePath(now, f.PathClose.Path)
		}
	case wire.TypeClose:
		t.closed, t.closeReason = true, printable(f.Close.Text)
	case wire.TypeNotice:
		if len(t.notices) < 4 {
			t.notices = append(t.notices, printable(f.Notice.Text))
		}
	}
}

func (t *Tunnel) onDelays(f *wire.DelaysFrame) {
	t.in.SetRepairWait(time.Duration(f.RepairWait) * 100 * time.Microsecond)
	for _, d := range f.Paths[:f.Count] {
		p := t.Path(d.Path)
		if p == nil {
			continue
		}
		t.lanes.info[d.Path] = lane.PathInfo{
			Relative:  time.Duration(d.Relative) * 100 * time.Microsecond,
			Deviation: time.Duration(d.Deviation) * 100 * time.Microsecond,
			Reorder:   time.Duration(d.Reorder) * 100 * time.Microsecond,
		}
	}
}

// onUse is the server's: the router tells how a path is to be used.
func (t *Tunnel) onUse(now mono.Time, p *path.Path, f *wire.PathUseFrame) {
	if t.params.Initiator {
		return
	}
	p.SetUse(path.Use{
		Metric: int(f.Metric), Overflow: f.Overflow, Standby: f.Standby, Metered: f.Metered, Limit: int64(f.Limit) * 125,
		Congestion: t.allowed(congestion.Kind(f.Congestion)), Copies: path.Copies(f.Copies),
		Number: p.Config.Use.Number,
	})
	p.ChooseCongestion(now, t.params.Congestion)
	t.refreshAt = now
}

// onAck takes an acknowledgement of one of our paths' packets.
func (t *Tunnel) onAck(now mono.Time, f *wire.AckFrame) {
	p := t.Path(f.Path)
	if p == nil {
		return
	}
	was := p.State()
	r, ok := p.OnAck(now, f)
	if !ok {
		t.drops.Add(stats.MalformedFrame, 1)
		return
	}
	if r.New {
		t.lastHeard = now
		t.confirmEpoch(r.Acked)
	}
	if was != p.State() {
		t.refreshAt = now
		if was == path.Suspect {
			t.pardoned = mono.Min(t.pardoned, now.Add(pardonFalse))
		}
	}
	t.counts.Spurious += uint64(r.Late)
	if t.trace != nil && r.Late > 0 {
		t.trace.late(now, p, r.Late)
	}
	for i := range r.Acked {
		t.settle(p, &r.Acked[i])
	}
	for i := range r.Lost {
		p.LostPacket(&r.Lost[i])
	}
	t.salvage(now, p, r)
}

// confirmEpoch notes that the peer has a packet of the current key epoch.
func (t *Tunnel) confirmEpoch(acked []recovery.Packet) {
	for i := range acked {
		if acked[i].Sent > t.epochSince && t.epoch == t.sending.Epoch() {
			t.sending.Confirm(t.epoch)
			return
		}
	}
}
