package enginetest

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/wire"
	"mpproxy/src/linksim/traffic"
	"mpproxy/src/stats"
)

// recorder keeps some real datagrams of every kind, both ways.
type recorder struct {
	up, down [][]byte
	seen     map[wire.DatagramKind]int
}

func record(w *World) *recorder {
	r := &recorder{seen: map[wire.DatagramKind]int{}}
	w.Tamper = func(up bool, _ int, data []byte) [][]byte {
		kind := wire.Kind(data)
		if r.seen[kind]++; r.seen[kind] < 200 {
			if up {
				r.up = append(r.up, slices.Clone(data))
			} else {
				r.down = append(r.down, slices.Clone(data))
			}
		}
		return [][]byte{data}
	}
	return r
}

// mutate returns a hostile variant of a datagram.
func mutate(rng *rand.Rand, d []byte) []byte {
	d = slices.Clone(d)
	switch rng.IntN(10) {
	case 0: // noise
		d = make([]byte, rng.IntN(1600))
		for i := range d {
			d[i] = byte(rng.Uint32())
		}
	case 1: // noise that looks like ours
		d = make([]byte, 1+rng.IntN(1600))
		for i := range d {
			d[i] = byte(rng.Uint32())
		}
		d[0] = []byte{1, 2, 3, 4, 0x40, 0x50, 0x60, 0x70, 0x4F}[rng.IntN(9)]
	case 2: // cut
		d = d[:rng.IntN(len(d)+1)]
	case 3: // longer
		d = append(d, make([]byte, rng.IntN(64000-len(d)))...)
	case 4: // another kind
		d[0] = byte(rng.Uint32())
	case 5, 6, 7: // some bits
		for range 1 + rng.IntN(4) {
			d[rng.IntN(len(d))] ^= 1 << rng.IntN(8)
		}
	case 8: // the number, the connection or the epoch
		d[min(rng.IntN(8), len(d)-1)] = byte(rng.Uint32())
	case 9: // just once more
	}
	return d
}

// mutants returns variants of what was recorded, the same for the same seed.
func mutants(seed uint64, from [][]byte, n int) [][]byte {
	rng := rand.New(rand.NewPCG(seed, 5))
	out := make([][]byte, n)
	for i := range out {
		out[i] = mutate(rng, from[rng.IntN(len(from))])
	}
	return out
}

// Real datagrams in all kinds of disorder rain on both ends, from everywhere, before, during and after handshakes and in the
// middle of a download: nothing changes for what flows, each one is counted, and every buffer comes back.
func TestHostileRain(t *testing.T) {
	for seed := range uint64(2) {
		first := twoLinks(50 + seed)
		r := record(first)
		newTalk(first)
		first.Run(3 * time.Second)
		closes(t, first)

		w := twoLinks(60 + seed)
		showers := seed << 32
		rain := func(n int, r *recorder) {
			showers++
			for i, d := range mutants(showers, append(r.up, r.down...), n) {
				if i%3 == 0 {
					w.Router.Datagram(i%2, serverOuter, d)
				} else {
					w.Inject([]netip.AddrPort{w.NAT(0), w.NAT(1), netip.MustParseAddrPort("192.0.2.9:9")}[i/3%3], d)
				}
			}
		}
		rain(2000, r)
		own := record(w)
		for range 10 {
			w.Run(10 * time.Millisecond)
			rain(200, r)
		}
		w.Run(time.Second)
		stands(t, w, 2)
		k := newTalk(w)
		w.Run(3 * time.Second)
		before := sessionOf(w)
		for range 100 {
			rain(200, own)
			w.Run(10 * time.Millisecond)
		}
		k.flows(t, 25)
		stands(t, w, 2)
		if sessionOf(w) != before {
			t.Error("the session was replaced")
		}
		if n := k.downTo.Duplicates + k.upTo.Duplicates; n != 0 {
			t.Errorf("%d packets twice", n)
		}
		if w.Local.Trouble() != "" || w.Local.Notice(w.Now) != "" || len(w.Local.Notices(w.Now)) != 0 {
			t.Errorf("trouble %q, notice %q", w.Local.Trouble(), w.Local.Notice(w.Now))
		}
		drops, remote := w.Local.Drops(), w.Remote.Drops()
		t.Logf("router: %v %v", w.Router.Errors, drops.Map())
		t.Logf("server: %v %v %v", w.Server.Errors, remote.Map(), func() any { d := w.Peer.Drops(); return d.Map() }())
		for _, r := range []stats.Reason{stats.BadMAC, stats.UnknownVersion, stats.Truncated, stats.TooLarge, stats.UnknownType} {
			if r != stats.UnknownVersion && remote.Map()[r.String()] == 0 {
				t.Errorf("nothing counted as %v at the server", r)
			}
		}
		closes(t, w)
	}
}

