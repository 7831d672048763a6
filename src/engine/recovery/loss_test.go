package recovery_test

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/wire"
)

// primed is a history with a round trip of 40 ms without variation, and the time it is then.
func primed(t testing.TB) (*recovery.History, mono.Time) {
	h := recovery.New(&recovery.Offset{})
	now := begin
	for range 100 {
		n := send(h, now, 1, 1000)
		now = now.Add(40 * ms)
		ack(t, h, now, n)
	}
	want(t, "round trip", h.RTT.Smoothed(), 40*ms)
	want(t, "reordering", h.Reordered(), 0)
	return h, now
}

// RFC 9002 section 6.1.1: three later packets acknowledged make a packet lost, two do not.
func TestPacketThreshold(t *testing.T) {
	h, now := primed(t)
	n := send(h, now, 5, 1000)
	now = now.Add(40 * ms)
	r := ack(t, h, now, n+1, n+2)
	wantNumbers(t, "lost after two", r.Lost)
	wantNumbers(t, "acknowledged", r.Acked, n+2, n+1)
	r = ack(t, h, now, n+1, n+2, n+3)
	wantNumbers(t, "lost after three", r.Lost, n)
	want(t, "bytes lost", r.LostBytes, 1000)
	want(t, "bytes acknowledged", r.AckedBytes, 1000)
	bytes, packets := h.Inflight()
	want(t, "inflight", bytes, 1000)
	want(t, "packets", packets, 1)
}

// Section 6.1.2: a packet sent before an acknowledged one is lost 9/8 round trips after it was sent.
func TestTimeThreshold(t *testing.T) {
	h, now := primed(t)
	n := send(h, now, 2, 1000)
	due := now.Add(45 * ms)
	r := ack(t, h, now.Add(40*ms), n+1)
	wantNumbers(t, "lost at once", r.Lost)
	want(t, "timeout", h.NextTimeout(), due)
	wantNumbers(t, "lost too early", h.OnTimeout(due-1).Lost)
	want(t, "timeout unchanged", h.NextTimeout(), due)
	r = h.OnTimeout(due)
	wantNumbers(t, "lost in time", r.Lost, n)
	want(t, "a loss is no probe", r.Probe, false)
	want(t, "nothing left to wait for", h.NextTimeout(), mono.Never)
}

// RFC 8985 section 6.2: what was sent more than the reordering window before an acknowledged packet is lost at once.
func TestLostBehindLaterPacket(t *testing.T) {
	h, now := primed(t)
	n := send(h, now, 1, 1000)
	send(h, now.Add(5*ms+1), 1, 1000)
	// The round trip has just become shorter: the smoothed one would wait for longer.
	wantNumbers(t, "lost", ack(t, h, now.Add(25*ms), n+1).Lost, n)
	n = send(h, now.Add(time.Second), 1, 1000)
	send(h, now.Add(time.Second+2*ms), 1, 1000)
	wantNumbers(t, "within the window", ack(t, h, now.Add(time.Second+25*ms), n+1).Lost)
}

// Nothing is lost by time before a later packet is acknowledged.
func TestNoLossWithoutLaterAck(t *testing.T) {
	h, now := primed(t)
	n := send(h, now, 3, 1000)
	ack(t, h, now.Add(40*ms), n)
	r := h.OnTimeout(h.NextTimeout())
	want(t, "probe", r.Probe, true)
	wantNumbers(t, "lost", r.Lost)
}

// Section 6.1.2 takes the greater of the smoothed and the latest round trip: one that jumps up makes no losses.
func TestRoundTripJumpsUp(t *testing.T) {
	h, now := primed(t)
	n := send(h, now, 3, 1000)
	// 300 ms later the second of them is acknowledged; the first is a moment late.
	r := ack(t, h, now.Add(300*ms), n+1)
	wantNumbers(t, "lost", r.Lost)
	if h.NextTimeout() <= now.Add(300*ms) {
		t.Errorf("loss timer %v before now", h.NextTimeout().Sub(now))
	}
	r = ack(t, h, now.Add(301*ms), n, n+1, n+2)
	wantNumbers(t, "acknowledged", r.Acked, n+2, n)
	want(t, "late", r.Late, 0)
}

