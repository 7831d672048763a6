package enginetest

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"mpproxy/src/linksim"
	"mpproxy/src/linksim/traffic"
)

// shortTransfers has so many TCP transfers of some bytes go down one after the other, and returns how long each took, in order
// of size.
func shortTransfers(t *testing.T, seed uint64, links []Link, bytes int64, count int) []time.Duration {
	w := New(Config{Seed: seed, Links: links})
	w.Run(2 * time.Second)
	var took []time.Duration
	for i := range count {
		a, b := netip.AddrPortFrom(ServerAddr, 5001), netip.AddrPortFrom(ClientAddr, uint16(20000+i))
		s := traffic.NewSender(traffic.Config{Local: a, Remote: b, MTU: innerMTU, Start: w.Now, Bytes: bytes})
		r := traffic.NewReceiver(b, a, innerMTU)
		w.Server.Apps, w.Router.Apps = append(w.Server.Apps[:0], s), append(w.Router.Apps[:0], r)
		began := w.Now
		for r.Delivered() < bytes {
			w.Run(time.Millisecond)
			if w.Now.Sub(began) > 30*time.Second {
				t.Fatalf("transfer %d: %d of %d bytes after 30 s", i, r.Delivered(), bytes)
			}
		}
		took = append(took, w.Now.Sub(began))
		w.Run(300 * time.Millisecond)
	}
	slices.Sort(took)
	return took
}

// Short transfers over links that lose one packet in fifty end soon: what is lost at the end of a burst is not missed for long.
func TestShortTransfers(t *testing.T) {
	lossy := func(rtt time.Duration) Link {
		return Same(linksim.Params{Rate: 20e6, Delay: rtt / 2, Loss: 0.02, Queue: 100 * time.Millisecond})
	}
	for _, c := range []struct {
		bytes int64
		count int
		most  time.Duration // 95th percentile; 168 and 420 ms in the mean of more runs
	}{{30_000, 150, 180 * time.Millisecond}, {300_000, 40, 450 * time.Millisecond}} {
		took := shortTransfers(t, 11, []Link{lossy(40 * time.Millisecond), lossy(60 * time.Millisecond)}, c.bytes, c.count)
		t.Logf("%d bytes: p50 %v, p95 %v, p99 %v, mean %v", c.bytes, took[len(took)/2], took[len(took)*95/100], took[len(took)*99/100], mean(took))
		if p95 := took[len(took)*95/100]; p95 > c.most {
			t.Errorf("%d bytes: p95 %v", c.bytes, p95)
		}
	}
}

func mean(all []time.Duration) (sum time.Duration) {
	for _, d := range all {
		sum += d
	}
	return (sum / time.Duration(len(all))).Round(100 * time.Microsecond)
}
