package handshake

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"golang.org/x/crypto/blake2s"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
)

// Peer is what the server knows of a router.
type Peer struct {
	// PSK is the preshared key, zero if there is none.
	PSK PresharedKey
	// Handle is the caller's own name for the peer.
	Handle uint64
	// Refuse, unless its Status is StatusOK, is told to the peer instead of giving it a session.
	Refuse Refusal
}

// ResponderParams are what a server brings to its handshakes. All functions are called from within Process.
type ResponderParams struct {
	// Key is the server's own key.
	Key PrivateKey
	// Protection is what sessions have; a router that wants another is refused.
	Protection session.Protection
	// Suites are those the server accepts; of these the router's preference decides.
	Suites []session.Suite
	// Lookup finds a peer by its public key.
	Lookup func(PublicKey) (Peer, bool)
	// Stranger, if set, is asked for a key that Lookup does not find, with the token that the router sent for pairing
	// (nil: none). If ok is false the router hears nothing.
	Stranger func(key PublicKey, token []byte) (peer Peer, ok bool)
	// Alive reports whether a session belongs to that peer and can get new keys. Nil: none can.
	Alive func(session uint64, peer PublicKey) bool
	// Load is how many initiations per second are worked for without cookies; 0 means DefaultLoad.
	Load int
	// Random is read for session ids, ephemeral keys and cookies.
	Random io.Reader
}

// Pending is a session, or new keys for one, that waits for the router's first data datagram.
type Pending struct {
	Result
	// ID names the Pending, for Confirm and Drop. Never 0 and never used again.
	ID uint64
	// Peer is the handle of the peer.
	Peer uint64
	// From is where the initiation came from. It proves nothing: the first data datagram does.
	From netip.AddrPort
	// Replaces is the ID of the Pending that this one pushed out and that is now to be forgotten; 0 if none.
	Replaces uint64
	// Token is what the router sent for pairing, nil if nothing.
	Token []byte

	instance Instance
	attempt  uint32
	since    mono.Time
}

// Responder is the server's half, for all its peers.
//
// Contract of Process: a datagram that gives an error leaves no trace but counters; every later correct one is answered.
type Responder struct {
	params  ResponderParams
	own     identity
	mac1Key [blake2s.Size]byte
	load    load
	cookies cookieSecret
	answers answerCache
	pending []*Pending // oldest first
	lastID  uint64
	// proven is, per peer, the attempt that last led to a session: earlier ones of the same instance are replays.
	proven map[PublicKey]attempt
}

type attempt struct {
	instance Instance
	number   uint32
}

// NewResponder returns a Responder with nothing pending.
func NewResponder(params ResponderParams) *Responder {
	if params.Load <= 0 {
		params.Load = DefaultLoad
	}
	public := params.Key.Public()
	return &Responder{
		params: params, own: identity{params.Key, public}, mac1Key: publicly(labelMAC1, public), proven: map[PublicKey]attempt{},
		load: load{limit: params.Load},
	}
}

// Process answers an initiation. If reply is not nil it goes to from, whatever err is; it is the caller's, and never longer than
// datagram. The Pending, if any, was not there before. Cheap checks come first; strangers cost one MAC.
func (r *Responder) Process(now mono.Time, from netip.AddrPort, datagram []byte) (reply []byte, p *Pending, err error) {
	switch {
	case wire.Kind(datagram) != wire.KindInitiation:
		return nil, nil, ErrKind
	case len(datagram) < InitiationBytes:
		return nil, nil, ErrTruncated
	case len(datagram) > MaxInitiationBytes:
		return nil, nil, ErrTooLong
	}
	signed := datagram[:len(datagram)-2*macBytes]
	if !equalMAC(mac(r.mac1Key[:], signed), mac1Of(datagram)) {
		return nil, nil, ErrMAC1
	}
	if datagram[1] != Version {
		return r.versionReply(now, datagram), nil, ErrVersion
	}
	message, err := noiseOf(signed)
	if err != nil {
		return nil, nil, err
	}
	key := blake2s.Sum256(signed[:headerBytes+2+len(message)])
	if known := r.answers.get(key); known != nil {
		return slices.Clone(known), nil, nil
	}
	if r.load.exceeded(now) {
		ok, reply, err := r.checkCookie(now, from, datagram)
		if !ok {
			return reply, nil, err
		}
	}
	reply, p, err = r.answer(now, from, datagram, message)
	if reply != nil {
		r.answers.put(key, slices.Clone(reply))
	}
	return reply, p, err
}

