package congestion

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// pipe is a fluid link under a controller: rate, round trip, queue, random loss, optional policer.
type pipe struct {
	b        *BBR
	now      mono.Time
	rate     float64 // bytes per second
	rtt      time.Duration
	queue    float64 // bytes standing
	limit    float64 // bytes the queue holds; more is lost
	loss     float64
	policed  float64 // bytes per second; 0 = none
	demand   float64 // bytes per second the application has; 0 = without end
	history  []step
	inflight float64
	roundEnd mono.Time
	minQueue time.Duration
}

type step struct{ sent, delivered float64 }

const tickTime = time.Millisecond

func newPipe(mbit float64, rtt time.Duration) *pipe {
	p := &pipe{now: mono.Time(time.Second), rate: mbit * 1e6 / 8, rtt: rtt, limit: mbit * 1e6 / 8}
	p.b = NewBBR(p.now, rtt, 1)
	p.roundEnd = p.now.Add(rtt)
	return p
}

// run advances the pipe by d, a millisecond at a time, and returns what was delivered per second.
func (p *pipe) run(d time.Duration) float64 {
	total := 0.0
	for range int(d / tickTime) {
		total += p.tick()
	}
	return total / d.Seconds()
}

func (p *pipe) tick() float64 {
	dt := tickTime.Seconds()
	p.now = p.now.Add(tickTime)
	want := float64(p.b.PacingRate()) * dt
	limited := p.demand > 0 && p.demand*dt < want
	if limited {
		want = p.demand * dt
	}
	want = min(want, max(float64(p.b.Window())-p.inflight, 0))
	arrived := want * (1 - p.loss)
	if p.policed > 0 {
		arrived = min(arrived, p.policed*dt)
	}
	lost := want - arrived
	p.queue += arrived
	delivered := min(p.queue, p.rate*dt)
	p.queue -= delivered
	if over := p.queue - p.limit; over > 0 {
		p.queue, lost = p.limit, lost+over
	}
	p.history = append(p.history, step{want, delivered})
	p.inflight += want
	n := int(p.rtt / tickTime)
	if len(p.history) > n {
		p.ack(n, lost, limited)
	}
	return delivered
}

// ack tells the controller what arrived a round trip ago.
func (p *pipe) ack(n int, lost float64, limited bool) {
	last := p.history[len(p.history)-n:]
	var sent, delivered float64
	for _, s := range last {
		sent, delivered = sent+s.sent, delivered+s.delivered
	}
	p.inflight = min(sent, sent-delivered+p.queue+delivered)
	queue := time.Duration(p.queue / p.rate * 1e9)
	if p.minQueue == 0 || queue < p.minQueue {
		p.minQueue = queue
	}
	s := Sample{
		Now: p.now, Acked: int64(last[0].delivered), Lost: int64(lost), Inflight: int64(p.inflight),
		Rate: int64(delivered / p.rtt.Seconds()), AppLimited: limited, RTT: p.rtt + queue, MinRTT: p.rtt, Queue: queue,
	}
	s.SendRate = s.Rate
	if p.queue > 0 && sent > 0 {
		s.SendRate = int64(sent * (1 - p.loss) / p.rtt.Seconds())
	}
	if p.now >= p.roundEnd {
		s.Round, s.RoundQueue = true, p.minQueue
		p.roundEnd, p.minQueue = p.now.Add(p.rtt), 0
	}
	p.b.OnAck(s)
}

func TestFindsTheRate(t *testing.T) {
	for _, mbit := range []float64{1, 10, 100, 1000} {
		for _, rtt := range []time.Duration{5, 40, 300} {
			p := newPipe(mbit, rtt*time.Millisecond)
			p.run(max(20*p.rtt, time.Second))
			got := p.run(5*time.Second) / p.rate
			if got < 0.97 || got > 1.001 {
				t.Errorf("%v Mbit/s, %v: uses %.3f of the link (%s, %d)", mbit, p.rtt, got, p.b.State(), p.b.Bandwidth())
			}
			if standing := time.Duration(p.queue / p.rate * 1e9); standing > 45*time.Millisecond+2*time.Duration(MTU/p.rate*1e9) {
				t.Errorf("%v Mbit/s, %v: queue of %v", mbit, p.rtt, standing)
			}
		}
	}
}

