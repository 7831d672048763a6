package even

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
)

const ms = time.Millisecond

// feed is a flow of one lane: a packet every millisecond, in order, each with its delay, and the receiver's clock off by clock.
type feed struct {
	t     *testing.T
	e     *Evener
	pool  *packet.Pool
	rand  *rand.Rand
	clock time.Duration
	plain bool // without stamps

	now, last mono.Time // of the receiver
	sent      mono.Time
	number    uint32
	next      uint32 // expected out
	ages      []time.Duration
	longest   time.Duration
	waited    time.Duration        // all together
	waits     uint64               // how many waited
	born      map[uint32]mono.Time // when each came
}

func newFeed(t *testing.T, limit int) *feed {
	return &feed{
		t: t, e: New(limit), pool: packet.NewPool(1 << 14), rand: rand.New(rand.NewPCG(1, 2)), sent: mono.Time(time.Hour),
		clock: 77 * time.Hour, born: map[uint32]mono.Time{},
	}
}

// send lets n packets come; delay may be anything, order is kept as a lane keeps it.
func (f *feed) send(n int, delay func() time.Duration) {
	f.t.Helper()
	for range n {
		f.sent = f.sent.Add(ms)
		came := mono.Max(f.sent.Add(delay()+f.clock), f.last)
		f.until(came)
		b := f.pool.Get()
		b.SetLen(1000)
		f.number++
		b.Lane, b.Seq, b.Stamp, b.Stamped = 3, f.number, Stamp(f.sent), !f.plain
		f.born[f.number] = came
		f.now, f.last = came, came
		f.take(f.e.Push(came, b, nil))
	}
}

// until lets time pass.
func (f *feed) until(at mono.Time) {
	for next := f.e.NextTimeout(); next <= at; next = f.e.NextTimeout() {
		f.now = mono.Max(f.now, next)
		f.take(f.e.OnTimeout(f.now, nil))
		if f.e.NextTimeout() <= next {
			f.t.Fatal("a timeout did nothing")
		}
	}
}

func (f *feed) take(out []*packet.Buf) {
	f.t.Helper()
	for _, b := range out {
		if b.Seq != f.next+1 {
			f.t.Fatalf("packet %d after %d", b.Seq, f.next)
		}
		f.next = b.Seq
		f.longest = max(f.longest, f.now.Sub(f.born[b.Seq]))
		if f.waited += f.now.Sub(f.born[b.Seq]); f.now > f.born[b.Seq] {
			f.waits++
		}
		f.ages = append(f.ages, f.now.Sub(mono.Time(time.Hour).Add(time.Duration(b.Seq)*ms+f.clock)))
		delete(f.born, b.Seq)
		b.Release()
	}
}

// end checks that nothing was kept for good.
func (f *feed) end() {
	f.t.Helper()
	f.until(f.last.Add(time.Second))
	if s := f.e.Stats(); s.Packets < f.waits || f.waits == 0 && s.Packets > 0 || s.Time != f.waited {
		f.t.Errorf("%d packets waited for %v; counted: %+v", f.waits, f.waited, s)
	}
	if lent, _ := f.pool.Lent(); lent > 0 || f.next != f.number || f.e.cost != 0 || len(f.e.holding) > 0 {
		f.t.Errorf("%d packets are out, the last is %d of %d, cost %d, %d lanes hold", lent, f.next, f.number, f.e.cost, len(f.e.holding))
	}
}

func (f *feed) jitter(around, most time.Duration) func() time.Duration {
	return func() time.Duration { return around + time.Duration(f.rand.Int64N(int64(2*most))) - most }
}

// What is steady passes at once, however far the clocks are apart and however old the packets are.
func TestSteadyPasses(t *testing.T) {
	for _, clock := range []time.Duration{0, 13 * time.Hour, 6553500 * time.Microsecond} {
		f := newFeed(t, 0)
		f.clock = clock
		f.send(3000, f.jitter(80*ms, 300*time.Microsecond))
		f.end()
		if f.longest > 0 {
			t.Errorf("clock %v: a packet was kept for %v", clock, f.longest)
		}
	}
}

// Of a flow that jitters the luckiest packets come out nearly as old as most.
func TestLuckyPacketsAreKept(t *testing.T) {
	f := newFeed(t, 0)
	f.send(5000, f.jitter(50*ms, 40*ms))
	f.end()
	slices.Sort(f.ages[500:])
	least, middle := f.ages[500], f.ages[500+len(f.ages[500:])/2]
	if least < middle*7/10 {
		t.Errorf("ages from %v, the middle is %v", least, middle)
	}
	if f.longest > longest || f.longest < 5*ms {
		t.Errorf("kept for up to %v", f.longest)
	}
	if middle > 90*ms { // without it the order alone makes about 80
		t.Errorf("the middle is %v", middle)
	}
}

// Without stamps nothing is kept.
func TestUnstampedPasses(t *testing.T) {
	f := newFeed(t, 0)
	f.plain = true
	f.send(1000, f.jitter(50*ms, 40*ms))
	f.end()
	if f.longest > 0 {
		t.Errorf("kept for %v", f.longest)
	}
}

// A path that becomes shorter is believed within the span.
func TestFollowsAShorterPath(t *testing.T) {
	f := newFeed(t, 0)
	f.send(2000, f.jitter(150*ms, 10*ms))
	f.send(2000, f.jitter(40*ms, 10*ms))
	f.end()
	if late := slices.Max(f.ages[3000:]); late > 70*ms {
		t.Errorf("a second after the path became shorter a packet was %v old", late)
	}
}

