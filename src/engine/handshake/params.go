package handshake

import "time"

const (
	// Version is the version of the whole wire protocol, this handshake included.
	Version = 1
	// KeyBytes is the length of private, public and preshared keys.
	KeyBytes = 32

	// InitiationBytes is the least length of an initiation: no answer is longer, and it fits any path (RFC 9000
	// section 14: 1200 bytes).
	InitiationBytes = 1200
	// MaxInitiationBytes bounds an initiation: a datagram of an Ethernet path.
	MaxInitiationBytes = 1500
	// MaxTokenBytes bounds the pairing token in an initiation.
	MaxTokenBytes = 64
	// MaxTextBytes bounds the text of a refusal.
	MaxTextBytes = 120

	// HedgeDelay is how long after the first link the same initiation goes out on the next.
	HedgeDelay = 250 * time.Millisecond
	// AttemptLifetime is how long one initiation may be sent; then Initiate begins another. Less than PendingLifetime.
	AttemptLifetime = 5 * time.Second
	// RekeyInterval is how long the keys of one handshake are used.
	RekeyInterval = 120 * time.Second

	// PendingLifetime is how long a Pending waits for its first data datagram.
	PendingLifetime = 15 * time.Second
	// MaxPendingPerPeer: one in use and one for a router that tries again before it heard the answer.
	MaxPendingPerPeer = 2
	// CookieLifetime is how long one cookie secret is used.
	CookieLifetime = 2 * time.Minute
	// DefaultLoad is how many initiations per second a server works for without asking for cookies: about 1 % of a slow CPU core.
	DefaultLoad = 50
	// cachedAnswers bounds the answers kept for repeated initiations (about 300 bytes each).
	cachedAnswers = 1024

	headerBytes      = 8
	macBytes         = 16
	cookieNonceBytes = 24
	cookieReplyBytes = headerBytes + cookieNonceBytes + macBytes + 16
	versionBytes     = headerBytes + macBytes
	// A noise message 1 without payload: ephemeral key, encrypted static key, tag of the payload.
	minNoise1Bytes = KeyBytes + KeyBytes + 16 + 16
	// A noise message 2 without payload: ephemeral key, tag of the payload.
	minNoise2Bytes = KeyBytes + 16
	// maxResponseBytes is the length of the longest response, a refusal: its payload is 3 + MaxTextBytes.
	maxResponseBytes = headerBytes + minNoise2Bytes + 3 + MaxTextBytes + macBytes
)
