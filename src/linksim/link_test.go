package linksim

import (
	"math/rand/v2"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

const ms = mono.Time(time.Millisecond)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// arrival is a received packet: its number and when it came.
type arrival struct {
	number int
	at     mono.Time
}

// flow offers n packets of size bytes, one per gap, and returns the arrivals in order.
func flow(l *Link[int], start, gap mono.Time, n, size int) []arrival {
	var got []arrival
	take := func(until mono.Time) {
		for at := l.Next(); at <= until && at != mono.Never; at = l.Next() {
			v, _ := l.Receive(at)
			got = append(got, arrival{v, at})
		}
	}
	for i := range n {
		now := start + mono.Time(i)*gap
		take(now)
		l.Send(now, size, i)
	}
	take(mono.Never - 1)
	return got
}

func TestRateIsExact(t *testing.T) {
	for _, rate := range []int64{1e6, 12e6, 50e6, 300e6, 1e9} {
		l := New[int](Params{Rate: rate, Delay: 10 * time.Millisecond}, seeded(1))
		gap := mono.Time(1500 * 8 * 1e9 / rate / 2) // twice the rate
		got := flow(l, 5*ms, gap, 20000, 1500)
		span := got[len(got)-1].at.Sub(got[0].at).Seconds()
		have := float64(len(got)-1) * 1500 * 8 / span
		if have < float64(rate)*0.999 || have > float64(rate)*1.001 {
			t.Errorf("rate %d: measured %.0f", rate, have)
		}
	}
}

func TestRateStepsApplyToWhatIsQueued(t *testing.T) {
	// 100 packets of 12000 bits at 12 Mbit/s take 1 ms each; from 10.5 ms on 2 ms each, from 20.5 ms on 0.5 ms each.
	want := func(i int) mono.Time {
		switch done := mono.Time(i + 1); {
		case done <= 10:
			return done * ms
		case done <= 15: // the 11th is half through at 10.5, 5 more are done by 20.5 less a bit
			return 10*ms + ms/2 + ms + (done-11)*2*ms
		default: // at 20.5 the 16th has 1 of 2 ms to go, now a quarter of a ms
			return 20*ms + ms/2 + ms/4 + (done-16)*ms/2
		}
	}
	scheduled := New[int](Params{Rate: 12e6, QueueBytes: 1 << 20, Rates: []RateStep{{20*ms + ms/2, 24e6}, {10*ms + ms/2, 6e6}}}, seeded(1))
	live := New[int](Params{Rate: 12e6, QueueBytes: 1 << 20}, seeded(1))
	for i := range 100 {
		scheduled.Send(0, 1500, i)
		live.Send(0, 1500, i)
	}
	check := func(name string, l *Link[int], i int) {
		at := l.Next()
		if v, ok := l.Receive(at); !ok || v != i || (at-want(i)).Sub(0).Abs() > 100 {
			t.Fatalf("%s: packet %d (%d) came at %d, want %d", name, i, v, at, want(i))
		}
	}
	for i := range 100 {
		check("steps", scheduled, i)
		check("live", live, i)
		switch i {
		case 9:
			live.Set(10*ms+ms/2, Params{Rate: 6e6, QueueBytes: 1 << 20})
		case 14:
			live.Set(20*ms+ms/2, Params{Rate: 24e6, QueueBytes: 1 << 20})
		}
	}
}

func TestQueueOverflows(t *testing.T) {
	// 100 ms at 12 Mbit/s are 150000 bytes: 100 packets of 1500, the one in service included.
	l := New[int](Params{Rate: 12e6}, seeded(1))
	for i := range 150 {
		if got, want := l.Send(ms, 1500, i), i < 100; got != want {
			t.Fatalf("packet %d: accepted %v", i, got)
		}
	}
	if s := l.Stats(); s.Overflow != 50 || s.MaxQueuedBytes != 150000 || s.QueuedBytes != 150000 || s.UnderWay != 100 {
		t.Fatalf("%+v", s)
	}
	if l.Send(2*ms-1, 1500, 0) || !l.Send(2*ms, 1500, 0) || l.Send(2*ms, 1500, 0) {
		t.Error("room for one packet comes when one has been serialised")
	}
	small := New[int](Params{Rate: 1e4, QueueBytes: 100}, seeded(1))
	if !small.Send(0, 1500, 0) || small.Send(0, 60, 0) {
		t.Error("an empty queue takes any packet, and only one")
	}
	none := New[int](Params{Delay: time.Millisecond}, seeded(1))
	if got := flow(none, 0, 0, 1000, 1500); len(got) != 1000 || got[999].at != ms {
		t.Error("an unlimited link has no queue")
	}
}

func TestPolicerDropsWithoutDelay(t *testing.T) {
	l := New[int](Params{Policer: Policer{Rate: 12e6, Burst: 15000}}, seeded(1))
	got := flow(l, 0, ms/2, 2000, 1500) // 24 Mbit/s offered for a second
	if n := len(got); n < 1008 || n > 1011 {
		t.Errorf("%d packets passed, want 1000 and a burst of 10", n)
	}
	for _, a := range got {
		if a.at != mono.Time(a.number)*ms/2 {
			t.Fatalf("packet %d came at %d", a.number, a.at)
		}
	}
	if s := l.Stats(); s.Policed+s.Delivered != 2000 {
		t.Errorf("%+v", s)
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, reorder := range []bool{false, true} {
		l := New[int](Params{Rate: 50e6, Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.01, Reorder: reorder}, seeded(1))
		now := mono.Time(0)
		step := func() {
			now += ms / 4
			l.Send(now, 1500, 0)
			for _, ok := l.Receive(now); ok; _, ok = l.Receive(now) {
			}
		}
		for range 5000 {
			step()
		}
		if n := testing.AllocsPerRun(1000, step); n != 0 {
			t.Errorf("reorder %v: %v allocations", reorder, n)
		}
	}
}

func BenchmarkLink(b *testing.B) {
	l := New[int](Params{Rate: 50e6, Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.01}, seeded(1))
	now := mono.Time(0)
	for b.Loop() {
		now += ms / 4
		l.Send(now, 1500, 0)
		for _, ok := l.Receive(now); ok; _, ok = l.Receive(now) {
		}
	}
}
