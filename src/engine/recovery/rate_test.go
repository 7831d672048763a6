package recovery_test

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/wire"
	"mpproxy/src/linksim"
)

// rates collects the samples.
type rates struct {
	least, most int64
	count       int
	limited     int
}

func (s *rates) add(r *recovery.Result) {
	if r.Rate == 0 {
		return
	}
	if s.count == 0 || r.Rate < s.least {
		s.least = r.Rate
	}
	s.most = max(s.most, r.Rate)
	s.count++
	if r.Limited {
		s.limited++
	}
}

// within expects all samples between low and high, in percent of a link of rate bit/s.
func (s *rates) within(t *testing.T, what string, rate int64, low, high float64) {
	t.Helper()
	if s.count == 0 {
		t.Errorf("%s: no samples", what)
		return
	}
	lo, hi := float64(s.least)*800/float64(rate), float64(s.most)*800/float64(rate)
	if lo < low || hi > high {
		t.Errorf("%s: %d samples of %.1f .. %.1f %% of the link, want %.1f .. %.1f", what, s.count, lo, hi, low, high)
	}
}

func mbit(n float64, delay time.Duration) linksim.Params {
	return linksim.Params{Rate: int64(n * 1e6), Delay: delay, Queue: 200 * ms}
}

// acquaint sends a few packets one by one, so that the floor of the delay is known, and takes the time they need.
func (n *route) acquaint() {
	for range 4 {
		n.offer(n.size, true, recovery.Payload{})
		n.offer(n.size, true, recovery.Payload{})
		n.run(500 * ms)
	}
}

// A saturated link shows its rate exactly: whatever its speed, delay, packet size and the rhythm of acknowledgements.
func TestRateOfSaturatedLink(t *testing.T) {
	for _, c := range []struct {
		name  string
		link  linksim.Params
		size  int
		every int
	}{
		{"slow", mbit(1, 25*ms), 1500, 2},
		{"usual", mbit(20, 10*ms), 1500, 2},
		{"fast", mbit(500, 5*ms), 1500, 8},
		{"far", mbit(50, 300*ms), 1500, 8},
		{"small packets", mbit(10, 20*ms), 100, 8},
		{"seldom acknowledged", mbit(20, 10*ms), 1500, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.link.QueueBytes = 1 << 30
			n := newRoute(t, c.link)
			n.size, n.ackEvery = c.size, c.every
			bdp := c.link.Rate / 8 * int64(2*c.link.Delay) / int64(time.Second)
			n.window = bdp + 60*1500
			n.more = func() bool { return true }
			n.run(6*c.link.Delay + 2*time.Second) // the first flights are in the queue at once
			var s rates
			n.each = s.add
			n.run(2*time.Second + 10*c.link.Delay)
			s.within(t, "saturated", c.link.Rate, 99.5, 100.5)
		})
	}
}

// Half of the window: the rate is what was sent, and never more than the link.
func TestRateOfUnsaturatedLink(t *testing.T) {
	n := newRoute(t, mbit(100, 20*ms))
	n.window = 10 * 1500
	n.more = func() bool { return true }
	var s rates
	n.run(time.Second)
	n.each = s.add
	n.run(2 * time.Second)
	// Ten packets in a round trip of 40 ms and what serialising takes.
	s.within(t, "window-limited", 10*1500*8*1000/40, 90, 101)
}

// After a pause the first flight's samples may be too high by its first packet, not by what else was sent meanwhile:
// acknowledgements of the other direction are no data.
func TestRateAfterIdle(t *testing.T) {
	const rate = 10
	n := newRoute(t, mbit(rate, 10*ms))
	n.ackEvery = 1
	n.acquaint()
	for range 3 {
		for range 400 {
			n.offer(60, false, recovery.Payload{})
			n.run(5 * ms)
		}
		var s rates
		n.each = s.add
		count := 200
		n.window = 40 * 1500
		n.more = func() bool { count--; return count >= 0 }
		n.run(time.Second)
		// The first sample is over three quarters of a round trip: 15 ms, 13 packets. One more is 8 %.
		s.within(t, "restarted", rate*1e6, 60, 108.5)
		n.more = func() bool { return false }
		n.each = func(*recovery.Result) {}
		n.run(5 * time.Second)
	}
}

// Without a known delay there is nothing to measure the first flight by: the receiver's clock may say anything.
func TestNoRateOfUnknownPath(t *testing.T) {
	for _, clock := range []time.Duration{-time.Hour, -time.Hour + time.Minute, 0, 20 * time.Minute, 40 * time.Minute, 100 * time.Hour} {
		n := newRoute(t, mbit(10, 50*ms))
		n.clock, n.ackEvery = clock, 1
		var s rates
		n.each = s.add
		sent := 0
		n.more = func() bool { sent++; return sent <= 20 }
		n.run(140 * ms) // all sent before the first acknowledgement
		if s.count != 0 {
			t.Errorf("receiver's clock %v off: %d samples from %d to %d bytes/s of a path never measured", clock, s.count, s.least, s.most)
		}
	}
}

