package path

import (
	"time"

	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/gaps"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/wire"
)

// State is how far this side trusts its own sending on a path.
type State uint8

// The states of the package documentation.
const (
	Opening State = iota
	Up
	Suspect
	Down
)

// String is the state in one word.
func (s State) String() string { return [...]string{"opening", "up", "suspect", "down"}[s] }

// Config is what a path is made with.
type Config struct {
	// ID is the path id, used for one activation only; Link is the portal's number of the link or socket.
	ID   uint32
	Link int
	// Overhead is the outer header in bytes, for example 28 for UDP over IPv4.
	Overhead int
	// Datagram is the size of the datagram that a full inner packet needs.
	Datagram int
	Use
	// RTT is the handshake's round trip, 0 if unknown; Bandwidth what the link gave last time in bytes per second, 0 if unknown.
	RTT       time.Duration
	Bandwidth int64
	// TunnelCongestion is the congestion control of paths that ask for none.
	TunnelCongestion congestion.Kind
	// Offset is the tunnel's common clock offset.
	Offset *recovery.Offset
	// Seed keeps the probes of paths apart.
	Seed uint32
}

// Use is how a path is to be used.
type Use struct {
	// Metric orders paths: one of a higher metric is used only when none of a lower one works, or with Overflow
	// also while all of those are full.
	Metric   int
	Overflow bool
	// Standby paths are probed less often.
	Standby bool
	// Metered paths cost money per byte: they are probed as little as may be.
	Metered bool
	// Limit caps the sending rate in bytes per second; 0 is no cap. PeerLimit is the same for the peer's sending.
	Limit, PeerLimit int64
	// Congestion is the congestion control asked for; the default leaves it to each end.
	Congestion congestion.Kind
	// Copies says of which packets on other paths this one carries copies.
	Copies Copies
	// Number is the link's, from 1, as rules that name links count them; 0 while none does.
	Number int
}

// Over reports that the path is over one of the links whose bits are set, 1 for link number 1; all are if none is.
func (u Use) Over(links uint64) bool { return links == 0 || u.Number > 0 && links>>(u.Number-1)&1 != 0 }

// Copies names packets that are sent twice.
type Copies uint8

// What is copied: nothing, calls, or all urgent packets (handshakes, name look-ups) and calls; or only what rules name, which a path
// that carries any copies carries, too.
const (
	CopyNothing Copies = iota
	CopyCalls
	CopyUrgent
	CopyNamed
)

// Has reports whether what is copied from a level on, CopyCalls or CopyUrgent, is copied.
func (c Copies) Has(level Copies) bool { return level != CopyNothing && c != CopyNamed && c >= level }

// Path is one way between the portals. Its exported members are its parts; see New.
type Path struct {
	Config
	// Sent is what is on the way, CC decides how much may be, Pace when; Rx is what came, MTU how large datagrams may be,
	// Peer where they go.
	Sent *recovery.History
	CC   congestion.Controller
	Pace Pacer
	Rx   Received
	MTU  MTU
	Peer Address

	// Gaps knows when the path is silent for a moment, if that comes regularly.
	Gaps gaps.Learner

	// Carried is how many bytes of inner packets were acknowledged on the path, without copies.
	Carried int64
	// Busy is set while the link's sender has no room.
	Busy bool
	// ConnID is the peer's name for the path; 0 until the tunnel has computed it.
	ConnID uint32

	chosen    congestion.Kind // what CC is
	before    int64           // bandwidth that was known when the controller was made
	tried     bool            // it has shown one itself
	state     State
	since     mono.Time
	opened    mono.Time
	probed    mono.Time
	useTold   bool      // the peer knows how the path is to be used
	useSent   mono.Time // when it was told last
	asked     bool      // a probe timeout wants a probe
	tail      mono.Time // when the last data was sent, until something after it shows whether it arrived; 0: none
	answers   int
	answered  mono.Time // first answer since down, or since a silence after that
	latest    mono.Time // and the latest
	flips     [flipMax]mono.Time
	flip      int
	lossShare int64 // lost of sent in 1/65536, smoothed
	lost      uint64
	drain     drain
	crowded   bool // others were found to fill the queue
	rebased   mono.Time
	lowest    time.Duration // delay since LetGo
	shares    mono.Time     // until then
	held      bool
	heldUntil mono.Time // also afterwards
}

// New returns a path in state Opening.
func New(now mono.Time, c Config) *Path {
	p := &Path{
		Config: c, Sent: recovery.New(c.Offset), MTU: NewMTU(c.Datagram),
		since: now, opened: now, probed: now.Add(-time.Hour),
	}
	p.newController(now, c.RTT, c.Bandwidth)
	return p
}

