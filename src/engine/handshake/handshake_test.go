package handshake

import (
	"bytes"
	"errors"
	"math/rand"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
)

const second = mono.Time(time.Second)

var (
	bothSuites = []session.Suite{session.AES256GCM, session.ChaCha20Poly1305}
	home       = netip.MustParseAddrPort("192.0.2.7:4000")
)

// world is a router and a server that know each other, with one source of randomness.
type world struct {
	t         testing.TB
	random    *rand.Rand
	router    InitiatorParams
	server    ResponderParams
	initiator *Initiator
	responder *Responder
	peers     map[PublicKey]Peer
	alive     map[uint64]PublicKey
	now       mono.Time
}

// newWorld makes the pair; change, if not nil, alters what they bring before they start.
func newWorld(t testing.TB, change func(*world)) *world {
	w := &world{t: t, random: rand.New(rand.NewSource(1)), now: 100 * second, peers: map[PublicKey]Peer{}, alive: map[uint64]PublicKey{}}
	psk := PresharedKey{1, 2, 3}
	w.server = ResponderParams{
		Key: w.key(), Suites: bothSuites, Random: w.random, Load: 5,
		Lookup: func(key PublicKey) (Peer, bool) { peer, ok := w.peers[key]; return peer, ok },
		Alive:  func(id uint64, key PublicKey) bool { return w.alive[id] == key },
	}
	w.router = InitiatorParams{
		Key: w.key(), Server: w.server.Key.Public(), PSK: psk, Suites: bothSuites[1:], Instance: Instance{7},
		Token: []byte("token"),
	}
	w.peers[w.router.Key.Public()] = Peer{PSK: psk, Handle: 42}
	if change != nil {
		change(w)
	}
	w.initiator, w.responder = NewInitiator(w.router), NewResponder(w.server)
	return w
}

