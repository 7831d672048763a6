package enginetest

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"mpproxy/src/linksim"
	"mpproxy/src/linksim/traffic"
)

// call puts a UDP stream of 50 packets/s into the world, in one direction.
func call(w *World, down bool) (*traffic.PacedSource, *traffic.PacedSink) {
	from, to := w.Router, w.Server
	a, b := netip.AddrPortFrom(ClientAddr, 4000), netip.AddrPortFrom(ServerAddr, 4001)
	if down {
		from, to = to, from
		a, b = b, a
	}
	s := traffic.NewPacedSource(traffic.PacedConfig{Local: a, Remote: b, Rate: 50, Size: 200, Start: w.Now.Add(200 * time.Millisecond)})
	r := traffic.NewPacedSink(b, a)
	from.Apps = append(from.Apps, s)
	to.Apps = append(to.Apps, r)
	return s, r
}

// A link goes silent under load: the download retransmits nothing, the call is silent for less than 300 ms.
func TestSilentLink(t *testing.T) {
	for cut := range 2 {
		w := New(Config{Seed: 3, Links: []Link{Same(params(20, 10*time.Millisecond, 0)), Same(params(20, 25*time.Millisecond, 0))}})
		down, downSink := call(w, true)
		up, upSink := call(w, false)
		snd, rcv := bulk(w, true)
		w.Run(5 * time.Second)
		retransmits, before := snd.Counters.Retransmits, rcv.Delivered()
		if os.Getenv("TRACE") != "" {
			w.TraceEvery = 20 * time.Millisecond
			w.Trace = func(w *World) {
				t.Logf("%.2f S%s R%s held %d back %d", float64(w.Now-start)/1e9, w.Server.Describe(), w.Router.Describe(), w.Router.LaneStats().HeldPackets, w.Server.Backlog())
			}
		}
		at := w.Now
		w.Links[cut].Cut(w.Now)
		w.Run(time.Second)
		w.Trace = nil
		w.Run(2 * time.Second)
		t.Logf("cut %d: retransmits %d, call down: silence %v lost %d, up: silence %v lost %d; %.2f Mbit/s after; rto %d server %+v drops %v",
			cut, snd.Counters.Retransmits-retransmits, downSink.Silence(at, w.Now), downSink.Lost(down.Sent), upSink.Silence(at, w.Now), upSink.Lost(up.Sent),
			float64(rcv.Delivered()-before)*8/3e6, snd.Counters.Timeouts, w.Server.Counts(), w.Server.Drops())
		for _, s := range []*traffic.PacedSink{downSink, upSink} {
			if got := s.Silence(at, w.Now); got > 300*time.Millisecond {
				t.Errorf("cut %d: silence %v", cut, got)
			}
		}
		if n := snd.Counters.Retransmits - retransmits; n > 0 {
			t.Errorf("cut %d: %d retransmits", cut, n)
		}
		w.Links[cut].Restore(w.Now)
		w.Run(3 * time.Second)
		before = rcv.Delivered()
		w.Run(3 * time.Second)
		rate, sum := float64(rcv.Delivered()-before)*8/3, 2*Ceiling(20e6, 0, 1420)
		t.Logf("restored: %.2f Mbit/s = %.3f", rate/1e6, rate/sum)
		if rate < 0.9*sum {
			t.Errorf("cut %d: restored only to %.3f", cut, rate/sum)
		}
	}
}

// A call beside four bulk flows that saturate links with a deep buffer.
func TestCallUnderLoad(t *testing.T) {
	for _, down := range []bool{true, false} {
		deep := func(mbit float64, rtt, queue time.Duration) Link {
			return Same(linksim.Params{Rate: int64(mbit * 1e6), Delay: rtt / 2, Queue: queue})
		}
		w := New(Config{Seed: 4, Links: []Link{deep(18, 12*time.Millisecond, time.Second), deep(9, 20*time.Millisecond, 500*time.Millisecond)}})
		_, sink := call(w, down)
		w.Run(3 * time.Second)
		idle := sink.Delay(0.5, start, w.Now)
		for i := range 4 {
			a, b := netip.AddrPortFrom(ClientAddr, uint16(50000+i)), netip.AddrPortFrom(ServerAddr, 5001)
			from, to := w.Router, w.Server
			if down {
				a, b, from, to = b, a, to, from
			}
			from.Apps = append(from.Apps, traffic.NewSender(traffic.Config{Local: a, Remote: b, MTU: 1420, Start: w.Now}))
			to.Apps = append(to.Apps, traffic.NewReceiver(b, a, 1420))
		}
		if os.Getenv("TRACE") != "" {
			w.Trace = func(w *World) {
				t.Logf("%.2f S%s R%s back %d p95 %v", float64(w.Now-start)/1e9, w.Server.Describe(), w.Router.Describe(), w.Server.Backlog(), sink.Delay(.95, w.Now.Add(-100*time.Millisecond), w.Now))
			}
		}
		w.Run(3 * time.Second)
		from := w.Now
		w.Run(10 * time.Second)
		p95 := sink.Delay(0.95, from, w.Now)
		t.Logf("down %v: idle %v, p95 under load %v, max %v", down, idle, p95, sink.Delay(1, from, w.Now))
		if p95-idle > 20*time.Millisecond {
			t.Errorf("down %v: +%v", down, p95-idle)
		}
	}
}
