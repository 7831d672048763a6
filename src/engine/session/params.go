package session

const (
	// SecretBytes is the length of every secret and key.
	SecretBytes = 32
	// RotateAfter is how many packets, summed over all paths, one key protects before an HKDF update: far below
	// AES-GCM's confidentiality limit for full packets, and rare enough to cost nothing (about 13 minutes at 1 Gbit/s).
	RotateAfter = 1 << 26
	// MaxFailures is how many forged datagrams a key withstands (RFC 9001 section 6.6: 2^36 for ChaCha20-Poly1305,
	// 2^52 for AES-GCM; the smaller for both). Afterwards only a new handshake's key opens anything.
	MaxFailures = 1 << 36
	// MaxPending is how many handshakes may wait for their first packet at a time.
	MaxPending = 2
	// maxAttempts bounds the keys tried for one datagram: several only at a key change, and if ids collide.
	maxAttempts = 12
	// nonceBytes is the nonce length of both suites.
	nonceBytes = 12
	// epochs is how many key epochs the header can tell apart.
	epochs = 4
)
