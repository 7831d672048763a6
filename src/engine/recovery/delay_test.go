package recovery_test

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/recovery"
)

// feed sends one packet of size at sent that takes delay, seen by a receiver's clock that is off by clock.
func feed(t testing.TB, h *recovery.History, sent mono.Time, delay, clock time.Duration, size int) {
	t.Helper()
	n := send(h, sent, 1, size)
	f := frame(n)
	f.ReceivedAt = sent.Add(delay + clock).Micros()
	f.Received = uint64(h.Total())
	if _, ok := h.OnAck(sent.Add(delay+10*ms), f); !ok {
		t.Fatal("refused")
	}
}

// Only differences count: the first sample of a direction is its zero, and paths compare by their true difference,
// whatever the receiver's clock says and wherever its 32 bits wrap.
func TestDelayIsRelative(t *testing.T) {
	for _, clock := range []time.Duration{0, time.Second, -30 * time.Minute, 35 * time.Minute, 71 * time.Minute, 1000 * time.Hour, -1000 * time.Hour} {
		offset := &recovery.Offset{}
		fast, slow := recovery.New(offset), recovery.New(offset)
		now := begin
		for i := range 200 {
			feed(t, fast, now, 10*ms, clock, 100)
			feed(t, slow, now, 85*ms, clock, 100)
			// 200 steps of 30 s: more than one turn of 32 bits of microseconds.
			now = now.Add(30 * time.Second)
			if got := slow.Delay.Floor() - fast.Delay.Floor(); got != 75*ms {
				t.Fatalf("clock %v, step %d: difference %v, want 75ms", clock, i, got)
			}
		}
	}
}

// Clocks that drift by 100 ppm for days stay comparable: both paths drift alike.
func TestDelayWithDrift(t *testing.T) {
	offset := &recovery.Offset{}
	a, b := recovery.New(offset), recovery.New(offset)
	now := begin
	for range 3 * 24 * 60 {
		clock := now.Sub(begin) / 10000
		feed(t, a, now, 10*ms, clock, 100)
		feed(t, b, now, 30*ms, clock, 100)
		now = now.Add(time.Minute)
	}
	if got := b.Delay.Floor() - a.Delay.Floor(); got < 20*ms-10*time.Microsecond || got > 20*ms+10*time.Microsecond {
		t.Errorf("difference %v, want 20ms", got)
	}
}

// The floor is the least of the last 10 seconds.
func TestFloorOfTenSeconds(t *testing.T) {
	h := recovery.New(&recovery.Offset{})
	want(t, "known", h.Delay.Known(), false)
	now := begin
	feed(t, h, now, 20*ms, 0, 100) // zero of the scale
	want(t, "known", h.Delay.Known(), true)
	want(t, "floor", h.Delay.Floor(), 0)
	for now.Sub(begin) < 9*time.Second {
		now = now.Add(100 * ms)
		feed(t, h, now, 50*ms, 0, 100)
	}
	want(t, "floor after 9 s", h.Delay.Floor(), 0)
	for now.Sub(begin) < 11*time.Second {
		now = now.Add(100 * ms)
		feed(t, h, now, 50*ms, 0, 100)
	}
	want(t, "floor after 11 s", h.Delay.Floor(), 30*ms)
	feed(t, h, now.Add(ms), 15*ms, 0, 100)
	want(t, "a new floor counts at once", h.Delay.Floor(), -5*ms)
	// After a long pause only what is new counts.
	now = now.Add(time.Hour)
	feed(t, h, now, 45*ms, 0, 100)
	want(t, "floor after a pause", h.Delay.Floor(), 25*ms)
}

// Recent and Deviation are moving averages, Age the time since the last sample.
func TestRecentAndDeviation(t *testing.T) {
	h := recovery.New(&recovery.Offset{})
	now := begin
	feed(t, h, now, 20*ms, 0, 100)
	for range 300 {
		now = now.Add(20 * ms)
		feed(t, h, now, 40*ms, 0, 100)
	}
	if got := h.Delay.Recent(); got < 19*ms || got > 20*ms {
		t.Errorf("recent %v, want 20ms", got)
	}
	if got := h.Delay.Deviation(); got > ms {
		t.Errorf("deviation %v of a steady path", got)
	}
	for i := range 400 {
		now = now.Add(20 * ms)
		feed(t, h, now, 40*ms+time.Duration(i%2*2-1)*8*ms, 0, 100)
	}
	if got := h.Delay.Deviation(); got < 7*ms || got > 9*ms {
		t.Errorf("deviation %v, want 8ms", got)
	}
	// The sample was taken when its acknowledgement came.
	want(t, "age", h.Delay.Age(now.Add(48*ms+10*ms+time.Second)), time.Second)
}

