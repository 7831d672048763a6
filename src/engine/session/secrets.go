package session

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// Direction is a direction of the tunnel.
type Direction uint8

// The directions: Up from the router (initiator) to the server (responder), Down back.
const (
	Up   Direction = 0
	Down Direction = 1
)

// Secrets are what a handshake yields. They are not to be stored or shown.
type Secrets struct {
	up, down [SecretBytes]byte
	ids      [SecretBytes]byte
}

// NewSecrets derives a session's secrets from the two that the handshake ends with, one per direction.
func NewSecrets(up, down [SecretBytes]byte) Secrets {
	both, err := hkdf.Extract(sha256.New, up[:], down[:])
	if err != nil {
		panic("session: " + err.Error()) // never with SHA-256
	}
	return Secrets{
		up:   expand(up, "mpproxy up"),
		down: expand(down, "mpproxy down"),
		ids:  expand([SecretBytes]byte(both), "mpproxy connection ids"),
	}
}

// Keys returns the keys of the first epoch of a direction.
func (s Secrets) Keys(d Direction, suite Suite, protection Protection) (*Keys, error) {
	if d == Up {
		return NewKeys(suite, protection, s.up)
	}
	return NewKeys(suite, protection, s.down)
}

// ConnIDs returns the session's connection ids. Those of the session's first handshake stay: a rekey does not change them.
func (s Secrets) ConnIDs() ConnIDs { return ConnIDs{s.ids} }

// String hides the secrets from logs.
func (s Secrets) String() string { return "(secrets hidden)" }

// ConnIDs computes the connection ids of a session: either side knows those of paths that are not open yet, and
// nobody else can tell which belong together.
type ConnIDs struct{ key [SecretBytes]byte }

// ConnID returns the connection id of a path and direction, never 0.
func (c ConnIDs) ConnID(d Direction, path uint32) uint32 {
	mac := hmac.New(sha256.New, c.key[:])
	var in [5]byte
	in[0] = byte(d)
	binary.BigEndian.PutUint32(in[1:], path)
	mac.Write(in[:])
	sum := mac.Sum(nil)
	for ; len(sum) >= 4; sum = sum[4:] {
		if id := binary.BigEndian.Uint32(sum); id != 0 {
			return id
		}
	}
	return 1
}

// String hides the key from logs.
func (c ConnIDs) String() string { return "(ids hidden)" }