// noiseOf cuts noise message 1 out of what MAC1 covers.
func noiseOf(signed []byte) ([]byte, error) {
	body := signed[headerBytes+2:]
	n := int(binary.BigEndian.Uint16(signed[headerBytes:]))
	if n < minNoise1Bytes || n > len(body) {
		return nil, ErrTruncated
	}
	return body[:n], nil
}

// answer does the costly part: find out who asks, decide, write the response.
func (r *Responder) answer(now mono.Time, from netip.AddrPort, datagram, message []byte) ([]byte, *Pending, error) {
	protection := session.Protection(datagram[2])
	state, err := newState(&r.own, nil, nil, datagram, r.params.Random)
	if err != nil {
		return nil, nil, err
	}
	payload, _, _, err := state.ReadMessage(nil, message)
	if err != nil {
		return nil, nil, ErrNotAuthentic
	}
	key := PublicKey(state.PeerStatic())
	q, err := parseRequest(payload)
	if err != nil {
		return nil, nil, err
	}
	peer, ok := r.params.Lookup(key)
	if !ok && r.params.Stranger != nil {
		peer, ok = r.params.Stranger(key, q.token)
	}
	if !ok {
		return nil, nil, ErrUnknownPeer
	}
	if last, ok := r.proven[key]; ok && last.instance == q.instance && q.attempt <= last.number {
		return nil, nil, ErrReplayed
	}
	said, err := r.decide(key, peer, protection, q)
	if err != nil {
		return nil, nil, err
	}
	if err := state.SetPresharedKey(peer.PSK[:]); err != nil {
		return nil, nil, fmt.Errorf("answer initiation: %w", err)
	}
	reply := appendHeader(make([]byte, 0, maxResponseBytes), byte(wire.KindResponse), Version, 0, idOf(datagram))
	reply, up, down, err := state.WriteMessage(reply, said.append(nil))
	if err != nil {
		return nil, nil, fmt.Errorf("answer initiation: %w", err)
	}
	mac1Key := publicly(labelMAC1, key)
	mac1 := mac(mac1Key[:], reply)
	reply = append(reply, mac1[:]...)
	if said.status != StatusOK {
		return reply, nil, Refusal{said.status, said.text}
	}
	p := &Pending{
		Result: Result{
			Secrets: secretsOf(up, down), Suite: said.suite, Protection: protection,
			SessionID: said.session, Rekey: said.rekey, PeerKey: key,
		},
		Peer: peer.Handle, From: from, Token: slices.Clone(q.token), instance: q.instance, attempt: q.attempt, since: now,
	}
	r.keep(p)
	return reply, p, nil
}

// decide makes the content of the answer to a known peer.
func (r *Responder) decide(key PublicKey, peer Peer, protection session.Protection, q request) (answer, error) {
	if peer.Refuse.Status != StatusOK {
		return answer{status: peer.Refuse.Status, text: peer.Refuse.Text}, nil
	}
	if protection != r.params.Protection {
		return answer{status: StatusMismatch, text: "option 'protect' is not the same on router and server"}, nil
	}
	i := slices.IndexFunc(q.suites, func(s session.Suite) bool { return slices.Contains(r.params.Suites, s) })
	if i < 0 {
		return answer{status: StatusMismatch, text: "router and server have no cipher in common"}, nil
	}
	a := answer{suite: q.suites[i]}
	if q.rekey != 0 && r.params.Alive != nil && r.params.Alive(q.rekey, key) {
		a.session, a.rekey = q.rekey, true
		return a, nil
	}
	var id [8]byte
	if _, err := io.ReadFull(r.params.Random, id[:]); err != nil {
		return answer{}, fmt.Errorf("draw session id: %w", err)
	}
	a.session = max(1, binary.BigEndian.Uint64(id[:]))
	return a, nil
}

// versionReply tells a router that knows the server's key which version the server speaks; silence under load.
func (r *Responder) versionReply(now mono.Time, datagram []byte) []byte {
	if r.load.exceeded(now) {
		return nil
	}
	reply := appendHeader(nil, byte(wire.KindVersionReply), Version, 0, idOf(datagram))
	key := publicly(labelVersion, r.own.public)
	sum := mac(key[:], reply, mac1Of(datagram))
	return append(reply, sum[:]...)
}
