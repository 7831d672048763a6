package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"

	"mpproxy/src/engine/wire"
)

// Suite is the AEAD that protects a session's datagrams. The values are on the wire.
type Suite uint8

// The suites.
const (
	AES256GCM        Suite = 1
	ChaCha20Poly1305 Suite = 2
)

// String returns the suite's usual name.
func (s Suite) String() string {
	switch s {
	case AES256GCM:
		return "AES-256-GCM"
	case ChaCha20Poly1305:
		return "ChaCha20-Poly1305"
	}
	return "unknown"
}

// Protection is what is done to the payload. The values are on the wire.
type Protection uint8

// The protections: Encrypt hides and authenticates the payload, Authenticate leaves it readable.
const (
	Encrypt      Protection = 0
	Authenticate Protection = 1
)

// Keys protect the packets of one direction in one epoch. They are immutable and safe for concurrent use.
type Keys struct {
	suite      Suite
	protection Protection
	secret     [SecretBytes]byte
	aead       cipher.AEAD
}

// NewKeys derives the keys of a direction and epoch from its secret.
func NewKeys(suite Suite, protection Protection, secret [SecretBytes]byte) (*Keys, error) {
	if suite != AES256GCM && suite != ChaCha20Poly1305 || protection > Authenticate {
		return nil, ErrSuite
	}
	return newKeys(suite, protection, secret), nil
}

// newKeys is NewKeys for a suite and protection known to exist.
func newKeys(suite Suite, protection Protection, secret [SecretBytes]byte) *Keys {
	label := "mpproxy key " + suite.String()
	if protection == Authenticate {
		label += " authenticate"
	}
	key := expand(secret, label)
	keys := &Keys{suite: suite, protection: protection, secret: secret}
	var err error
	if suite == AES256GCM {
		var block cipher.Block
		if block, err = aes.NewCipher(key[:]); err == nil {
			keys.aead, err = cipher.NewGCM(block)
		}
	} else {
		keys.aead, err = chacha20poly1305.New(key[:])
	}
	if err != nil {
		panic("session: " + err.Error()) // only a key of wrong length makes these fail
	}
	return keys
}

// Next returns the keys of the following epoch; from them, these cannot be computed.
func (k *Keys) Next() *Keys {
	return newKeys(k.suite, k.protection, expand(k.secret, "mpproxy next"))
}

// Suite returns the suite.
func (k *Keys) Suite() Suite { return k.suite }

// Protection returns the protection.
func (k *Keys) Protection() Protection { return k.protection }

// Export derives a secret for another protocol that both sides of the session speak; label names the protocol.
func (k *Keys) Export(label string) [SecretBytes]byte {
	return expand(expand(k.secret, "mpproxy export"), label)
}

// String hides the keys from logs.
func (k *Keys) String() string { return "(keys hidden)" }

// Sealer is one goroutine's scratch for sealing. Zero is ready.
type Sealer struct{ scratch }

// Opener is one goroutine's scratch for opening. Zero is ready.
type Opener struct {
	scratch
	saved    []byte
	attempts [maxAttempts]attempt
}

// scratch holds what would otherwise be allocated per packet: the AEAD interface makes its arguments escape.
type scratch struct {
	nonce  [nonceBytes]byte
	joined []byte
}

func (s *scratch) setNonce(path uint32, number uint64) []byte {
	binary.BigEndian.PutUint32(s.nonce[:4], path)
	binary.BigEndian.PutUint64(s.nonce[4:], number)
	return s.nonce[:]
}

// join returns a and b as one slice: themselves if b follows a in memory, else a copy in the scratch.
func (s *scratch) join(a, b []byte) []byte {
	n := len(a) + len(b)
	if len(a) > 0 && len(b) > 0 && cap(a) >= n && &a[:n][len(a)] == &b[0] {
		return a[:n]
	}
	s.joined = append(append(s.joined[:0], a...), b...)
	return s.joined
}

// Seal appends the protected plaintext, wire.TagBytes longer, to dst. The plaintext may be where the result goes
// (dst[len(dst):] of the same memory), else they must not overlap. A pair of path and number is used once per Keys.
func (s *Sealer) Seal(k *Keys, dst, header, plaintext []byte, path uint32, number uint64) []byte {
	nonce := s.setNonce(path, number)
	if k.protection == Encrypt {
		return k.aead.Seal(dst, nonce, plaintext, header)
	}
	start := len(dst)
	dst = append(dst, plaintext...)
	return k.aead.Seal(dst, nonce, nil, s.join(header, dst[start:]))
}

// SealDatagram appends a whole data datagram: header, protected plaintext, tag. As with Seal, the plaintext may
// already stand where it goes: wire.HeaderBytes behind the end of dst.
func (s *Sealer) SealDatagram(k *Keys, dst []byte, epoch uint8, connID, path uint32, number uint64, plaintext []byte) []byte {
	start := len(dst)
	dst = wire.AppendHeader(dst, epoch, connID, number)
	return s.Seal(k, dst, dst[start:], plaintext, path, number)
}

// OpenWith appends the plaintext of a sealed payload to dst, or returns ErrNotAuthentic. The result may go where the
// ciphertext is (dst = ciphertext[:0]), else they must not overlap; after an error those bytes are undefined.
func (o *Opener) OpenWith(k *Keys, dst, header, ciphertext []byte, path uint32, number uint64) ([]byte, error) {
	payload := len(ciphertext) - wire.TagBytes
	if payload < 0 {
		return nil, ErrTruncated
	}
	nonce := o.setNonce(path, number)
	if k.protection == Encrypt {
		plaintext, err := k.aead.Open(dst, nonce, ciphertext, header)
		if err != nil {
			return nil, ErrNotAuthentic
		}
		return plaintext, nil
	}
	if _, err := k.aead.Open(nil, nonce, ciphertext[payload:], o.join(header, ciphertext[:payload])); err != nil {
		return nil, ErrNotAuthentic
	}
	return append(dst, ciphertext[:payload]...), nil
}

// expand derives a secret for the purpose that label names.
func expand(secret [SecretBytes]byte, label string) (out [SecretBytes]byte) {
	derived, err := hkdf.Expand(sha256.New, secret[:], label, SecretBytes)
	if err != nil {
		panic("session: " + err.Error()) // only an output that is too long makes it fail
	}
	copy(out[:], derived)
	return out
}
