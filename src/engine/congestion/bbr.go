package congestion

import (
	"math"
	"time"

	"mpproxy/src/engine/mono"
)

type state uint8

const (
	startup state = iota // find the capacity, doubling
	drain                // let go the queue that start-up made
	cruise               // send at the estimate, a small queue standing
	probeUp              // send a little more: is there more?
	down                 // let go the queue that the probe made
	floor                // hardly anything on the way: refresh the delay floor
)

// String names the phase for status and traces.
func (s state) String() string {
	return [...]string{"startup", "drain", "cruise", "probe", "down", "floor"}[s]
}

// BBR is the default controller; see the package documentation. Make it with NewBBR.
type BBR struct {
	state   state
	entered mono.Time
	rounds  int // since the state was entered

	bandwidth maxFilter
	roundRate int64 // largest rate of this round
	anyRate   int64 // the same, of samples too that were limited by what there was to send
	gain      int64 // pacing gain in percent

	rtt, minRTT time.Duration
	queue       time.Duration // predicted now
	target      time.Duration

	slow       int64 // slow start's window: doubles each round trip, whatever the rates seem to be
	full       int64 // bandwidth at the last growth
	fullRounds int
	longQueue  int // rounds with a queue in start-up
	lossRounds int // rounds in start-up with more than a tenth lost: the queue is too short to show
	empty      int // rounds of cruising at full rate without a queue
	saturated  int // rounds in which delivery lagged behind sending with a queue standing

	nextProbe  mono.Time
	probeBase  int64
	probeLoss  int64
	probeAcked int64
	backoff    time.Duration
	jitter     uint32

	roundAcked, roundLost int64
	lossShare             int64 // usual loss in 1/1024

	known     bool      // the capacity was really tried: the first window need not be held on to
	floorAt   mono.Time // when the queue was last seen (nearly) empty
	idleGain  bool
	handshake time.Duration

	letGo bool // the floor is asked for by LetGo

	rival rival
}

// NewBBR returns a controller that paces its first window over the given round trip (that of the handshake; 0 if unknown),
// or over initialSpread if that is less.
// seed sets the phases of probes apart between paths.
func NewBBR(now mono.Time, rtt time.Duration, seed uint32) *BBR {
	if rtt <= 0 {
		rtt = 100 * time.Millisecond
	}
	return &BBR{
		state: startup, entered: now, gain: startupGain, slow: InitialWindow, handshake: rtt, rtt: rtt, minRTT: rtt,
		jitter: seed*2654435761 + 1, floorAt: now, target: queueTargetMin,
	}
}

var _ Controller = (*BBR)(nil)

// Resume starts from a bandwidth known from before (bytes per second; 0 changes nothing): start-up goes on from there.
func (b *BBR) Resume(bandwidth int64) {
	if bandwidth > 0 {
		// Start-up sends at 2.77 times the estimate.
		b.bandwidth.set(bandwidth * 100 / startupGain)
		b.known = true
	}
}

// Searching reports start-up.
func (b *BBR) Searching() bool { return b.state == startup }

// LetGo empties the queue, as far as it is ours, whatever is taken for the floor of the delay. Start-up goes on.
func (b *BBR) LetGo(now mono.Time) {
	if b.state == startup {
		return
	}
	b.enter(now, floor)
	b.gain, b.letGo = 100, true
}

// Competing reports that others keep the queue full, and that the path holds its own in it.
func (b *BBR) Competing() bool { return b.rival.on() }

// State names the phase.
func (b *BBR) State() string {
	if b.rival.on() {
		return "compete"
	}
	return b.state.String()
}

// Bandwidth is the capacity estimate.
func (b *BBR) Bandwidth() int64 { return b.bandwidth.get() }

// PacingRate is the estimate times the phase's gain, or more while others fill the queue.
func (b *BBR) PacingRate() int64 { return b.rival.pace(b.pace()) }

