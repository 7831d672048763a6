package path

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/wire"
)

// on lets a datagram of 1000 bytes arrive that wants an acknowledgement.
func on(r *Received, now mono.Time, number uint64) { r.On(now, now, number, 1000, false, true) }

// fill returns what would be acknowledged now.
func fill(t *testing.T, r *Received, now mono.Time) *wire.AckFrame {
	t.Helper()
	var f wire.AckFrame
	if !r.Fill(now, 7, 20*ms, &f) {
		t.Fatal("nothing to acknowledge")
	}
	return &f
}

func covers(f *wire.AckFrame, n uint64) bool {
	return slices.ContainsFunc(f.Ranges[:f.Count], func(r wire.Range) bool { return r.First <= n && n <= r.Last })
}

func TestReceivedRanges(t *testing.T) {
	for _, c := range []struct {
		numbers []uint64
		want    []wire.Range
	}{
		{[]uint64{0}, []wire.Range{{First: 0, Last: 0}}},
		{[]uint64{0, 1, 2}, []wire.Range{{First: 0, Last: 2}}},
		{[]uint64{2, 1, 0}, []wire.Range{{First: 0, Last: 2}}},
		{[]uint64{0, 2}, []wire.Range{{First: 2, Last: 2}, {First: 0, Last: 0}}},
		{[]uint64{0, 2, 1}, []wire.Range{{First: 0, Last: 2}}},
		{[]uint64{5, 1, 3, 2, 4}, []wire.Range{{First: 1, Last: 5}}},
		{[]uint64{9, 1, 5, 3}, []wire.Range{{First: 9, Last: 9}, {First: 5, Last: 5}, {First: 3, Last: 3}, {First: 1, Last: 1}}},
		{[]uint64{9, 1, 5, 4, 6}, []wire.Range{{First: 9, Last: 9}, {First: 4, Last: 6}, {First: 1, Last: 1}}},
		{[]uint64{4, 4, 4}, []wire.Range{{First: 4, Last: 4}}},
	} {
		var r Received
		for _, n := range c.numbers {
			on(&r, begin, n)
		}
		f := fill(t, &r, begin)
		if !slices.Equal(f.Ranges[:f.Count], c.want) {
			t.Errorf("%v: %v, want %v", c.numbers, f.Ranges[:f.Count], c.want)
		}
		want(t, "path", f.Path, 7)
	}
}

// Against a set: any arrivals in any order. A frame never claims what did not come; every eighth one claims all that is
// recent, as far as it has room.
func runReceived(t *testing.T, seed uint64, steps int) {
	rng := rand.New(rand.NewPCG(seed, 2))
	var r Received
	came := map[uint64]bool{}
	now := begin
	next := uint64(rng.IntN(100))
	for range steps {
		now = now.Add(time.Duration(rng.Int64N(int64(ms))))
		n := next
		switch rng.IntN(10) {
		case 0:
			next += uint64(rng.IntN(4)) // a gap
			n = next
			next++
		case 1, 2:
			n = next - min(next, uint64(rng.IntN(300)))
		default:
			next++
		}
		newest := true
		for m := range came {
			newest = newest && n > m
		}
		want(t, "newer", r.Newer(n), newest)
		came[n] = true
		r.On(now, now, n, 1000, false, rng.IntN(3) > 0)
		f := fill(t, &r, now)
		last := f.Largest() + 2
		for _, g := range f.Ranges[:f.Count] {
			if g.First > g.Last || g.Last+2 > last {
				t.Fatalf("ranges out of order: %v", f.Ranges[:f.Count])
			}
			last = g.First
			for m := g.First; m <= g.Last; m++ {
				if !came[m] {
					t.Fatalf("claims %d, which never came", m)
				}
			}
		}
		for m := range came {
			if m > f.Largest() {
				t.Fatalf("largest %d, but %d came", f.Largest(), m)
			}
		}
		if r.frames%8 != 0 || f.Count == len(f.Ranges) {
			continue
		}
		// All of the last 200 ms, unless the oldest ranges had to give room.
		if now.Sub(begin) < 200*ms {
			for m := range came {
				if !covers(f, m) {
					t.Fatalf("%d came, but only %v is acknowledged", m, f.Ranges[:f.Count])
				}
			}
		}
	}
}

