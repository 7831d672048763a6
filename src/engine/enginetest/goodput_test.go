package enginetest

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"mpproxy/src/linksim"
	"mpproxy/src/linksim/traffic"
)

func params(mbit float64, rtt time.Duration, loss float64) linksim.Params {
	return linksim.Params{Rate: int64(mbit * 1e6), Delay: rtt / 2, Loss: loss, Queue: 100 * time.Millisecond}
}

// bulk puts one TCP connection into the world and returns its receiver.
func bulk(w *World, down bool) (*traffic.Sender, *traffic.Receiver) {
	from, to := w.Router, w.Server
	a, b := netip.AddrPortFrom(ClientAddr, 40000), netip.AddrPortFrom(ServerAddr, 5001)
	if down {
		from, to = to, from
		a, b = b, a
	}
	s := traffic.NewSender(traffic.Config{Local: a, Remote: b, MTU: 1420, Start: w.Now.Add(300 * time.Millisecond)})
	r := traffic.NewReceiver(b, a, 1420)
	from.Apps = append(from.Apps, s)
	to.Apps = append(to.Apps, r)
	return s, r
}

func TestGoodput(t *testing.T) {
	cases := []struct {
		name  string
		links []linksim.Params
		want  float64
	}{
		{"one", []linksim.Params{params(20, 10*time.Millisecond, 0)}, 0.97},
		{"two equal", []linksim.Params{params(20, 10*time.Millisecond, 0), params(20, 10*time.Millisecond, 0)}, 0.97},
		{"demo", []linksim.Params{params(20, 10*time.Millisecond, 0), params(20, 25*time.Millisecond, 0)}, 0.97},
		{"4:1", []linksim.Params{params(50, 20*time.Millisecond, 0), params(12, 20*time.Millisecond, 0)}, 0.97},
		{"loss 0.5", []linksim.Params{params(50, 20*time.Millisecond, 0.005), params(50, 20*time.Millisecond, 0.005)}, 0.94},
		{"loss 2", []linksim.Params{params(50, 20*time.Millisecond, 0.02), params(50, 20*time.Millisecond, 0.02)}, 0.94},
		{"rtt_120", []linksim.Params{params(50, 20*time.Millisecond, 0), params(50, 120*time.Millisecond, 0)}, 0.94},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Seed: 1}
			sum := 0.0
			for _, p := range c.links {
				cfg.Links = append(cfg.Links, Same(p))
				sum += Ceiling(p.Rate, p.Loss, 1420)
			}
			w := New(cfg)
			if os.Getenv("TRACE") != "" {
				w.Trace = func(w *World) { t.Logf("%.1f %s", float64(w.Now-start)/1e9, w.Server.Describe()) }
			}
			snd, rcv := bulk(w, true)
			if os.Getenv("TRACE") == "tcp" {
				last := int64(0)
				w.Trace = func(w *World) {
					cw, ss, fl := snd.Window()
					rtt, _ := snd.SRTT()
					qc := w.Server.QueueCounts()
					if len(w.Server.Paths()) == 0 {
						return
					}
					t.Logf("%.1f %6.2fM backlog %7d cwnd %d ss %d fl %d srtt %.1f rec %d codel %d full %d  bw %.1f+%.1f", float64(w.Now-start)/1e9, float64(rcv.Delivered()-last)*8/1e5, w.Server.Backlog(), cw, ss, fl, ms(rtt), snd.Counters.Recoveries, qc.DroppedDelay, qc.DroppedFull, mbit(w.Server.Paths()[0].CC.Bandwidth()), mbit(w.Server.Paths()[len(w.Server.Paths())-1].CC.Bandwidth()))
					last = rcv.Delivered()
				}
			}
			w.Run(3 * time.Second)
			before := rcv.Delivered()
			w.Run(10 * time.Second)
			rate := float64(rcv.Delivered()-before) * 8 / 10
			t.Logf("%.2f of %.2f Mbit/s = %.3f; first 3 s %.2f; %+v; lane %+v", rate/1e6, sum/1e6, rate/sum, float64(before)*8/3e6, snd.Counters, w.Router.LaneStats())
			if rate < c.want*sum {
				t.Errorf("ratio %.3f, want %.2f", rate/sum, c.want)
			}
		})
	}
}
