package engine

import (
	"net/netip"
	"slices"
	"time"

	"mpproxy/src/engine/even"
	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/lane"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/sched"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
)

// Tunnel carries packets to and from one peer. Make it with New.
type Tunnel struct {
	params  Params
	sending *session.Sending
	ids     session.ConnIDs
	out     session.Direction

	queue   *flowq.Queue
	sched   *sched.Scheduler
	paths   []*path.Path
	replay  map[uint32]*session.Replay
	others  map[uint32]*session.Replay // numbers of packets without a lane that came by repairs or copies
	copies  map[uint32]*copies
	joint   joint
	ruled   ruled
	ways    []*way
	came    came
	offset  *recovery.Offset
	repairs repairs
	lanes   laneSender
	in      *lane.Receiver
	even    *even.Evener
	evened  even.Stats // of earlier sessions
	parts   parts
	gaining gaining
	past    past

	ordered   []*packet.Buf // by the lanes, for even
	delivered []*packet.Buf
	drops     stats.Drops
	counts    Counts
	owned     []netip.Prefix
	ownedDst  bool

	config       pendingConfig
	peerConfig   []byte
	peerConfigID uint64
	configAcks   []uint64
	responses    []response
	closed       bool
	notice       notice
	leaving      leaving
	pathIDs      pathIDs
	epoch        uint8     // of the last packet sent
	epochSince   mono.Time // when the first packet of that epoch was sent
	peerConfigs  uint64
	closeReason  string
	notices      []string

	lastHeard   mono.Time // any new acknowledgement
	lastData    mono.Time
	polled      mono.Time // last Poll
	refreshAt   mono.Time
	delaysAt    mono.Time
	lastAckCopy mono.Time
	acked       mono.Time     // when acknowledgements were sent last
	ackSpacing  time.Duration // least time between two
	pardoned    mono.Time     // until then queues may be long
	held        int64         // bytes kept for repair
	metric      int
	capacity    int64 // of the eligible paths, bytes per second
	eligible    []*path.Path

	limits limits

	trace *tracing // nil: nobody wants to know

	frame wire.Frame
	ack   wire.AckFrame
}

// Counts are totals since the tunnel was made.
type Counts struct {
	// PacketsOut and PacketsIn are inner packets sent and delivered; bytes are inner bytes.
	PacketsOut, PacketsIn, BytesOut, BytesIn uint64
	// Lost are inner packets whose datagram was lost, Repaired those sent again, Spurious those that came after all.
	Lost, Repaired, Spurious uint64
	// Acks are acknowledgement datagrams sent.
	Acks uint64
	// Copies are inner packets sent once more over another path by choice, not counted in the above.
	Copies uint64
}

// response is an answer to a challenge; it goes to the path's address.
type response struct {
	data [8]byte
	path uint32
}

// New returns a tunnel without session or paths.
func New(now mono.Time, p Params) *Tunnel {
	if p.MTU == 0 {
		p.MTU = DefaultMTU
	}
	if p.RepairBytes == 0 {
		p.RepairBytes = defaultRepairBytes
	}
	t := &Tunnel{
		params: p, sched: sched.New(p.Scheduler, budget(p.Profile)), offset: &recovery.Offset{},
		replay: make(map[uint32]*session.Replay), others: make(map[uint32]*session.Replay), copies: make(map[uint32]*copies), out: session.Down, ownedDst: p.Initiator,
		lastHeard: now, lastData: now, refreshAt: now,
	}
	if p.Initiator {
		t.out = session.Up
	}
	t.queue = flowq.New(flowq.Params{LimitBytes: p.QueueBytes, Profile: p.Profile, Seed: p.Seed, HostIsDestination: !p.Initiator})
	t.queue.OnForget = t.dropLane
	t.queue.OnQueue = func(f *flowq.Flow, b *packet.Buf) {
		if f.Binding.HasLane {
			t.lanes.find(f.Binding.Lane).number(b)
		}
	}
	t.queue.OnDrop = func(b *packet.Buf) {
		if b.Laned {
			t.lanes.gaveUp(b.Lane, b.Seq)
		}
	}
	t.queue.Full = t.full
	if !p.Initiator {
		t.queue.SetJudge(t.wished)
	}
	t.in, t.even = lane.NewReceiver(lane.Params{LimitBytes: p.LaneBytes}), even.New(p.LaneBytes/2)
	t.lanes = newLaneSender()
	return t
}

