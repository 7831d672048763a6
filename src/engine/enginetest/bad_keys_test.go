package enginetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/blake2s"

	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
)

// Keys and settings that do not fit: no session, a message that names what to look at, a counter at the server, and a session
// without restart of the side that was right.
func TestKeysDoNotFit(t *testing.T) {
	var psk handshake.PresharedKey
	psk[3] = 7
	cases := []struct {
		name    string
		change  func(c *Config)
		message string
		counter string
	}{
		{"wrong server key", func(c *Config) {
			c.Local = func(p *node.LocalParams) { p.Handshake.Server[5] ^= 1 }
		}, "public_key is the server's", "bad_mac"},
		{"no key at all", func(c *Config) {
			c.Local = func(p *node.LocalParams) { p.Handshake.Server = handshake.PublicKey{} }
		}, "check option public_key", ""},
		{"preshared key at the router only", func(c *Config) {
			c.Local = func(p *node.LocalParams) { p.Handshake.PSK = psk }
		}, "preshared keys", ""},
		{"preshared key at the server only", func(c *Config) {
			c.Peer = func(p *node.PeerParams) { p.PSK = psk }
		}, "preshared keys", ""},
		{"router not known", func(c *Config) {
			c.Peer = func(p *node.PeerParams) { p.Key[0] ^= 1 }
		}, "knows this router's public key", "unknown_peer"},
		{"no cipher in common", func(c *Config) {
			c.Remote = func(p *node.RemoteParams) { p.Suites = []session.Suite{session.ChaCha20Poly1305} }
		}, "no cipher in common", "unknown_peer"},
		{"other protection", func(c *Config) {
			c.Remote = func(p *node.RemoteParams) { p.Protection = session.Authenticate }
		}, "option 'protect'", "unknown_peer"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := twoLinks(90, c.change)
			sent := 0
			w.Tamper = func(up bool, _ int, data []byte) [][]byte {
				if up {
					sent++
				}
				return [][]byte{data}
			}
			w.Run(30 * time.Second)
			if w.Local.Stands() || w.Server.Stands() {
				t.Fatal("a session stands")
			}
			if why := w.Local.Trouble(); !strings.Contains(why, c.message) {
				t.Errorf("the router says %q, want %q in it", why, c.message)
			}
			d := w.Remote.Drops()
			if c.counter != "" && d.Map()[c.counter] == 0 {
				t.Errorf("not counted as %s: %v", c.counter, d.Map())
			}
			if sent > 100 {
				t.Errorf("%d datagrams in 30 s of vain", sent)
			}
			if n := w.Remote.Table.Len(); n > 2*64 {
				t.Errorf("%d connection ids of sessions that never were", n)
			}
			// Put right at the server, or at the router.
			w.config.Peer, w.config.Remote = nil, nil
			if w.config.Local != nil {
				w.config.Local = nil
				w.StartRouter()
			} else {
				w.StartServer()
			}
			w.Run(5 * time.Second)
			stands(t, w, 2)
			if w.Local.Trouble() != "" {
				t.Errorf("trouble %q while all is well", w.Local.Trouble())
			}
			closes(t, w)
		})
	}
}

// mac1For makes the first MAC of a handshake datagram to the owner of that key, as its documentation says: what another
// version of the program would do.
func mac1For(to handshake.PublicKey, signed []byte) []byte {
	key := blake2s.Sum256(append([]byte("mpproxy mac1 "), to[:]...))
	h, err := blake2s.New128(key[:])
	if err != nil {
		panic(err)
	}
	h.Write(signed)
	return h.Sum(nil)
}

// An initiation of another version is answered with ours, and one with a version nobody has changes nothing.
func TestOtherVersionAtServer(t *testing.T) {
	for _, version := range []byte{0, 2, 255} {
		w := oneLink(91)
		bad := true
		w.Tamper = func(up bool, _ int, data []byte) [][]byte {
			if !up || !bad {
				return [][]byte{data}
			}
			d := slices.Clone(data)
			d[1] = version
			copy(d[len(d)-32:], mac1For(w.secrets.server.Public(), d[:len(d)-32]))
			return [][]byte{d}
		}
		w.Links[0].Down.Cut(w.Now)
		w.Run(time.Second)
		d := w.Remote.Drops()
		if d.Map()["unknown_version"] == 0 || w.Server.Stands() {
			t.Errorf("version %d: drops %v", version, d.Map())
		}
		w.Links[0].Down.Restore(w.Now)
		bad = false
		w.Run(6 * time.Second)
		stands(t, w, 1)
		closes(t, w)
	}
}

