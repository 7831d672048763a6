package config

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// KeyBytes is the length of every key: X25519 and pre-shared alike.
const KeyBytes = 32

// A Key is a public X25519 key. The zero value means "none".
type Key [KeyBytes]byte

// String returns the key as base64, as it stands in files.
func (k Key) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k == Key{} }

// A SecretKey is a private X25519 key or a pre-shared key. It prints as "(hidden)" whatever the verb, also in JSON and
// inside of structs; Text is the one way to its text. The zero value means "none".
type SecretKey [KeyBytes]byte

const hidden = "(hidden)"

// String returns "(hidden)".
func (k SecretKey) String() string { return hidden }

// Format writes "(hidden)" for every verb.
func (k SecretKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText returns "(hidden)".
func (k SecretKey) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// IsZero reports whether k is no key.
func (k SecretKey) IsZero() bool { return k == SecretKey{} }

// Text returns the key as base64, for the file that keeps it and for genkey.
func (k SecretKey) Text() string { return base64.StdEncoding.EncodeToString(k[:]) }

// Public returns the public key that belongs to the private key k.
func (k SecretKey) Public() (Key, error) {
	private, err := ecdh.X25519().NewPrivateKey(k[:])
	if err != nil {
		return Key{}, fmt.Errorf("make public key: %w", err)
	}
	return Key(private.PublicKey().Bytes()), nil
}

// NewPrivateKey returns a new X25519 private key made from 32 bytes of random, which is crypto/rand.Reader but in tests.
func NewPrivateKey(random io.Reader) (SecretKey, error) {
	var k SecretKey
	if _, err := io.ReadFull(random, k[:]); err != nil {
		return SecretKey{}, fmt.Errorf("make private key: %w", err)
	}
	k[0] &= 248 // RFC 7748 section 5: X25519 does this itself; done here too so that all programs agree on the text
	k[31] = k[31]&127 | 64
	return k, nil
}

// ParseKey reads a public key from base64. Spaces and line ends around it do not count.
func ParseKey(text string) (Key, error) {
	k, err := parse32(text)
	return Key(k), err
}

// ParseSecretKey reads a private or pre-shared key from base64. Spaces and line ends around it do not count.
// The error never holds the text.
func ParseSecretKey(text string) (SecretKey, error) {
	k, err := parse32(text)
	return SecretKey(k), err
}

var errKey = errors.New("must be a key: 44 characters of base64, as genkey prints them")

func parse32(text string) (k [KeyBytes]byte, err error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) != KeyBytes {
		return k, errKey
	}
	copy(k[:], raw)
	if k == [KeyBytes]byte{} {
		return k, errors.New("must be a key, not all zeros")
	}
	return k, nil
}