// Start begins a session: all paths and lanes of the one before are forgotten, and what was on the way is sent again.
func (t *Tunnel) Start(now mono.Time, sending *session.Sending, ids session.ConnIDs) {
	for len(t.paths) > 0 {
		t.ClosePath(now, t.paths[0].ID)
	}
	t.sending, t.ids = sending, ids
	t.offset = &recovery.Offset{}
	t.replay, t.others = make(map[uint32]*session.Replay), make(map[uint32]*session.Replay)
	t.came = came{}
	t.flush()
	in := t.in.Drops()
	t.drops.Merge(&in)
	t.evened = t.Evened()
	t.in, t.even = lane.NewReceiver(lane.Params{LimitBytes: t.params.LaneBytes}), even.New(t.params.LaneBytes/2)
	t.repairs.unlane()
	t.lanes.reset(t.queue)
	t.config.resend()
	t.peerConfigID, t.closed, t.leaving, t.pathIDs = 0, false, leaving{}, pathIDs{}
	t.epoch, t.epochSince = sending.Epoch(), now
	t.parts.drop()
}

// Stands reports whether there is a session.
func (t *Tunnel) Stands() bool { return t.sending != nil }

// Stop ends the session: nothing is sent until Start.
func (t *Tunnel) Stop(now mono.Time) {
	for len(t.paths) > 0 {
		t.ClosePath(now, t.paths[0].ID)
	}
	t.sending = nil
}

// Close releases every packet the tunnel holds; it is of no use afterwards.
func (t *Tunnel) Close(now mono.Time) {
	t.Stop(now)
	t.repairs.drop()
	t.queue.Close()
	t.flush()
	for _, b := range t.delivered {
		b.Release()
	}
	t.delivered = nil
	t.parts.drop()
}

// SetOwned tells which inner addresses belong to the peer's side of what comes in: at the router the destinations it
// owns, at the server the sources the peer may use. Everything else is dropped and counted.
func (t *Tunnel) SetOwned(owned []netip.Prefix) { t.owned = owned }

// OpenPath begins to send on a path. remote is the peer's address where this side knows it, else the zero value.
func (t *Tunnel) OpenPath(now mono.Time, s PathSpec, remote netip.AddrPort) *path.Path {
	p := path.New(now, path.Config{
		ID: s.ID, Link: int(s.Link), Overhead: s.Overhead, Use: s.Use,
		Datagram:         t.params.MTU + wire.HeaderBytes + FrameBytes + wire.TagBytes,
		TunnelCongestion: t.params.Congestion,
		RTT:              s.RTT, Bandwidth: s.Bandwidth, Offset: t.offset, Seed: uint32(t.params.Seed),
	})
	if remote.IsValid() {
		p.Peer.Trust(remote)
	}
	t.paths = append(t.paths, p)
	t.pathIDs.use(s.ID)
	t.replay[s.ID] = new(session.Replay)
	t.refreshAt = now
	if t.trace != nil {
		t.trace.opened(now, p)
	}
	return p
}

// ClosePath takes a path away; what was on the way there is sent again elsewhere.
func (t *Tunnel) ClosePath(now mono.Time, id uint32) {
	for i, p := range t.paths {
		if p.ID != id {
			continue
		}
		t.paths = append(t.paths[:i:i], t.paths[i+1:]...)
		t.eligible = slices.DeleteFunc(t.eligible, func(e *path.Path) bool { return e == p })
		t.leaveWays(p)
		delete(t.lanes.info, id)
		t.salvage(now, p, p.Sent.Abandon())
		if p.Usable() && len(t.paths) > 0 {
			t.excuse(now)
		}
		t.past.keep(p)
		t.came.keep(id, t.replay[id], t.others[id])
		delete(t.replay, id)
		delete(t.others, id)
		t.dropCopies(id)
		t.sched.Forget(id)
		t.forgetGain(now, id)
		t.in.SetPath(id, lane.PathInfo{})
		t.refreshAt = now
		if t.trace != nil {
			t.trace.closed(now, id)
		}
		return
	}
}

