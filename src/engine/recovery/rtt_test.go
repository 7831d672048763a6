package recovery_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"mpproxy/src/engine/recovery"
)

// RFC 9002 section 5.3: the first sample sets both, later ones move them by 1/8 and 1/4.
func TestRTTFollowsRFC9002(t *testing.T) {
	var r recovery.RTT
	want(t, "sampled", r.Sampled(), false)
	want(t, "latest before a sample", r.Latest(), 0)
	want(t, "guess", r.Smoothed(), 200*ms)
	want(t, "guessed PTO", r.PTO(), 200*ms+4*100*ms+recovery.MaxAckDelay)
	r.Update(100*ms, 0)
	want(t, "first smoothed", r.Smoothed(), 100*ms)
	want(t, "first variation", r.Variation(), 50*ms)
	want(t, "first minimum", r.Min(), 100*ms)
	r.Update(180*ms, 0)
	want(t, "smoothed", r.Smoothed(), 110*ms)
	want(t, "variation", r.Variation(), 50*ms+(80*ms-50*ms)/4)
	want(t, "latest", r.Latest(), 180*ms)
	want(t, "minimum", r.Min(), 100*ms)
	want(t, "PTO", r.PTO(), r.Smoothed()+4*r.Variation()+recovery.MaxAckDelay)
}

// Against the formulas of the RFC in floating point, over random samples.
func TestRTTAgainstFormulas(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var r recovery.RTT
	var smoothed, variation float64
	for i := range 2000 {
		sample := time.Duration(20e6 + rng.Int64N(80e6))
		delay := time.Duration(rng.Int64N(10e6))
		r.Update(sample, delay)
		s := float64(sample - delay)
		if i == 0 {
			smoothed, variation = s, s/2
		} else {
			off := smoothed - s
			variation = 0.75*variation + 0.25*max(off, -off)
			smoothed = 0.875*smoothed + 0.125*s
		}
		if d := float64(r.Smoothed()) - smoothed; d > 1000 || d < -1000 {
			t.Fatalf("sample %d: smoothed %v, want %v", i, r.Smoothed(), time.Duration(smoothed))
		}
		if d := float64(r.Variation()) - variation; d > 1000 || d < -1000 {
			t.Fatalf("sample %d: variation %v, want %v", i, r.Variation(), time.Duration(variation))
		}
	}
}

func TestRTTAckDelay(t *testing.T) {
	var r recovery.RTT
	r.Update(30*ms, 10*ms)
	want(t, "less the delay", r.Latest(), 20*ms)
	// A report that leaves nothing is a lie.
	r.Update(30*ms, 31*ms)
	want(t, "impossible delay", r.Latest(), 30*ms)
	r.Update(30*ms, time.Hour)
	want(t, "absurd delay", r.Latest(), 30*ms)
	// Time that stands still or runs backwards must not make a round trip of nothing.
	r.Update(0, 0)
	if r.Latest() <= 0 || r.Min() <= 0 {
		t.Errorf("a sample of 0 gave %v, minimum %v", r.Latest(), r.Min())
	}
	r.Update(-time.Second, 0)
	if r.Latest() <= 0 || r.PTO() <= 0 {
		t.Errorf("a negative sample gave %v", r.Latest())
	}
}

// The minimum is that of the last two windows, so a path that has become longer is seen.
func TestRTTMinimumAges(t *testing.T) {
	var r recovery.RTT
	r.Age() // without a sample: nothing
	r.Update(20*ms, 0)
	r.Update(50*ms, 0)
	r.Age()
	want(t, "one window later", r.Min(), 20*ms)
	r.Update(60*ms, 0)
	r.Age()
	want(t, "two windows later", r.Min(), 50*ms)
	r.Update(60*ms, 0)
	r.Age()
	want(t, "three windows later", r.Min(), 60*ms)
}

// The least probe timeout has the granularity of timers in place of a variation of nothing (RFC 9002 section 6.2.1).
func TestRTTLeastPTO(t *testing.T) {
	var r recovery.RTT
	for range 200 {
		r.Update(5*ms, 0)
	}
	if got := r.PTO() - r.Smoothed() - recovery.MaxAckDelay; got < ms || got > ms+10*time.Microsecond {
		t.Errorf("variation's part is %v, want 1ms", got)
	}
}
