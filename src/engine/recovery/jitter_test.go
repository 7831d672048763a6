package recovery_test

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/recovery"
)

// jittering is a path that is 50 ms longer than the one the scale begins at, and jitters. A packet is sent each 5 ms, and
// acknowledged 200 ms later.
type jittering struct {
	t       *testing.T
	h       *recovery.History
	now     mono.Time
	sent    int
	arrived []mono.Time // when the packets that are not acknowledged came
}

func newJittering(t *testing.T) *jittering {
	offset := &recovery.Offset{}
	feed(t, recovery.New(offset), begin, 10*ms, 0, 100)
	return &jittering{t: t, h: recovery.New(offset), now: begin}
}

// run sends n packets that take least at least and up to spread more, half of it in the mean.
func (j *jittering) run(n int, least, spread time.Duration) {
	j.t.Helper()
	for range n {
		send(j.h, j.now, 1, 100)
		j.arrived = append(j.arrived, j.now.Add(least+spread*time.Duration(j.sent*8%21)/20))
		if j.sent++; len(j.arrived) > 40 {
			f := frame(uint64(j.sent - len(j.arrived)))
			f.ReceivedAt = j.arrived[0].Micros()
			j.arrived = j.arrived[1:]
			if _, ok := j.h.OnAck(j.now, f); !ok {
				j.t.Fatal("refused")
			}
		}
		j.now = j.now.Add(5 * ms)
	}
}

func (j *jittering) between(what string, got, low, high time.Duration) {
	j.t.Helper()
	if got < low || got > high {
		j.t.Errorf("%s: %v, want %v to %v", what, got, low, high)
	}
}

// A standing queue on a path that jitters: after Rebase it is the path's own, and the jitter counts as before.
func TestRebaseOfAJitteringPath(t *testing.T) {
	j := newJittering(t)
	j.run(400, 60*ms, 20*ms)
	j.between("floor", j.h.Delay.Floor(), 50*ms, 50*ms)
	j.between("base", j.h.Delay.Base(), 57*ms, 62*ms)
	j.run(100, 90*ms, 20*ms)
	j.between("queue", j.h.Delay.Above(), 26*ms, 34*ms)
	j.h.Delay.Rebase(j.now)
	j.between("floor after Rebase", j.h.Delay.Floor(), 76*ms, 84*ms)
	j.between("base after Rebase", j.h.Delay.Base(), 86*ms, 94*ms)
	j.between("queue after Rebase", j.h.Delay.Above(), 0, 4*ms)
	j.h.Delay.Rebase(j.now)
	j.between("floor after two", j.h.Delay.Floor(), 76*ms, 84*ms)
}

// A path that jitters and becomes shorter, or less jittery, is known for it within a few round trips: what was usual before
// is not taken for jitter.
func TestJitteringPathBecomesShorter(t *testing.T) {
	j := newJittering(t)
	j.run(1000, 100*ms, 10*ms)
	j.run(80, 50*ms, 10*ms)
	j.between("base", j.h.Delay.Base(), 42*ms, 50*ms)
	j.run(1000, 50*ms, 10*ms)
	j.between("base later", j.h.Delay.Base(), 43*ms, 47*ms)
}

// A path that jitters more than it did is known for it once what was before is forgotten.
func TestJitterGrows(t *testing.T) {
	j := newJittering(t)
	j.run(3000, 60*ms, 4*ms)
	j.between("base", j.h.Delay.Base(), 51*ms, 53*ms)
	j.run(3000, 60*ms, 40*ms)
	j.between("base with more", j.h.Delay.Base(), 66*ms, 72*ms)
}

