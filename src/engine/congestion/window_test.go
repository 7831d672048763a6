package congestion

import (
	"math"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// wirePipe is a link of whole packets under any controller: rate, round trip, drop-tail queue, random loss by a fixed pattern.
// Time advances a millisecond at a time; acknowledgements come for what left the queue a round trip before.
type wirePipe struct {
	c       Controller
	now     mono.Time
	rate    float64 // bytes per second
	rtt     time.Duration
	limit   float64 // bytes of queue
	every   int     // each so many packets one is lost; 0: none
	demand  float64 // bytes per second there are to send; 0: without end
	queue   float64
	credit  float64
	data    float64
	sent    int
	flying  []flight // oldest first
	fly     int64
	ended   mono.Time
	rates   []float64 // delivered per tick, of the last round trip
	longest time.Duration
	total   int64
	losses  int
}

type flight struct {
	sent, back mono.Time
	lost       bool
}

func newWirePipe(c Controller, mbit float64, rtt, queue time.Duration) *wirePipe {
	rate := mbit * 1e6 / 8
	return &wirePipe{c: c, now: mono.Time(time.Second), rate: rate, rtt: rtt, limit: rate * queue.Seconds()}
}

// run returns the share of the link that was used.
func (p *wirePipe) run(d time.Duration) float64 {
	before := p.total
	for range int(d / tickTime) {
		p.tick()
	}
	return float64(p.total-before) / (p.rate * d.Seconds())
}

func (p *wirePipe) tick() {
	p.now = p.now.Add(tickTime)
	dt := tickTime.Seconds()
	p.queue = max(p.queue-p.rate*dt, 0)
	p.credit = min(p.credit+float64(p.c.PacingRate())*dt, float64(p.c.PacingRate())*2*dt+MTU)
	p.data = min(p.data+p.demand*dt, 10*MTU)
	limited := false
	for p.credit >= MTU && p.fly+MTU <= p.c.Window() {
		if p.demand > 0 && p.data < MTU {
			limited = true
			break
		}
		p.credit, p.data = p.credit-MTU, p.data-MTU
		p.send()
	}
	p.acks(limited)
}

func (p *wirePipe) send() {
	p.sent++
	p.fly += MTU
	f := flight{sent: p.now, back: p.now.Add(p.rtt + time.Duration(p.queue/p.rate*1e9))}
	if p.queue+MTU > p.limit || p.every > 0 && p.sent%p.every == 0 {
		f.lost = true
		p.losses++
		f.back = f.back.Add(time.Millisecond)
	} else {
		p.queue += MTU
	}
	p.flying = append(p.flying, f)
}

func (p *wirePipe) acks(limited bool) {
	s := Sample{Now: p.now, MinRTT: p.rtt, AppLimited: limited}
	n := 0
	for ; n < len(p.flying) && p.flying[n].back <= p.now; n++ {
		f := p.flying[n]
		p.fly -= MTU
		if f.lost {
			s.Lost, s.LostSent = s.Lost+MTU, f.sent
			continue
		}
		s.Acked, s.AckedSent = s.Acked+MTU, f.sent
		s.Latest = p.now.Sub(f.sent)
	}
	p.flying = p.flying[n:]
	p.total += s.Acked
	round := max(int(p.rtt/tickTime), 1)
	if p.rates = append(p.rates, float64(s.Acked)); len(p.rates) > round {
		p.rates = p.rates[len(p.rates)-round:]
	}
	if s.Acked == 0 && s.Lost == 0 {
		return
	}
	for _, r := range p.rates {
		s.Rate += int64(r / (float64(round) * tickTime.Seconds()))
	}
	s.Queue = time.Duration(p.queue / p.rate * 1e9)
	p.longest = max(p.longest, s.Queue)
	s.RTT, s.RoundQueue, s.SendRate, s.Inflight = p.rtt+s.Queue, s.Queue, s.Rate, p.fly
	if p.now >= p.ended {
		s.Round, p.ended = true, p.now.Add(s.RTT)
	}
	p.c.OnAck(s)
}

// lossy are the controllers that are driven by loss.
func lossy(rtt time.Duration) map[string]Controller {
	return map[string]Controller{"cubic": NewCubic(0, rtt), "newreno": NewNewReno(0, rtt)}
}

// Both fill a link with a queue of a round trip, at once and for good.
func TestFillALink(t *testing.T) {
	for _, mbit := range []float64{10, 50, 100} {
		for _, rtt := range []time.Duration{10, 50} {
			for name, c := range lossy(rtt * time.Millisecond) {
				p := newWirePipe(c, mbit, rtt*time.Millisecond, max(rtt*time.Millisecond, 30*time.Millisecond))
				p.run(5 * time.Second)
				if got := p.run(10 * time.Second); got < 0.95 || got > 1.01 {
					t.Errorf("%s, %v Mbit/s, %v: uses %.3f of the link", name, mbit, p.rtt, got)
				}
				if got := float64(c.Bandwidth()) / p.rate; got < 0.9 || got > 1.15 {
					t.Errorf("%s, %v Mbit/s, %v: takes it for %.2f of its rate", name, mbit, p.rtt, got)
				}
				if p.losses == 0 || p.losses*100 > p.sent*5 {
					t.Errorf("%s, %v Mbit/s, %v: %d lost of %d", name, mbit, p.rtt, p.losses, p.sent)
				}
			}
		}
	}
}

// With one of 1000 packets lost Reno's window is 1.22/sqrt(p) packets or so (Mathis); CUBIC's is no smaller.
func TestLossSetsTheWindow(t *testing.T) {
	const rtt = 40 * time.Millisecond
	for name, c := range lossy(rtt) {
		p := newWirePipe(c, 1000, rtt, 100*time.Millisecond)
		p.every = 1000
		p.run(5 * time.Second)
		got := p.run(30*time.Second) * p.rate * rtt.Seconds() / MTU
		model := 1.22 * math.Sqrt(1000)
		if got < 0.8*model || name == "newreno" && got > 1.3*model {
			t.Errorf("%s: %.1f packets on the way, Mathis says %.1f", name, got, model)
		}
	}
}

// RFC 9438 section 5.1: with a loss each 1/p packets CUBIC's mean window is (C (3+b) / 4 (1-b))^1/4 RTT^3/4 / p^3/4.
func TestCubicAgainstItsModel(t *testing.T) {
	const rtt = 100 * time.Millisecond
	p := newWirePipe(NewCubic(0, rtt), 10000, rtt, 100*time.Millisecond)
	p.every = 20000
	p.run(40 * time.Second)
	got := p.run(120*time.Second) * p.rate * rtt.Seconds() / MTU
	model := math.Pow(0.4*3.7/(4*0.3), 0.25) * math.Pow(rtt.Seconds(), 0.75) * math.Pow(20000, 0.75)
	if got < 0.85*model || got > 1.2*model {
		t.Errorf("%.0f packets on the way, the model says %.0f", got, model)
	}
}

// One event halves once, whatever it lost; packets sent before it do not grow the window; a later loss is another event.
func TestOneEventOneReduction(t *testing.T) {
	for name, c := range lossy(50 * time.Millisecond) {
		now := mono.Time(time.Second)
		sample := func(acked, lost int64, ackedSent, lostSent mono.Time) {
			c.OnAck(Sample{Now: now, Acked: acked, Lost: lost, AckedSent: ackedSent, LostSent: lostSent, Inflight: c.Window(), RTT: 50 * time.Millisecond,
				MinRTT: 50 * time.Millisecond, Latest: 50 * time.Millisecond})
		}
		for range 20 {
			now = now.Add(10 * time.Millisecond)
			sample(8*MTU, 0, now-1, 0)
		}
		before := c.Window()
		now = now.Add(10 * time.Millisecond)
		event := now
		sample(0, 3*MTU, 0, event-3)
		after := c.Window()
		factor := map[string]float64{"cubic": 0.7, "newreno": 0.5}[name]
		if got := float64(after) / float64(before); math.Abs(got-factor) > 0.01 {
			t.Errorf("%s: a loss leaves %.2f, want %.2f", name, got, factor)
		}
		now = now.Add(10 * time.Millisecond)
		sample(8*MTU, 5*MTU, event-1, event-2)
		if c.Window() != after {
			t.Errorf("%s: what was sent before the event changed the window: %d, %d", name, after, c.Window())
		}
		if c.Searching() {
			t.Errorf("%s still looks for the capacity", name)
		}
		now = now.Add(10 * time.Millisecond)
		sample(8*MTU, 0, event+1, 0)
		if c.Window() <= after {
			t.Errorf("%s: the window does not grow after the event", name)
		}
		grown := c.Window()
		now = now.Add(50 * time.Millisecond)
		sample(0, MTU, 0, event+2)
		if c.Window() >= grown {
			t.Errorf("%s: a second event changes nothing", name)
		}
	}
}

// Losses that were none give the window back.
func TestSpuriousLoss(t *testing.T) {
	for name, c := range lossy(50 * time.Millisecond) {
		now := mono.Time(time.Second)
		s := Sample{Now: now, Acked: 40 * MTU, AckedSent: now - 1, Inflight: c.Window(), RTT: 50 * time.Millisecond, MinRTT: 50 * time.Millisecond}
		c.OnAck(s)
		before := c.Window()
		c.OnAck(Sample{Now: now + 2, Lost: 2 * MTU, LostSent: now + 1, Inflight: before, RTT: s.RTT, MinRTT: s.RTT})
		c.OnAck(Sample{Now: now + 3, Spurious: MTU, Inflight: before, RTT: s.RTT, MinRTT: s.RTT})
		if c.Window() >= before {
			t.Errorf("%s: half of the losses came, and the window is back", name)
		}
		c.OnAck(Sample{Now: now + 4, Spurious: MTU, Inflight: before, RTT: s.RTT, MinRTT: s.RTT})
		if c.Window() < before {
			t.Errorf("%s: %d before, %d after all losses turned out to be none", name, before, c.Window())
		}
	}
}

// A window that is not used does not grow.
func TestUnusedWindow(t *testing.T) {
	for name, c := range lossy(20 * time.Millisecond) {
		p := newWirePipe(c, 100, 20*time.Millisecond, 50*time.Millisecond)
		p.demand = 250_000 // 2 of 100 Mbit/s
		p.run(20 * time.Second)
		if w := c.Window(); w > 2*InitialWindow {
			t.Errorf("%s: %d bytes of window for 5000 on the way", name, w)
		}
	}
}

// CUBIC's curve stands still while nothing is sent: afterwards it goes on where it was (RFC 9438 section 5.8).
func TestCubicPauses(t *testing.T) {
	grow := func(pause time.Duration) float64 {
		const rtt = 50 * time.Millisecond
		c := NewCubic(0, rtt)
		now := mono.Time(time.Second)
		full := func(s Sample) {
			s.Now, s.RTT, s.MinRTT, s.Latest, s.AckedSent = now, rtt, rtt, rtt, now-1
			c.OnAck(s)
		}
		full(Sample{Acked: 200 * MTU, Inflight: InitialWindow})
		full(Sample{Lost: MTU, LostSent: now, Inflight: c.Window()})
		for range 20 {
			now = now.Add(rtt)
			full(Sample{Acked: c.Window(), Inflight: c.Window()})
		}
		before := c.Window()
		for end := now.Add(pause); now < end; {
			now = now.Add(rtt)
			full(Sample{Acked: MTU})
		}
		for range 3 {
			now = now.Add(rtt)
			full(Sample{Acked: c.Window(), Inflight: c.Window()})
		}
		return float64(c.Window()) / float64(before)
	}
	if without, with := grow(0), grow(20*time.Second); with > without*1.05 {
		t.Errorf("grows to %.3f after a pause, to %.3f without one", with, without)
	}
}

// After a long pause half of the window is left, and slow start may win three quarters back at once.
func TestLongIdle(t *testing.T) {
	for name, c := range lossy(50 * time.Millisecond) {
		p := newWirePipe(c, 50, 50*time.Millisecond, 50*time.Millisecond)
		p.run(5 * time.Second)
		before := c.Window()
		c.OnIdle(p.now, time.Second)
		if c.Window() != before {
			t.Errorf("%s: a short pause changed the window", name)
		}
		c.OnIdle(p.now, time.Minute)
		if got := float64(c.Window()) / float64(before); got < 0.45 || got > 0.55 {
			t.Errorf("%s: %.2f of the window after a minute", name, got)
		}
	}
}

// Silence counts as a loss, and nothing brings the window below two packets.
func TestSilence(t *testing.T) {
	for name, c := range lossy(50 * time.Millisecond) {
		before := c.Window()
		c.OnSilence(1)
		if c.Window() >= before {
			t.Errorf("%s: silence changes nothing", name)
		}
		for i := range 50 {
			c.OnSilence(mono.Time(i))
		}
		if got := c.Window(); got != MinWindowSlow {
			t.Errorf("%s: least window %d", name, got)
		}
		if c.PacingRate() <= 0 {
			t.Errorf("%s: does not send any more", name)
		}
	}
}

// The first window is paced like BBR's; what was known before is used.
func TestBeginAndResume(t *testing.T) {
	for name, c := range lossy(50 * time.Millisecond) {
		if got, want := c.PacingRate(), int64(InitialWindow*100); got != want {
			t.Errorf("%s: pace %d, want %d: the first window over initialSpread", name, got, want)
		}
		if !c.Searching() || c.Bandwidth() != 0 || c.State() != "slow-start" {
			t.Errorf("%s begins as %s, %d", name, c.State(), c.Bandwidth())
		}
		c.Resume(0)
		if c.Bandwidth() != 0 {
			t.Errorf("%s resumes from nothing", name)
		}
		c.Resume(2_000_000)
		if got, want := c.Window(), int64(100_000); got != want || c.Bandwidth() != 2_000_000 {
			t.Errorf("%s: window %d, want %d", name, got, want)
		}
	}
}