func (b *BBR) pace() int64 {
	bw := b.bandwidth.get()
	if bw == 0 {
		return perSecond(InitialWindow, min(b.handshake, initialSpread))
	}
	rate := bw * b.gain / 100
	if !b.known {
		rate = max(rate, perSecond(InitialWindow, min(b.handshake, initialSpread)))
	}
	if b.state == startup && b.slow > InitialWindow {
		rate = max(rate, perSecond(b.slow, b.handshake)*startupSpread/100)
	}
	if b.idleGain {
		rate = rate * 3 / 4
	}
	return max(rate, perSecond(MTU, time.Second/4))
}

// Window is two bandwidth-delay products and what acknowledgements lag behind, or more while others fill the queue.
func (b *BBR) Window() int64 { return b.rival.share(b.window()) }

func (b *BBR) window() int64 {
	bw := b.bandwidth.get()
	if bw == 0 {
		return InitialWindow
	}
	least := int64(MinWindow)
	if bw < SlowRate {
		least = MinWindowSlow
	}
	if b.state == floor {
		w := bytesIn(bw, b.rival.floor(b.minRTT)) / 2
		if b.letGo {
			w = min(w, bytesIn(bw, b.rtt)/4)
		}
		return max(w, least)
	}
	w := b.bdp()*windowGain/100 + bytesIn(bw, ackLag(b.rtt))
	if b.state == startup {
		w = max(w*startupGain/200, b.slow)
	}
	return max(w, least)
}

// OnIdle keeps the rate; the first round trip after the pause is sent a little slower.
func (b *BBR) OnIdle(now mono.Time, idle time.Duration) {
	b.floorAt = now
	if idle > b.rtt+200*time.Millisecond {
		b.idleGain = true
	}
}

// OnSilence ends a probe: nothing that it sent came back. The estimate stays; a path that went down gets a new controller.
func (b *BBR) OnSilence(now mono.Time) {
	if b.state == probeUp || b.state == floor {
		b.enter(now, cruise)
	}
}

// OnAck moves the model.
func (b *BBR) OnAck(s Sample) {
	b.rtt, b.queue = s.RTT, s.Queue
	// A path that jitters needs the round trip that it really shows on the way, not the least ever seen.
	if s.Busy > 0 {
		b.minRTT = max(s.MinRTT, s.Busy-ackLag(s.RTT))
	} else {
		b.minRTT = max(s.MinRTT, s.Flight-s.Queue-ackLag(s.RTT))
	}
	b.handshake = max(s.RTT, s.Flight)
	b.target = min(max(s.MinRTT/16, queueTargetMin, b.packetTimes(2)), max(queueTargetMax, b.packetTimes(2)))
	b.target = max(b.target, min(s.Deviation/2, queueTargetNoisy))
	b.roundAcked += s.Acked
	b.roundLost = max(b.roundLost+s.Lost-s.Spurious, 0)
	b.anyRate = max(b.anyRate, s.Rate)
	if s.Rate > 0 && (!s.AppLimited || s.Rate > b.bandwidth.get()) {
		b.known = b.known || !s.AppLimited && b.roundAcked >= startupTelling
		b.bandwidth.update(s.Rate)
		b.roundRate = max(b.roundRate, s.Rate)
	}
	if b.state == startup && s.Inflight+s.Acked >= b.slow/2 {
		b.slow += s.Acked
	}
	if s.Queue < time.Millisecond || s.AppLimited {
		b.floorAt = s.Now
	}
	if s.Round {
		b.endRound(s)
	}
	b.step(s)
	if s.Crowded {
		b.rival.begin(s, b.window())
	}
	if b.rival.onAck(s) {
		b.enter(s.Now, floor) // of what is taken for the floor of the delay, a part is our own queue
		b.gain = 100
	}
	if s.Round {
		b.roundRate, b.anyRate, b.roundAcked, b.roundLost = 0, 0, 0, 0
	}
}