func (w *world) key() PrivateKey {
	w.t.Helper()
	key, err := GenerateKey(w.random)
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

func (w *world) initiate(rekey uint64) []byte {
	w.t.Helper()
	if err := w.initiator.Initiate(w.random, rekey); err != nil {
		w.t.Fatal(err)
	}
	return w.initiator.Datagram(0)
}

// ask gives a datagram to the server and checks what holds for every answer.
func (w *world) ask(datagram []byte) ([]byte, *Pending, error) {
	w.t.Helper()
	reply, pending, err := w.responder.Process(w.now, home, datagram)
	if len(reply) > len(datagram) {
		w.t.Errorf("an answer of %d bytes to %d", len(reply), len(datagram))
	}
	if pending != nil && (reply == nil || err != nil) {
		w.t.Errorf("a session without an answer: %v", err)
	}
	return reply, pending, err
}

// handshake runs one to its end and checks that both sides agree.
func (w *world) handshake(rekey uint64) (*Result, *Pending) {
	w.t.Helper()
	reply, pending, err := w.ask(w.initiate(rekey))
	if err != nil {
		w.t.Fatal(err)
	}
	result, err := w.initiator.Process(0, reply)
	if err != nil {
		w.t.Fatal(err)
	}
	w.agree(result, pending)
	return result, pending
}

func (w *world) agree(result *Result, pending *Pending) {
	w.t.Helper()
	if result.Secrets != pending.Secrets {
		w.t.Fatal("the secrets differ")
	}
	theirs := pending.Result
	theirs.PeerKey = result.PeerKey
	if theirs != *result || pending.PeerKey != w.router.Key.Public() || result.PeerKey != w.router.Server {
		w.t.Errorf("router has %+v, server %+v", result, pending)
	}
}

func TestHandshake(t *testing.T) {
	w := newWorld(t, nil)
	result, pending := w.handshake(0)
	if result.Suite != session.ChaCha20Poly1305 || result.Rekey || result.SessionID == 0 {
		t.Errorf("result %+v", result)
	}
	if pending.Peer != 42 || pending.From != home || string(pending.Token) != "token" || pending.ID == 0 || pending.Replaces != 0 {
		t.Errorf("pending %+v", pending)
	}
	// Both directions work with what was agreed.
	for _, d := range []session.Direction{session.Up, session.Down} {
		sealing, _ := result.Secrets.Keys(d, result.Suite, result.Protection)
		opening, _ := pending.Secrets.Keys(d, pending.Suite, pending.Protection)
		id := result.Secrets.ConnIDs().ConnID(d, 1)
		var table session.Table
		table.Add(pending.Secrets.ConnIDs().ConnID(d, 1), &session.Entry{Path: 1, Receiving: session.NewReceiving(opening)})
		datagram := new(session.Sealer).SealDatagram(sealing, nil, 0, id, 1, 1, []byte("hello"))
		if _, _, _, err := session.Open(&table, datagram, nil, new(session.Opener)); err != nil {
			t.Errorf("direction %d: %v", d, err)
		}
	}
	other, _ := w.handshake(0)
	if other.Secrets == result.Secrets || other.SessionID == result.SessionID {
		t.Error("two handshakes gave the same session")
	}
}

func TestDatagramLayout(t *testing.T) {
	w := newWorld(t, nil)
	initiation := w.initiate(0)
	if len(initiation) != InitiationBytes || !bytes.Equal(initiation[:4], []byte{1, Version, 0, 0}) || wire.Kind(initiation) != wire.KindInitiation {
		t.Errorf("initiation: %d bytes, %x", len(initiation), initiation[:4])
	}
	if !bytes.Equal(initiation[len(initiation)-16:], make([]byte, 16)) {
		t.Error("a second MAC without a cookie")
	}
	reply, _, _ := w.ask(initiation)
	if wire.Kind(reply) != wire.KindResponse || len(reply) > maxResponseBytes || idOf(reply) != idOf(initiation) {
		t.Errorf("response: %d bytes, %x", len(reply), reply[:8])
	}
	for _, secret := range [][]byte{w.router.Token, pub(w.router.Key), pub(w.server.Key)} {
		if bytes.Contains(initiation, secret) || bytes.Contains(reply, secret) {
			t.Errorf("%x can be read by everybody", secret)
		}
	}
}

func pub(key PrivateKey) []byte { public := key.Public(); return public[:] }

func TestRekey(t *testing.T) {
	w := newWorld(t, nil)
	first, _ := w.handshake(0)
	if again, _ := w.handshake(first.SessionID); again.Rekey || again.SessionID == first.SessionID {
		t.Error("new keys for a session that the server does not have")
	}
	w.alive[first.SessionID] = w.router.Key.Public()
	again, _ := w.handshake(first.SessionID)
	if !again.Rekey || again.SessionID != first.SessionID || again.Secrets == first.Secrets {
		t.Errorf("rekey: %+v", again)
	}
	w.alive[first.SessionID] = PublicKey{1}
	if again, _ := w.handshake(first.SessionID); again.Rekey {
		t.Error("new keys for somebody else's session")
	}
}

func TestWhatMustNotWork(t *testing.T) {
	for name, test := range map[string]struct {
		change           func(*world)
		server, atRouter error
	}{
		"other server key":                  {func(w *world) { w.router.Server = w.key().Public() }, ErrMAC1, nil},
		"unknown peer":                      {func(w *world) { w.peers = map[PublicKey]Peer{} }, ErrUnknownPeer, nil},
		"other preshared key":               {func(w *world) { w.router.PSK[5] ^= 1 }, nil, ErrNotAuthentic},
		"no preshared key":                  {func(w *world) { w.router.PSK = PresharedKey{} }, nil, ErrNotAuthentic},
		"router wants to authenticate only": {func(w *world) { w.router.Protection = session.Authenticate }, ErrRefused, ErrRefused},
		"server wants to authenticate only": {func(w *world) { w.server.Protection = session.Authenticate }, ErrRefused, ErrRefused},
		"no common suite":                   {func(w *world) { w.server.Suites = bothSuites[:1] }, ErrRefused, ErrRefused},
		"revoked": {func(w *world) {
			w.peers[w.router.Key.Public()] = Peer{PSK: w.router.PSK, Refuse: Refusal{StatusRevoked, "removed\nby its owner"}}
		}, ErrRefused, ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, test.change)
			reply, pending, err := w.ask(w.initiate(0))
			wrongSecret := test.atRouter == ErrNotAuthentic // the server cannot know: the pending session stays unused
			if !errors.Is(err, test.server) || (pending != nil) != wrongSecret || (reply == nil) != (test.atRouter == nil) {
				t.Fatalf("server: %d bytes, %v, %v", len(reply), pending, err)
			}
			if reply == nil {
				return
			}
			result, err := w.initiator.Process(0, reply)
			if !errors.Is(err, test.atRouter) || result != nil {
				t.Errorf("router: %v, %v", result, err)
			}
			var refusal Refusal
			if errors.As(err, &refusal) && (refusal.Status == StatusOK || refusal.Text == "" || bytes.ContainsRune([]byte(refusal.Text), '\n')) {
				t.Errorf("refusal %q", refusal)
			}
		})
	}
}