func (p *Path) newController(now mono.Time, rtt time.Duration, bandwidth int64) {
	p.chosen = p.Congestion()
	p.CC = congestion.New(p.chosen, now, rtt, p.ID+p.Seed)
	p.CC.Resume(bandwidth)
	p.before, p.tried = 2*bandwidth, false
	p.Pace = Pacer{}
}

// Known is the bandwidth that the path has shown while there was enough to send, or a path before it if there never was, in bytes
// per second; 0 if nothing is known. What probes alone show would have the path begin anew at a crawl.
func (p *Path) Known() int64 {
	if p.tried {
		return p.CC.Bandwidth()
	}
	return p.before
}

// State is the verdict.
func (p *Path) State() State { return p.state }

// Since is when the state was entered.
func (p *Path) Since() mono.Time { return p.since }

// Usable reports that data may be sent on the path.
func (p *Path) Usable() bool { return p.state == Up && p.Peer.Validated() }

// Open reports that the path is usable and not held.
func (p *Path) Open() bool { return p.Usable() && !p.held }

// Held reports that the path is held, and when that ends.
func (p *Path) Held() (until mono.Time, held bool) { return p.heldUntil, p.held }

// Hold keeps everything but probes off the path until then, because of a gap that is expected; with 0 that ends. Meanwhile it is
// probed often, so that Gaps sees what becomes of it; unless it is metered.
func (p *Path) Hold(until mono.Time) {
	if until == 0 {
		p.held = false
		return
	}
	if !p.held {
		p.Sent.MarkLimited() // what is delivered now is not all that could be
	}
	p.held, p.heldUntil = true, until
}

// HasWindow reports room in the congestion window for a full packet.
func (p *Path) HasWindow() bool {
	inflight, _ := p.Sent.Inflight()
	return inflight+congestion.MTU <= p.CC.Window() && !p.Sent.Full()
}

// CanSend reports that new data may go now.
func (p *Path) CanSend() bool { return p.Open() && !p.Busy && p.Pace.Ready() && p.HasWindow() }

// CanUrge reports that a packet that must not wait may go now, ahead of the pacing.
func (p *Path) CanUrge() bool {
	return p.Open() && !p.Busy && !p.Sent.Full() && p.Pace.Within(p.Rate(), 8*time.Millisecond)
}

// Rate is the pacing rate in bytes per second.
func (p *Path) Rate() int64 {
	rate := p.CC.PacingRate()
	if p.Limit > 0 {
		rate = min(rate, p.Limit)
	}
	return rate
}

// Carries is the capacity estimate in bytes per second, as far as the path may be used.
func (p *Path) Carries() int64 {
	if p.Limit > 0 {
		return min(p.CC.Bandwidth(), p.Limit)
	}
	return p.CC.Bandwidth()
}

// Refill gives the pacer what the time since the last call is worth.
func (p *Path) Refill(now mono.Time) { p.Pace.Refill(now, p.Rate()) }

// NextSend is when the pacing lets it be worth trying again.
func (p *Path) NextSend() mono.Time { return p.Pace.Next(p.Rate()) }

// Timeout does what recovery's timers decide.
func (p *Path) Timeout(now mono.Time) *recovery.Result {
	r := p.Sent.OnTimeout(now)
	if len(r.Lost) > 0 {
		p.learn(now, r)
	}
	return r
}

// LostPacket takes note of a loss that later packets have proved; many full ones in a row mean a smaller MTU.
func (p *Path) LostPacket(s *recovery.Packet) {
	if s.Buf != nil {
		p.MTU.Lost(int(s.Wire)-p.Overhead, p.lossShare)
	}
}

// Restart forgets what was known of the path's capacity: it leads elsewhere now.
func (p *Path) Restart(now mono.Time) {
	p.newController(now, p.Sent.RTT.Latest(), 0)
}

// OnSent accounts a datagram of n bytes (UDP payload).
func (p *Path) OnSent(now mono.Time, n int, eliciting bool, load recovery.Payload) {
	wireBytes := n + p.Overhead
	if _, packets := p.Sent.Inflight(); eliciting && packets == 0 && p.Sent.LastSent() != 0 {
		p.CC.OnIdle(now, now.Sub(p.Sent.LastSent()))
	}
	if load.Buf != nil {
		p.tail = now
	} else if eliciting {
		p.tail = 0
	}
	p.Sent.Sent(now, wireBytes, eliciting, load)
	p.Pace.Spend(wireBytes)
	p.Peer.spend(wireBytes)
}