// endRound looks at a whole round trip: is the link saturated, so that the delivery rate is its capacity?
func (b *BBR) endRound(s Sample) {
	b.rounds++
	b.idleGain = false
	lagging := s.Rate > 0 && s.Rate*100 < s.SendRate*95
	if lagging && s.RoundQueue > 2*b.target && b.state != startup && b.state != floor {
		b.saturated++
	} else {
		b.saturated = 0
	}
	// While a queue grows it is the link that limits, however little there was to send. A few packets tell nothing of it: a path that
	// has become longer looks alike.
	rate := b.roundRate
	if b.roundAcked >= startupTelling {
		rate = b.anyRate
	}
	if b.saturated >= saturatedRounds && rate > 0 && rate < b.bandwidth.get() {
		b.bandwidth.set(rate)
	}
	if total := b.roundAcked + b.roundLost; total > 0 && b.state == cruise {
		b.lossShare += (b.roundLost*1024/total - b.lossShare) / 8
	}
}

// step runs the phase.
func (b *BBR) step(s Sample) {
	switch b.state {
	case startup:
		b.stepStartup(s)
	case drain:
		if b.queue <= b.target || s.Inflight <= b.bdp() || b.rounds > 8 {
			b.startCruise(s.Now)
		}
	case cruise:
		b.steer()
		b.maybeProbe(s)
	case probeUp:
		b.stepProbe(s)
	case down:
		if b.queue <= b.target/2 || b.rounds >= 4 {
			b.startCruise(s.Now)
		}
	case floor:
		if b.rounds >= 1 && s.Now.Sub(b.entered) > 50*time.Millisecond || s.Now.Sub(b.entered) > time.Second {
			b.floorAt = s.Now
			b.startCruise(s.Now)
		}
	}
}

// stepStartup ends the doubling when it brings no more. A queue shows that even while there is not enough to send to use
// the phase's rate; missing growth shows it only while there is.
func (b *BBR) stepStartup(s Sample) {
	if !s.Round {
		return
	}
	// A round of a few packets shows jitter, not a queue.
	telling := b.roundAcked+b.roundLost >= startupTelling
	lagging := s.Rate*10 < s.SendRate*9
	grew := b.bandwidth.get()*100 >= b.full*startupGrowth
	noise := 5 * s.Deviation
	if lagging && !grew {
		noise = shrunk(noise, b.roundAcked+b.roundLost)
	}
	switch {
	case !telling:
	case s.RoundQueue <= max(8*time.Millisecond, s.MinRTT/4, noise):
		b.longQueue = 0
	case lagging && s.RoundQueue > max(startupQueueMost, 2*s.MinRTT, 3*s.Deviation):
		b.longQueue += startupQueueRounds * startupQueueWeight
	case lagging:
		b.longQueue += startupQueueWeight
	default:
		b.longQueue++
	}
	switch {
	case s.Rate <= 0:
	case grew && (!s.AppLimited || telling && lagging):
		b.full, b.fullRounds = b.bandwidth.get(), 0
	case !s.AppLimited || telling && lagging && (b.longQueue > 0 || b.roundLost > 0):
		b.fullRounds++
	case !lagging:
		b.fullRounds = 0 // what there was to send was carried: the link was not full
	}
	if total := b.roundAcked + b.roundLost; telling && b.roundLost*10 > total {
		b.lossRounds++
		if total >= startupLossTelling {
			b.lossRounds = startupQueueRounds
		}
	} else {
		b.lossRounds = 0
	}
	if b.fullRounds >= startupRounds || b.longQueue >= startupQueueRounds*startupQueueWeight || b.lossRounds >= startupQueueRounds {
		if b.longQueue > 0 && b.roundRate > 0 {
			b.bandwidth.set(b.roundRate)
		}
		b.enter(s.Now, drain)
		b.gain = drainGain
	}
}

// shrunk is the noise of a mean over a round of that many bytes, where noise is that of startupTelling.
func shrunk(noise time.Duration, bytes int64) time.Duration {
	if bytes <= startupTelling {
		return noise
	}
	return time.Duration(float64(noise) * math.Sqrt(float64(startupTelling)/float64(bytes)))
}

// steer holds the queue near the target: a link that never runs dry gives all it has, and no more than
// a few milliseconds are waited for.
func (b *BBR) steer() {
	switch q := b.queue; {
	case q > 8*b.target:
		b.gain = 75
	case q > 4*b.target:
		b.gain = 90
	case q > 2*b.target:
		b.gain = 97
	case q < b.target/2:
		b.gain = 103
	case q < b.target:
		b.gain = 101
	default:
		b.gain = 100
	}
}

