package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
)

// Apk is a P-256 key that apk knows by the hash of its public half.
type Apk struct {
	private *ecdsa.PrivateKey
	id      [16]byte
}

// sha512Digest is apk's number of the hash that is signed.
const sha512Digest = 4

// NewApk makes a key from random bytes.
func NewApk(random io.Reader) (*Apk, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return newApk(private)
}

func newApk(private *ecdsa.PrivateKey) (*Apk, error) {
	public, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	k := &Apk{private: private}
	sum := sha512.Sum512(public)
	copy(k.id[:], sum[:])
	return k, nil
}

// Private is the key in PEM.
func (k *Apk) Private() ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// Public is the public half in PEM, a file for /etc/apk/keys.
func (k *Apk) Public() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(&k.private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// ParseApk reads what Private wrote.
func ParseApk(file []byte) (*Apk, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, fmt.Errorf("read key: is not PEM")
	}
	private, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if private.Curve != elliptic.P256() {
		return nil, fmt.Errorf("read key: is not of the curve P-256")
	}
	return newApk(private)
}

// Sign returns the payload of a signature block for a database of that schema: version, hash, key, signature. What is
// signed is the schema, the block's head and the database's SHA-512.
func (k *Apk) Sign(schema uint32, database []byte) ([]byte, error) {
	head := append([]byte{0, sha512Digest}, k.id[:]...)
	sum := sha512.Sum512(database)
	message := binary.LittleEndian.AppendUint32(nil, schema)
	message = append(append(message, head...), sum[:]...)
	digest := sha512.Sum512(message)
	signature, err := k.private.Sign(nil, digest[:], crypto.SHA512) // without randomness: RFC 6979
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return append(head, signature...), nil
}
