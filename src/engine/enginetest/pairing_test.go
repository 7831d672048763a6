package enginetest

import (
	"testing"
	"time"

	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
)

// desk is a server's side of pairing in a World whose router is no peer yet.
type desk struct {
	w      *World
	refuse handshake.Refusal
	silent bool
	asked  int
	token  string
	proven []handshake.PublicKey
	peer   node.PeerParams // what the router becomes
}

// unpaired is a World of one or two links with a desk; admit runs when the router has proved its key.
func unpaired(links int, d *desk, admit func(d *desk, key handshake.PublicKey)) *World {
	adjust := func(c *Config) {
		c.Peer = func(p *node.PeerParams) {
			d.peer = *p
			p.Key[0] ^= 1 // somebody else
			p.Owned = nil
		}
		c.Local = func(p *node.LocalParams) { p.Handshake.Token = []byte("ticket") }
		c.Remote = func(p *node.RemoteParams) {
			p.Stranger = func(_ mono.Time, _ handshake.PublicKey, token []byte) (node.PeerParams, handshake.Refusal, bool) {
				d.asked++
				d.token = string(token)
				return d.peer, d.refuse, !d.silent
			}
			p.Proven = func(_ mono.Time, key handshake.PublicKey) {
				d.proven = append(d.proven, key)
				if admit != nil {
					admit(d, key)
				}
			}
		}
	}
	if links == 1 {
		d.w = oneLink(31, adjust)
	} else {
		d.w = twoLinks(32, adjust)
	}
	return d.w
}

// admitNow makes the router a peer at once.
func admitNow(d *desk, key handshake.PublicKey) {
	if peer, ok := d.w.Remote.Admit(key); ok {
		d.w.Peer, d.w.Server.Tunnel = peer, peer.Tunnel
	}
}

func paired(w *World) bool {
	blob, _ := w.Local.PeerConfig()
	return blob != nil && len(w.Remote.Peers()) == 2
}

func TestAStrangerWithATokenIsAdmitted(t *testing.T) {
	for _, links := range []int{1, 2} {
		d := &desk{}
		w := unpaired(links, d, admitNow)
		w.Run(3 * time.Second)
		if !paired(w) || d.token != "ticket" || len(d.proven) != 1 || d.proven[0] != w.secrets.router.Public() {
			t.Fatalf("%d links: paired %v, token %q, proven %d times", links, paired(w), d.token, len(d.proven))
		}
		stands(t, w, links)
		k := newTalk(w)
		w.Run(2 * time.Second)
		k.flows(t, 10)
		asked := d.asked
		w.Run(130 * time.Second) // new keys come
		if d.asked != asked {
			t.Error("a peer is asked for its token")
		}
		closes(t, w)
	}
}

// Nothing is promised before it is written: until Admit the router hears nothing, and does not lose the handshake either.
func TestAStrangerWaitsUntilItIsAdmitted(t *testing.T) {
	d := &desk{}
	w := unpaired(1, d, nil)
	w.Run(900 * time.Millisecond)
	if len(d.proven) != 1 {
		t.Fatalf("proven %d times", len(d.proven))
	}
	if blob, _ := w.Local.PeerConfig(); blob != nil || len(w.Remote.Peers()) != 1 || w.Local.Path(1).Usable() {
		t.Error("the router heard something before it was admitted")
	}
	admitNow(d, d.proven[0])
	w.Run(2 * time.Second)
	if !paired(w) {
		t.Error("not paired after it was admitted")
	}
	closes(t, w)
}

func TestAStrangerIsRefusedInWords(t *testing.T) {
	d := &desk{refuse: handshake.Refusal{Status: handshake.StatusToken, Text: "the token was used by 'home'"}}
	w := unpaired(2, d, admitNow)
	if _, ok := w.Local.Refusal(); ok {
		t.Error("refused before it asked")
	}
	w.Run(3 * time.Second)
	if r, ok := w.Local.Refusal(); !ok || r.Text != d.refuse.Text || r.Status != handshake.StatusToken || len(d.proven) != 0 {
		t.Errorf("%+v %v, proven %d times", r, ok, len(d.proven))
	}
	d.refuse = handshake.Refusal{}
	w.Run(3 * time.Second)
	if _, ok := w.Local.Refusal(); ok || !paired(w) {
		t.Error("not paired once the server thinks better of it")
	}
	closes(t, w)
}

