package enginetest

import (
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/node"
	"mpproxy/src/engine/path"
	"mpproxy/src/linksim/traffic"
	"mpproxy/src/stats"
)

// IPv6 inside an IPv4 tunnel gets the sum of the links as IPv4 does, both ways.
func TestIPv6Inside(t *testing.T) {
	for _, down := range []bool{true, false} {
		w := twoLinks(51)
		from, to := w.Router, w.Server
		a, b := netip.AddrPortFrom(ClientAddr6, 40000), netip.AddrPortFrom(ServerAddr6, 5001)
		if down {
			from, to, a, b = to, from, b, a
		}
		s := traffic.NewSender(traffic.Config{Local: a, Remote: b, MTU: innerMTU, Start: w.Now.Add(300 * time.Millisecond)})
		r := traffic.NewReceiver(b, a, innerMTU)
		from.Apps, to.Apps = append(from.Apps, s), append(to.Apps, r)
		w.Run(3 * time.Second)
		before := r.Delivered()
		w.Run(5 * time.Second)
		// 20 bytes more of header than over IPv4.
		want := 2 * Ceiling(20e6, 0, innerMTU) * float64(innerMTU-72) / float64(innerMTU-52)
		if got := float64(r.Delivered()-before) * 8 / 5 / want; got < 0.97 {
			t.Errorf("down %v: %.3f of the sum", down, got)
		}
	}
}

// What a dying link carried is sent again, and nothing of it comes twice: neither in a lane nor, like a call, outside.
func TestRepairsComeOnce(t *testing.T) {
	w := twoLinks(52)
	_, up := call(w, false)
	_, down := call(w, true)
	_, got := bulk(w, true)
	w.Run(3 * time.Second)
	for i := range 10 {
		link := i % 2
		w.Links[link].Down.Cut(w.Now) // one way: what went up did come
		w.Run(500 * time.Millisecond)
		w.Links[link].Restore(w.Now)
		w.Run(750 * time.Millisecond)
		for _, l := range w.Links { // no acknowledgement at all gets through for a moment
			l.Down.Cut(w.Now)
		}
		w.Run(200 * time.Millisecond)
		for _, l := range w.Links {
			l.Restore(w.Now)
		}
		w.Run(750 * time.Millisecond)
	}
	if up.Duplicates+down.Duplicates != 0 {
		t.Errorf("twice: %d and %d packets of the calls", up.Duplicates, down.Duplicates)
	}
	atRouter, atServer := w.Router.Drops(), w.Server.Drops()
	t.Logf("repairs of packets that had come: %d and %d; segments twice %d", atRouter[stats.LaneDuplicate], atServer[stats.LaneDuplicate], got.Duplicates)
	if atRouter[stats.LaneDuplicate]+atServer[stats.LaneDuplicate] == 0 {
		t.Error("nothing came that had come before: the test proves nothing")
	}
}

// A link that costs money per byte and has nothing to carry takes less than half a megabyte a day.
func TestMeteredLinkIsQuiet(t *testing.T) {
	w := New(Config{Seed: 53, Links: []Link{Same(params(20, 10*time.Millisecond, 0)), Same(params(20, 25*time.Millisecond, 0))},
		Link: func(i int, l *node.Link) {
			if i == 1 {
				l.Metric, l.Metered = 10, true
			}
		}})
	call(w, true)
	w.Run(10 * time.Second)
	before := w.Links[1].Up.Stats().DeliveredBytes + w.Links[1].Down.Stats().DeliveredBytes
	const span = 10 * time.Minute
	w.Run(span)
	bytes := w.Links[1].Up.Stats().DeliveredBytes + w.Links[1].Down.Stats().DeliveredBytes - before
	if perDay := float64(bytes) * (24 * time.Hour).Hours() / span.Hours(); perDay > 500_000 {
		t.Errorf("%.0f bytes a day", perDay)
	}
	if _, p := w.Local.LinkPath(1); !p {
		t.Error("the path is gone")
	}
}

