package congestion

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// crowdedLink plays a link of 10 Mbit/s and 40 ms whose queue of a second others fill: what comes through is the share of the packets
// on the way.
type crowdedLink struct {
	t      *testing.T
	b      *BBR
	now    mono.Time
	others int64 // bytes of theirs on the way
	state  string
	least  int64 // smallest window seen
}

const (
	crowdedRate = 1_250_000
	crowdedWay  = 40 * time.Millisecond
	// crowdedLeast is the round trip with as much more as BBR's own window makes it here, where nothing is paced.
	crowdedLeast = 60 * time.Millisecond
)

func newCrowdedLink(t *testing.T, others int64) *crowdedLink {
	b := NewBBR(1, crowdedWay, 1)
	b.bandwidth.set(crowdedRate / 4)
	b.enter(1, cruise)
	return &crowdedLink{t: t, b: b, now: 1, others: others, least: 1 << 40}
}

// round sends a window and acknowledges it; crowded says that others were found.
func (l *crowdedLink) round(crowded bool) {
	window := l.b.Window()
	all := window + l.others
	rtt := min(max(crowdedWay, time.Duration(all*int64(time.Second)/crowdedRate)), time.Second)
	var lost int64
	if all > crowdedRate {
		lost = MTU
	}
	rate := crowdedRate * window / max(all, bytesIn(crowdedRate, crowdedWay))
	acked := bytesIn(rate, rtt)
	for part := range 10 {
		l.now = l.now.Add(rtt / 10)
		l.b.OnAck(Sample{
			Now: l.now, Acked: acked / 10, Lost: lost, LostSent: l.now.Add(-rtt), AckedSent: l.now.Add(-rtt), Inflight: window * 9 / 10, Rate: rate, SendRate: rate,
			Round: part == 9, RTT: rtt, MinRTT: crowdedLeast, Latest: rtt, Flight: rtt, Busy: crowdedWay, Crowded: crowded && part == 9,
		})
	}
	l.least = min(l.least, l.b.Window())
	l.state = l.b.State()
}

// Where others keep a queue of 800 ms, BBR would send what fits into two round trips without it. It holds its own instead, takes no
// trial for a reason to stop, and ends the mode as soon as the others are gone.
func TestRivalHoldsItsOwn(t *testing.T) {
	l := newCrowdedLink(t, crowdedRate*8/10)
	before := l.b.Window()
	l.round(true)
	if got := l.b.Window(); got < before {
		t.Errorf("begins with a window of %d where %d were on the way", got, before)
	}
	began := l.now
	for l.now.Sub(began) < 30*time.Second {
		l.round(false)
		if !l.b.Competing() {
			t.Fatalf("stopped after %v", l.now.Sub(began))
		}
	}
	if got := l.b.Window(); got < 5*before {
		t.Errorf("window %d after 30 s, %d before", got, before)
	}
	if l.least >= l.b.Window()/2 {
		t.Error("no trial was made")
	}
	l.others = 0
	l.b.rival.cubic.bytes = InitialWindow
	l.round(false)
	if l.b.Competing() {
		t.Errorf("goes on though the round trip is %v again", l.b.rtt)
	}
}

// Alone it fills the queue itself: two trials in a row show that, the queue is let go down to what the round trip was before, and the
// mode stays off, longer each time.
func TestRivalAlone(t *testing.T) {
	l := newCrowdedLink(t, 0)
	l.b.bandwidth.set(crowdedRate)
	for i, ban := range []time.Duration{rivalBan, 2 * rivalBan} {
		l.others = crowdedRate
		l.round(true)
		if !l.b.Competing() {
			t.Fatalf("%d: does not begin", i)
		}
		l.others = 0
		l.b.rival.cubic.bytes = 5 * crowdedRate / 10
		began := l.now
		for l.b.Competing() {
			l.round(false)
			if l.now.Sub(began) > rivalEvery+8*time.Second {
				t.Fatalf("%d: a queue of its own is kept for %v", i, l.now.Sub(began))
			}
		}
		if l.state != "floor" || l.b.Window() > crowdedRate/10 {
			t.Errorf("%d: phase %s, window %d: the queue stays", i, l.state, l.b.Window())
		}
		if got := l.b.rival.banned.Sub(l.now); got != ban {
			t.Errorf("%d: off for %v, want %v", i, got, ban)
		}
		l.others = crowdedRate
		l.round(true)
		if l.b.Competing() {
			t.Errorf("%d: begins again at once", i)
		}
		l.now = l.now.Add(ban)
	}
}

// One trial that says "alone" is not enough: the others may have stepped back at that moment.
func TestRivalNeedsTwoTrials(t *testing.T) {
	r := rival{cubic: NewCubic(1, crowdedWay), rate: 1000}
	s := Sample{Now: 1, RTT: crowdedWay}
	if r.judge(s, 1000) || !r.on() {
		t.Error("one trial ended it")
	}
	if want := s.Now.Add(2 * crowdedWay); r.next != want {
		t.Errorf("asks again at %v, want %v", r.next, want)
	}
	if r.judge(s, 900); r.alone != 0 || r.next != s.Now.Add(rivalEvery) {
		t.Errorf("a trial that says others: %d in a row, next in %v", r.alone, r.next.Sub(s.Now))
	}
	r.judge(s, 951)
	if !r.judge(s, 950) || r.on() {
		t.Error("two trials did not end it")
	}
}

// It ends in any case: what others there are by then shows again.
func TestRivalLife(t *testing.T) {
	l := newCrowdedLink(t, crowdedRate*8/10)
	l.round(true)
	began := l.now
	for l.b.Competing() && l.now.Sub(began) < 2*rivalLife {
		l.round(false)
	}
	if got := l.now.Sub(began); got < rivalLife || got > rivalLife+2*time.Second {
		t.Errorf("lasted %v", got)
	}
	if l.round(true); !l.b.Competing() {
		t.Error("does not begin again")
	}
}

// It begins with what was on the way, and grows from there.
func TestRivalBegins(t *testing.T) {
	for _, c := range []struct{ inflight, window, want int64 }{{300_000, 500_000, 600_000}, {100_000, 900_000, 900_000}, {1000, 1000, 2 * InitialWindow}} {
		var r rival
		r.begin(Sample{Now: 1, RTT: time.Second, Inflight: c.inflight}, c.window)
		if got := r.share(0); got != c.want {
			t.Errorf("%d on the way, window %d: begins with %d, want %d", c.inflight, c.window, got, c.want)
		}
	}
}