// Every datagram twice, a while later: what is inside comes once.
func TestEverythingTwice(t *testing.T) {
	w := twoLinks(70)
	w.Tamper = func(up bool, link int, data []byte) [][]byte {
		d := slices.Clone(data)
		w.After(25*time.Millisecond, func() { w.onto(w.Now, up, link, w.toOf(up, link), d) })
		return [][]byte{data}
	}
	k := newTalk(w)
	w.Run(4 * time.Second)
	// Packets sent again though they were only late come twice too; the tunnels know how many those are.
	spurious := w.Peer.Counts().Spurious + w.Local.Counts().Spurious
	if n := k.downTo.Duplicates + k.upTo.Duplicates + k.got.Duplicates; n > spurious {
		t.Errorf("%d packets twice, %d sent again needlessly", n, spurious)
	}
	server, router := w.Peer.Drops(), w.Local.Drops()
	if server.Map()["replayed"] == 0 || router.Map()["replayed"] == 0 {
		t.Errorf("replays not counted: %v, %v", server.Map(), router.Map())
	}
	stands(t, w, 2)
	w.Tamper = nil
	w.Run(3 * time.Second)
	k.flows(t, 30)
	closes(t, w)
}

// Far behind the window, and in wild disorder.
func TestReordered(t *testing.T) {
	w := twoLinks(71)
	rng := rand.New(rand.NewPCG(71, 71))
	w.Tamper = func(up bool, link int, data []byte) [][]byte {
		if rng.IntN(3) != 0 {
			return [][]byte{data}
		}
		d := slices.Clone(data)
		w.After(time.Duration(rng.IntN(60))*time.Millisecond, func() { w.onto(w.Now, up, link, w.toOf(up, link), d) })
		return nil
	}
	k := newTalk(w)
	w.Run(8 * time.Second)
	stands(t, w, 2)
	if rate := float64(k.got.Delivered()) * 8 / 8e6; rate < 1 {
		t.Errorf("%.2f Mbit/s through disorder", rate)
	}
	t.Logf("%.2f Mbit/s, %+v", float64(k.got.Delivered())*8/8e6, k.tcp.Counters)
	closes(t, w)
}

// The authenticated peer sends nonsense in every third datagram: every frame type with random content, acknowledgements
// of what was never sent, challenges by the hundred, ends of paths that never were. It harms nobody but its own session, and
// that one not for longer than it lasts.
func TestPeerTalksNonsense(t *testing.T) {
	for seed := range uint64(2) {
		for _, fromServer := range []bool{false, true} {
			w := twoLinks(80 + seed)
			w.Run(time.Second)
			k := newTalk(w)
			from, at := w.Router, w.Server
			if fromServer {
				from, at = at, from
			}
			rng := rand.New(rand.NewPCG(seed, 72))
			n := 0
			from.Rewrite = func(*engine.Datagram) []byte {
				if n++; n%3 != 0 {
					return nil
				}
				return nonsense(rng)
			}
			w.Run(2 * time.Second)
			from.Rewrite = nil
			if d := at.Tunnel.Drops(); d.Map()["malformed_frame"] == 0 {
				t.Errorf("nothing malformed in %v", d.Map())
			}
			if n := len(at.Paths()); n > engine.MaxPaths {
				t.Errorf("%d paths", n)
			}
			if n := w.Remote.Table.Len(); n > 200 {
				t.Errorf("%d connection ids", n)
			}
			w.Run(3 * time.Second)
			stands(t, w, 2)
			k.flows(t, 10)
			closes(t, w)
		}
	}
}

// nonsense is one frame whose type exists and whose content is random, but no CLOSE.
func nonsense(rng *rand.Rand) []byte {
	plain := make([]byte, 1+rng.IntN(300))
	for j := range plain {
		plain[j] = byte(rng.Uint32())
		if rng.IntN(3) == 0 {
			plain[j] = 0
		}
	}
	types := []wire.Type{wire.TypeAck, wire.TypePing, wire.TypeChallenge, wire.TypeResponse, wire.TypePathState, wire.TypeDelays, wire.TypeLaneMark,
		wire.TypeGaveUp, wire.TypeConfig, wire.TypeConfigAck, wire.TypePathClose, wire.TypeNotice, wire.TypeFEC, wire.TypeData, wire.TypeData | 7}
	plain[0] = byte(types[rng.IntN(len(types))])
	if plain[0] >= byte(wire.TypeData) {
		plain[0] |= byte(rng.IntN(128))
	}
	return plain
}