// A link of a higher metric carries nothing while a lower one works, takes over when that dies, and hands back; the server
// learns it from the router. With overflow it also helps while the others are full.
func TestMetrics(t *testing.T) {
	for _, overflow := range []bool{false, true} {
		w := New(Config{Seed: 54, Links: []Link{Same(params(20, 10*time.Millisecond, 0)), Same(params(20, 25*time.Millisecond, 0))},
			Link: func(i int, l *node.Link) {
				if i == 1 {
					l.Metric, l.Overflow, l.Standby = 10, overflow, true
				}
			}})
		_, got := bulk(w, true)
		rate := func(d time.Duration) float64 {
			before := got.Delivered()
			w.Run(d)
			return float64(got.Delivered()-before) * 8 / d.Seconds() / Ceiling(20e6, 0, innerMTU)
		}
		rate(3 * time.Second)
		spare := w.Links[1].Down.Stats().DeliveredBytes
		first := rate(3 * time.Second)
		spare = w.Links[1].Down.Stats().DeliveredBytes - spare
		if !overflow && (spare > 10_000 || first < 0.95) {
			t.Errorf("the spare link carried %d bytes, the first %.2f of its ceiling", spare, first)
		}
		if overflow && first < 1.8 {
			t.Errorf("with overflow %.2f of one link", first)
		}
		w.Links[0].Cut(w.Now)
		rate(2 * time.Second)
		if second := rate(3 * time.Second); second < 0.9 {
			t.Errorf("overflow %v: after the first link died %.2f of the spare", overflow, second)
		}
		w.Links[0].Restore(w.Now)
		rate(3 * time.Second)
		spare = w.Links[1].Down.Stats().DeliveredBytes
		rate(2 * time.Second)
		if spare = w.Links[1].Down.Stats().DeliveredBytes - spare; !overflow && spare > 10_000 {
			t.Errorf("after the first link came back the spare carries %d bytes", spare)
		}
	}
}

// The router's limits hold in both directions.
func TestLimits(t *testing.T) {
	for _, down := range []bool{true, false} {
		w := New(Config{Seed: 55, Links: []Link{Same(params(20, 10*time.Millisecond, 0))},
			Link: func(_ int, l *node.Link) { l.Limit, l.PeerLimit = 4e6/8, 6e6/8 }})
		_, got := bulk(w, down)
		w.Run(3 * time.Second)
		before := got.Delivered()
		w.Run(4 * time.Second)
		want := Ceiling(4e6, 0, innerMTU)
		if down {
			want = Ceiling(6e6, 0, innerMTU)
		}
		if rate := float64(got.Delivered()-before) * 8 / 4 / want; rate < 0.9 || rate > 1.01 {
			t.Errorf("down %v: %.3f of the limit", down, rate)
		}
	}
}

// Calls are copied onto links of the same metric only, and the receiver lets one of each pass.
func TestCopiesStayOnTheirMetric(t *testing.T) {
	for _, metric := range []int{0, 10} {
		w := New(Config{Seed: 56, Links: []Link{Same(params(20, 10*time.Millisecond, 0)), Same(params(20, 25*time.Millisecond, 0))},
			Link: func(i int, l *node.Link) {
				l.Copies = path.CopyCalls
				if i == 1 {
					l.Metric, l.Overflow = metric, true
				}
			}})
		up, heard := call(w, false)
		w.Run(5 * time.Second)
		up.Stop(w.Now)
		w.Run(200 * time.Millisecond)
		copies, drops := w.Router.Counts().Copies, w.Server.Drops()
		if heard.Lost(up.Sent)+heard.Duplicates > 0 {
			t.Errorf("metric %d: %d lost, %d twice", metric, heard.Lost(up.Sent), heard.Duplicates)
		}
		if metric == 0 && (copies < up.Sent/2 || drops[stats.LaneDuplicate] != copies) || metric > 0 && copies > 0 {
			t.Errorf("metric %d: %d copies of %d, %d dropped as such", metric, copies, up.Sent, drops[stats.LaneDuplicate])
		}
	}
}

// A limit far below what a link showed takes that link from a flow, and nothing else: what is left of it is not waited for.
func TestSmallLimitHoldsNothingUp(t *testing.T) {
	w := twoLinks(57)
	_, got := w.Bulk(true, 100*time.Millisecond)
	w.Run(4 * time.Second)
	l := w.LinkConfig(0)
	l.PeerLimit = 1000 // bytes per second
	w.Local.SetLink(w.Now, 0, l)
	w.Run(3 * time.Second)
	before := got.Delivered()
	w.Run(3 * time.Second)
	if rate := float64(got.Delivered()-before) * 8 / 3 / Ceiling(20e6, 0, innerMTU); rate < 0.9 {
		t.Errorf("%.3f of the other link", rate)
	}
}