// TestFollowsTheRate: a fall is known within a second, a rise within a few.
func TestFollowsTheRate(t *testing.T) {
	p := newPipe(50, 30*time.Millisecond)
	p.run(2 * time.Second)
	p.rate /= 5
	p.run(time.Second)
	if got := float64(p.b.Bandwidth()) / p.rate; got < 0.9 || got > 1.1 {
		t.Errorf("a second after a fall to a fifth the estimate is %.2f of the rate", got)
	}
	p.run(time.Second)
	if q := time.Duration(p.queue / p.rate * 1e9); q > 30*time.Millisecond {
		t.Errorf("two seconds after the fall %v stand in the queue", q)
	}
	p.rate *= 5
	p.run(6 * time.Second)
	if got := p.run(time.Second) / p.rate; got < 0.9 {
		t.Errorf("six seconds after the rise %.2f of the rate is used", got)
	}
}

// TestRandomLoss: loss without a queue does not slow a path down.
func TestRandomLoss(t *testing.T) {
	for _, loss := range []float64{0.005, 0.02, 0.05} {
		p := newPipe(50, 20*time.Millisecond)
		p.loss = loss
		p.run(2 * time.Second)
		if got := p.run(10*time.Second) / (p.rate * (1 - loss)); got < 0.96 {
			t.Errorf("with %g loss %.3f of what arrives is used", loss, got)
		}
	}
}

// TestPolicer: a limit that drops without queueing is found by the rate that arrives, and not pushed against all the time.
func TestPolicer(t *testing.T) {
	p := newPipe(100, 30*time.Millisecond)
	p.policed = p.rate * 0.3
	p.run(3 * time.Second)
	var sent float64
	for _, s := range p.history {
		sent += s.sent
	}
	before := sent
	delivered := p.run(10 * time.Second)
	for _, s := range p.history[3000:] {
		sent += s.sent
	}
	sent = (sent - before) / 10
	if got := delivered / p.policed; got < 0.9 {
		t.Errorf("%.3f of the policed rate is used", got)
	}
	if over := sent / p.policed; over > 1.15 {
		t.Errorf("%.2f times the policed rate is sent", over)
	}
}

// TestLimitedKeepsTheEstimate: a path with little to carry does not forget what it can carry.
func TestLimitedKeepsTheEstimate(t *testing.T) {
	p := newPipe(50, 30*time.Millisecond)
	p.run(3 * time.Second)
	p.demand = p.rate / 20
	p.run(20 * time.Second)
	p.demand = 0
	p.run(200 * time.Millisecond)
	if got := p.run(time.Second) / p.rate; got < 0.9 {
		t.Errorf("after 20 quiet seconds %.2f of the rate is used", got)
	}
}

// TestDeepBuffer: start-up ends by the queue, not by loss.
func TestDeepBuffer(t *testing.T) {
	p := newPipe(18, 12*time.Millisecond)
	p.limit = p.rate * 2
	worst := 0.0
	for range 3000 {
		p.tick()
		worst = max(worst, p.queue/p.rate)
	}
	if worst > 0.15 {
		t.Errorf("start-up put %.0f ms into the buffer", worst*1000)
	}
}

func TestWindowAndPaceBeforeAnythingIsKnown(t *testing.T) {
	b := NewBBR(1, 40*time.Millisecond, 0)
	if b.Window() != InitialWindow {
		t.Errorf("window %d", b.Window())
	}
	if got, want := b.PacingRate(), int64(InitialWindow*100); got != want {
		t.Errorf("pace %d, want %d: the first window over initialSpread", got, want)
	}
	if got, want := NewBBR(1, 5*time.Millisecond, 0).PacingRate(), int64(InitialWindow*200); got != want {
		t.Errorf("pace %d, want %d: the first window over a shorter round trip", got, want)
	}
	if b.Bandwidth() != 0 || b.State() != "startup" {
		t.Errorf("%d %s", b.Bandwidth(), b.State())
	}
}

// TestResume: a link that returns begins near what it gave before, not above.
func TestResume(t *testing.T) {
	b := NewBBR(1, 40*time.Millisecond, 0)
	b.Resume(1_000_000)
	if rate := b.PacingRate(); rate < 900_000 || rate > 1_000_000 {
		t.Errorf("pace %d", rate)
	}
}

func TestMaxFilter(t *testing.T) {
	var f maxFilter
	f.update(10)
	f.update(7)
	f.advance()
	f.update(5)
	if f.get() != 10 {
		t.Errorf("one cycle later: %d", f.get())
	}
	f.advance()
	if f.get() != 5 {
		t.Errorf("two cycles later: %d", f.get())
	}
	f.advance()
	if f.get() != 5 {
		t.Errorf("a cycle without a sample must not forget: %d", f.get())
	}
	f.set(3)
	if f.get() != 3 {
		t.Errorf("set: %d", f.get())
	}
}