func TestAStrangerWithoutATokenHearsNothing(t *testing.T) {
	d := &desk{silent: true}
	w := unpaired(1, d, admitNow)
	down := 0
	w.Tamper = func(up bool, _ int, data []byte) [][]byte {
		if !up {
			down++
		}
		return [][]byte{data}
	}
	w.Run(5 * time.Second)
	if down != 0 || d.asked == 0 {
		t.Errorf("the server sent %d datagrams; asked %d times", down, d.asked)
	}
	closes(t, w)
}

// Each of the first datagrams, in each direction, is lost, doubled, or late once: the router is paired in any case.
func TestPairingOverABadLink(t *testing.T) {
	for _, up := range []bool{true, false} {
		for nth := range 8 {
			for name, do := range map[string]func(data []byte) [][]byte{
				"lost":    func([]byte) [][]byte { return nil },
				"doubled": func(data []byte) [][]byte { return [][]byte{data, data} },
			} {
				d := &desk{}
				w := unpaired(1, d, admitNow)
				n := 0
				w.Tamper = func(isUp bool, _ int, data []byte) [][]byte {
					if isUp != up {
						return [][]byte{data}
					}
					if n++; n-1 == nth {
						return do(data)
					}
					return [][]byte{data}
				}
				w.Run(4 * time.Second)
				if !paired(w) || len(d.proven) != 1 {
					t.Errorf("up %v, datagram %d %s: paired %v, proven %d times", up, nth, name, paired(w), len(d.proven))
				}
				closes(t, w)
			}
		}
	}
}

// The server's power is cut before it has written anything: the router, with the same key, pairs after all.
func TestServerDiesWhilePairing(t *testing.T) {
	d := &desk{}
	write := false
	w := unpaired(1, d, func(d *desk, key handshake.PublicKey) {
		if write {
			admitNow(d, key)
		}
	})
	w.Run(500 * time.Millisecond)
	if len(d.proven) != 1 {
		t.Fatalf("proven %d times", len(d.proven))
	}
	w.StartServer()
	write = true
	w.Run(8 * time.Second)
	if !paired(w) || len(d.proven) != 2 {
		t.Errorf("paired %v, proven %d times", paired(w), len(d.proven))
	}
	closes(t, w)
}

func TestDismissedAndRemovedRoutersAreGone(t *testing.T) {
	d := &desk{}
	w := unpaired(1, d, func(d *desk, key handshake.PublicKey) { d.w.Remote.Dismiss(key) })
	w.Run(6 * time.Second)
	if paired(w) || len(d.proven) < 2 {
		t.Errorf("a dismissed router: paired %v, proved %d times", paired(w), len(d.proven))
	}
	if _, ok := w.Remote.Admit(w.secrets.router.Public()); ok && len(d.proven) == 0 {
		t.Error("a dismissed router is still there")
	}
	closes(t, w)

	d = &desk{}
	w = unpaired(1, d, admitNow)
	w.Run(3 * time.Second)
	w.Remote.RemovePeer(w.Now, w.Peer)
	w.Remote.RemovePeer(w.Now, w.Peer)
	d.silent = true
	w.Run(5 * time.Second)
	if len(w.Remote.Peers()) != 1 {
		t.Errorf("%d peers are left", len(w.Remote.Peers()))
	}
	if down, _ := w.Local.AllDown(); !down {
		t.Error("a removed router still hears of the server")
	}
	closes(t, w)
}

// TestStrangersAreForgotten: who begins and does not go on leaves nothing.
func TestStrangersAreForgotten(t *testing.T) {
	d := &desk{}
	w := unpaired(1, d, nil)
	w.Tamper = func(up bool, _ int, data []byte) [][]byte {
		if !up {
			return nil
		}
		return [][]byte{data}
	}
	w.Run(2 * time.Second)
	w.Local.SetLink(w.Now, 0, node.Link{})
	w.Run(20 * time.Second)
	if _, ok := w.Remote.Admit(w.secrets.router.Public()); ok {
		t.Error("the stranger is still there")
	}
	closes(t, w)
}

// Whoever reads the router's file first may be quicker than Admit.
func TestAStrangerMayBeAddedAsAPeer(t *testing.T) {
	d := &desk{}
	w := unpaired(1, d, func(d *desk, key handshake.PublicKey) {
		p := d.peer
		p.Key = key
		peer, ok := d.w.Remote.AddPeer(d.w.Now, p)
		if !ok {
			t.Fatal("not added")
		}
		d.w.Peer, d.w.Server.Tunnel = peer, peer.Tunnel
		if _, ok := d.w.Remote.Admit(key); ok {
			t.Error("admitted twice")
		}
	})
	w.Run(900 * time.Millisecond)
	if !paired(w) || len(d.proven) != 1 {
		t.Errorf("paired %v, proven %d times", paired(w), len(d.proven))
	}
	closes(t, w)
}
