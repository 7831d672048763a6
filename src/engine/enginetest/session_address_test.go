package enginetest

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/path"
	"mpproxy/src/engine/wire"
)

// rebind gives link 0 another source address at the NAT from now on; the old one is dead.
func rebind(w *World, to netip.AddrPort) {
	before := w.NAT
	w.NAT = func(link int) netip.AddrPort {
		if link == 0 {
			return to
		}
		return before(link)
	}
}

// pathTo finds the server's path over a link.
func pathTo(t *testing.T, w *World, link int) *path.Path {
	t.Helper()
	for _, p := range w.Server.Paths() {
		if p.Peer.Remote == w.NAT(link) {
			return p
		}
	}
	t.Fatalf("no path to %v at the server:%s", w.NAT(link), w.Server.Describe())
	return nil
}

// A NAT gives the link another port: the same session and path go on, with what is known of the link's capacity.
func TestNATRebinding(t *testing.T) {
	for name, to := range map[string]netip.AddrPort{
		"port":    netip.MustParseAddrPort("198.51.100.1:50123"),
		"address": netip.MustParseAddrPort("198.51.100.77:40000"),
	} {
		t.Run(name, func(t *testing.T) {
			w := oneLink(31)
			k := newTalk(w)
			w.Run(4 * time.Second)
			before, p := sessionOf(w), pathTo(t, w, 0)
			bandwidth, controller := p.CC.Bandwidth(), p.CC
			rebind(w, to)
			gap := k.gap(3 * time.Second)
			t.Logf("gap %v", gap)
			if gap > 600*time.Millisecond {
				t.Errorf("gap %v", gap)
			}
			if sessionOf(w) != before || pathTo(t, w, 0) != p {
				t.Error("session or path was replaced")
			}
			if kept := p.CC == controller; kept != (name == "port") {
				t.Errorf("congestion state kept: %v", kept)
			}
			if now := p.CC.Bandwidth(); name == "port" && (now < bandwidth*8/10 || now > bandwidth*12/10) {
				t.Errorf("bandwidth %d, before %d", now, bandwidth)
			}
			stands(t, w, 1)
			k.flows(t, 15)
			closes(t, w)
		})
	}
}

// The address changes every two minutes, as some carriers do, and once in idleness.
func TestAddressChangesOften(t *testing.T) {
	w := twoLinks(32)
	call(w, true)
	w.Run(2 * time.Second)
	before := sessionOf(w)
	for i := range 4 {
		rebind(w, netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 101, byte(i)}), 40000))
		w.Run(2 * time.Minute)
	}
	if sessionOf(w) != before {
		t.Error("the session was replaced")
	}
	stands(t, w, 2)
	closes(t, w)
}

// Somebody copies packets and races them to the server from his own address, for five seconds. Data stays where it was, what
// goes to the stranger is no more than came from him, and nothing of it stays afterwards.
func TestCopiedPacketRace(t *testing.T) {
	stranger := netip.MustParseAddrPort("192.0.2.66:6666")
	for _, relays := range []bool{false, true} {
		w := oneLink(33)
		k := newTalk(w)
		w.Run(4 * time.Second)
		in, out, copied := 0, 0, 0
		w.Stray = func(to netip.AddrPort, data []byte) {
			if to != stranger {
				t.Errorf("a datagram to %v", to)
			}
			out += len(data) + 28
			if relays {
				// He lets the router have what came to him: it will answer, but not from his address.
				d := slices.Clone(data)
				w.After(time.Millisecond, func() { w.Router.Datagram(0, serverOuter, d) })
			}
		}
		w.Tamper = func(up bool, _ int, data []byte) [][]byte {
			if copied++; up && copied%20 == 0 {
				in += len(data) + 28
				w.Inject(stranger, data)
			}
			return [][]byte{data}
		}
		gap := k.gap(5 * time.Second)
		w.Tamper = nil
		t.Logf("relays %v: gap %v, %d bytes came from the stranger, %d went to him", relays, gap, in, out)
		if in == 0 || out > in {
			t.Errorf("%d bytes to the stranger, %d from him", out, in)
		}
		if gap > 100*time.Millisecond {
			t.Errorf("gap %v", gap)
		}
		pathTo(t, w, 0)
		if out2 := out; k.gap(5*time.Second) > 100*time.Millisecond || out != out2 {
			t.Error("the stranger still matters")
		}
		k.flows(t, 15)
		closes(t, w)
	}
}