// Packets from addresses that the router does not own, and to addresses that it does not own.
func TestForeignAddresses(t *testing.T) {
	w := twoLinks(73)
	w.Local.SetOwned([]netip.Prefix{netip.PrefixFrom(ClientAddr, 32)})
	foreign := netip.MustParseAddr("10.99.0.3")
	for i, to := range []netip.Addr{ServerAddr, ServerAddr} {
		from := []netip.Addr{foreign, ClientAddr}[i]
		w.Router.Apps = append(w.Router.Apps, traffic.NewPacedSource(traffic.PacedConfig{
			Local: netip.AddrPortFrom(from, 9), Remote: netip.AddrPortFrom(to, uint16(9+i)), Rate: 100, Size: 100, Start: w.Now.Add(time.Second)}))
	}
	sink := traffic.NewPacedSink(netip.AddrPortFrom(ServerAddr, 10), netip.AddrPortFrom(ClientAddr, 9))
	stray := traffic.NewPacedSink(netip.AddrPortFrom(ServerAddr, 9), netip.AddrPortFrom(foreign, 9))
	w.Server.Apps = append(w.Server.Apps, sink, stray)
	// The server's own system sends to an address of nobody.
	w.Server.Apps = append(w.Server.Apps, traffic.NewPacedSource(traffic.PacedConfig{
		Local: netip.AddrPortFrom(ServerAddr, 9), Remote: netip.AddrPortFrom(foreign, 9), Rate: 100, Size: 100, Start: w.Now.Add(time.Second)}))
	w.Run(3 * time.Second)
	d, r := w.Peer.Drops(), w.Remote.Drops()
	if len(stray.Samples) != 0 || d.Map()["source_not_owned"] < 100 || r.Map()["destination_not_owned"] < 100 || len(sink.Samples) < 100 {
		t.Errorf("foreign packets delivered %d, own %d; drops %v, %v", len(stray.Samples), len(sink.Samples), d.Map(), r.Map())
	}
	closes(t, w)
	// A server that sends a router what is for somebody else.
	w = twoLinks(74, func(c *Config) {
		c.Peer = func(p *node.PeerParams) { p.Owned = everything }
	})
	w.Local.SetOwned([]netip.Prefix{netip.PrefixFrom(ClientAddr, 32)})
	w.Server.Apps = append(w.Server.Apps, traffic.NewPacedSource(traffic.PacedConfig{
		Local: netip.AddrPortFrom(ServerAddr, 9), Remote: netip.AddrPortFrom(netip.MustParseAddr("192.168.1.1"), 9), Rate: 100, Size: 100, Start: w.Now.Add(time.Second)}))
	w.Run(3 * time.Second)
	if d := w.Local.Drops(); d.Map()["destination_not_owned"] < 100 {
		t.Errorf("drops %v", d.Map())
	}
	closes(t, w)
}

// A server that pushes nonsense for a configuration: the router keeps working, and says what it got.
func TestNonsenseConfiguration(t *testing.T) {
	rng := rand.New(rand.NewPCG(75, 75))
	for i := range 30 {
		blob := make([]byte, rng.IntN(1000))
		for j := range blob {
			blob[j] = byte(rng.Uint32())
		}
		if i%2 == 0 && len(blob) > 6 { // an address with a network that would take everything
			blob = append([]byte{1, 5, 10, 99, 0, 2, byte(i)}, blob[:4]...)
		}
		w := oneLink(75, func(c *Config) { c.Peer = func(p *node.PeerParams) { p.Config = blob } })
		w.Run(time.Second)
		stands(t, w, 1)
		got, id := w.Local.PeerConfig()
		if !slices.Equal(got, blob) || id != 1 && len(blob) > 0 {
			t.Errorf("configuration %x number %d, want %x", got, id, blob)
		}
		w.StartServer()
		w.Run(4 * time.Second)
		if _, again := w.Local.PeerConfig(); again != id {
			t.Error("the same configuration counts as new")
		}
		closes(t, w)
	}
}