// A path that reorders stops using the packet threshold and waits for as long as packets were late, and a quarter.
func TestReorderingAdapts(t *testing.T) {
	h, now := primed(t)
	n := send(h, now, 1, 1000)
	send(h, now.Add(10*ms), 1, 1000)
	wantNumbers(t, "lost by time", ack(t, h, now.Add(50*ms), n+1).Lost, n)
	r := ack(t, h, now.Add(51*ms), n, n+1)
	want(t, "late", r.Late, 1)
	wantNumbers(t, "not handed out again", r.Acked)
	want(t, "nothing new", r.New, false)
	want(t, "lateness", h.Reordered(), 10*ms)

	now = now.Add(100 * ms)
	n = send(h, now, 10, 1000)
	r = ack(t, h, now.Add(40*ms), n+8)
	wantNumbers(t, "no packet threshold", r.Lost)
	window := h.Reordered() + h.Reordered()/4
	want(t, "timeout", h.NextTimeout(), now.Add(max(h.RTT.Smoothed(), h.RTT.Latest())+window))
	wantNumbers(t, "lost in the end", h.OnTimeout(h.NextTimeout()).Lost, n, n+1, n+2, n+3, n+4, n+5, n+6, n+7)
}

// Reordering fades with a time constant of 16 round trips, and then the packet threshold counts again.
func TestReorderingFades(t *testing.T) {
	h, now := primed(t)
	n := send(h, now, 1, 1000)
	send(h, now.Add(10*ms), 1, 1000)
	ack(t, h, now.Add(50*ms), n+1)
	ack(t, h, now.Add(51*ms), n, n+1)
	round := func() {
		now = now.Add(100 * ms)
		first := send(h, now, 1, 1000)
		ack(t, h, now.Add(40*ms), first)
	}
	for range 16 {
		round()
	}
	if late := h.Reordered(); late < 3*ms || late > 4*ms {
		t.Errorf("after 16 rounds %v is remembered of 10ms, want about 1/e", late)
	}
	for range 100 {
		round()
	}
	want(t, "forgotten", h.Reordered(), 0)
	now = now.Add(100 * ms)
	n = send(h, now, 4, 1000)
	wantNumbers(t, "packet threshold again", ack(t, h, now.Add(40*ms), n+1, n+2, n+3).Lost, n)
}

// The window has a bound: who is later than 400 ms is lost for all practical purposes.
func TestReorderingIsBounded(t *testing.T) {
	h, now := primed(t)
	n := send(h, now, 1, 1000)
	send(h, now.Add(10*time.Second), 1, 1000)
	wantNumbers(t, "lost", ack(t, h, now.Add(10*time.Second+40*ms), n+1).Lost, n)
	ack(t, h, now.Add(10*time.Second+50*ms), n, n+1)
	want(t, "lateness", h.Reordered(), 400*ms)
}

// One acknowledgement with holes that fills from the newest down is no reordering.
func TestOrderOfRangesIsNoReordering(t *testing.T) {
	h, now := primed(t)
	n := send(h, now, 1, 1000)
	send(h, now.Add(ms), 1, 1000)
	send(h, now.Add(2*ms), 1, 1000)
	ack(t, h, now.Add(42*ms), n, n+2)
	want(t, "reordering", h.Reordered(), 0)
	ack(t, h, now.Add(43*ms), n, n+1, n+2)
	want(t, "reordering seen by the next", h.Reordered(), ms)
}