// OnAck takes an acknowledgement of this path's packets; ok is false if it makes no sense.
func (p *Path) OnAck(now mono.Time, f *wire.AckFrame) (r *recovery.Result, ok bool) {
	r, ok = p.Sent.OnAck(now, f)
	if !ok {
		return r, false
	}
	p.learn(now, r)
	if r.New {
		p.answer(now)
	}
	return r, true
}

// learn feeds what an acknowledgement or a timer brought to the congestion controller.
func (p *Path) learn(now mono.Time, r *recovery.Result) {
	p.lost += uint64(len(r.Lost))
	for range r.Lost {
		p.lossShare += (65536 - p.lossShare) / 256
	}
	p.lossShare -= p.lossShare * int64(min(len(r.Acked), 256)) / 256
	p.tried = p.tried || r.Rate > 0 && !r.Limited
	p.noteFates(now, r)
	inflight, _ := p.Sent.Inflight()
	p.CC.OnAck(congestion.Sample{
		Now: now, Acked: r.AckedBytes, Lost: r.LostBytes, Spurious: int64(r.Late) * congestion.MTU, Inflight: inflight,
		AckedSent: newestSent(r.Acked), LostSent: newestSent(r.Lost), Latest: p.Sent.RTT.Latest(),
		Rate: r.Rate, SendRate: r.SendRate, AppLimited: r.Limited, Span: r.Span, Round: r.Round,
		RTT: p.Sent.RTT.Smoothed(), Flight: p.Sent.Flight(), Busy: p.Sent.Busy(), MinRTT: p.Sent.RTT.Min(),
		Queue: p.Queue(now), RoundQueue: r.RoundQueue, Deviation: p.Sent.Delay.Deviation(),
		Crowded: p.takeCrowded(),
	})
	p.Sent.Hasty = p.CC.Searching()
	if r.Round {
		p.checkFloor(now, r)
	}
}

// Abandon hands back what is on the way, as lost: the path is not trusted any more.
func (p *Path) Abandon(now mono.Time) *recovery.Result {
	r := p.Sent.Abandon()
	p.noteFates(now, r)
	return r
}

// noteFates says what became of each packet, and whether that was bad for who waits for it.
func (p *Path) noteFates(now mono.Time, r *recovery.Result) {
	usual := p.Sent.RTT.Smoothed() + gaps.Late
	for i := range r.Acked {
		p.Gaps.Note(r.Acked[i].Sent, now.Sub(r.Acked[i].Sent) <= usual)
	}
	for i := range r.Lost {
		p.Gaps.Note(r.Lost[i].Sent, false)
	}
}

// Queue predicts the delay that the path's queue adds to a packet sent now.
func (p *Path) Queue(now mono.Time) time.Duration {
	return p.Sent.Delay.Queue(now, p.Sent.Total(), p.CC.Bandwidth())
}

// Lost is how many packets were declared lost so far.
func (p *Path) Lost() uint64 { return p.lost }

// Loss is the smoothed share of packets lost, in 1/65536.
func (p *Path) Loss() int64 { return p.lossShare }

// Arrival predicts when a packet of n bytes sent as soon as the path may would arrive, on the common relative scale
// of the direction: only comparisons between paths mean anything. k weighs the deviation (1 bulk, 2 calls).
func (p *Path) Arrival(now mono.Time, n int, k time.Duration) time.Duration {
	bw := p.CC.Bandwidth()
	if bw == 0 {
		bw = p.Rate()
	}
	d := &p.Sent.Delay
	a := p.Pace.Wait(p.Rate()) + p.Queue(now) + time.Duration(int64(n)*int64(time.Second)/max(bw, 1))
	a += p.Base() + k*d.Deviation()
	if d.Known() && d.Age(now) > 2*time.Second {
		a += 10*time.Millisecond + p.Sent.RTT.Smoothed()/20
	}
	return a
}

// Takes is how long a packet sent now is on its way, the path's queue included, on the common scale.
func (p *Path) Takes(now mono.Time) time.Duration { return p.Base() + p.Queue(now) }

// Base is the floor of the one-way delay on the common scale. A path without a sample counts half its round trip
// more than nothing, so that it is not the first choice.
func (p *Path) Base() time.Duration {
	if p.Sent.Delay.Known() {
		return p.Sent.Delay.Base()
	}
	return p.Sent.RTT.Smoothed() / 2
}
