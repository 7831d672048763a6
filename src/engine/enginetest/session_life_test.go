package enginetest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/node"
	"mpproxy/src/linksim/traffic"
)

// twoLinks is a World like the demo's.
func twoLinks(seed uint64, change ...func(*Config)) *World {
	c := Config{Seed: seed, Links: []Link{Same(params(20, 10*time.Millisecond, 0)), Same(params(20, 25*time.Millisecond, 0))}}
	for _, f := range change {
		f(&c)
	}
	return New(c)
}

// oneLink is a World with the first of them only.
func oneLink(seed uint64, change ...func(*Config)) *World {
	c := Config{Seed: seed, Links: []Link{Same(params(20, 10*time.Millisecond, 0))}}
	for _, f := range change {
		f(&c)
	}
	return New(c)
}

// stands fails the test unless the session does, over n usable paths at both ends.
func stands(t *testing.T, w *World, n int) {
	t.Helper()
	for name, s := range map[string]*Side{"router": w.Router, "server": w.Server} {
		usable := 0
		for _, p := range s.Paths() {
			if p.Usable() {
				usable++
			}
		}
		if !s.Stands() || usable != n {
			t.Errorf("%s: %d usable paths of %d, want %d; stands %v;%s", name, usable, len(s.Paths()), n, s.Stands(), s.Describe())
		}
	}
}

func sessionOf(w *World) uint64 { id, _, _, _ := w.Local.Session(); return id }

// closes ends the World and checks that every packet went back to its pool.
func closes(t *testing.T, w *World) {
	t.Helper()
	w.Close()
	for i, s := range w.sides() {
		if lent, _ := s.Pool.Lent(); lent != 0 {
			t.Errorf("side %d: %d packets not given back", i, lent)
		}
	}
}

// talk is a call each way and a download.
type talk struct {
	w            *World
	down, up     *traffic.PacedSource
	downTo, upTo *traffic.PacedSink
	tcp          *traffic.Sender
	got          *traffic.Receiver
}

func newTalk(w *World) *talk {
	k := &talk{w: w}
	k.down, k.downTo = call(w, true)
	k.up, k.upTo = call(w, false)
	k.tcp, k.got = bulk(w, true)
	return k
}

// gap runs the World for d and returns the longest silence of either call in it.
func (k *talk) gap(d time.Duration) time.Duration {
	from := k.w.Now
	k.w.Run(d)
	return max(k.downTo.Silence(from, k.w.Now), k.upTo.Silence(from, k.w.Now))
}

// flows checks that the download moves at share of the sum of rate Mbit/s, for the second to come.
func (k *talk) flows(t *testing.T, mbit float64) {
	t.Helper()
	before := k.got.Delivered()
	k.w.Run(time.Second)
	if rate := float64(k.got.Delivered()-before) * 8e-6; rate < mbit {
		t.Errorf("the download moves at %.1f Mbit/s, want %.1f", rate, mbit)
	}
}

// A server that restarts: the router finds out by itself, and what flows goes on.
func TestServerRestarts(t *testing.T) {
	for _, w := range []*World{oneLink(11), twoLinks(12)} {
		k := newTalk(w)
		w.Run(4 * time.Second)
		before := sessionOf(w)
		w.StartServer()
		gap := k.gap(8 * time.Second)
		t.Logf("%d links: gap %v, tcp %+v, duplicates %d+%d", len(w.Links), gap, k.tcp.Counters, k.downTo.Duplicates, k.upTo.Duplicates)
		if gap > 5*time.Second {
			t.Errorf("%d links: gap %v", len(w.Links), gap)
		}
		if sessionOf(w) == before {
			t.Error("still the old session")
		}
		stands(t, w, len(w.Links))
		k.flows(t, 15)
		if blob, _ := w.Local.PeerConfig(); blob == nil {
			t.Error("no configuration after the restart")
		}
		closes(t, w)
	}
}