// The same for the very first packet of a path: the stranger's address is the first that the server sees.
func TestCopiedFirstPacket(t *testing.T) {
	stranger := netip.MustParseAddrPort("192.0.2.66:6666")
	for _, relays := range []bool{false, true} {
		w := oneLink(34)
		in, out := 0, 0
		w.Stray = func(_ netip.AddrPort, data []byte) {
			out += len(data) + 28
			if relays {
				d := slices.Clone(data)
				w.After(time.Millisecond, func() { w.Router.Datagram(0, serverOuter, d) })
			}
		}
		w.Tamper = func(up bool, _ int, data []byte) [][]byte {
			if up && in < 3000 && wire.Kind(data) == wire.KindData {
				in += len(data) + 28
				w.Inject(stranger, data)
			}
			return [][]byte{data}
		}
		w.Run(3 * time.Second)
		if out > in {
			t.Errorf("relays %v: %d bytes to the stranger, %d from him", relays, out, in)
		}
		pathTo(t, w, 0)
		stands(t, w, 1)
		closes(t, w)
	}
}

// All challenges of a new path are lost, because nothing comes down for a while: the server asks again.
func TestChallengesLost(t *testing.T) {
	w := twoLinks(35)
	w.Run(2 * time.Second)
	l := w.LinkConfig(0)
	l.Source = netip.MustParseAddr("10.0.0.9")
	w.Links[0].Down.Cut(w.Now)
	w.Local.SetLink(w.Now, 0, l)
	w.Run(5 * time.Second)
	w.Links[0].Down.Restore(w.Now)
	w.Run(3 * time.Second)
	stands(t, w, 2)
	closes(t, w)
}

// When the router's own address changes, nothing that an observer sees connects the old address with the new one.
func TestConnectionIDsChange(t *testing.T) {
	w := twoLinks(36)
	newTalk(w)
	seen := [2]map[uint32]bool{{}, {}}
	phase := 0
	w.Tamper = func(_ bool, link int, data []byte) [][]byte {
		if h, ok := wire.ParseHeader(data); ok && link == 0 {
			seen[phase][h.ConnID] = true
		}
		return [][]byte{data}
	}
	w.Run(3 * time.Second)
	l := w.LinkConfig(0)
	l.Source = netip.MustParseAddr("10.0.0.9")
	w.Local.SetLink(w.Now, 0, l)
	rebind(w, netip.MustParseAddrPort("198.51.100.200:1234"))
	phase = 1
	w.Run(3 * time.Second)
	if len(seen[0]) != 2 || len(seen[1]) != 2 {
		t.Errorf("%d and %d connection ids, want one per direction", len(seen[0]), len(seen[1]))
	}
	for id := range seen[0] {
		if seen[1][id] {
			t.Errorf("connection id %08x before and after", id)
		}
	}
	stands(t, w, 2)
	closes(t, w)
}

// Datagrams of a path that was closed, recorded and played again: its id has been used, so none of them counts, however
// many paths came after it.
func TestReplayOfClosedPath(t *testing.T) {
	w := twoLinks(37)
	k := newTalk(w)
	w.Run(time.Second)
	var record [][]byte
	w.Tamper = func(up bool, link int, data []byte) [][]byte {
		if up && link == 0 && len(record) < 2000 {
			record = append(record, slices.Clone(data))
		}
		return [][]byte{data}
	}
	w.Run(2 * time.Second)
	w.Tamper = nil
	for i := range 30 {
		l := w.LinkConfig(0)
		l.Source = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		w.Local.SetLink(w.Now, 0, l)
		w.Run(300 * time.Millisecond)
		paths, in := len(w.Server.Paths()), w.Peer.Counts().PacketsIn
		for _, d := range record {
			w.Inject(w.NAT(0), d)
		}
		if n := len(w.Server.Paths()); n != paths || w.Peer.Counts().PacketsIn != in {
			t.Fatalf("after %d paths: replays opened %d paths and gave %d packets", i, n-paths, w.Peer.Counts().PacketsIn-in)
		}
	}
	if k.upTo.Duplicates != 0 {
		t.Errorf("%d packets twice", k.upTo.Duplicates)
	}
	closes(t, w)
}
