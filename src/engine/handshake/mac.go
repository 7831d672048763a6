package handshake

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"net/netip"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"
)

// Labels separate the keys that derive from one public key.
const (
	labelMAC1    = "mpproxy mac1 "
	labelCookie  = "mpproxy cookie "
	labelVersion = "mpproxy version "
)

// publicly derives a key that everybody can compute who knows the public key.
func publicly(label string, key PublicKey) [blake2s.Size]byte {
	return blake2s.Sum256(append([]byte(label), key[:]...))
}

// mac is keyed BLAKE2s of 128 bits over the parts.
func mac(key []byte, parts ...[]byte) (sum [macBytes]byte) {
	h, err := blake2s.New128(key)
	if err != nil {
		panic("handshake: " + err.Error()) // only a key of wrong length makes it fail
	}
	for _, part := range parts {
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

func equalMAC(sum [macBytes]byte, got []byte) bool {
	return subtle.ConstantTimeCompare(sum[:], got) == 1
}

// appendHeader appends the 8 bytes with which every handshake datagram begins.
func appendHeader(dst []byte, kind, version, third byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, kind, version, third, 0), id)
}

// idOf returns the handshake id in a datagram of at least headerBytes.
func idOf(datagram []byte) uint32 { return binary.BigEndian.Uint32(datagram[4:headerBytes]) }

// mac1Of returns MAC1 of an initiation.
func mac1Of(initiation []byte) []byte {
	return initiation[len(initiation)-2*macBytes : len(initiation)-macBytes]
}

// cookieFor returns the cookie of a source: its address or IPv6 network, whatever the port.
func cookieFor(secret *[KeyBytes]byte, from netip.Addr) [macBytes]byte {
	from = from.Unmap().WithZone("")
	bits := 64
	if from.Is4() {
		bits = 32
	}
	network, err := from.Prefix(bits)
	if err != nil {
		return mac(secret[:])
	}
	return mac(secret[:], network.Addr().AsSlice())
}

// cookieCipher protects cookie replies of the server with that key.
func cookieCipher(server PublicKey) cipher.AEAD {
	key := publicly(labelCookie, server)
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		panic("handshake: " + err.Error()) // only a key of wrong length makes it fail
	}
	return aead
}
