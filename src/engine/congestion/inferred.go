package congestion

import (
	"math"
	"time"

	"mpproxy/src/engine/mono"
)

// Inferred is what stands in for congestion control under the name "none": a rate inferred from what arrives and what is
// lost, as mud and others do it. It grows while nothing speaks against it, but never beyond twice what was delivered lately,
// and backs off to what was delivered when more is lost than the link loses anyway, or when packets pile up. It is no fair
// neighbour on a shared link, and finds the capacity later than BBR. Make it with NewInferred.
type Inferred struct {
	rate      float64 // bytes per second
	delivered maxFilter
	sum       int64 // of the delivery rates since the last judgement, and their number
	samples   int64
	acked     int64 // bytes since then
	lost      int64
	usual     float64 // share lost while nothing piles up
	limited   bool    // there was too little to send
	searching bool
	backed    bool
	rounds    int
	unjudged  int  // rounds since the last judgement
	hold      bool // what comes now was sent before the last back-off
	rtt       time.Duration
}

var _ Controller = (*Inferred)(nil)

// NewInferred returns a controller that begins with the first window over the given round trip (0 if unknown).
func NewInferred(_ mono.Time, rtt time.Duration) *Inferred {
	if rtt <= 0 {
		rtt = 100 * time.Millisecond
	}
	return &Inferred{rtt: rtt, searching: true, usual: inferredLoss / 2, rate: float64(perSecond(InitialWindow, rtt))}
}

// OnAck collects measurements and judges them once a round trip, if there are enough of them.
func (i *Inferred) OnAck(s Sample) {
	i.rtt = s.RTT
	i.acked += s.Acked
	i.lost = max(i.lost+s.Lost-s.Spurious, 0)
	// What asks for most of the rate needs more, be it that it paused now and then.
	i.limited = s.AppLimited && float64(s.Rate) < i.rate*inferredUsed
	if s.Rate > 0 && (!s.AppLimited || s.Rate > i.delivered.get()) {
		i.delivered.update(s.Rate)
		i.sum, i.samples = i.sum+s.Rate, i.samples+1
	}
	if !s.Round {
		return
	}
	if i.rounds++; i.rounds >= deliveryRounds {
		i.rounds = 0
		i.delivered.advance()
	}
	if i.hold {
		i.hold = false
		i.sum, i.samples, i.acked, i.lost = 0, 0, 0, 0
		return
	}
	i.unjudged++
	piled := s.RoundQueue > inferredQueue+inferredNoise*s.Deviation
	if i.acked+i.lost >= inferredTelling || i.unjudged >= inferredRounds || piled || i.searching && i.lost == 0 {
		i.judge(piled, s.RoundQueue > inferredQueue/4+inferredNoise*s.Deviation)
		i.hold = i.backed
		i.sum, i.samples, i.acked, i.lost, i.unjudged = 0, 0, 0, 0, 0
	}
}

// judge moves the rate. queue reports that there is one, piled that it is long.
func (i *Inferred) judge(piled, queue bool) {
	total := float64(i.acked + i.lost)
	if total == 0 {
		return
	}
	share := float64(i.lost) / total
	// Few packets make a share that says little: two deviations are allowed for.
	noise := 2 * math.Sqrt(i.usual*MTU/total)
	again := i.backed
	i.backed = piled || share > i.usual+inferredLoss+noise
	switch {
	case i.backed:
		i.backOff(again)
	case i.limited:
	case i.searching:
		i.grow(inferredSearch)
	case queue:
		i.grow(inferredCreep)
	default:
		i.grow(inferredGrowth)
	}
	if !piled {
		// What is lost without a queue is the link's own; it is learnt slowly, so that a policer is not learnt as a bad link.
		i.usual += (min(share, inferredUsual) - i.usual) / 16
	}
	i.rate = max(i.rate, inferredLeast)
}

// grow raises the rate, but not beyond what was delivered lately allows.
func (i *Inferred) grow(by float64) {
	i.rate = max(i.rate, min(i.rate*by, float64(i.delivered.get())*inferredMost))
}

// backOff goes down to what was delivered. That it was once more is believed until the next back-off in a row.
func (i *Inferred) backOff(again bool) {
	i.searching = false
	to := i.rate * inferredBackMost
	if i.samples > 0 {
		mean := i.sum / i.samples
		to = max(to, float64(mean)*inferredBack)
		if again {
			i.delivered.set(mean)
		}
	}
	if !again {
		to = max(to, float64(i.delivered.get())*inferredBackFirst)
	}
	i.rate = min(i.rate, to)
}

// OnSilence halves the rate.
func (i *Inferred) OnSilence(mono.Time) { i.rate = max(i.rate/2, inferredLeast) }

// OnIdle halves it after a long pause: the link may be another by now.
func (i *Inferred) OnIdle(_ mono.Time, idle time.Duration) {
	if idle > longIdle {
		i.rate = max(i.rate/2, inferredLeast)
	}
}

// PacingRate is the inferred rate.
func (i *Inferred) PacingRate() int64 { return int64(i.rate) }

// Window is only a bound on what may be on the way if nothing comes back.
func (i *Inferred) Window() int64 {
	return max(bytesIn(int64(i.rate), 2*i.rtt+inferredQueue), MinWindow)
}

// Bandwidth is what was delivered at best lately, but not more than is sent.
func (i *Inferred) Bandwidth() int64 { return min(i.delivered.get(), int64(i.rate)) }

// Searching reports that nothing spoke against a higher rate yet.
func (i *Inferred) Searching() bool { return i.searching }

// Resume starts from a rate known from before.
func (i *Inferred) Resume(bandwidth int64) {
	if bandwidth > 0 {
		i.rate = max(i.rate, float64(bandwidth))
		i.delivered.set(bandwidth)
	}
}

// State names what the last round led to.
func (i *Inferred) State() string {
	switch {
	case i.searching:
		return "searching"
	case i.backed:
		return "backing-off"
	}
	return "growing"
}
