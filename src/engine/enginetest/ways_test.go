package enginetest

import (
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/path"
	"mpproxy/src/linksim/traffic"
	"mpproxy/src/stats"
)

// waysWorld has so many links of 20 Mbit/s, of which the last has the metric 10, and a rule for the port named.
func waysWorld(v flowq.Verdict, adjust func(*engine.Params), links ...Link) *World {
	w := New(Config{Seed: 11, Links: links, Adjust: adjust, Link: func(i int, l *node.Link) {
		l.Number = i + 1
		if i == len(links)-1 {
			l.Metric, l.Standby = 10, true
		}
	}})
	w.Router.SetJudge(func(info flowq.Info) flowq.Verdict {
		if info.DstPort == named {
			return v
		}
		return flowq.Verdict{}
	})
	return w
}

// namedBulk puts one TCP flow between the client and that port of the server into the world.
func namedBulk(w *World, down bool, client, port uint16) *traffic.Receiver {
	a, b := netip.AddrPortFrom(ClientAddr, client), netip.AddrPortFrom(ServerAddr, port)
	from, to := w.Router, w.Server
	if down {
		a, b, from, to = b, a, to, from
	}
	heard := traffic.NewReceiver(b, a, innerMTU)
	from.Apps = append(from.Apps, traffic.NewSender(traffic.Config{Local: a, Remote: b, MTU: innerMTU, Start: w.Now.Add(200 * time.Millisecond)}))
	to.Apps = append(to.Apps, heard)
	return heard
}

// carriedOn is how many bytes of inner packets a side has had acknowledged, link by link.
func carriedOn(s *Side) (bytes [3]int64) {
	for _, p := range s.Paths() {
		bytes[p.Number-1] += p.Carried
	}
	return bytes
}

func same(mbit float64, n int) (links []Link) {
	for i := range n {
		links = append(links, Same(params(mbit, time.Duration(20+10*i)*time.Millisecond, 0)))
	}
	return links
}

// A flow that a rule binds to links goes over those and no others, whatever their metric, both ways, while others go as ever: first
// over one in reserve, then over two.
func TestRuleBindsToLinks(t *testing.T) {
	for _, c := range []struct {
		links uint64
		least float64 // Mbit/s of payload
		most  float64
	}{{1 << 2, 16, 20}, {1<<0 | 1<<1, 32, 40}} {
		for _, down := range []bool{false, true} {
			w := waysWorld(flowq.Verdict{Way: flowq.Way{Links: c.links}}, nil, same(20, 3)...)
			heard := namedBulk(w, down, 40000, named)
			w.Run(3 * time.Second)
			before := heard.Delivered()
			w.Run(5 * time.Second)
			rate := float64(heard.Delivered()-before) * 8 / 5 / 1e6
			from := w.Router
			if down {
				from = w.Server
			}
			on := carriedOn(from)
			t.Logf("links %b, down %v: %.1f Mbit/s, %d", c.links, down, rate, on)
			if rate < c.least || rate > c.most {
				t.Errorf("links %b, down %v: %.1f Mbit/s", c.links, down, rate)
			}
			for i, n := range on {
				if used := c.links>>i&1 != 0; used != (n > 1e6) || !used && n > 5000 { // the handshake's packets may come before the server knows
					t.Errorf("links %b, down %v: link %d carried %d bytes", c.links, down, i, n)
				}
			}
		}
	}
}

// While the one link that a rule names is silent its flow stands still, and nothing of it goes elsewhere; the other flow goes on
// as ever, the dead one's packets do not pile up, and it goes on by itself.
func TestRuleWaitsForItsLink(t *testing.T) {
	for _, down := range []bool{false, true} {
		w := waysWorld(flowq.Verdict{Way: flowq.Way{Links: 1 << 1}}, nil, same(20, 3)...)
		bound, other := namedBulk(w, down, 40000, named), namedBulk(w, down, 40001, 80)
		steady := newPaced(w, down, named, 50, 300)
		newPaced(w, !down, named, 50, 300)
		w.Run(4 * time.Second)
		w.Links[1].Cut(w.Now)
		w.Run(2 * time.Second)
		stood, went, heard := bound.Delivered(), other.Delivered(), len(steady.heard.Samples)
		w.Run(5 * time.Second)
		from := w.Router
		if down {
			from = w.Server
		}
		if n := bound.Delivered() - stood; n > 0 || len(steady.heard.Samples) > heard {
			t.Errorf("down %v: %d bytes, %d packets went over other links", down, n, len(steady.heard.Samples)-heard)
		}
		if rate := float64(other.Delivered()-went) * 8 / 5 / 1e6; rate < 16 {
			t.Errorf("down %v: the other flow has %.1f Mbit/s", down, rate)
		}
		if drops := from.QueueCounts().DroppedNoWay; drops < 200 || from.Backlog() > 128<<10 {
			t.Errorf("down %v: %d dropped for want of a path (%s), %d bytes wait", down, drops, stats.NoPath, from.Backlog())
		}
		w.Links[1].Restore(w.Now)
		w.Run(15 * time.Second) // the sender's own timer is that long by now
		if n := bound.Delivered() - stood; n < 1e6 || len(steady.heard.Samples) < heard+500 {
			t.Errorf("down %v: %d bytes, %d packets after the link came back", down, n, len(steady.heard.Samples)-heard)
		}
	}
}

// A flow with a profile of its own is spread as far as that allows, whatever the tunnel's: over a link 80 ms later with
// throughput, not with latency.
func TestRuleHasItsProfile(t *testing.T) {
	links := []Link{Same(params(20, 20*time.Millisecond, 0)), Same(params(20, 180*time.Millisecond, 0)), Same(params(20, 20*time.Millisecond, 0))}
	for _, c := range []struct {
		tunnel, rule flowq.Profile
		spread       bool
	}{{flowq.Latency, flowq.Throughput, true}, {flowq.Balanced, flowq.Latency, false}} {
		for _, down := range []bool{false, true} {
			w := waysWorld(flowq.Verdict{Way: flowq.Way{Own: true, Profile: c.rule}}, func(p *engine.Params) { p.Profile = c.tunnel }, links...)
			heard := namedBulk(w, down, 40000, named)
			w.Run(15 * time.Second)
			before := heard.Delivered()
			w.Run(10 * time.Second)
			rate := float64(heard.Delivered()-before) * 8 / 10 / 1e6
			t.Logf("%+v, down %v: %.1f Mbit/s", c, down, rate)
			if c.spread != (rate > 24) || rate < 16 {
				t.Errorf("%+v, down %v: %.1f Mbit/s", c, down, rate)
			}
		}
	}
}

// What a rule calls urgent is treated so, both ways: where urgent packets go twice, it does; without the rule, or as bulk, hardly
// its first packets do.
func TestRuleGivesAClass(t *testing.T) {
	for want, urgent := range map[flowq.Want]bool{flowq.WantAuto: false, flowq.WantUrgent: true, flowq.WantBulk: false} {
		w := twiceWorld(path.CopyUrgent, path.CopyUrgent)
		w.Router.SetJudge(func(info flowq.Info) flowq.Verdict { return flowq.Verdict{Class: want} })
		for _, down := range []bool{false, true} {
			newPaced(w, down, named, 50, 600) // too large for a call
		}
		w.Run(6 * time.Second)
		for i, n := range []uint64{w.Router.Counts().Copies, w.Server.Counts().Copies} {
			if urgent != (n > 250) || !urgent && n > 5 {
				t.Errorf("class %d, way %d: %d copies", want, i, n)
			}
		}
	}
}