func TestReceivedModel(t *testing.T) {
	for seed := range uint64(30) {
		runReceived(t, seed, 300)
	}
}

func FuzzReceived(f *testing.F) {
	f.Add(uint64(1), uint16(100))
	f.Add(uint64(9), uint16(400))
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16) { runReceived(t, seed, int(steps%600)) })
}

// More holes than a frame has room for: the latest arrivals are named, nothing overflows, and what fills an old hole is no harm.
func TestReceivedOverflow(t *testing.T) {
	var r Received
	for n := uint64(0); n < 1000; n += 2 {
		on(&r, begin, n)
	}
	for n := uint64(1); n < 100; n += 2 {
		on(&r, begin, n)
	}
	r.frames = 7
	f := fill(t, &r, begin)
	want(t, "largest", f.Largest(), 998)
	want(t, "what filled the holes", f.Ranges[f.Count-1], wire.Range{First: 0, Last: 100})
	for range 6 * seenWindow {
		on(&r, begin, r.seen.end)
	}
	on(&r, begin, 101)
	want(t, "forgotten", fill(t, &r, begin).Count, 1)
}

// RFC 9000 section 13.2: at once for the first, a gap, what fills it, CE, after idleness; else every 8 packets or a
// quarter of the round trip, at most 10 ms; never two within 1 ms.
func TestAckDue(t *testing.T) {
	const rtt = 20 * ms
	steady := func() (*Received, mono.Time) {
		r, now := &Received{}, begin
		on(r, now, 0)
		on(r, now, 1)
		r.Acked(now)
		return r, now.Add(50 * ms)
	}
	r := &Received{}
	want(t, "nothing came", r.Due(rtt), mono.Never)
	on(r, begin, 0)
	if due := r.Due(rtt); due > begin {
		t.Errorf("the first: in %v", due.Sub(begin))
	}

	r, now := steady()
	want(t, "acknowledged", r.Due(rtt), mono.Never)
	want(t, "pending", r.Pending(), false)
	on(r, now, 2)
	want(t, "one", r.Due(rtt), now.Add(5*ms))
	want(t, "one on a long path", r.Due(400*ms), now.Add(ackDelayMax))
	want(t, "one on a short path", r.Due(100*time.Microsecond), now.Add(ms))
	for n := uint64(3); n < 9; n++ {
		on(r, now.Add(ms), n)
	}
	want(t, "seven count from the first", r.Due(rtt), now.Add(5*ms))
	on(r, now.Add(2*ms), 9)
	if due := r.Due(rtt); due > now.Add(2*ms) {
		t.Errorf("eight: in %v", due.Sub(now))
	}
	r.Acked(now.Add(2 * ms))
	on(r, now.Add(2*ms+1), 20)
	want(t, "a gap, but not within 1 ms", r.Due(rtt), now.Add(3*ms))

	for what, f := range map[string]func(r *Received, now mono.Time){
		"gap":        func(r *Received, now mono.Time) { on(r, now, 3) },
		"CE":         func(r *Received, now mono.Time) { r.On(now, now, 2, 100, true, true) },
		"after idle": func(r *Received, now mono.Time) { on(r, now.Add(2*time.Second), 2) },
	} {
		r, now := steady()
		f(r, now)
		if r.Due(rtt) > now {
			t.Errorf("%s: not at once", what)
		}
	}
	r, now = steady()
	on(r, now, 5)
	r.Acked(now)
	on(r, now.Add(10*ms), 3)
	if r.Due(rtt) > now.Add(10*ms) {
		t.Error("what fills a gap: not at once")
	}
	r, now = steady()
	r.On(now, now, 2, 100, false, false)
	want(t, "not eliciting", r.Due(rtt), mono.Never)
	r.On(now, now, 5, 100, false, false)
	want(t, "a gap without need", r.Due(rtt), mono.Never)
}