// An acknowledgement of what was never sent is refused and changes nothing.
func TestNeverSentIsRefused(t *testing.T) {
	h := recovery.New(&recovery.Offset{})
	if _, ok := h.OnAck(begin, frame(0)); ok {
		t.Error("took an acknowledgement before anything was sent")
	}
	n := send(h, begin, 3, 1000)
	for _, bad := range [][]uint64{{n + 3}, {n, n + 1, n + 2, n + 3}, {1 << 40}, {wire.MaxNumber}} {
		r, ok := h.OnAck(begin.Add(ms), frame(bad...))
		if ok || r.New || len(r.Acked) != 0 || len(r.Lost) != 0 {
			t.Errorf("%v: ok %v, result %+v", bad, ok, r)
		}
	}
	bytes, packets := h.Inflight()
	want(t, "inflight", bytes, 3000)
	want(t, "packets", packets, 3)
	want(t, "round trip sampled", h.RTT.Sampled(), false)
}

// Packets that ask for no acknowledgement have numbers but are not watched.
func TestNotEliciting(t *testing.T) {
	h := recovery.New(&recovery.Offset{})
	h.Sent(begin, 60, false, recovery.Payload{})
	want(t, "timeout", h.NextTimeout(), mono.Never)
	want(t, "oldest", h.Oldest(), mono.Never)
	want(t, "total", h.Total(), 60)
	want(t, "last sent", h.LastSent(), 0)
	r := ack(t, h, begin.Add(20*ms), 0)
	want(t, "new", r.New, false)
	want(t, "sampled", h.RTT.Sampled(), false)
	// Its number counts, so that a frame may name it beside others.
	n := send(h, begin.Add(30*ms), 1, 1000)
	want(t, "number", n, 1)
	wantNumbers(t, "acknowledged", ack(t, h, begin.Add(50*ms), 0, 1).Acked, 1)
	want(t, "round trip", h.RTT.Latest(), 20*ms)
}

// RFC 9002 section 6.2: probe timeouts double until an acknowledgement comes, and NextTimeout never stays in the past.
func TestProbeTimeoutBacksOff(t *testing.T) {
	h, now := primed(t)
	n := send(h, now, 1, 1000)
	pto := h.RTT.PTO()
	for i := range 12 {
		next := h.NextTimeout()
		want(t, "interval", next.Sub(now), pto<<min(i, 6))
		now = next
		r := h.OnTimeout(now)
		want(t, "probe", r.Probe, true)
		wantNumbers(t, "a probe loses nothing", r.Lost)
		if h.NextTimeout() <= now {
			t.Fatalf("probe %d: the next timeout is not later", i)
		}
	}
	ack(t, h, now.Add(ms), n)
	want(t, "all quiet", h.NextTimeout(), mono.Never)
	send(h, now.Add(2*ms), 1, 1000)
	want(t, "backoff forgotten", h.NextTimeout(), now.Add(2*ms+h.RTT.PTO()))
}

// A packet sent starts the probe timeout anew.
func TestProbeTimeoutCountsFromLastSent(t *testing.T) {
	h, now := primed(t)
	send(h, now, 1, 1000)
	send(h, now.Add(30*ms), 1, 1000)
	want(t, "timeout", h.NextTimeout(), now.Add(30*ms+h.RTT.PTO()))
	h.Sent(now.Add(40*ms), 60, false, recovery.Payload{})
	want(t, "not for acknowledgements", h.NextTimeout(), now.Add(30*ms+h.RTT.PTO()))
	want(t, "an early call", h.OnTimeout(now.Add(31*ms)).Probe, false)
}

