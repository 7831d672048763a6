package handshake

import (
	"encoding/base64"
	"fmt"
	"io"

	"golang.org/x/crypto/curve25519"
)

// PrivateKey is a portal's Curve25519 private key.
type PrivateKey [KeyBytes]byte

// PublicKey is a portal's Curve25519 public key: its name to others.
type PublicKey [KeyBytes]byte

// PresharedKey is an additional secret of two portals; zero if they have none.
type PresharedKey [KeyBytes]byte

// GenerateKey makes a private key from 32 bytes of random.
func GenerateKey(random io.Reader) (PrivateKey, error) {
	var k PrivateKey
	if _, err := io.ReadFull(random, k[:]); err != nil {
		return PrivateKey{}, fmt.Errorf("generate key: %w", err)
	}
	k[0] &= 248
	k[31] = k[31]&127 | 64
	return k, nil
}

// Public returns the public key of k.
func (k PrivateKey) Public() PublicKey {
	public, err := curve25519.X25519(k[:], curve25519.Basepoint)
	if err != nil {
		panic("handshake: " + err.Error()) // never with the base point
	}
	return PublicKey(public)
}

// ParsePrivateKey reads what Text wrote; the error is ErrKey.
func ParsePrivateKey(text string) (PrivateKey, error) {
	k, err := parseKey(text)
	return PrivateKey(k), err
}

// ParsePublicKey reads what Text wrote; the error is ErrKey.
func ParsePublicKey(text string) (PublicKey, error) {
	k, err := parseKey(text)
	return PublicKey(k), err
}

// ParsePresharedKey reads what Text wrote; the error is ErrKey.
func ParsePresharedKey(text string) (PresharedKey, error) {
	k, err := parseKey(text)
	return PresharedKey(k), err
}

// Text returns the key in base64, for the configuration file.
func (k PrivateKey) Text() string { return base64.StdEncoding.EncodeToString(k[:]) }

// Text returns the key in base64.
func (k PublicKey) Text() string { return base64.StdEncoding.EncodeToString(k[:]) }

// Text returns the key in base64, for the configuration file.
func (k PresharedKey) Text() string { return base64.StdEncoding.EncodeToString(k[:]) }

// String hides the key from logs.
func (k PrivateKey) String() string { return "(private key hidden)" }

// String returns Text.
func (k PublicKey) String() string { return k.Text() }

// String hides the key from logs.
func (k PresharedKey) String() string { return "(preshared key hidden)" }

func parseKey(text string) (k [KeyBytes]byte, err error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != KeyBytes || len(text) != 44 {
		return k, ErrKey
	}
	copy(k[:], raw)
	return k, nil
}
