package handshake

import (
	"fmt"
	"io"

	"github.com/flynn/noise"

	"mpproxy/src/engine/session"
)

// protocol is the first part of the prologue; the header of the initiation is the other.
const protocol = "mpproxy "

// identity is a portal's own pair of keys.
type identity struct {
	private PrivateKey
	public  PublicKey
}

// newState begins a noise handshake. The initiator passes the server's key and the preshared key, the responder
// sets the latter when it knows who asks. header is that of the initiation.
func newState(own *identity, peer *PublicKey, psk *PresharedKey, header []byte, random io.Reader) (*noise.HandshakeState, error) {
	config := noise.Config{
		CipherSuite:           noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashBLAKE2s),
		Random:                random,
		Pattern:               noise.HandshakeIK,
		Initiator:             peer != nil,
		Prologue:              append([]byte(protocol), header[:headerBytes]...),
		PresharedKeyPlacement: 2,
		StaticKeypair:         noise.DHKey{Private: own.private[:], Public: own.public[:]},
	}
	if peer != nil {
		config.PeerStatic = peer[:]
	}
	if psk != nil {
		config.PresharedKey = psk[:]
	}
	state, err := noise.NewHandshakeState(config)
	if err != nil {
		return nil, fmt.Errorf("begin handshake: %w", err)
	}
	return state, nil
}

// secretsOf derives the session's secrets from the two ciphers that a handshake ends with.
func secretsOf(up, down *noise.CipherState) session.Secrets {
	return session.NewSecrets(up.UnsafeKey(), down.UnsafeKey())
}

// Result is what both sides have after a handshake.
type Result struct {
	Secrets    session.Secrets
	Suite      session.Suite
	Protection session.Protection
	// SessionID names the session between the two, never 0.
	SessionID uint64
	// Rekey says that the secrets are new keys for a session that goes on, not a new session.
	Rekey bool
	// PeerKey is the other side's public key.
	PeerKey PublicKey
}