// A router that restarts: the newest session wins at once, and the old one is forgotten.
func TestRouterRestarts(t *testing.T) {
	for _, w := range []*World{oneLink(13), twoLinks(14)} {
		k := newTalk(w)
		w.Run(4 * time.Second)
		for range 5 {
			w.StartRouter()
			if gap := k.gap(3 * time.Second); gap > time.Second {
				t.Errorf("gap %v", gap)
			}
		}
		stands(t, w, len(w.Links))
		if w.Peer.Conflict(w.Now) || w.Local.Notice(w.Now) != "" {
			t.Error("a router that restarts counts as two")
		}
		k.flows(t, 15)
		if n := w.Remote.Table.Len(); n > 64 {
			t.Errorf("%d connection ids for one session", n)
		}
		closes(t, w)
	}
}

// A router that restarts after so many packets that a repair from before must not count by its old number: that number lies
// beyond the new session's replay window.
func TestRouterRestartsLate(t *testing.T) {
	for _, w := range []*World{oneLink(17), twoLinks(18)} {
		k := newTalk(w)
		w.Run(20 * time.Second)
		w.StartRouter()
		if gap := k.gap(3 * time.Second); gap > time.Second {
			t.Errorf("gap %v", gap)
		}
		stands(t, w, len(w.Links))
		k.flows(t, 15)
		drops := w.Local.Drops()
		if n := drops.Map()["too_old"]; n > 0 {
			t.Errorf("%d packets of the new session are taken for old ones", n)
		}
		closes(t, w)
	}
}

// Both at once.
func TestBothRestart(t *testing.T) {
	w := twoLinks(15)
	k := newTalk(w)
	w.Run(4 * time.Second)
	w.StartServer()
	w.StartRouter()
	if gap := k.gap(6 * time.Second); gap > 2*time.Second {
		t.Errorf("gap %v", gap)
	}
	stands(t, w, 2)
	closes(t, w)
}

// A session replaced while much is under way: nothing stalls, packets in flight are sent again in the new one. That
// a packet comes twice cannot be avoided if its acknowledgement was lost with the old session, but no more than a flight.
func TestReplacedInFlight(t *testing.T) {
	w := twoLinks(16)
	k := newTalk(w)
	w.Run(4 * time.Second)
	retransmits := k.tcp.Counters.Timeouts
	for i := range w.Links {
		w.Links[i].Cut(w.Now)
	}
	w.Run(2200 * time.Millisecond)
	before := sessionOf(w)
	for i := range w.Links {
		w.Links[i].Restore(w.Now)
	}
	w.Run(3 * time.Second)
	// Whichever answers first after the silence goes on: a path of the old session, or the handshake for a new one.
	t.Logf("new session %v", sessionOf(w) != before)
	stands(t, w, 2)
	t.Logf("timeouts %d, duplicates: calls %d+%d, segments %d", k.tcp.Counters.Timeouts-retransmits, k.downTo.Duplicates, k.upTo.Duplicates, k.got.Duplicates)
	if k.downTo.Duplicates+k.upTo.Duplicates > 10 {
		t.Errorf("%d packets of the calls twice", k.downTo.Duplicates+k.upTo.Duplicates)
	}
	k.flows(t, 25)
	closes(t, w)
}

// Links that are silent while the handshake begins, and come back.
func TestHandshakeOverDeadLinks(t *testing.T) {
	w := twoLinks(17)
	for i := range w.Links {
		w.Links[i].Cut(w.Now)
	}
	for _, pause := range []time.Duration{time.Second, 20 * time.Second, 10 * time.Minute} {
		w.Run(pause)
		if w.Local.Stands() {
			t.Fatal("a session over cut links")
		}
		if why := w.Local.Trouble(); (why == "") != (pause < 3*time.Second) {
			t.Errorf("after %v: trouble %q", pause, why)
		}
	}
	w.Links[1].Restore(w.Now)
	w.Run(1500 * time.Millisecond)
	if !w.Local.Stands() || w.Local.Trouble() != "" {
		t.Errorf("no session over the link that came back; trouble %q", w.Local.Trouble())
	}
	w.Links[0].Restore(w.Now)
	w.Run(2 * time.Second)
	stands(t, w, 2)
	call(w, false)
	w.Run(time.Second)
	for i := range w.Links {
		w.Links[i].Cut(w.Now)
	}
	w.Run(2500 * time.Millisecond)
	if down, _ := w.Local.AllDown(); !down || w.Local.Trouble() != "" {
		t.Errorf("down %v; trouble %q is that of the time before", down, w.Local.Trouble())
	}
	closes(t, w)
}

