package wire

import "errors"

// Causes for which a frame or a configuration is refused; one each, so that drops can be counted by reason.
var (
	// ErrTruncated: the bytes end inside a frame.
	ErrTruncated = errors.New("parse frame: bytes end too early")
	// ErrUnknownFrame: the type is not known to this version; nothing behind it can be read.
	ErrUnknownFrame = errors.New("parse frame: unknown type")
	// ErrReserved: a reserved bit or value is used.
	ErrReserved = errors.New("parse frame: reserved bits set")
	// ErrRange: a field is outside its range.
	ErrRange = errors.New("parse frame: field out of range")
	// ErrTooLong: more elements or bytes than the frame's bound.
	ErrTooLong = errors.New("parse frame: too long")
	// ErrConfig: a session configuration is malformed.
	ErrConfig = errors.New("parse session configuration: malformed")
)
