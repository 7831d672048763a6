package session

import "errors"

// Reasons for which a datagram is dropped before the engine sees it, one each, to be counted.
var (
	// ErrTruncated: shorter than header and tag.
	ErrTruncated = errors.New("open datagram: too short")
	// ErrNotData: no data datagram.
	ErrNotData = errors.New("open datagram: not a data datagram")
	// ErrUnknownID: nobody has this connection id.
	ErrUnknownID = errors.New("open datagram: unknown connection id")
	// ErrOldEpoch: the key epoch is past, or none that could come now.
	ErrOldEpoch = errors.New("open datagram: key epoch not in use")
	// ErrNotAuthentic: no key that it could have been protected with opens it.
	ErrNotAuthentic = errors.New("open datagram: not authentic")
	// ErrExhausted: the key has withstood MaxFailures forgeries; a new handshake is needed.
	ErrExhausted = errors.New("open datagram: too many forgeries, key retired")

	// ErrSuite: no such suite or protection.
	ErrSuite = errors.New("make keys: unknown suite or protection")
)