// A link without an address at first: nothing is sent there, and it is used once it has one.
func TestLinkGetsAddressLater(t *testing.T) {
	sent := map[int]int{}
	w := twoLinks(18, func(c *Config) { c.Link = func(_ int, l *node.Link) { l.Up = false } })
	w.Tamper = func(up bool, link int, data []byte) [][]byte {
		if up {
			sent[link]++
		}
		return [][]byte{data}
	}
	w.Run(time.Minute)
	if len(sent) != 0 || w.Local.Trouble() == "" {
		t.Errorf("sent %v without any address; trouble %q", sent, w.Local.Trouble())
	}
	up := node.Link{Up: true, Endpoint: serverOuter}
	w.Local.SetLink(w.Now, 1, up)
	w.Run(time.Second)
	stands(t, w, 1)
	if sent[0] != 0 {
		t.Error("sent over the link without address")
	}
	w.Local.SetLink(w.Now, 0, up)
	w.Run(time.Second)
	stands(t, w, 2)
	w.Local.SetLink(w.Now, 0, node.Link{})
	w.Local.SetLink(w.Now, 1, node.Link{})
	w.Run(time.Minute)
	w.Local.SetLink(w.Now, 0, up)
	w.Run(3 * time.Second)
	stands(t, w, 1)
	closes(t, w)
}

// A link that comes and goes under load, with another address each time, again and again in one session: path and
// connection ids are never used twice, tables stay small, and the other link carries on.
func TestLinksComeAndGo(t *testing.T) {
	w := twoLinks(19)
	k := newTalk(w)
	w.Run(3 * time.Second)
	before := sessionOf(w)
	paths := map[uint32]bool{}
	for i := range 120 {
		w.Local.SetLink(w.Now, 0, node.Link{})
		w.Run(time.Duration(20+i) * time.Millisecond)
		l := w.LinkConfig(0)
		l.Source = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		w.Local.SetLink(w.Now, 0, l)
		w.Run(time.Duration(250-i) * time.Millisecond)
		id, ok := w.Local.LinkPath(0)
		if !ok || paths[id] {
			t.Fatalf("round %d: path %d, open %v, used before %v", i, id, ok, paths[id])
		}
		paths[id] = true
		if n := len(w.Server.Paths()); n > 4 {
			t.Fatalf("round %d: %d paths at the server", i, n)
		}
	}
	w.Run(time.Second)
	if sessionOf(w) != before {
		t.Error("the session was replaced")
	}
	stands(t, w, 2)
	if r, s := w.Local.Table.Len(), w.Remote.Table.Len(); r > 4 || s > 128 {
		t.Errorf("%d connection ids at the router, %d at the server", r, s)
	}
	t.Logf("retransmits %d, timeouts %d, lost %d+%d", k.tcp.Counters.Retransmits, k.tcp.Counters.Timeouts, k.downTo.Lost(k.down.Sent), k.upTo.Lost(k.up.Sent))
	if k.tcp.Counters.Timeouts > 3 {
		t.Errorf("%d timeouts of the download", k.tcp.Counters.Timeouts)
	}
	k.flows(t, 20)
	closes(t, w)
}

// Many activations of a link that is silently dead, so that the server hears of none of them: when it works at last, the
// path must come up though many ids were skipped, and the closed ones must not fill the server's places.
func TestActivationsUnheard(t *testing.T) {
	w := twoLinks(20)
	w.Run(2 * time.Second)
	before := sessionOf(w)
	w.Links[0].Cut(w.Now)
	for i := range 200 {
		l := w.LinkConfig(0)
		l.Source = netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})
		w.Local.SetLink(w.Now, 0, l)
		w.Run(50 * time.Millisecond)
	}
	w.Links[0].Restore(w.Now)
	w.Run(4 * time.Second)
	if sessionOf(w) != before {
		t.Error("the session was replaced")
	}
	stands(t, w, 2)
	closes(t, w)
}

// The same without time to breathe: all changes in one instant.
func TestSetLinkInOneInstant(t *testing.T) {
	w := twoLinks(21)
	newTalk(w)
	w.Run(2 * time.Second)
	for i := range 500 {
		l := w.LinkConfig(i % 2)
		l.Source = netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		l.Up = i%7 != 0
		l.Metric = i % 3
		w.Local.SetLink(w.Now, i%2, l)
	}
	for i := range 2 {
		w.Local.SetLink(w.Now, i, w.LinkConfig(i))
	}
	w.Run(4 * time.Second)
	stands(t, w, 2)
	closes(t, w)
}

