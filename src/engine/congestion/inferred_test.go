package congestion

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// The rate inferred without congestion control finds the link's, and does not fill its queue.
func TestInferredFindsTheRate(t *testing.T) {
	for _, mbit := range []float64{1, 10, 100} {
		for _, rtt := range []time.Duration{10, 60, 200} {
			c := NewInferred(0, rtt*time.Millisecond)
			p := newWirePipe(c, mbit, rtt*time.Millisecond, 200*time.Millisecond)
			p.run(10 * time.Second)
			p.longest = 0
			if got := p.run(10 * time.Second); got < 0.85 || got > 1.01 {
				t.Errorf("%v Mbit/s, %v: uses %.3f of the link (%s)", mbit, p.rtt, got, c.State())
			}
			if most := 150*time.Millisecond + 4*time.Duration(MTU/p.rate*1e9); p.longest > most {
				t.Errorf("%v Mbit/s, %v: queue of %v", mbit, p.rtt, p.longest)
			}
		}
	}
}

// Random loss is no reason to go slow.
func TestInferredBearsLoss(t *testing.T) {
	c := NewInferred(0, 30*time.Millisecond)
	p := newWirePipe(c, 20, 30*time.Millisecond, 100*time.Millisecond)
	p.every = 50 // 2 %
	p.run(10 * time.Second)
	if got := p.run(10 * time.Second); got < 0.8 {
		t.Errorf("uses %.3f of a link that loses 2 %%", got)
	}
}

// A queue too short to show lets only the loss speak: the rate backs off, so that not much is lost.
func TestInferredBacksOffOnLoss(t *testing.T) {
	c := NewInferred(0, 30*time.Millisecond)
	p := newWirePipe(c, 20, 30*time.Millisecond, 5*time.Millisecond)
	p.run(10 * time.Second)
	p.sent, p.losses = 0, 0
	used := p.run(20 * time.Second)
	if share := float64(p.losses) / float64(p.sent); share > 0.15 || used < 0.8 {
		t.Errorf("loses %.3f and uses %.3f", share, used)
	}
}

// The rate is bounded: by twice what was delivered, and from below.
func TestInferredBounds(t *testing.T) {
	c := NewInferred(0, 20*time.Millisecond)
	p := newWirePipe(c, 100, 20*time.Millisecond, 100*time.Millisecond)
	p.demand = 125_000
	p.run(20 * time.Second)
	if got := c.PacingRate(); got > 5*125_000+InitialWindow*50 {
		t.Errorf("paces %d while 125000 are sent", got)
	}
	for range 100 {
		c.OnSilence(p.now)
	}
	if got := c.PacingRate(); got != inferredLeast {
		t.Errorf("least rate %d", got)
	}
	if c.Window() < MinWindow {
		t.Errorf("window %d", c.Window())
	}
}

// Whatever is allowed, the rate never grows beyond twice what was delivered.
func TestInferredIsBoundByDelivery(t *testing.T) {
	c := NewInferred(0, 20*time.Millisecond)
	for i := range 500 {
		c.OnAck(Sample{Now: mono.Time(i+1) * mono.Time(20*time.Millisecond), Acked: 40 * MTU, Rate: 3_000_000, Round: true, RTT: 20 * time.Millisecond})
	}
	if got := c.PacingRate(); got < 5_500_000 || got > 6_000_000 {
		t.Errorf("paces %d for 3000000 delivered", got)
	}
}

// A link that becomes slower is followed within two seconds.
func TestInferredFollowsAFall(t *testing.T) {
	c := NewInferred(0, 30*time.Millisecond)
	p := newWirePipe(c, 50, 30*time.Millisecond, 100*time.Millisecond)
	p.run(5 * time.Second)
	p.rate /= 5
	p.limit /= 5
	p.run(2 * time.Second)
	if got := float64(c.PacingRate()) / p.rate; got > 1.4 || got < 0.5 {
		t.Errorf("two seconds after a fall to a fifth the rate is %.2f of the link's", got)
	}
}

func TestInferredIdleAndResume(t *testing.T) {
	c := NewInferred(0, 20*time.Millisecond)
	c.Resume(4_000_000)
	if c.PacingRate() != 4_000_000 || c.Bandwidth() != 4_000_000 {
		t.Errorf("resumes at %d", c.PacingRate())
	}
	c.OnIdle(1, time.Second)
	if c.PacingRate() != 4_000_000 {
		t.Error("a short pause changed the rate")
	}
	c.OnIdle(1, time.Minute)
	if c.PacingRate() != 2_000_000 {
		t.Errorf("after a minute %d", c.PacingRate())
	}
	c.Resume(0)
	if c.PacingRate() != 2_000_000 || !c.Searching() || c.State() != "searching" {
		t.Error("resumed from nothing")
	}
}
