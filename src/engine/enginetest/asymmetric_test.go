package enginetest

import (
	"fmt"
	"testing"
	"time"

	"mpproxy/src/linksim"
)

// asymmetric is a link like most: much down, little up, and a second of buffer both ways.
func asymmetric(down, up float64, rtt time.Duration) Link {
	return Link{
		Down: linksim.Params{Rate: int64(down * 1e6), Delay: rtt / 2, Queue: time.Second},
		Up:   linksim.Params{Rate: int64(up * 1e6), Delay: rtt / 2, Queue: time.Second},
	}
}

// Links of little upload, saturated both ways: the download does not starve for its acknowledgements, and a call does not wait
// for either. The last pair carries its acknowledgements only because superseded ones are not sent.
func TestAsymmetricBothWays(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		links []Link
		least float64       // of the sum, down
		more  time.Duration // for the call, 95th percentile over idle
	}{
		{[]Link{asymmetric(50, 10, 20*ms), asymmetric(30, 5, 30*ms)}, 0.95, 20 * ms},
		{[]Link{asymmetric(50, 3, 20*ms), asymmetric(30, 2, 30*ms)}, 0.9, 40 * ms},
		{[]Link{asymmetric(50, 1, 20*ms), asymmetric(50, 1, 20*ms)}, 0.42, 36 * ms}, // three packet times; 0.49 to 0.69 by seed, 0.36 of the sum with all acknowledgements
	} {
		w := New(Config{Seed: 6, Links: c.links})
		_, callUp := call(w, false)
		_, callDown := call(w, true)
		w.Run(3 * time.Second)
		idleUp, idleDown := callUp.Delay(0.5, start, w.Now), callDown.Delay(0.5, start, w.Now)
		_, down := w.Bulk(true, 0)
		_, up := w.Bulk(false, 0)
		w.Run(4 * time.Second)
		from, gotDown, gotUp := w.Now, down.Delivered(), up.Delivered()
		const span = 6 * time.Second
		w.Run(span)
		sumDown, sumUp, name := 0.0, 0.0, ""
		for _, l := range c.links {
			sumDown, sumUp = sumDown+Ceiling(l.Down.Rate, 0, innerMTU), sumUp+Ceiling(l.Up.Rate, 0, innerMTU)
			name += fmt.Sprintf("%d/%d ", l.Down.Rate/1e6, l.Up.Rate/1e6)
		}
		ratio := float64(down.Delivered()-gotDown) * 8 / span.Seconds() / sumDown
		moreUp, moreDown := callUp.Delay(0.95, from, w.Now)-idleUp, callDown.Delay(0.95, from, w.Now)-idleDown
		t.Logf("%s: down %.3f, up %.3f of the sums; call +%v up, +%v down; superseded %d", name, ratio,
			float64(up.Delivered()-gotUp)*8/span.Seconds()/sumUp, moreUp, moreDown, w.Router.QueueCounts().SupersededAcks)
		if ratio < c.least {
			t.Errorf("%s: the download gets %.3f of the sum", name, ratio)
		}
		if moreUp > c.more || moreDown > c.more {
			t.Errorf("%s: the call waits %v longer up and %v down", name, moreUp, moreDown)
		}
	}
}