// Clocks that part by seconds, more than the stamps can tell, change nothing.
func TestDrift(t *testing.T) {
	f := newFeed(t, 0)
	for range 5000 {
		f.send(100, f.jitter(50*ms, 300*time.Microsecond))
		f.clock += ms
	}
	f.end()
	if f.longest > 0 {
		t.Errorf("a packet of a steady flow was kept for %v", f.longest)
	}
}

// A flow whose first packet was the luckiest is known for what it is within a few dozen.
func TestLearnsAtOnce(t *testing.T) {
	f := newFeed(t, 0)
	f.send(1, func() time.Duration { return 10 * ms })
	f.send(60, f.jitter(50*ms, 5*ms))
	f.sent = f.sent.Add(50 * ms) // else order alone makes it old
	f.send(1, func() time.Duration { return 10 * ms })
	f.end()
	if f.longest < 10*ms {
		t.Errorf("a lucky packet was kept for %v", f.longest)
	}
}

// What is sent in one lump is one observation, however many packets it has: a few lumps that are quick do not make quick usual.
func TestALumpIsOneObservation(t *testing.T) {
	f := newFeed(t, 0)
	f.send(2000, f.jitter(80*ms, 10*ms))
	for range 3 {
		f.sent = f.sent.Add(50 * ms) // else order alone makes them old
		for range 40 {
			f.sent = f.sent.Add(-ms)
			f.send(1, func() time.Duration { return 30 * ms })
		}
	}
	f.sent, f.longest = f.sent.Add(50*ms), 0
	f.send(1, func() time.Duration { return 30 * ms })
	f.end()
	if f.longest < 10*ms {
		t.Errorf("a quick packet was kept for %v after some quick lumps", f.longest)
	}
}

// What is due within a millisecond goes together.
func TestBatches(t *testing.T) {
	f := newFeed(t, 0)
	f.send(1000, f.jitter(50*ms, 40*ms))
	for f.e.cost < 3*minCost {
		f.send(1, f.jitter(50*ms, 40*ms))
	}
	head := f.e.holding[0].head
	head.Next.Enqueued = head.Enqueued.Add(grain / 2)
	at := head.Enqueued
	if out := f.e.OnTimeout(at, nil); len(out) < 2 {
		t.Errorf("%d packets went", len(out))
	} else {
		f.now = at
		f.take(out)
	}
	f.end()
}

// Beyond the limit packets pass at once, still in order.
func TestLimit(t *testing.T) {
	f := newFeed(t, 8*minCost)
	f.send(5000, func() time.Duration {
		if f.e.cost > 8*minCost {
			t.Fatalf("%d bytes are kept", f.e.cost)
		}
		return f.jitter(60*ms, 50*ms)()
	})
	f.end()
	if f.e.Stats().Full == 0 {
		t.Error("nothing was counted as beyond the limit")
	}
}

// A flow's pause ends what was known of it.
func TestPause(t *testing.T) {
	f := newFeed(t, 0)
	f.send(1000, f.jitter(100*ms, 40*ms))
	f.until(f.last.Add(time.Second))
	f.sent, f.longest = f.sent.Add(3*time.Second), 0
	f.number += 3000
	f.next += 3000
	f.send(500, func() time.Duration { return 20 * ms })
	f.end()
	if f.longest > 0 {
		t.Errorf("kept for %v by what was before the pause", f.longest)
	}
}

// Lanes know nothing of each other, and Flush gives back all.
func TestLanesAndFlush(t *testing.T) {
	f := newFeed(t, 0)
	for i := range 40 {
		f.send(50, f.jitter(60*ms, 50*ms))
		kept := f.e.cost
		b := f.pool.Get()
		b.SetLen(1000)
		b.Lane, b.Seq, b.Stamp, b.Stamped = 7, uint32(i), Stamp(f.now.Add(-10*ms)), true
		if out := f.e.Push(f.now, b, nil); len(out) != 1 {
			t.Fatal("a steady lane was kept back")
		}
		b.Release()
		if f.e.cost != kept {
			t.Fatal("a packet that passed is counted")
		}
	}
	for f.e.cost == 0 {
		f.send(1, f.jitter(60*ms, 50*ms))
	}
	f.take(f.e.Flush(nil))
	if f.e.cost != 0 || f.next != f.number {
		t.Errorf("%d bytes are kept after a flush, the last is %d of %d", f.e.cost, f.next, f.number)
	}
	f.end()
}

// Nothing is allocated for a packet once the lane is known.
func TestNoAllocations(t *testing.T) {
	e, pool := New(0), packet.NewPool(1<<12)
	r := rand.New(rand.NewPCG(3, 4))
	now := mono.Time(time.Hour)
	out := make([]*packet.Buf, 0, 1<<12)
	step := func() {
		now = now.Add(ms)
		out = e.OnTimeout(now, out[:0])
		b := pool.Get()
		b.SetLen(1400)
		b.Lane, b.Stamp, b.Stamped = 3, Stamp(now.Add(-time.Duration(r.Int64N(int64(60*ms))))), true
		for _, b := range e.Push(now, b, out) {
			b.Release()
		}
	}
	for range 5000 {
		step()
	}
	if n := testing.AllocsPerRun(2000, step); n > 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}
