package enginetest

import (
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/path"
	"mpproxy/src/linksim/traffic"
)

// paced is packets of an even pace in one direction.
type paced struct {
	*traffic.PacedSource
	heard *traffic.PacedSink
}

// named is the port of the game's server, which the tests' rule names.
const named = 3074

// newPaced puts so many packets per second between the client and that port of the server into the world.
func newPaced(w *World, down bool, port uint16, rate float64, size int) paced {
	a, b := netip.AddrPortFrom(ClientAddr, port), netip.AddrPortFrom(ServerAddr, port)
	from, to := w.Router, w.Server
	if down {
		a, b, from, to = b, a, to, from
	}
	s := paced{
		traffic.NewPacedSource(traffic.PacedConfig{Local: a, Remote: b, Rate: rate, Size: size, Start: w.Now.Add(200 * time.Millisecond)}),
		traffic.NewPacedSink(b, a),
	}
	from.Apps, to.Apps = append(from.Apps, s.PacedSource), append(to.Apps, s.heard)
	return s
}

// byRule is the tests' rule.
func byRule(info flowq.Info) flowq.Verdict { return flowq.Verdict{Twice: info.DstPort == named} }

// twiceWorld has two links that carry what rules name, or so much of copies as is said.
func twiceWorld(copies ...path.Copies) *World {
	links := []Link{Same(params(20, 20*time.Millisecond, 0)), Same(params(20, 30*time.Millisecond, 0))}
	w := New(Config{Seed: 7, Links: links, Link: func(i int, l *node.Link) { l.Copies = copies[i] }})
	w.Router.SetJudge(byRule)
	return w
}

// missed is how many of a stream's packets did not come, or later than a player would notice.
func (s paced) missed() (n uint64) {
	for _, p := range s.heard.Samples {
		if p.Delay > 30*time.Millisecond {
			n++
		}
	}
	return n + s.heard.Lost(s.Sent)
}

// What a rule names loses nothing and is not delayed when a link goes silent, neither way: the server learns from the router what
// its answers are part of. The same stream to another port, which no rule names, loses some.
func TestRuleSendsTwice(t *testing.T) {
	for cut := range 2 {
		w := twiceWorld(path.CopyNamed, path.CopyNamed)
		var ruled, other []paced
		for _, down := range []bool{false, true} {
			ruled = append(ruled, newPaced(w, down, named, 60, 300))
			other = append(other, newPaced(w, down, named+1, 60, 300))
		}
		for range 4 { // whichever link they are on
			w.Run(3 * time.Second)
			w.Links[cut].Cut(w.Now)
			w.Run(2 * time.Second)
			w.Links[cut].Restore(w.Now)
			cut = 1 - cut
		}
		for _, s := range append(ruled[:2:2], other...) {
			s.Stop(w.Now)
		}
		w.Run(time.Second)
		lost := uint64(0)
		for i := range ruled {
			if n := ruled[i].missed(); n > 0 || ruled[i].heard.Duplicates > 0 {
				t.Errorf("way %d: %d of %d lost or late, %d came twice", i, n, ruled[i].Sent, ruled[i].heard.Duplicates)
			}
			lost += other[i].missed()
		}
		if lost < 4 {
			t.Errorf("without a rule only %d lost or late: the test proves nothing", lost)
		}
		for i, c := range []uint64{w.Router.Counts().Copies, w.Server.Counts().Copies} {
			if sent := ruled[i].Sent; c < sent/2 || c > sent {
				t.Errorf("way %d: %d copies of %d packets", i, c, sent)
			}
		}
	}
}

// A link that carries no copies gets none, by no rule, and nor does one of a higher metric; what it does carry when it is asked
// to, beside a link of its own metric, shows that it could.
func TestRuleSparesLinks(t *testing.T) {
	for _, c := range []struct {
		second path.Copies
		metric int
		copied bool
	}{{path.CopyNothing, 0, false}, {path.CopyNamed, 10, false}, {path.CopyNamed, 0, true}} {
		w := twiceWorld(path.CopyNothing, c.second)
		l := w.LinkConfig(1)
		l.Metric = c.metric
		w.Local.SetLink(w.Now, 1, l)
		for _, down := range []bool{false, true} {
			newPaced(w, down, named, 60, 300)
		}
		w.Run(5 * time.Second)
		for i, n := range []uint64{w.Router.Counts().Copies, w.Server.Counts().Copies} {
			if c.copied != (n > 100) || !c.copied && n > 0 {
				t.Errorf("%+v, way %d: %d copies", c, i, n)
			}
		}
	}
}

// Without the rule, after a reload, there are no copies any more: at once by the router, by the server soon.
func TestRuleGoes(t *testing.T) {
	w := twiceWorld(path.CopyNamed, path.CopyNamed)
	for _, down := range []bool{false, true} {
		newPaced(w, down, named, 60, 300)
	}
	w.Run(3 * time.Second)
	w.Router.SetJudge(nil)
	router := w.Router.Counts().Copies
	w.Run(11 * time.Second)
	server := w.Server.Counts().Copies
	w.Run(3 * time.Second)
	if router < 100 || w.Router.Counts().Copies != router || server < 100 || w.Server.Counts().Copies != server {
		t.Errorf("router %d copies, then %d; server %d, then %d", router, w.Router.Counts().Copies, server, w.Server.Counts().Copies)
	}
	w.Router.SetJudge(byRule)
	w.Run(2 * time.Second)
	if a, b := w.Router.Counts().Copies-router, w.Server.Counts().Copies-server; a < 100 || b < 100 {
		t.Errorf("once more: %d and %d copies", a, b)
	}
}

// Copies by rules take a fifth of what the links carry at most, however much the rules name, once that is known.
func TestRuleIsCapped(t *testing.T) {
	for _, down := range []bool{false, true} {
		w := twiceWorld(path.CopyNamed, path.CopyNamed)
		from, to, a, b := w.Router, w.Server, netip.AddrPortFrom(ClientAddr, 40000), netip.AddrPortFrom(ServerAddr, 5001)
		if down {
			from, to, a, b = to, from, b, a
		}
		from.Apps = append(from.Apps, traffic.NewSender(traffic.Config{Local: a, Remote: b, MTU: innerMTU, Start: w.Now, Bytes: 15e6}))
		to.Apps = append(to.Apps, traffic.NewReceiver(b, a, innerMTU))
		w.Run(6 * time.Second) // the download, or upload, shows what the links carry
		newPaced(w, !down, named, 20, 100)
		s := newPaced(w, down, named, 1200, 1200) // 11.5 Mbit/s
		w.Run(4 * time.Second)
		before := from.Counts().Copies
		w.Run(10 * time.Second)
		rate := float64(from.Counts().Copies-before) * 1200 * 8 / 10 / 1e6
		t.Logf("down %v: %.2f Mbit/s of copies", down, rate)
		if rate > 0.2*40*1.02 || rate < 0.12*40 {
			t.Errorf("down %v: %.2f Mbit/s of copies", down, rate)
		}
		if lost := s.heard.Lost(s.Sent); lost > 20 { // on the way at the end
			t.Errorf("down %v: the stream itself lost %d", down, lost)
		}
	}
}