// Queue: what the last packet waited, plus what was sent since, minus what drained since, never below nothing.
func TestQueuePrediction(t *testing.T) {
	h := recovery.New(&recovery.Offset{})
	const rate = 1_000_000 // bytes per second: 1 ms for 1000 bytes
	want(t, "unknown", h.Delay.Queue(begin, 1<<20, rate), 0)
	feed(t, h, begin, 10*ms, 0, 1000)
	now := begin.Add(time.Second)
	feed(t, h, now, 40*ms, 0, 1000) // waited 30 ms
	total := h.Total()
	for _, c := range []struct {
		after time.Duration
		more  int64
		rate  int64
		want  time.Duration
	}{
		{0, 0, rate, 30 * ms},
		{10 * ms, 0, rate, 20 * ms},
		{10 * ms, 5000, rate, 25 * ms},
		{60 * ms, 50_000, rate, 20 * ms},
		{100 * ms, 5000, rate, 0},
		{10 * ms, 5000, 0, 20 * ms}, // rate unknown: only what drains is known
		{time.Hour, 0, rate, 0},
	} {
		want(t, "queue", h.Delay.Queue(now.Add(c.after), total+c.more, c.rate), c.want)
	}
}

// Rebase takes the standing queue of the last round for the path's own delay.
func TestRebase(t *testing.T) {
	h := recovery.New(&recovery.Offset{})
	now := begin
	feed(t, h, now, 10*ms, 0, 100)
	for range 5 {
		now = now.Add(100 * ms)
		feed(t, h, now, 35*ms, 0, 100) // each is a round
	}
	want(t, "floor", h.Delay.Floor(), 0)
	h.Delay.Rebase(now)
	want(t, "floor after Rebase", h.Delay.Floor(), 25*ms)
	want(t, "queue of a packet like the last", h.Delay.Queue(now, h.Total(), 1e6), 0)
	feed(t, h, now.Add(100*ms), 20*ms, 0, 100)
	want(t, "a lower delay is a lower floor again", h.Delay.Floor(), 10*ms)
}

// Rebase before any sample does nothing harmful.
func TestRebaseUnknown(t *testing.T) {
	h := recovery.New(&recovery.Offset{})
	h.Delay.Rebase(begin)
	feed(t, h, begin, 10*ms, 0, 100)
	want(t, "floor", h.Delay.Floor(), 0)
	want(t, "queue", h.Delay.Queue(begin, h.Total(), 1e6), 0)
}

// The first packets of a path that jitters, each a round of its own and each the quickest yet, are not what it usually takes.
func TestBaseOfAJitteringPath(t *testing.T) {
	h, now := recovery.New(&recovery.Offset{}), begin
	for i := range 6 {
		feed(t, h, now, time.Duration(40-6*i)*ms, 0, 100)
		now = now.Add(100 * ms)
	}
	for i := range 200 { // 10 to 30 ms, 20 in the mean
		feed(t, h, now, 10*ms+time.Duration(i*7%21)*ms, 0, 100)
		now = now.Add(5 * ms)
	}
	if got := h.Delay.Base() - h.Delay.Floor(); got < 7*ms || got > 12*ms {
		t.Errorf("the base is %v above the floor, want 10ms", got)
	}
}

// Until it has been seen for a while what a path takes is the least it took, also where that is less than the first path's.
func TestBaseOfAQuickerPath(t *testing.T) {
	offset := &recovery.Offset{}
	first, quick := recovery.New(offset), recovery.New(offset)
	feed(t, first, begin, 30*ms, 0, 100)
	for i := range 3 {
		feed(t, quick, begin.Add(time.Duration(i)*10*ms), time.Duration(10+5*i)*ms, 0, 100)
	}
	if got := quick.Delay.Base() - first.Delay.Base(); got != -20*ms {
		t.Errorf("the quicker path's base is %v from the first's, want -20ms", got)
	}
}