// A server that speaks another version says so, and the router tells its people; when the server has been changed, the
// session comes without restart.
func TestOtherVersionAtRouter(t *testing.T) {
	for version, words := range map[byte]string{0: "update the server", 2: "update this router", 255: "update this router"} {
		w := twoLinks(92)
		bad := true
		w.Tamper = func(up bool, link int, data []byte) [][]byte {
			if !bad || !up || wire.Kind(data) != wire.KindInitiation {
				return [][]byte{data}
			}
			mac1 := data[len(data)-32 : len(data)-16]
			server := w.secrets.server.Public()
			key := blake2s.Sum256(append([]byte("mpproxy version "), server[:]...))
			h, _ := blake2s.New128(key[:])
			reply := append([]byte{byte(wire.KindVersionReply), version, 0, 0}, data[4:8]...)
			h.Write(reply)
			h.Write(mac1)
			reply = h.Sum(reply)
			w.After(10*time.Millisecond, func() { w.Router.Datagram(link, serverOuter, reply) })
			forged := slices.Clone(reply)
			forged[len(forged)-1] ^= 1
			forged[1] = 77
			w.After(11*time.Millisecond, func() { w.Router.Datagram(link, serverOuter, forged) })
			return nil
		}
		w.Run(5 * time.Second)
		if why := w.Local.Trouble(); !strings.Contains(why, words) || strings.Contains(why, "77") {
			t.Errorf("version %d: the router says %q", version, why)
		}
		d := w.Local.Drops()
		if d.Map()["unknown_version"] == 0 || d.Map()["bad_mac"] == 0 {
			t.Errorf("version %d: drops %v", version, d.Map())
		}
		bad = false
		w.Run(3 * time.Second)
		stands(t, w, 2)
		if w.Local.Trouble() != "" {
			t.Errorf("trouble %q while all is well", w.Local.Trouble())
		}
		closes(t, w)
	}
}

// Two routers with one key, as a restored backup makes them: the newest wins each time, and after three swaps both sides say
// what is wrong. When one of them is gone, the other works on, and after a while the message is gone too.
func TestTwoRoutersOneKey(t *testing.T) {
	w := twoLinks(93)
	w.Run(2 * time.Second)
	twin := w.StartTwin()
	swaps, told := 0, time.Duration(0)
	last := uint64(0)
	began := w.Now
	var texts []string
	for range 600 {
		w.Run(100 * time.Millisecond)
		if id, _, _, _ := w.Peer.Session(); id != last {
			swaps, last = swaps+1, id
		}
		if told == 0 && w.Peer.Conflict(w.Now) {
			told = w.Now.Sub(began)
		}
		texts = append(texts, w.Local.Notices(w.Now)...)
		texts = append(texts, twin.Notices(w.Now)...)
	}
	t.Logf("%d swaps in a minute, told after %v", swaps, told)
	if swaps < 5 || told == 0 || told > 30*time.Second {
		t.Errorf("%d swaps, told after %v", swaps, told)
	}
	if w.Local.Notice(w.Now) != node.TextConflict || twin.Notice(w.Now) != node.TextConflict {
		t.Errorf("the routers show %q and %q", w.Local.Notice(w.Now), twin.Notice(w.Now))
	}
	if len(texts) != 2 {
		t.Errorf("%d messages for the log, want one at each router", len(texts))
	}
	if n := w.Remote.Table.Len(); n > 200 {
		t.Errorf("%d connection ids", n)
	}
	twin.SetLink(w.Now, 1, node.Link{})
	w.Run(30 * time.Second) // an idle router notices by its keepalive
	stands(t, w, 1)
	before := sessionOf(w)
	w.Run(11 * time.Minute)
	if w.Peer.Conflict(w.Now) || w.Local.Notice(w.Now) != "" || sessionOf(w) != before {
		t.Errorf("still told after the other router has been gone for minutes: conflict %v, notice %q, same session %v", w.Peer.Conflict(w.Now), w.Local.Notice(w.Now), sessionOf(w) == before)
	}
	closes(t, w)
}

// What looks like it but is not: a router that crashes again and again, one that loses all its links again and again.
func TestNoConflict(t *testing.T) {
	w := oneLink(94)
	for range 10 {
		w.StartRouter()
		w.Run(2 * time.Second)
		w.Links[0].Cut(w.Now)
		w.Run(3 * time.Second)
		w.Links[0].Restore(w.Now)
		w.Run(2 * time.Second)
	}
	if w.Peer.Conflict(w.Now) || w.Local.Notice(w.Now) != "" {
		t.Error("counts as two routers with one key")
	}
	stands(t, w, 1)
	closes(t, w)
}

// More routers than the server may have.
func TestMaxPeers(t *testing.T) {
	w := oneLink(95, func(c *Config) { c.Remote = func(p *node.RemoteParams) { p.MaxPeers = 2 } })
	if _, ok := w.Remote.AddPeer(w.Now, node.PeerParams{Key: w.secrets.router.Public()}); ok {
		t.Error("the same key twice")
	}
	for i, want := range []bool{true, false} {
		key, err := handshake.GenerateKey(w.secrets.random)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := w.Remote.AddPeer(w.Now, node.PeerParams{Key: key.Public()}); ok != want {
			t.Errorf("router %d taken: %v", i+2, ok)
		}
	}
	w.Run(2 * time.Second)
	stands(t, w, 1)
	closes(t, w)
}
