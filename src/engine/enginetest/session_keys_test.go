package enginetest

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
	"mpproxy/src/linksim/traffic"
)

// New keys by handshake every two minutes, under load over links that lose and reorder: nothing is lost for it, numbers and
// paths go on, and the old keys are worth nothing afterwards.
func TestRekeyUnderLoad(t *testing.T) {
	jittery := params(4, 30*time.Millisecond, 0.01)
	jittery.Jitter, jittery.Reorder = 10*time.Millisecond, true
	w := New(Config{Seed: 41, Links: []Link{Same(params(4, 10*time.Millisecond, 0)), Same(jittery)}})
	w.Run(112 * time.Second)
	_, got := bulk(w, true)
	up, upTo := call(w, false)
	w.Run(6 * time.Second)
	id, since, keys, _ := w.Local.Session()
	epochs := map[byte]bool{}
	var old [][]byte
	w.Tamper = func(up bool, _ int, data []byte) [][]byte {
		if wire.Kind(data) == wire.KindData {
			epochs[data[0]>>4&3] = true
			if up && len(old) < 50 {
				old = append(old, slices.Clone(data))
			}
		}
		return [][]byte{data}
	}
	timeline := []int64{}
	for range 30 {
		before := got.Delivered()
		w.Run(200 * time.Millisecond)
		timeline = append(timeline, got.Delivered()-before)
	}
	id2, since2, keys2, _ := w.Local.Session()
	if id2 != id || since2 != since || keys2 == keys {
		t.Errorf("session %x since %v with keys of %v; before %x, %v, %v", id2, since2, keys2, id, since, keys)
	}
	if _, _, atServer, _ := w.Peer.Session(); atServer < keys2 || atServer > keys2.Add(time.Second) {
		t.Errorf("keys since %v at the router, %v at the server", keys2, atServer)
	}
	if len(epochs) != 2 {
		t.Errorf("epochs %v, want the old and the next", epochs)
	}
	if w.Router.Errors[session.ErrOldEpoch]+w.Server.Errors[session.ErrOldEpoch]+w.Router.Errors[session.ErrNotAuthentic]+w.Server.Errors[session.ErrNotAuthentic] != 0 {
		t.Errorf("datagrams did not open: router %v, server %v", w.Router.Errors, w.Server.Errors)
	}
	if slowest := slices.Min(timeline); slowest == 0 {
		t.Errorf("the download stood still: %v", timeline)
	}
	if lost := upTo.Lost(up.Sent); lost > up.Sent/50 {
		t.Errorf("%d of %d packets of the call lost", lost, up.Sent)
	}
	for _, d := range old {
		w.Inject(w.NAT(0), d)
	}
	if n := w.Server.Errors[session.ErrOldEpoch]; n != len(old) {
		t.Errorf("%d of %d datagrams under old keys refused as such: %v", n, len(old), w.Server.Errors)
	}
	closes(t, w)
}

// The ratchet between handshakes, every few thousand packets here: many times, both ways, under load and loss. Each
// side waits until the other has followed.
func TestRotate(t *testing.T) {
	lossy := params(20, 20*time.Millisecond, 0.02)
	w := New(Config{Seed: 42, Links: []Link{Same(lossy), Same(params(20, 40*time.Millisecond, 0))},
		Local:  func(p *node.LocalParams) { p.RotateAfter = 300 },
		Remote: func(p *node.RemoteParams) { p.RotateAfter = 2000 },
	})
	k := newTalk(w)
	changes := [2]int{}
	last := [2]byte{}
	w.Tamper = func(up bool, _ int, data []byte) [][]byte {
		if wire.Kind(data) == wire.KindData {
			side := 0
			if up {
				side = 1
			}
			if e := data[0] >> 4 & 3; e != last[side] {
				changes[side]++
				last[side] = e
			}
		}
		return [][]byte{data}
	}
	w.Run(8 * time.Second)
	t.Logf("%d changes down, %d up; errors %v, %v", changes[0], changes[1], w.Router.Errors, w.Server.Errors)
	if changes[0] < 10 || changes[1] < 10 {
		t.Errorf("%d key changes down, %d up", changes[0], changes[1])
	}
	if len(w.Router.Errors)+len(w.Server.Errors) != 0 {
		t.Errorf("datagrams did not open: %v, %v", w.Router.Errors, w.Server.Errors)
	}
	k.flows(t, 30)
	stands(t, w, 2)
	closes(t, w)
}

// Due far more often than once per round trip, over a link that loses whole epochs: a key changes only when the receiver is
// known to have followed.
func TestRotateWaits(t *testing.T) {
	w := oneLink(45, func(c *Config) {
		c.Links[0].Up.Loss = 0.3
		c.Local = func(p *node.LocalParams) { p.RotateAfter = 2 }
	})
	a, b := netip.AddrPortFrom(ClientAddr, 4000), netip.AddrPortFrom(ServerAddr, 4001)
	w.Router.Apps = append(w.Router.Apps, traffic.NewPacedSource(traffic.PacedConfig{Local: a, Remote: b, Rate: 1000, Size: 100, Start: w.Now.Add(time.Second)}))
	last, changes := byte(0), 0
	w.Tamper = func(up bool, _ int, data []byte) [][]byte {
		if e := data[0] >> 4 & 3; up && wire.Kind(data) == wire.KindData && e != last {
			last, changes = e, changes+1
		}
		return [][]byte{data}
	}
	w.Run(4 * time.Second)
	if changes < 50 || len(w.Server.Errors) != 0 {
		t.Errorf("%d key changes, errors %v", changes, w.Server.Errors)
	}
	closes(t, w)
}

