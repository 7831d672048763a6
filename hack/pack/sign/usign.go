// Package sign makes and keeps the keys of a feed and signs with them: Ed25519 in the format of usign and signify for
// opkg's index, ECDSA P-256 in PEM for apk. All signatures are deterministic.
package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// Usign is an Ed25519 key that opkg's usign knows by its fingerprint.
type Usign struct {
	Fingerprint [8]byte
	private     ed25519.PrivateKey
}

const comment = "untrusted comment: "

// NewUsign makes a key from 40 random bytes.
func NewUsign(random io.Reader) (*Usign, error) {
	var seed [ed25519.SeedSize]byte
	k := &Usign{}
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if _, err := io.ReadFull(random, k.Fingerprint[:]); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	k.private = ed25519.NewKeyFromSeed(seed[:])
	return k, nil
}

// ID is the fingerprint in hexadecimal, the key's file name in /etc/opkg/keys.
func (k *Usign) ID() string { return hex.EncodeToString(k.Fingerprint[:]) }

// Private is the text of the secret key's file, not encrypted.
func (k *Usign) Private() []byte {
	sum := sha512.Sum512(k.private)
	var b bytes.Buffer
	b.WriteString("EdBK")     // Ed25519, the key derivation that signify names
	b.Write(make([]byte, 4))  // no rounds of it: no passphrase
	b.Write(make([]byte, 16)) // nor salt
	b.Write(sum[:8])          // checksum of the key
	b.Write(k.Fingerprint[:]) //
	b.Write(k.private)        // seed and public key
	return text("mpproxy feed secret key", b.Bytes())
}

// Public is the text of the public key's file.
func (k *Usign) Public() []byte {
	return text("mpproxy feed public key "+k.ID(), append(append([]byte("Ed"), k.Fingerprint[:]...), k.private.Public().(ed25519.PublicKey)...))
}

// Sign is the text of the signature's file.
func (k *Usign) Sign(message []byte) []byte {
	return text("signed by key "+k.ID(), append(append([]byte("Ed"), k.Fingerprint[:]...), ed25519.Sign(k.private, message)...))
}

// ParseUsign reads what Private wrote.
func ParseUsign(file []byte) (*Usign, error) {
	const size = 4 + 4 + 16 + 8 + 8 + ed25519.PrivateKeySize
	_, line, _ := strings.Cut(string(file), "\n")
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read key: %w", err)
	case len(b) != size || string(b[:4]) != "EdBK":
		return nil, fmt.Errorf("read key: not a secret key of usign")
	case !bytes.Equal(b[4:8], make([]byte, 4)):
		return nil, fmt.Errorf("read key: is locked with a passphrase")
	}
	k := &Usign{private: ed25519.PrivateKey(b[40:])}
	copy(k.Fingerprint[:], b[32:40])
	if sum := sha512.Sum512(k.private); !bytes.Equal(sum[:8], b[24:32]) {
		return nil, fmt.Errorf("read key: its checksum is wrong")
	}
	return k, nil
}

func text(what string, b []byte) []byte {
	return fmt.Appendf(nil, "%s%s\n%s\n", comment, what, base64.StdEncoding.EncodeToString(b))
}
