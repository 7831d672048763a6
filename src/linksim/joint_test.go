package linksim

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// joined offers one packet of 1500 bytes per gap to each of the links in turn, and returns what came out of the common one.
func joined(j *Joint[int], gap mono.Time, n int) []arrival {
	var got []arrival
	take := func(until mono.Time) {
		for at := j.Next(); at <= until && at != mono.Never; at = j.Next() {
			for v, ok := j.Receive(at); ok; v, ok = j.Receive(at) {
				got = append(got, arrival{v, at})
			}
		}
	}
	for i := range n {
		now := mono.Time(i) * gap
		take(now)
		j.Own[i%len(j.Own)].Send(now, 1500, i)
	}
	take(mono.Never - 1)
	return got
}

// Links that lead into one get its rate and no more, whatever they have themselves; what each adds of delay stays.
func TestJointSharesTheCommonRate(t *testing.T) {
	dropped := 0
	j := Joint[int]{Common: New[int](Params{Rate: 12e6, Queue: 50 * time.Millisecond}, seeded(1))}
	j.Common.Dropped = func(int) { dropped++ }
	for i := range 3 {
		j.Own = append(j.Own, New[int](Params{Rate: 100e6, Delay: time.Duration(10+i) * time.Millisecond}, seeded(2)))
	}
	got := joined(&j, ms/3, 9000) // 36 Mbit/s for 3 s
	span := got[len(got)-1].at.Sub(got[0].at).Seconds()
	if rate := float64(len(got)-1) * 12000 / span; rate < 11.99e6 || rate > 12.01e6 {
		t.Errorf("%.0f bit/s through 12 Mbit/s", rate)
	}
	if stats := j.Common.Stats(); int(stats.Overflow) != dropped || dropped+len(got) != 9000 || stats.MaxQueuedBytes > 75000 || stats.MaxQueuedBytes < 73000 {
		t.Errorf("%d came, %d were dropped: %+v", len(got), dropped, stats)
	}
}

// Without load a packet takes its own link's time and then the common one's, and those that overtake on the way come first.
func TestJointAddsTheStages(t *testing.T) {
	j := Joint[int]{Common: New[int](Params{Rate: 12e6, Delay: 5 * time.Millisecond}, seeded(1))}
	for _, delay := range []time.Duration{20, 7} {
		j.Own = append(j.Own, New[int](Params{Rate: 6e6, Delay: delay * time.Millisecond}, seeded(2)))
	}
	j.Own[0].Send(0, 1500, 0)
	j.Own[1].Send(0, 1500, 1)
	want := []arrival{{1, (2 + 7 + 1 + 5) * ms}, {0, (2 + 20 + 1 + 5) * ms}}
	for _, w := range want {
		at := mono.Time(0)
		for v, ok := 0, false; !ok; {
			if at = j.Next(); at == mono.Never {
				t.Fatalf("%d never came", w.number)
			}
			if v, ok = j.Receive(at); ok && (arrival{v, at}) != w {
				t.Errorf("%d came at %v, want %d at %v", v, at, w.number, w.at)
			}
		}
	}
	// However late it is asked, each stage has its own time.
	j.Own[0].Send(100*ms, 1500, 2)
	if v, ok := j.Receive(127 * ms); ok {
		t.Errorf("%d came too early", v)
	}
	if v, ok := j.Receive(128 * ms); !ok || v != 2 || j.Next() != mono.Never {
		t.Errorf("got %d %v", v, ok)
	}
}