// Path returns the open path with that id, nil if there is none.
func (t *Tunnel) Path(id uint32) *path.Path {
	for _, p := range t.paths {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// Paths returns the open paths; the slice is the tunnel's.
func (t *Tunnel) Paths() []*path.Path { return t.paths }

// Carrier tells that a link lost or regained its carrier: paths over it fail at once.
func (t *Tunnel) Carrier(now mono.Time, link int, up bool) {
	for _, p := range t.paths {
		if p.Link == link && !up && p.State() != path.Down {
			p.Fail(now)
			t.failed(now, p)
		}
	}
}

// failed is for a path that stopped being usable: what was on the way there goes elsewhere.
func (t *Tunnel) failed(now mono.Time, p *path.Path) {
	t.salvage(now, p, p.Abandon(now))
	t.refreshAt = now
	t.excuse(now)
}

// excuse lets queues be long for a while: a path that carried data is gone.
func (t *Tunnel) excuse(now mono.Time) {
	if now > t.pardoned.Add(pardonPause-pardon) {
		t.pardoned = now.Add(pardon)
	} else {
		t.pardoned = mono.Max(t.pardoned, now.Add(pardonAgain))
	}
}

// Enqueue takes inner packets over, to be sent to the peer.
func (t *Tunnel) Enqueue(now mono.Time, batch []*packet.Buf) {
	for _, b := range batch {
		switch {
		case b.Len() > t.params.MTU:
			t.drops.Add(stats.TooLarge, 1)
			b.Release()
			continue
		case t.sending == nil && t.Backlog() > noSessionBacklog:
			t.drops.Add(stats.NoSession, 1)
			b.Release()
			continue
		}
		t.queue.Enqueue(now, b)
	}
	t.lastData = now
}

// noSessionBacklog is what is kept for a session about to come: a page's worth of handshakes.
const noSessionBacklog = 64 << 10

// Backlog is how many bytes wait for a path.
func (t *Tunnel) Backlog() int { _, bytes := t.queue.Backlog(); return bytes }

// Delivered returns the inner packets that are ready for the TUN device, and forgets them: they belong to the caller,
// the slice only until the next call into the tunnel.
func (t *Tunnel) Delivered() []*packet.Buf {
	out := t.police(t.delivered)
	t.delivered = t.delivered[:0]
	t.counts.PacketsIn += uint64(len(out))
	for _, b := range out {
		t.counts.BytesIn += uint64(b.Len())
	}
	return out
}

// AllDown reports that no path is usable, and since when none has answered.
func (t *Tunnel) AllDown() (bool, mono.Time) {
	for _, p := range t.paths {
		if p.Usable() {
			return false, t.lastHeard
		}
	}
	return true, t.lastHeard
}

// SetMTU lowers the inner MTU to what the peer takes, before a session carries packets.
func (t *Tunnel) SetMTU(mtu int) { t.params.MTU = mtu }

// Lanes is how many flows are spread now.
func (t *Tunnel) Lanes() int { return len(t.lanes.active) }

// Flows is how many flows are known.
func (t *Tunnel) Flows() int { return t.queue.Flows() }

// MTU is the inner MTU.
func (t *Tunnel) MTU() int { return t.params.MTU }

// maxRTT is the largest smoothed round trip of the paths.
func (t *Tunnel) maxRTT() time.Duration {
	var most time.Duration
	for _, p := range t.paths {
		most = max(most, p.Sent.RTT.Smoothed())
	}
	return most
}

// MaxRTT is the largest smoothed round trip of the paths: old keys live a few of them.
func (t *Tunnel) MaxRTT() time.Duration { return t.maxRTT() }

// LaneStats are the counters of the lanes that come in.
func (t *Tunnel) LaneStats() lane.Stats { return t.in.Stats() }

// Evened is what was kept for the sake of even delays.
func (t *Tunnel) Evened() even.Stats {
	s, now := t.evened, t.even.Stats()
	s.Packets, s.Time, s.Full = s.Packets+now.Packets, s.Time+now.Time, s.Full+now.Full
	return s
}

// Drops are the packets dropped, by reason.
func (t *Tunnel) Drops() stats.Drops {
	d := t.drops
	in := t.in.Drops()
	d.Merge(&in)
	return d
}

// Counts are the tunnel's totals.
func (t *Tunnel) Counts() Counts { return t.counts }

// QueueCounts are the counters of the flow queues.
func (t *Tunnel) QueueCounts() flowq.Counts { return t.queue.Counts() }