// A queue is what stood all through a round: its least sample tells, not its last.
func TestRoundQueueIsTheLeast(t *testing.T) {
	h := recovery.New(&recovery.Offset{})
	now := begin
	feed(t, h, now, 10*ms, 0, 100)
	round := func(delays ...time.Duration) (queue time.Duration) {
		now = now.Add(200 * ms)
		first := send(h, now, len(delays), 100)
		for i, d := range delays {
			f := frame(first + uint64(i))
			f.ReceivedAt = now.Add(d).Micros()
			r, ok := h.OnAck(now.Add(d+50*ms), f)
			if !ok {
				t.Fatal("refused")
			}
			if r.Round {
				queue = r.RoundQueue
			}
		}
		return queue
	}
	for range 5 {
		round(10 * ms)
	}
	// The first sample of a flight is the last of the round before.
	round(12*ms, 40*ms, 18*ms, 40*ms, 40*ms)
	if got := round(40 * ms); got < 7*ms || got > 8*ms {
		t.Errorf("queue %v, want 8ms", got)
	}
}

// Busy is the mean flight of rounds with enough packets while no queue stands; a queue does not raise it.
func TestBusy(t *testing.T) {
	h, now := recovery.New(&recovery.Offset{}), begin
	rounds := func(n, packets int, delay time.Duration) {
		for range n {
			now = now.Add(200 * ms)
			first := send(h, now, packets, 1000)
			var all []uint64
			for i := range packets {
				all = append(all, first+uint64(i))
			}
			f := frame(all...)
			f.ReceivedAt = now.Add(delay).Micros()
			if _, ok := h.OnAck(now.Add(delay+20*ms), f); !ok {
				t.Fatal("refused")
			}
		}
	}
	rounds(20, 11, 20*ms)
	want(t, "of small rounds", h.Busy(), 0)
	rounds(1, 12, 20*ms)
	want(t, "of the first", h.Busy(), 40*ms)
	rounds(20, 20, 60*ms)
	want(t, "with a queue", h.Busy(), 40*ms)
	rounds(1, 20, 12*ms)
	want(t, "of a shorter path", h.Busy(), 39*ms)
	rounds(40, 20, 12*ms)
	if got := h.Busy(); got < 32*ms || got > 33*ms {
		t.Errorf("a shorter path's is %v in the end, want 32ms", got)
	}
}

// Patience is nothing while order is kept, and remembers the latest packet, not the last that was late.
func TestPatience(t *testing.T) {
	h, now := primed(t)
	want(t, "patience in order", h.Patience(), 0)
	late := func(by time.Duration) {
		now = now.Add(100 * ms)
		n := send(h, now, 1, 1000)
		send(h, now.Add(by), 1, 1000)
		ack(t, h, now.Add(by+40*ms), n+1)
		ack(t, h, now.Add(by+41*ms), n, n+1)
	}
	late(40 * ms)
	want(t, "patience", h.Patience(), 50*ms)
	late(2 * ms)
	if got := h.Patience(); got < 40*ms || got > 50*ms {
		t.Errorf("patience after one that was hardly late: %v", got)
	}
}

// The least round trip is forgotten, though nothing else asks for it.
func TestRoundTripMinimumAgesByAcks(t *testing.T) {
	h, now := recovery.New(&recovery.Offset{}), begin
	round := func(rtt time.Duration) {
		now = now.Add(200 * ms)
		ack(t, h, now.Add(rtt), send(h, now, 1, 1000))
	}
	for range 20 {
		round(20 * ms)
	}
	for range 20 {
		round(60 * ms)
	}
	want(t, "after 4 s", h.RTT.Min(), 20*ms)
	for range 80 {
		round(60 * ms)
	}
	want(t, "after 20 s", h.RTT.Min(), 60*ms)
}

// After a pause of a path that is longer than the first of its direction, too, samples are the link's rate.
func TestRateAfterIdleOfALongerPath(t *testing.T) {
	n := newRoute(t, mbit(10, 40*ms))
	offset := &recovery.Offset{}
	feed(t, recovery.New(offset), begin, 5*ms, 0, 100)
	n.h = recovery.New(offset)
	n.ackEvery = 1
	n.acquaint()
	var s rates
	n.each = s.add
	count := 200
	n.window = 80 * 1500
	n.more = func() bool { count--; return count >= 0 }
	n.run(time.Second)
	s.within(t, "restarted", 10e6, 60, 108.5)
}
