package handshake

import (
	"errors"
	"fmt"
)

// Reasons for which a handshake datagram leads to nothing, one each, to be counted.
var (
	// ErrTruncated: shorter than its kind must be.
	ErrTruncated = errors.New("read handshake: too short")
	// ErrTooLong: longer than its kind can be.
	ErrTooLong = errors.New("read handshake: too long")
	// ErrKind: not a datagram that this side expects.
	ErrKind = errors.New("read handshake: unexpected kind of datagram")
	// ErrMAC1: the sender does not know the receiver's public key, or the datagram is damaged.
	ErrMAC1 = errors.New("read handshake: first MAC is wrong")
	// ErrVersion: the other side speaks another version.
	ErrVersion = errors.New("read handshake: other protocol version")
	// ErrNotOurs: an answer to something else.
	ErrNotOurs = errors.New("read handshake: answer to another attempt")
	// ErrNotAuthentic: the noise message does not open. If a router sees it in an answer whose MAC1 is right (ErrMAC1
	// comes first), the preshared keys differ.
	ErrNotAuthentic = errors.New("read handshake: not authentic")
	// ErrPayload: authentic, but its content makes no sense.
	ErrPayload = errors.New("read handshake: malformed content")

	// ErrNoAttempt: nothing was begun, or it is already decided.
	ErrNoAttempt = errors.New("read handshake: no attempt is open")
	// ErrCookie: the server is busy and gave a cookie; Datagram has it now, send it again on that link.
	ErrCookie = errors.New("read handshake: server asks to send again with its cookie")

	// ErrUnderLoad: a cookie was asked for; the reply carries it.
	ErrUnderLoad = errors.New("answer initiation: under load, asked for a cookie")
	// ErrUnknownPeer: nobody with this public key is configured.
	ErrUnknownPeer = errors.New("answer initiation: unknown peer")
	// ErrReplayed: an earlier attempt than the one that last led to a session.
	ErrReplayed = errors.New("answer initiation: replayed")
	// ErrRefused: the peer was told why it gets no session; see Refusal.
	ErrRefused = errors.New("handshake refused")

	// ErrKey: a text is not a key.
	ErrKey = errors.New("parse key: 44 characters of base64 expected, as 'mpproxy genkey' prints them")
)

// VersionError is the server's word that it speaks another version. errors.Is(err, ErrVersion) holds for it.
// It is a hint only: anybody who knows the server's public key and sees the initiation can say so.
type VersionError struct{ Server uint8 }

// Error says which side to update.
func (e VersionError) Error() string {
	if e.Server < Version {
		return fmt.Sprintf("server runs an older mpproxy (protocol %d, here %d): update the server", e.Server, Version)
	}
	return fmt.Sprintf("server runs a newer mpproxy (protocol %d, here %d): update this router", e.Server, Version)
}

// Unwrap returns ErrVersion.
func (e VersionError) Unwrap() error { return ErrVersion }

// Status is the server's decision in its answer. The values are on the wire.
type Status uint8

// The decisions.
const (
	StatusOK       Status = 0
	StatusRevoked  Status = 1
	StatusMismatch Status = 2
	StatusFull     Status = 3
	StatusToken    Status = 4 // the pairing token is not good
)

// Refusal is the server's authentic decision against a session. errors.Is(err, ErrRefused) holds for it.
type Refusal struct {
	Status Status
	// Text is for people, at most MaxTextBytes of UTF-8.
	Text string
}

// Error says what the server said.
func (e Refusal) Error() string {
	return fmt.Sprintf("server refuses the session: %s (code %d)", e.Text, e.Status)
}

// Unwrap returns ErrRefused.
func (e Refusal) Unwrap() error { return ErrRefused }
