package mpp

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
)

// Hello bytes.
const (
	// HelloBytes is the length of a hello.
	HelloBytes = 18
	// HelloMagic is its first byte, so that one port can serve other protocols too.
	HelloMagic = 'M'
	version    = 1
	lengthSize = 2
	// Overhead is what a record adds to its plaintext.
	Overhead = lengthSize + wire.TagBytes
)

// Errors of subflows.
var (
	ErrHello  = errors.New("parse hello: not a hello of this version")
	ErrForged = errors.New("open record: not authentic")
	ErrLength = errors.New("open record: impossible length")
)

// Secret is what both portals export from their live session for subflows. It is not to be stored or shown.
type Secret struct {
	suite session.Suite
	key   [session.SecretBytes]byte
	id    uint64
}

// NewSecret prepares what a session exported.
func NewSecret(suite session.Suite, exported [session.SecretBytes]byte) Secret {
	id := derive(exported, "mpproxy mpp id")
	return Secret{suite, derive(exported, "mpproxy mpp subflows"), binary.BigEndian.Uint64(id[:])}
}

// ID names the secret in hellos.
func (s Secret) ID() uint64 { return s.id }

// String hides the secret from logs.
func (s Secret) String() string { return "(secret hidden)" }

// Client returns both directions of a subflow for the side that opens it. A ticket is used once for each secret.
func (s Secret) Client(ticket uint64) (*Sealer, *Opener, error) {
	return s.subflow(ticket, "up", "down")
}

// Server returns both directions for the side that accepted the subflow.
func (s Secret) Server(ticket uint64) (*Sealer, *Opener, error) {
	return s.subflow(ticket, "down", "up")
}

func (s Secret) subflow(ticket uint64, out, in string) (*Sealer, *Opener, error) {
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], ticket)
	ends := &struct { // one piece of memory
		seal Sealer
		open Opener
	}{
		Sealer{guard{suite: s.suite, secret: derive(s.key, out+string(number[:]))}},
		Opener{guard{suite: s.suite, secret: derive(s.key, in+string(number[:]))}},
	}
	return &ends.seal, &ends.open, errors.Join(ends.seal.ready(), ends.open.ready())
}

// guard protects one direction of a subflow. Its keys, which are large, are made of the secret when they are needed.
type guard struct {
	suite  session.Suite
	secret [session.SecretBytes]byte
	live   *live // nil: at rest
	number uint64
}

// live is what is in use while records come and go.
type live struct {
	keys   *session.Keys
	sealer session.Sealer
	opener session.Opener
}

// ready makes the keys, unless they are there. It fails for a suite that does not exist.
func (r *guard) ready() error {
	if r.live != nil {
		return nil
	}
	keys, err := session.NewKeys(r.suite, session.Encrypt, r.secret)
	if err == nil {
		r.live = &live{keys: keys}
	}
	return err
}

// Rest gives up what can be made again: an idle subflow needs little.
func (r *guard) Rest() { r.live = nil }

func derive(secret [session.SecretBytes]byte, label string) (out [session.SecretBytes]byte) {
	b, err := hkdf.Expand(sha256.New, secret[:], label, len(out))
	if err != nil {
		panic("mpp: " + err.Error()) // only an output that is too long makes it fail
	}
	copy(out[:], b)
	return out
}

// AppendHello appends a hello.
func AppendHello(b []byte, secret, ticket uint64) []byte {
	b = binary.BigEndian.AppendUint64(append(b, HelloMagic, version), secret)
	return binary.BigEndian.AppendUint64(b, ticket)
}

// ParseHello takes a hello apart: HelloBytes are needed.
func ParseHello(b []byte) (secret, ticket uint64, err error) {
	if len(b) < HelloBytes || b[0] != HelloMagic || b[1] != version {
		return 0, 0, ErrHello
	}
	return binary.BigEndian.Uint64(b[2:]), binary.BigEndian.Uint64(b[10:]), nil
}

// Sealer protects the records of one direction of a subflow.
type Sealer struct{ guard }

// RecordSpace is where in a buffer the plaintext of a record begins, for Seal.
const RecordSpace = lengthSize

// Seal turns b into a record in place: RecordSpace free bytes, then the plaintext, at most MaxRecord of it, with
// capacity for the tag behind.
func (s *Sealer) Seal(b []byte) []byte {
	if err := s.ready(); err != nil {
		panic("mpp: " + err.Error()) // it was ready once, and this does not change
	}
	plain := b[lengthSize:]
	binary.BigEndian.PutUint16(b, uint16(len(plain)+wire.TagBytes))
	out := s.live.sealer.Seal(s.live.keys, b[:lengthSize], b[:lengthSize:lengthSize], plain, 0, s.number)
	s.number++
	return out
}

// Opener opens the records of one direction of a subflow.
type Opener struct{ guard }

// Open opens the first record of b in place. It returns its plaintext and how many bytes of b it took; 0 if the
// record is not whole yet, and needs so many bytes in all. After an error the subflow is to be closed.
func (o *Opener) Open(b []byte) (plain []byte, took, needs int, err error) {
	if len(b) < lengthSize {
		return nil, 0, lengthSize, nil
	}
	n := int(binary.BigEndian.Uint16(b))
	if n < wire.TagBytes || n > MaxRecord+wire.TagBytes {
		return nil, 0, 0, ErrLength
	}
	if len(b) < lengthSize+n {
		return nil, 0, lengthSize + n, nil
	}
	if err := o.ready(); err != nil {
		return nil, 0, 0, err
	}
	body := b[lengthSize : lengthSize+n]
	plain, err = o.live.opener.OpenWith(o.live.keys, body[:0], b[:lengthSize:lengthSize], body, 0, o.number)
	if err != nil {
		return nil, 0, 0, ErrForged
	}
	o.number++
	return plain, lengthSize + n, 0, nil
}
