package handshake

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/flynn/noise"

	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
)

// InitiatorParams are what a router brings to its handshakes with one server.
type InitiatorParams struct {
	// Key is the router's own key.
	Key PrivateKey
	// Server is the server's public key.
	Server PublicKey
	// PSK is the preshared key, zero if there is none.
	PSK PresharedKey
	// Protection must be what the server has configured.
	Protection session.Protection
	// Suites are those the router accepts, the preferred first.
	Suites []session.Suite
	// Instance is drawn at the start of the process.
	Instance Instance
	// Token is for pairing, at most MaxTokenBytes; usually empty.
	Token []byte
}

// Initiator is the router's half. One attempt is open at a time; beginning another forgets the one before.
//
// Contract of Process: after an error the attempt stays open, and the right answer is still accepted, whatever came
// before it. Exceptions are a Result and a Refusal: both come from the server itself and decide the attempt.
type Initiator struct {
	params  InitiatorParams
	own     identity
	attempt uint32
	open    bool

	id        uint32
	ephemeral [KeyBytes]byte
	request   []byte
	rekey     uint64
	// state waits for message 2; nil if it must be built again because an answer that was not authentic spoilt it.
	state    *noise.HandshakeState
	datagram []byte // without MAC2
	cookies  map[uint32][macBytes]byte
}

// NewInitiator returns an Initiator with no attempt open.
func NewInitiator(params InitiatorParams) *Initiator {
	return &Initiator{params: params, own: identity{params.Key, params.Key.Public()}, cookies: map[uint32][macBytes]byte{}}
}

// Initiate begins an attempt for a new session, or, if rekey is not 0, for new keys of that session. It takes 36
// bytes of random. Errors are those of random, and of a server key that is no valid point.
func (i *Initiator) Initiate(random io.Reader, rekey uint64) error {
	i.open, i.state = false, nil
	var id [4]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return fmt.Errorf("begin handshake: %w", err)
	}
	if _, err := io.ReadFull(random, i.ephemeral[:]); err != nil {
		return fmt.Errorf("begin handshake: %w", err)
	}
	i.attempt++
	i.id, i.rekey = binary.BigEndian.Uint32(id[:]), rekey
	i.request = request{
		suites: i.params.Suites, rekey: rekey, instance: i.params.Instance, attempt: i.attempt, token: i.params.Token,
	}.append(nil)
	message, err := i.begin()
	if err != nil {
		return err
	}
	b := i.header()
	b = binary.BigEndian.AppendUint16(b, uint16(len(message)))
	b = append(b, message...)
	if short := InitiationBytes - 2*macBytes - len(b); short > 0 {
		b = append(b, make([]byte, short)...)
	}
	key := publicly(labelMAC1, i.params.Server)
	mac1 := mac(key[:], b)
	i.datagram = append(b, mac1[:]...)
	i.open = true
	return nil
}

// header returns the first bytes of the initiation.
func (i *Initiator) header() []byte {
	return appendHeader(nil, byte(wire.KindInitiation), Version, byte(i.params.Protection), i.id)
}

// begin builds the noise state up to message 1, which depends on nothing but what the attempt has drawn.
func (i *Initiator) begin() (message []byte, err error) {
	p := &i.params
	i.state, err = newState(&i.own, &p.Server, &p.PSK, i.header(), bytes.NewReader(i.ephemeral[:]))
	if err != nil {
		return nil, err
	}
	message, _, _, err = i.state.WriteMessage(nil, i.request)
	if err != nil {
		i.state = nil
		return nil, fmt.Errorf("begin handshake: %w", err)
	}
	return message, nil
}

// Datagram returns the initiation for a link, the caller's to keep; nil if no attempt is open. Those of several links differ
// only by the cookies that the server gave to them, and get the same answer.
func (i *Initiator) Datagram(link uint32) []byte {
	if !i.open {
		return nil
	}
	var mac2 [macBytes]byte
	if cookie, ok := i.cookies[link]; ok {
		mac2 = mac(cookie[:], i.datagram)
	}
	return append(slices.Clone(i.datagram), mac2[:]...)
}

// Forget drops the cookie of a link that is gone.
func (i *Initiator) Forget(link uint32) { delete(i.cookies, link) }

// Process takes a datagram that came on a link. See Initiator for what an error means; ErrCookie asks for the
// Datagram to be sent again on that link, a VersionError and a Refusal are for people.
func (i *Initiator) Process(link uint32, datagram []byte) (*Result, error) {
	if !i.open {
		return nil, ErrNoAttempt
	}
	if len(datagram) < headerBytes {
		return nil, ErrTruncated
	}
	if idOf(datagram) != i.id {
		return nil, ErrNotOurs
	}
	switch wire.Kind(datagram) {
	case wire.KindResponse:
		return i.response(datagram)
	case wire.KindCookieReply:
		return nil, i.cookie(link, datagram)
	case wire.KindVersionReply:
		return nil, i.version(datagram)
	}
	return nil, ErrKind
}

func (i *Initiator) response(datagram []byte) (*Result, error) {
	switch {
	case len(datagram) < headerBytes+minNoise2Bytes+macBytes:
		return nil, ErrTruncated
	case len(datagram) > MaxInitiationBytes:
		return nil, ErrTooLong
	}
	body := datagram[:len(datagram)-macBytes]
	key := publicly(labelMAC1, i.own.public)
	if !equalMAC(mac(key[:], body), datagram[len(body):]) {
		return nil, ErrMAC1
	}
	if datagram[1] != Version {
		return nil, ErrVersion
	}
	if i.state == nil {
		if _, err := i.begin(); err != nil {
			return nil, err
		}
	}
	payload, up, down, err := i.state.ReadMessage(nil, body[headerBytes:])
	if err != nil {
		i.state = nil
		return nil, ErrNotAuthentic
	}
	i.state = nil
	a, err := parseAnswer(payload)
	if err != nil {
		return nil, err
	}
	if a.status != StatusOK {
		i.open = false
		return nil, Refusal{a.status, a.text}
	}
	if !slices.Contains(i.params.Suites, a.suite) || a.rekey && (a.session != i.rekey) {
		return nil, ErrPayload
	}
	i.open = false
	return &Result{
		Secrets: secretsOf(up, down), Suite: a.suite, Protection: i.params.Protection,
		SessionID: a.session, Rekey: a.rekey, PeerKey: i.params.Server,
	}, nil
}

func (i *Initiator) cookie(link uint32, datagram []byte) error {
	if len(datagram) != cookieReplyBytes {
		return ErrTruncated
	}
	nonce, sealed := datagram[headerBytes:headerBytes+cookieNonceBytes], datagram[headerBytes+cookieNonceBytes:]
	mac1 := i.datagram[len(i.datagram)-macBytes:]
	cookie, err := cookieCipher(i.params.Server).Open(nil, nonce, sealed, mac1)
	if err != nil {
		return ErrNotOurs
	}
	i.cookies[link] = [macBytes]byte(cookie)
	return ErrCookie
}

func (i *Initiator) version(datagram []byte) error {
	if len(datagram) != versionBytes {
		return ErrTruncated
	}
	key := publicly(labelVersion, i.params.Server)
	mac1 := i.datagram[len(i.datagram)-macBytes:]
	if !equalMAC(mac(key[:], datagram[:headerBytes], mac1), datagram[headerBytes:]) {
		return ErrMAC1
	}
	if datagram[1] == Version {
		return ErrVersion
	}
	return VersionError{Server: datagram[1]}
}