// Whatever byte is changed on the way, no session comes of it; only padding and the unused MAC2 are nobody's.
func TestNoByteCanBeChanged(t *testing.T) {
	w := newWorld(t, func(w *world) { w.server.Load = 1e6 })
	good := w.initiate(0)
	key := publicly(labelMAC1, w.router.Server)
	noise := int(good[headerBytes])<<8 | int(good[headerBytes+1])
	for i := range headerBytes + 2 + noise {
		bad := slices.Clone(good)
		bad[i] ^= 1
		if _, pending, err := w.ask(bad); err == nil || pending != nil {
			t.Fatalf("byte %d changed: accepted", i)
		}
		// Even by somebody who can make MAC1.
		sum := mac(key[:], bad[:len(bad)-2*macBytes])
		copy(mac1Of(bad), sum[:])
		if _, pending, err := w.ask(bad); err == nil || pending != nil {
			t.Fatalf("byte %d changed with MAC: accepted", i)
		}
	}
	reply, _, err := w.ask(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := range reply {
		bad := slices.Clone(reply)
		bad[i] ^= 1
		if result, err := w.initiator.Process(0, bad); err == nil || result != nil {
			t.Fatalf("byte %d of the response changed: accepted", i)
		}
	}
	if _, err := w.initiator.Process(0, reply); err != nil {
		t.Errorf("after all that the right answer is refused: %v", err)
	}
}

func TestVersions(t *testing.T) {
	for _, version := range []uint8{0, 2, 255} {
		w := newWorld(t, nil)
		datagram := w.initiate(0)
		datagram[1] = version
		if reply, _, err := w.ask(datagram); reply != nil || !errors.Is(err, ErrMAC1) {
			t.Errorf("a stranger of another version: %x, %v", reply, err)
		}
		key := publicly(labelMAC1, w.router.Server)
		sum := mac(key[:], datagram[:len(datagram)-2*macBytes])
		copy(mac1Of(datagram), sum[:])
		reply, pending, err := w.ask(datagram)
		if pending != nil || !errors.Is(err, ErrVersion) || wire.Kind(reply) != wire.KindVersionReply || reply[1] != Version {
			t.Fatalf("%x, %v", reply, err)
		}
	}
}

func TestVersionReply(t *testing.T) {
	w := newWorld(t, nil)
	initiation := w.initiate(0)
	reply := appendHeader(nil, byte(wire.KindVersionReply), 9, 0, idOf(initiation))
	key := publicly(labelVersion, w.router.Server)
	sum := mac(key[:], reply, mac1Of(initiation))
	reply = append(reply, sum[:]...)
	_, err := w.initiator.Process(0, reply)
	var version VersionError
	if !errors.As(err, &version) || version.Server != 9 || !errors.Is(err, ErrVersion) {
		t.Errorf("%v", err)
	}
	if older := (VersionError{0}).Error(); older == version.Error() {
		t.Error("older and newer read the same")
	}
	reply[20] ^= 1
	if _, err := w.initiator.Process(0, reply); !errors.Is(err, ErrMAC1) {
		t.Errorf("forged: %v", err)
	}
	if answer, _, err := w.ask(initiation); err != nil {
		t.Fatal(err)
	} else if _, err := w.initiator.Process(0, answer); err != nil {
		t.Errorf("the attempt did not survive: %v", err)
	}
}

func TestSameInitiationSameAnswer(t *testing.T) {
	w := newWorld(t, nil)
	initiation := w.initiate(0)
	first, pending, err := w.ask(initiation)
	if err != nil || pending == nil {
		t.Fatal(err)
	}
	elsewhere := netip.MustParseAddrPort("[2001:db8::1]:9")
	for range 50 {
		again, pending, err := w.responder.Process(w.now, elsewhere, initiation)
		if err != nil || pending != nil || !bytes.Equal(again, first) {
			t.Fatalf("%x, %v, %v", again, pending, err)
		}
	}
	// Other padding does not make another initiation of it.
	key := publicly(labelMAC1, w.router.Server)
	longer := append(slices.Clone(initiation[:len(initiation)-2*macBytes]), 1, 2, 3)
	sum := mac(key[:], longer)
	longer = append(append(longer, sum[:]...), make([]byte, macBytes)...)
	if again, pending, err := w.ask(longer); err != nil || pending != nil || !bytes.Equal(again, first) {
		t.Errorf("other padding: %v, %v", pending, err)
	}
	if len(w.responder.pending) != 1 {
		t.Errorf("%d pending", len(w.responder.pending))
	}
}

func TestReplayAfterTheCacheForgot(t *testing.T) {
	w := newWorld(t, func(w *world) { w.server.Load = 1000 })
	old := w.initiate(0)
	w.ask(old)
	last := w.initiate(0)
	_, pending, _ := w.ask(last)
	w.responder.Confirm(pending.ID)
	w.responder.answers = answerCache{}
	for _, datagram := range [][]byte{old, last} {
		if reply, pending, err := w.ask(datagram); !errors.Is(err, ErrReplayed) || reply != nil || pending != nil {
			t.Errorf("replayed: %v", err)
		}
	}
	w.handshake(0)
	w.router.Instance = Instance{8} // the router's process started again and counts from 1
	w.initiator = NewInitiator(w.router)
	w.handshake(0)
}

func TestAnswerCacheIsBounded(t *testing.T) {
	var cache answerCache
	for i := range 3 * cachedAnswers {
		cache.put([32]byte{byte(i), byte(i >> 8)}, []byte{1})
	}
	if len(cache.answers) != cachedAnswers || len(cache.order) != cachedAnswers {
		t.Errorf("%d answers, %d in order", len(cache.answers), len(cache.order))
	}
	last := 3*cachedAnswers - 1
	if cache.get([32]byte{byte(last), byte(last >> 8)}) == nil || cache.get([32]byte{}) != nil {
		t.Error("not the last ones are kept")
	}
}