// The frame carries the receiver's clock at the last arrival, what had come by then, CE, and how long it was held back.
func TestFillFields(t *testing.T) {
	var r Received
	var f wire.AckFrame
	want(t, "nothing came", r.Fill(begin, 1, 20*ms, &f), false)
	r.On(begin, begin, 0, 1000, true, true)
	r.On(begin.Add(ms), begin.Add(ms), 4, 500, false, true)
	// What came last counts, though a greater number came before.
	r.On(begin.Add(3*ms), begin.Add(2*ms), 2, 250, true, true)
	f = *fill(t, &r, begin.Add(9*ms))
	want(t, "received", f.Received, 1750)
	want(t, "received at", f.ReceivedAt, begin.Add(2*ms).Micros())
	want(t, "delay", f.DelayMicros, 7000)
	want(t, "behind", f.Behind, 2)
	want(t, "CE", f.CE, 2)
	want(t, "reordering", r.Reorder(), ms)
	bytes, datagrams := r.Totals()
	want(t, "bytes", bytes, 1750)
	want(t, "datagrams", datagrams, 3)
	want(t, "heard", r.Heard(), begin.Add(3*ms))
	// The time of arrival is the kernel's, which may be earlier, or wrong.
	r.On(begin.Add(20*ms), begin.Add(30*ms), 5, 100, false, true)
	want(t, "delay of a stamp from the future", fill(t, &r, begin.Add(21*ms)).DelayMicros, 0)
	want(t, "delay after a day", fill(t, &r, begin.Add(24*time.Hour)).DelayMicros, uint32(time.Minute/time.Microsecond))
}

// Old ranges are forgotten, the newest never; and most frames name only what came lately, in three of them.
func TestOldRangesAreForgotten(t *testing.T) {
	var r Received
	for n := uint64(0); n < 40; n++ {
		on(&r, begin, 2*n)
	}
	for range ackRepeats {
		want(t, "ranges at first", fill(t, &r, begin).Count, 40)
		r.Acked(begin)
	}
	on(&r, begin, 80)
	on(&r, begin, 7)
	f := fill(t, &r, begin)
	want(t, "ranges in most frames", f.Count, 2)
	want(t, "with the neighbours", f.Ranges[1], wire.Range{First: 6, Last: 8})
	for range 3 {
		r.Acked(begin)
		fill(t, &r, begin)
	}
	want(t, "ranges in every eighth", fill(t, &r, begin).Count, 40)
	for range 7 {
		fill(t, &r, begin.Add(rangeMaxAge+2*20*ms))
	}
	want(t, "still young", fill(t, &r, begin.Add(rangeMaxAge+2*20*ms)).Count, 40)
	for range 7 {
		fill(t, &r, begin)
	}
	f = fill(t, &r, begin.Add(rangeMaxAge+2*20*ms+1))
	want(t, "old", f.Count, 1)
	want(t, "largest", f.Largest(), 80)
	// And numbers below go on being taken.
	on(&r, begin.Add(ms), 11)
	want(t, "an old number", fill(t, &r, begin.Add(ms)).Count, 2)
}

// Lateness behind newer packets fades with the acknowledgements.
func TestReorderFades(t *testing.T) {
	var r Received
	on(&r, begin, 1)
	on(&r, begin.Add(20*ms), 0)
	want(t, "late by", r.Reorder(), 20*ms)
	for range 256 {
		r.Acked(begin)
	}
	if got := r.Reorder(); got < 7*ms || got > 8*ms {
		t.Errorf("after 256 acknowledgements %v, want 20ms/e", got)
	}
	// Not the newest number tells how late one is: the first behind the gap does.
	on(&r, begin.Add(time.Second), 3)
	for n := uint64(4); n < 20; n++ {
		on(&r, begin.Add(time.Second+time.Duration(n)*ms), n)
	}
	on(&r, begin.Add(time.Second+50*ms), 2)
	want(t, "late behind a stream", r.Reorder(), 50*ms)
	on(&r, begin.Add(time.Minute), 30)
	on(&r, begin.Add(time.Hour), 29)
	want(t, "bounded", r.Reorder(), maxLate)
}
