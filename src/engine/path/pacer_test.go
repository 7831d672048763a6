package path

import (
	"math/rand/v2"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

const ms = time.Millisecond

// begin is when tests start: not zero, because zero means unset.
const begin = mono.Time(time.Hour)

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// A sender that asks at random times is never ahead of a token bucket of the rate and the burst by more than the one packet
// that may overdraw it, whatever the rate does meanwhile.
func TestPacerNeverGivesMore(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		rates := []int64{300, 6000, 125_000, 2_500_000, 125_000_000, 1_250_000_000}
		rate := rates[rng.IntN(len(rates))]
		var p Pacer
		now := begin
		p.Refill(now, rate)
		bucket := 0.0
		for range 3000 {
			pause := time.Duration(rng.Int64N(int64(3 * ms)))
			switch rng.IntN(40) {
			case 0:
				pause = time.Duration(rng.Int64N(int64(3 * time.Second)))
			case 1:
				pause = 0
			case 2:
				pause = time.Duration(rng.Int64N(2000)) // shorter than a byte
			}
			now = now.Add(pause)
			p.Refill(now, rate)
			bucket = min(bucket+float64(rate)*pause.Seconds(), float64(rate)*burst.Seconds())
			for n := 0; p.Ready() && n < 2000; n++ {
				size := 60 + rng.IntN(1441)
				p.Spend(size)
				bucket -= float64(size)
				if bucket < -1502 {
					t.Fatalf("seed %d, rate %d: %.0f bytes ahead", seed, rate, -bucket)
				}
			}
			if rng.IntN(100) == 0 {
				rate = max(rate*int64(50+rng.IntN(100))/100, 100)
			}
		}
	}
}

// Asked at least once a millisecond it gives all of the rate; asked when Next says, too.
func TestPacerGivesAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, rate := range []int64{1000, 20_000, 125_000, 1_000_003, 12_500_000, 125_000_000} {
		for _, follow := range []bool{false, true} {
			var p Pacer
			now := begin
			p.Refill(now, rate)
			start, sent := now, int64(0)
			for calls := 0; now.Sub(start) < 60*time.Second && calls < 20000; calls++ {
				if follow {
					now = mono.Max(now+1, p.Next(rate)).Add(time.Duration(rng.Int64N(int64(ms)))) // timers are late
				} else {
					now = now.Add(time.Duration(rng.Int64N(int64(ms))))
				}
				p.Refill(now, rate)
				for p.Ready() {
					p.Spend(1400)
					sent += 1400
				}
			}
			if got, all := float64(sent), float64(rate)*now.Sub(start).Seconds(); got < all*0.999 {
				t.Errorf("rate %d, follow %v: gave %.3f %%", rate, follow, got/all*100)
			}
		}
	}
}

// Called every 100 ns, far more often than a byte takes, it neither loses nor invents.
func TestPacerKeepsFractions(t *testing.T) {
	const rate = 1_000_003
	var p Pacer
	now := begin
	p.Refill(now, rate)
	sent := 0
	for range 2_000_000 {
		now = now.Add(100)
		p.Refill(now, rate)
		if p.Ready() {
			p.Spend(100)
			sent += 100
		}
	}
	if all := rate * 200 / 1000; sent < all-100 || sent > all+rate*2/1000+200 {
		t.Errorf("gave %d bytes in 200 ms, want %d", sent, all)
	}
}

// A long pause gives one burst, not the pause's worth; and it pays a debt only as far as the rate does.
func TestPacerAfterPause(t *testing.T) {
	var p Pacer
	now := begin
	p.Refill(now, 1_000_000)
	for _, pause := range []time.Duration{ms, 100 * ms, 999 * ms, time.Second + 1, time.Minute, 1000 * time.Hour, 1001 * time.Hour, 1002 * time.Hour, 1003 * time.Hour, 1e6 * time.Hour} {
		now = now.Add(pause)
		p.Refill(now, 1_000_000)
		want(t, "credit", p.credit, min(2000, int64(pause/time.Microsecond)))
		p.Spend(int(p.credit))
	}
	p = Pacer{}
	p.Refill(now, 1000)
	p.Spend(5000)
	p.Refill(now.Add(1500*ms), 1000)
	want(t, "debt after a pause", p.credit, -3500)
	want(t, "ready", p.Ready(), false)
	want(t, "wait", p.Wait(1000), 3500*ms)
	want(t, "next", p.Next(1000), now.Add(5*time.Second+tick))
}

// Urgent packets may go ahead by a time at the rate, and that is paid back.
func TestPacerWithin(t *testing.T) {
	var p Pacer
	p.Refill(begin, 1_000_000)
	p.Spend(8000)
	want(t, "within 8 ms", p.Within(1_000_000, 8*ms), true)
	p.Spend(1)
	want(t, "within 8 ms", p.Within(1_000_000, 8*ms), false)
	want(t, "within 9 ms", p.Within(1_000_000, 9*ms), true)
	want(t, "wait", p.Wait(1_000_000), 8001*time.Microsecond)
}

// Without a rate nothing is ever due, and nothing divides by it.
func TestPacerWithoutRate(t *testing.T) {
	var p Pacer
	p.Refill(begin, 0)
	p.Refill(begin.Add(time.Second), 0)
	p.Spend(100)
	want(t, "next", p.Next(0), mono.Never)
	want(t, "wait", p.Wait(0), 0)
	p.Refill(begin.Add(2*time.Second), 1000)
	want(t, "credit after a second at 1000", p.credit, 2) // the burst
}
