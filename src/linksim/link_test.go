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
