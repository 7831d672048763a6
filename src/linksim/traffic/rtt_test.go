package traffic

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// TestRoundTripEstimate is RFC 6298 section 2 as Linux has it: never less than 200 ms above the smoothed round trip, a falling round
// trip raises the deviation by an eighth only, and what a deviation falls by counts once per window, by a quarter.
func TestRoundTripEstimate(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	type sample struct {
		m        time.Duration
		una, nxt uint64
		srtt     time.Duration
		rto      time.Duration
	}
	for name, samples := range map[string][]sample{
		"the first: R and 2R":           {{300 * ms, 0, 9, 300 * ms, 900 * ms}},
		"the least margin":              {{10 * ms, 0, 9, 10 * ms, 210 * ms}},
		"nothing is a round trip too":   {{0, 0, 9, 1, 200*ms + 1}},
		"rising: 3/4 of 2R, and 200 ms": {{300 * ms, 0, 9, 300 * ms, 900 * ms}, {500 * ms, 1, 9, 325 * ms, 975 * ms}},
		"falling: an eighth":            {{300 * ms, 0, 9, 300 * ms, 900 * ms}, {100 * ms, 1, 9, 275 * ms, 881250 * us}},
		"calm, within the window":       {{300 * ms, 0, 9, 300 * ms, 900 * ms}, {292 * ms, 1, 9, 299 * ms, 899 * ms}, {299 * ms, 9, 12, 299 * ms, 899 * ms}},
		"a little less, windows later": {
			{300 * ms, 0, 9, 300 * ms, 900 * ms}, {292 * ms, 10, 20, 299 * ms, 899 * ms}, {291 * ms, 21, 30, 298 * ms, 835875 * us}, // the deviation falls by its quarter
		},
		"calm, a window later": {
			{300 * ms, 0, 9, 300 * ms, 900 * ms}, {300 * ms, 10, 20, 300 * ms, 900 * ms}, // the window with the first sample peaked at 600
			{300 * ms, 15, 30, 300 * ms, 900 * ms},    // not yet over
			{300 * ms, 21, 30, 300 * ms, 834375 * us}, // peaked at 337.5, of which 600 is 262.5 off
		},
	} {
		var r rttEstimate
		if r.rto() != time.Second {
			t.Errorf("%v without a sample", r.rto())
		}
		for i, s := range samples {
			if r.sample(s.m, s.una, s.nxt); r.srtt != s.srtt || r.rto() != s.rto {
				t.Errorf("%s, sample %d: %v, timeout %v, want %v, %v", name, i+1, r.srtt, r.rto(), s.srtt, s.rto)
			}
		}
	}
}

// TestPacer: packets leave at the rate, and after a pause a burst's worth of them at once.
func TestPacer(t *testing.T) {
	const burst = 3 * time.Millisecond
	p := pacer{}
	if p.took(0, 1e6, burst); !p.may(0) || p.next != 0 {
		t.Error("held without a rate")
	}
	p.rate = 1e6 // a packet of 1000 bytes takes a millisecond
	now, left := 10*second, []mono.Time(nil)
	for range 5 {
		for !p.may(now) {
			if !p.held {
				t.Fatal("it does not say that something waits")
			}
			now = p.next
		}
		if p.took(now, 1000, burst); p.held {
			t.Fatal("it says that something waits")
		}
		left = append(left, now-10*second)
	}
	if want := [...]mono.Time{0, 0, 0, 0, 1 * ms}; [5]mono.Time(left) != want {
		t.Errorf("left at %v, want %v", left, want)
	}
}