// More sessions than a server knows path ids ahead: ids begin anew with each.
func TestManySessions(t *testing.T) {
	w := twoLinks(22)
	k := newTalk(w)
	for i := range 20 {
		w.StartServer()
		if gap := k.gap(3 * time.Second); gap > 2900*time.Millisecond {
			t.Fatalf("restart %d: nothing for %v", i, gap)
		}
	}
	stands(t, w, 2)
	if id, _ := w.Local.LinkPath(1); id > 4 {
		t.Errorf("path id %d in a new session", id)
	}
	closes(t, w)
}

// The time of day does not enter at all; what monotonic clocks say may differ by years, and one may jump forward when
// its machine has slept.
func TestClocks(t *testing.T) {
	for _, skew := range []time.Duration{-59 * time.Minute, 40 * 365 * 24 * time.Hour, 71*time.Minute + 34*time.Second} {
		t.Run(fmt.Sprint(skew), func(t *testing.T) {
			w := twoLinks(23)
			w.Router.Skew = skew
			w.StartRouter()
			k := newTalk(w)
			w.Run(3 * time.Second)
			stands(t, w, 2)
			k.flows(t, 30)
			for _, s := range []*Side{w.Router, w.Server} {
				s.Skew += 3 * time.Hour
				gap := k.gap(8 * time.Second)
				t.Logf("gap after the jump %v", gap)
				if gap > 5*time.Second {
					t.Errorf("gap %v after a jump of the clock", gap)
				}
				stands(t, w, 2)
			}
			k.flows(t, 30)
			closes(t, w)
		})
	}
}

// An idle session is kept by a datagram now and then, and a server gives up one whose router is gone for good.
func TestIdleAndGone(t *testing.T) {
	w := oneLink(24)
	w.Run(time.Minute)
	sent := 0
	w.Tamper = func(_ bool, _ int, data []byte) [][]byte { sent++; return [][]byte{data} }
	before := sessionOf(w)
	w.Run(30 * time.Minute)
	stands(t, w, 1)
	if sessionOf(w) != before {
		t.Error("the idle session was replaced")
	}
	t.Logf("%d datagrams in 30 idle minutes", sent)
	if sent > 1500 {
		t.Errorf("%d datagrams in 30 idle minutes", sent)
	}
	w.Links[0].Cut(w.Now)
	w.Run(5 * time.Minute)
	down := 0
	w.Tamper = func(up bool, _ int, data []byte) [][]byte {
		if !up {
			down++
		}
		return [][]byte{data}
	}
	w.Run(time.Minute)
	if down != 0 || w.Server.Stands() {
		t.Errorf("the server sent %d datagrams to a router silent for minutes", down)
	}
	w.Links[0].Restore(w.Now)
	w.Run(3 * time.Second)
	stands(t, w, 1)
	closes(t, w)
}

// Initiations go out on one link after the other, the same bytes, until one is answered.
func TestHedge(t *testing.T) {
	w := New(Config{Seed: 25, Links: []Link{
		Same(params(20, 10*time.Millisecond, 1)), Same(params(20, 900*time.Millisecond, 0)), Same(params(20, 30*time.Millisecond, 0)),
	}})
	seen := map[string]int{}
	var order []int
	w.Tamper = func(up bool, link int, data []byte) [][]byte {
		if up && data[0] == 1 {
			seen[string(data)]++
			order = append(order, link)
		}
		return [][]byte{data}
	}
	w.Run(800 * time.Millisecond)
	if _, since, _, ok := w.Local.Session(); !ok || since.Sub(start) > 2*handshake.HedgeDelay+50*time.Millisecond {
		t.Errorf("session %v after %v", ok, since.Sub(start))
	}
	if len(seen) != 1 || fmt.Sprint(order) != "[0 1 2]" {
		t.Errorf("%d different initiations, over links %v", len(seen), order)
	}
	w.Run(4 * time.Second)
	stands(t, w, 2)
	closes(t, w)
}