func (b *BBR) maybeProbe(s Sample) {
	if s.Now.Sub(b.floorAt) > 10*time.Second {
		b.enter(s.Now, floor)
		b.gain = 100
		return
	}
	if !s.Round || s.Rate == 0 || s.AppLimited || s.RoundQueue > 2*b.target {
		b.empty = 0
		return
	}
	// Rounds of sending all that is allowed without any queue: there is more, do not wait for the next probe's time.
	if b.empty++; s.RoundQueue > max(b.target/2, s.Deviation/2) {
		b.empty = 0
	}
	if s.Now < b.nextProbe && b.empty < emptyRounds {
		return
	}
	b.bandwidth.advance()
	b.bandwidth.update(min(s.Rate, b.bandwidth.get()))
	b.probeBase = b.bandwidth.get()
	b.probeLoss, b.probeAcked = 0, 0
	b.enter(s.Now, probeUp)
	b.gain = probeGain
	if b.minRTT > 160*time.Millisecond {
		b.gain = probeGainLong
	}
}

// stepProbe ends a probe when a queue shows that there is no more, or when a round has brought no growth.
func (b *BBR) stepProbe(s Sample) {
	b.probeLoss += s.Lost
	b.probeAcked += s.Acked
	full := b.queue > max(5*time.Millisecond+b.target, b.minRTT*time.Duration(b.gain-100)/100)+3*s.Deviation
	if full || b.queue > queueAbort+3*s.Deviation {
		b.endProbe(s.Now, false)
		return
	}
	if !s.Round || b.rounds < 2 || s.Now.Sub(b.entered) < s.Span {
		return
	}
	if b.probeLoss*1024 > (b.probeLoss+b.probeAcked)*(b.lossShare*2+20) && b.bandwidth.get()*100 < b.probeBase*probeGrowth {
		b.endProbe(s.Now, true)
		return
	}
	if s.AppLimited || b.bandwidth.get()*100 < b.probeBase*probeGrowth {
		b.endProbe(s.Now, false)
		return
	}
	b.probeBase = b.bandwidth.get()
	b.gain = min(b.gain+probeFaster, probeGainMax)
}

func (b *BBR) endProbe(now mono.Time, policed bool) {
	switch {
	case !policed:
		b.backoff = 0
	case b.backoff == 0:
		b.backoff = probeMax
	default:
		b.backoff = min(2*b.backoff, probeBackoffMax)
	}
	b.enter(now, down)
	b.gain = downGain
}

func (b *BBR) startCruise(now mono.Time) {
	b.enter(now, cruise)
	b.gain = 100
	pause := min(max(probeRounds*b.rtt, probeMin), probeMax)
	// A quarter either way keeps the probes of several paths from falling together.
	b.jitter = b.jitter*1664525 + 1013904223
	pause += pause/2*time.Duration(b.jitter>>16)/65536 - pause/4
	b.nextProbe = now.Add(pause + b.backoff)
}

func (b *BBR) enter(now mono.Time, to state) {
	b.known, b.letGo = true, false
	b.state, b.entered, b.rounds, b.saturated = to, now, 0, 0
}

// bdp is the bandwidth-delay product over the floor of the round trip.
func (b *BBR) bdp() int64 { return bytesIn(b.bandwidth.get(), b.minRTT) }

func (b *BBR) packetTimes(n int64) time.Duration {
	bw := b.bandwidth.get()
	if bw == 0 {
		return 0
	}
	return time.Duration(n * MTU * int64(time.Second) / bw)
}

// ackLag is how late acknowledgements may be: they are sent every few packets or milliseconds.
func ackLag(rtt time.Duration) time.Duration {
	return min(rtt/4, 10*time.Millisecond) + 2*time.Millisecond
}

// bytesIn is rate times d, safe against overflow up to 100 Gbit/s and minutes.
func bytesIn(rate int64, d time.Duration) int64 { return rate * int64(d/time.Microsecond) / 1e6 }

func perSecond(bytes int64, d time.Duration) int64 {
	return bytes * int64(time.Second) / max(int64(d), int64(time.Microsecond))
}