// Abandon hands out everything once; what comes after all counts as late.
func TestAbandon(t *testing.T) {
	h, now := primed(t)
	pool := packet.NewPool(10)
	first := h.Next()
	for range 5 {
		h.Sent(now, 1000, true, recovery.Payload{Buf: pool.Get()})
	}
	ack(t, h, now.Add(40*ms), first+4).Acked[0].Buf.Release()
	r := h.Abandon()
	// The packet threshold has taken two of them already; their Bufs went with that result.
	wantNumbers(t, "abandoned", r.Lost, first+2, first+3)
	want(t, "inflight", func() int64 { b, _ := h.Inflight(); return b }(), 0)
	want(t, "timeout", h.NextTimeout(), mono.Never)
	want(t, "oldest", h.Oldest(), mono.Never)
	wantNumbers(t, "twice", h.Abandon().Lost)
	r = ack(t, h, now.Add(60*ms), first, first+1, first+2, first+3, first+4)
	want(t, "late", r.Late, 4)
	wantNumbers(t, "handed out again", r.Acked)
	want(t, "late again", ack(t, h, now.Add(61*ms), first, first+1, first+2, first+3, first+4).Late, 0)
	// And the path may be used again.
	n := send(h, now.Add(100*ms), 1, 1000)
	wantNumbers(t, "afterwards", ack(t, h, now.Add(140*ms), n).Acked, n)
}

// Late arrivals of what was abandoned are not reordering of the path: nothing later was acknowledged before them.
func TestAbandonedLateIsNoReordering(t *testing.T) {
	h, now := primed(t)
	n := send(h, now, 3, 1000)
	h.Abandon()
	ack(t, h, now.Add(time.Second), n, n+1, n+2)
	want(t, "reordering", h.Reordered(), 0)
}

// The ring grows with what is outstanding; everything keeps its place and is handed out once.
func TestGrowth(t *testing.T) {
	h, now := primed(t)
	const count = 20000
	first := send(h, now, count, 1000)
	bytes, packets := h.Inflight()
	want(t, "inflight", bytes, count*1000)
	want(t, "packets", packets, count)
	next := first
	h.EachOutstanding(func(p *recovery.Packet) bool {
		if p.Number != next {
			t.Fatalf("outstanding %d, want %d", p.Number, next)
		}
		next++
		return true
	})
	want(t, "walked", next, first+count)
	seen := map[uint64]bool{}
	for n := first; n < first+count; n += 100 {
		now = now.Add(100 * time.Microsecond)
		f := &wire.AckFrame{}
		f.AddRange(n, n+99)
		r, ok := h.OnAck(now, f)
		want(t, "taken", ok, true)
		for i := range r.Acked {
			if seen[r.Acked[i].Number] {
				t.Fatalf("%d twice", r.Acked[i].Number)
			}
			seen[r.Acked[i].Number] = true
		}
	}
	want(t, "acknowledged", len(seen), count)
}

func TestEachOutstandingStops(t *testing.T) {
	h, now := primed(t)
	send(h, now, 5, 1000)
	calls := 0
	h.EachOutstanding(func(*recovery.Packet) bool { calls++; return calls < 2 })
	want(t, "calls", calls, 2)
}

// Full says when no more can be kept.
func TestFull(t *testing.T) {
	h := recovery.New(&recovery.Offset{})
	send(h, begin, 1, 100)
	for !h.Full() {
		h.Sent(begin, 100, true, recovery.Payload{})
		if h.Next() > 1<<17 {
			t.Fatal("never full")
		}
	}
	want(t, "packets", h.Next(), 1<<16-1)
	h.Abandon()
	want(t, "full when empty", h.Full(), false)
}

// Times of the last acknowledgement that told something, the last and the oldest packet.
func TestTimes(t *testing.T) {
	h, now := primed(t)
	before := h.LastAck()
	n := send(h, now.Add(ms), 1, 1000)
	send(h, now.Add(2*ms), 1, 1000)
	want(t, "oldest", h.Oldest(), now.Add(ms))
	want(t, "last sent", h.LastSent(), now.Add(2*ms))
	ack(t, h, now.Add(30*ms), n-1)
	want(t, "old news", h.LastAck(), before)
	ack(t, h, now.Add(41*ms), n)
	want(t, "news", h.LastAck(), now.Add(41*ms))
	want(t, "oldest now", h.Oldest(), now.Add(2*ms))
}
