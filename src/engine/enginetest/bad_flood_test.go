package enginetest

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/wire"
)

// forgery is an initiation whose first MAC is right, as anybody can make it who knows the server's public key; the rest is noise.
func forgery(w *World, rng *rand.Rand) []byte {
	d := make([]byte, handshake.InitiationBytes)
	for i := range d {
		d[i] = byte(rng.Uint32())
	}
	d[0], d[1], d[2], d[3] = byte(wire.KindInitiation), handshake.Version, 0, 0
	binary.BigEndian.PutUint16(d[8:], 200)
	copy(d[len(d)-32:], mac1For(w.secrets.server.Public(), d[:len(d)-32]))
	return d
}

func strangerAddr(rng *rand.Rand) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())}), uint16(1+rng.IntN(65535)))
}

// heap is what lives after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// 10^5 datagrams of all kinds from addresses that are paired with nobody: what goes back is never more than what came, for each
// source and in all, memory does not grow, and the router meanwhile keeps its session.
func TestSilenceAndAmplification(t *testing.T) {
	first := oneLink(100)
	r := record(first)
	newTalk(first)
	first.Run(2 * time.Second)

	w := oneLink(101)
	k := newTalk(w)
	own := record(w)
	w.Run(2 * time.Second)
	in, out := map[netip.AddrPort]int{}, map[netip.AddrPort]int{}
	w.Stray = func(to netip.AddrPort, data []byte) { out[to] += len(data) }
	rng := rand.New(rand.NewPCG(102, 1))
	sources := make([]netip.AddrPort, 300)
	for i := range sources {
		sources[i] = strangerAddr(rng)
	}
	real := slices.Concat(r.up, r.down, own.up, own.down)
	before := heap()
	sent := 0
	for sent < 100000 {
		for range 2000 {
			d := mutate(rng, real[rng.IntN(len(real))])
			if rng.IntN(20) == 0 {
				d = forgery(w, rng)
			}
			n := rng.IntN(len(sources))
			most := 2000
			if n%3 == 0 {
				most = 80 // such a source can expect nothing at all
			}
			d, from := d[:min(len(d), most)], sources[n]
			in[from] += len(d)
			w.Inject(from, d)
			sent++
		}
		w.Run(20 * time.Millisecond)
	}
	w.Run(2 * time.Second)
	allIn, allOut := 0, 0
	for i := 0; i < len(sources); i += 3 {
		if n := out[sources[i]]; n != 0 {
			t.Errorf("%d bytes to a source of small datagrams", n)
		}
	}
	for from, n := range in {
		allIn, allOut = allIn+n, allOut+out[from]
		if out[from] > n {
			t.Errorf("%v sent %d bytes and got %d", from, n, out[from])
		}
	}
	for to := range out {
		if in[to] == 0 {
			t.Errorf("%d bytes to %v, who never sent any", out[to], to)
		}
	}
	d := w.Remote.Drops()
	grown := int64(heap()) - int64(before)
	t.Logf("%d bytes in, %d out; heap %+d KB; drops %v, %v", allIn, allOut, grown>>10, d.Map(), w.Server.Errors)
	if allOut > allIn/10 {
		t.Errorf("%d bytes out for %d in", allOut, allIn)
	}
	if grown > 4<<20 {
		t.Errorf("the heap grew by %d KB", grown>>10)
	}
	if n := w.Remote.Table.Len(); n > 200 {
		t.Errorf("%d connection ids", n)
	}
	stands(t, w, 1)
	k.flows(t, 15)
	closes(t, w)
}

// A flood of initiations with a right first MAC from everywhere: a router that comes meanwhile gets its session, by a
// cookie; so does one that renews its keys; the server's memory stays bounded.
func TestInitiationFlood(t *testing.T) {
	w := twoLinks(103)
	w.Run(115 * time.Second) // keys are due soon
	rng := rand.New(rand.NewPCG(103, 1))
	flood := true
	kinds := map[wire.DatagramKind]int{}
	w.Tamper = func(_ bool, _ int, data []byte) [][]byte { kinds[wire.Kind(data)]++; return [][]byte{data} }
	out := 0
	w.Stray = func(_ netip.AddrPort, data []byte) { out += len(data) }
	var wave func()
	in := 0
	wave = func() {
		for range 5 {
			d := forgery(w, rng)
			in += len(d)
			w.Inject(strangerAddr(rng), d)
		}
		if flood {
			w.After(10*time.Millisecond, wave)
		}
	}
	w.After(0, wave)
	before := heap()
	id, _, keys, _ := w.Local.Session()
	w.Run(8 * time.Second)
	if id2, _, keys2, _ := w.Local.Session(); id2 != id || keys2 == keys {
		t.Error("keys were not renewed under the flood")
	}
	if kinds[wire.KindCookieReply] == 0 {
		t.Errorf("no cookie was asked for: %v", kinds)
	}
	kinds[wire.KindCookieReply] = 0
	w.StartRouter()
	k := newTalk(w)
	w.Run(2 * time.Second)
	stands(t, w, 2)
	if kinds[wire.KindCookieReply] == 0 {
		t.Errorf("no cookie was asked for: %v", kinds)
	}
	w.StartServer()
	w.Run(5 * time.Second)
	stands(t, w, 2)
	k.flows(t, 25)
	d := w.Remote.Drops()
	if d.Map()["cookie_required"] < 1000 || out > in/10 {
		t.Errorf("%d bytes in, %d out, drops %v", in, out, d.Map())
	}
	flood = false
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("the heap grew by %d KB", grown>>10)
	}
	closes(t, w)
}