// The clocks' difference does not matter afterwards, not even when 32 bits of microseconds wrap in the middle.
func TestRateAcrossClockWrap(t *testing.T) {
	n := newRoute(t, mbit(20, 10*ms))
	wrap := mono.Time((uint64(begin)/1e3&^(1<<32-1) + 1<<32) * 1e3)
	n.clock = wrap.Sub(begin) - 2500*ms // the receiver's stamps wrap 2.5 s into the test
	n.acquaint()
	n.window = 20_000_000/8*20/1000 + 30*1500
	n.more = func() bool { return true }
	n.run(200 * ms)
	var s rates
	n.each = s.add
	n.run(2 * time.Second)
	s.within(t, "across the wrap", 20e6, 99.5, 100.5)
}

// draft-ietf-ccwg-bbr: what is sent between "nothing more to send" and the acknowledgement of a packet sent after that
// is application-limited.
func TestLimited(t *testing.T) {
	n := newRoute(t, mbit(20, 10*ms))
	n.acquaint()
	n.pool = lender(t)
	n.window = 80 * 1500
	n.more = func() bool { return true }
	var s rates
	n.each = s.add
	during := func(d time.Duration) (samples, limited int) {
		s = rates{}
		n.run(d)
		return s.count, s.limited
	}
	during(300 * ms)
	if count, limited := during(100 * ms); count == 0 || limited != 0 {
		t.Errorf("busy path: %d of %d samples are limited", limited, count)
	}
	n.h.MarkLimited()
	// The round trip is 20 ms and 28 ms of queue.
	if count, limited := during(40 * ms); count == 0 || limited != 0 {
		t.Errorf("sent before the mark: %d of %d samples are limited", limited, count)
	}
	during(10 * ms)
	if count, limited := during(40 * ms); count == 0 || limited != count {
		t.Errorf("sent after the mark: %d of %d samples are limited", limited, count)
	}
	during(20 * ms)
	if count, limited := during(100 * ms); count == 0 || limited != 0 {
		t.Errorf("a round trip later: %d of %d samples are limited", limited, count)
	}
	n.more = func() bool { return false }
	n.run(2 * time.Second)
}

// Pings are no data: their rate says nothing of the path's.
func TestPingsAreLimited(t *testing.T) {
	n := newRoute(t, mbit(20, 10*ms))
	n.acquaint()
	var s rates
	n.each = s.add
	sent := 0
	n.size = 60
	n.more = func() bool { sent++; return sent <= 2000 }
	n.window = 600
	n.run(2 * time.Second)
	if s.count == 0 || s.limited != s.count {
		t.Errorf("%d of %d samples of pings were limited", s.limited, s.count)
	}
}

// The round trips of a window-limited flow are counted one by one.
func TestRounds(t *testing.T) {
	n := newRoute(t, mbit(100, 25*ms))
	n.acquaint()
	rounds := 0
	n.each = func(r *recovery.Result) {
		if r.Round {
			rounds++
		}
	}
	n.window = 20 * 1500
	n.more = func() bool { return true }
	n.run(5 * time.Second)
	if rounds < 90 || rounds > 101 {
		t.Errorf("%d rounds in 5 s of 50 ms", rounds)
	}
}

// RoundQueue is the least queue of the round: a standing queue shows in full, a burst does not.
func TestRoundQueue(t *testing.T) {
	link := mbit(20, 10*ms)
	n := newRoute(t, link)
	n.acquaint()
	var last time.Duration
	n.each = func(r *recovery.Result) {
		if r.Round {
			last = r.RoundQueue
		}
	}
	n.window = 20_000_000/8*20/1000 + 50*1500 // 30 ms stand in the queue
	n.more = func() bool { return true }
	n.run(2 * time.Second)
	if last < 27*ms || last > 32*ms { // the first packets of the burst count as how it usually is
		t.Errorf("standing queue %v, want 30ms", last)
	}
}

// A receiver that claims more than any path holds gives no sample, and one that counts backwards neither.
func TestAbsurdCounts(t *testing.T) {
	for _, absurd := range []uint64{1 << 34, 1 << 62, 1<<64 - 1, 1<<63 + 5, 0} {
		h, now := recovery.New(&recovery.Offset{}), begin
		received, samples := uint64(0), 0
		flight := send(h, now, 10, 1500)
		step := func(count uint64) *recovery.Result {
			now = now.Add(50 * ms)
			next := send(h, now, 10, 1500)
			now = now.Add(50 * ms)
			f := &wire.AckFrame{Received: count, ReceivedAt: now.Micros()}
			f.AddRange(flight, flight+9)
			flight = next
			r, _ := h.OnAck(now, f)
			return r
		}
		for range 10 {
			received += 15000
			if r := step(received); r.Rate != 0 {
				samples++
			}
		}
		if samples < 5 {
			t.Fatalf("%d samples of honest counts", samples)
		}
		if r := step(absurd); r.Rate != 0 {
			t.Errorf("count %d gave %d bytes/s", absurd, r.Rate)
		}
	}
}