// A server that no longer knows the session answers a rekey with a new one; one that refuses is not asked at once again.
func TestRekeyRefused(t *testing.T) {
	w := oneLink(43)
	w.Run(time.Second)
	asked := 0
	// From now on the server finds that nothing fits.
	other := node.NewRemote(node.RemoteParams{Key: w.secrets.server, Suites: []session.Suite{session.ChaCha20Poly1305}, Random: w.secrets.random, Tunnel: w.params(w.Server)})
	other.AddPeer(w.Now, node.PeerParams{Key: w.secrets.router.Public()})
	w.Tamper = func(up bool, _ int, data []byte) [][]byte {
		if up && wire.Kind(data) == wire.KindInitiation {
			asked++
			other.Handshake(w.Now, 0, w.NAT(0), w.NAT(0).Addr(), data)
			out := &w.Server.batch
			before := len(out.Raws)
			other.Poll(w.Now, out)
			for _, r := range out.Raws[before:] {
				d := r.Data
				w.After(10*time.Millisecond, func() { w.Router.Datagram(0, serverOuter, d) })
			}
			out.Raws = out.Raws[:before]
			return nil
		}
		return [][]byte{data}
	}
	before := sessionOf(w)
	w.Run(5 * time.Minute)
	stands(t, w, 1)
	if sessionOf(w) != before || asked == 0 || asked > 20 {
		t.Errorf("asked %d times in 5 minutes; same session %v", asked, sessionOf(w) == before)
	}
	w.Tamper = nil
	w.Run(2 * time.Minute)
	if _, _, keys, _ := w.Local.Session(); w.Now.Sub(keys) > handshake.RekeyInterval+time.Minute {
		t.Errorf("keys are %v old", w.Now.Sub(keys))
	}
	stands(t, w, 1)
	closes(t, w)
}

// Each message of the handshake, and the first data both ways, is dropped, doubled, delayed, damaged or overtaken, in turn:
// at session start and at rekey. The session comes, and what came of mischief leaves no trace.
func TestHandshakeThroughBadProxy(t *testing.T) {
	type message struct {
		name string
		is   func(up bool, data []byte) bool
	}
	messages := []message{
		{"initiation", func(_ bool, d []byte) bool { return wire.Kind(d) == wire.KindInitiation }},
		{"response", func(_ bool, d []byte) bool { return wire.Kind(d) == wire.KindResponse }},
		{"data up", func(up bool, d []byte) bool { return up && wire.Kind(d) == wire.KindData }},
		{"data down", func(up bool, d []byte) bool { return !up && wire.Kind(d) == wire.KindData }},
	}
	for _, m := range messages {
		for _, count := range []int{1, 3} {
			for _, deed := range []string{"drop", "double", "delay", "damage", "cut", "overtake", "replay later"} {
				for _, rekey := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s %s %d rekey=%v", deed, m.name, count, rekey), func(t *testing.T) {
						proxy(t, m.is, count, deed, rekey)
					})
				}
			}
		}
	}
}

func proxy(t *testing.T, is func(up bool, data []byte) bool, count int, deed string, rekey bool) {
	w := twoLinks(44)
	if rekey {
		w.Run(119 * time.Second)
	}
	before := sessionOf(w)
	down, downTo := call(w, true)
	done, armed := 0, !rekey
	w.Tamper = func(up bool, link int, data []byte) [][]byte {
		armed = armed || wire.Kind(data) == wire.KindInitiation
		if !armed || done >= count || !is(up, data) {
			return [][]byte{data}
		}
		done++
		d := slices.Clone(data)
		later := func(wait time.Duration) {
			w.After(wait, func() { w.onto(w.Now, up, link, w.toOf(up, link), d) })
		}
		switch deed {
		case "drop":
			return nil
		case "double":
			return [][]byte{d, d}
		case "delay":
			later(700 * time.Millisecond)
			return nil
		case "damage":
			d[len(d)/2] ^= 4
		case "cut":
			d = d[:len(d)*2/3]
		case "overtake":
			later(30 * time.Millisecond)
			return nil
		case "replay later":
			later(1500 * time.Millisecond)
			return [][]byte{d}
		}
		return [][]byte{d}
	}
	w.Run(4 * time.Second)
	if done == 0 {
		t.Fatal("no such message came by")
	}
	if after := sessionOf(w); rekey && after != before {
		t.Error("the session was replaced")
	}
	if _, _, keys, ok := w.Local.Session(); !ok || rekey && w.Now.Sub(keys) > 4*time.Second {
		t.Errorf("no new keys; age %v", w.Now.Sub(keys))
	}
	stands(t, w, 2)
	// A packet that comes so late that it was sent again comes twice.
	if n := downTo.Duplicates; n > uint64(done) || n != 0 && deed != "delay" && deed != "overtake" {
		t.Errorf("%d packets twice", n)
	}
	if lost := downTo.Lost(down.Sent); lost > 4 {
		t.Errorf("%d of %d packets of the call lost", lost, down.Sent)
	}
	if errors := w.Router.Errors[session.ErrOldEpoch] + w.Server.Errors[session.ErrOldEpoch]; errors != 0 && deed != "replay later" {
		t.Errorf("%d datagrams of a wrong epoch", errors)
	}
	closes(t, w)
}

// toOf is where a datagram on a link goes.
func (w *World) toOf(up bool, link int) netip.AddrPort {
	if up {
		return serverOuter
	}
	return w.NAT(link)
}