// Somebody recorded every handshake a router ever made, also before it was started anew, and plays them all, again and
// again, from anywhere: no session is disturbed, a new one comes up all the same, memory stays bounded.
func TestReplayedInitiations(t *testing.T) {
	w := oneLink(104)
	var recorded [][]byte
	w.Tamper = func(up bool, _ int, data []byte) [][]byte {
		if up && wire.Kind(data) == wire.KindInitiation {
			recorded = append(recorded, slices.Clone(data))
		}
		return [][]byte{data}
	}
	for range 300 {
		w.StartRouter()
		w.Run(200 * time.Millisecond)
	}
	w.Tamper = nil
	if len(recorded) < 300 {
		t.Fatalf("%d initiations recorded", len(recorded))
	}
	k := newTalk(w)
	w.Run(2 * time.Second)
	session := sessionOf(w)
	rng := rand.New(rand.NewPCG(104, 1))
	stop := false
	var play func()
	play = func() {
		w.Inject(strangerAddr(rng), recorded[rng.IntN(len(recorded))])
		if !stop {
			w.After(5*time.Millisecond, play)
		}
	}
	for _, c := range []struct {
		name    string
		restart func()
	}{{"nothing", func() {}}, {"router", w.StartRouter}, {"server", w.StartServer}, {"router again", w.StartRouter}} {
		name := c.name
		stop = false
		w.After(0, play)
		w.Run(time.Second)
		before := heap()
		if name == "nothing" {
			session = sessionOf(w)
		}
		c.restart()
		w.Run(5 * time.Second)
		if name == "nothing" && sessionOf(w) != session {
			t.Error("replays replaced the session")
		}
		stands(t, w, 1)
		k.flows(t, 15)
		if n := w.Remote.Table.Len(); n > 200 {
			t.Errorf("restart of %s: %d connection ids", name, n)
		}
		if grown := int64(heap()) - int64(before); grown > 8<<20 {
			t.Errorf("restart of %s: the heap grew by %d KB", name, grown>>10)
		}
		if w.Peer.Conflict(w.Now) {
			t.Errorf("restart of %s: replays count as a second router", name)
		}
		stop = true
		w.Run(100 * time.Millisecond)
	}
	closes(t, w)
}

// Whoever sees an initiation can ask the router for cookies without end: it does not answer faster for that.
func TestForgedCookies(t *testing.T) {
	w := oneLink(105)
	w.Links[0].Down.Cut(w.Now)
	sent := 0
	w.Tamper = func(up bool, link int, data []byte) [][]byte {
		if up && wire.Kind(data) == wire.KindInitiation {
			sent++
			// A server under load, played by the attacker: it shares the public key only.
			other := handshake.NewResponder(handshake.ResponderParams{Key: w.secrets.server, Random: w.secrets.random, Load: 1, Lookup: func(handshake.PublicKey) (handshake.Peer, bool) { return handshake.Peer{}, false }})
			rng := rand.New(rand.NewPCG(1, uint64(sent)))
			for range 3 {
				_, _, _ = other.Process(w.Now, w.NAT(0), forgery(w, rng))
			}
			for i := range 50 {
				reply, _, err := other.Process(w.Now, w.NAT(0), data)
				if err == nil || reply == nil {
					t.Fatalf("no cookie: %v", err)
				}
				w.After(time.Duration(1+i)*time.Millisecond, func() { w.Router.Datagram(link, serverOuter, reply) })
			}
		}
		return nil
	}
	w.Run(5 * time.Second)
	t.Logf("%d initiations in 5 s", sent)
	if sent > 60 {
		t.Errorf("%d initiations in 5 s", sent)
	}
	d := w.Local.Drops()
	if d.Map()["cookie_required"] == 0 {
		t.Errorf("drops %v", d.Map())
	}
	closes(t, w)
}

// Thirty routers that ask again and again and never go on: the table of connection ids stays in proportion.
func TestManyPeersTable(t *testing.T) {
	w := oneLink(106)
	for range 30 {
		key, _ := handshake.GenerateKey(w.secrets.random)
		if _, ok := w.Remote.AddPeer(w.Now, node.PeerParams{Key: key.Public()}); !ok {
			t.Fatal("not taken")
		}
		for range 4 {
			p := handshake.InitiatorParams{Key: key, Server: w.secrets.server.Public(), Suites: suites}
			w.secrets.random.Read(p.Instance[:])
			i := handshake.NewInitiator(p)
			if err := i.Initiate(w.secrets.random, 0); err != nil {
				t.Fatal(err)
			}
			w.Inject(w.NAT(0), i.Datagram(0))
			w.Run(50 * time.Millisecond)
		}
	}
	if n := w.Remote.Table.Len(); n > 31*2*64 {
		t.Errorf("%d connection ids", n)
	}
	w.Run(20 * time.Second)
	if n := w.Remote.Table.Len(); n > 100 {
		t.Errorf("%d connection ids after what was pending is gone", n)
	}
	closes(t, w)
}
