package handshake

import (
	"encoding/binary"
	"strings"

	"mpproxy/src/engine/session"
)

// Instance names one start of a router's process: 8 random bytes.
type Instance [8]byte

// Entries of the payload of noise message 1.
const (
	askSuites   = 1 // suites, the preferred first
	askRekey    = 2 // session id u64
	askInstance = 3 // instance 8 | attempt u32
	askToken    = 4 // opaque
)

// Entries of the payload of noise message 2.
const (
	sayStatus  = 1 // status u8 | text
	saySession = 2 // session id u64
	saySuite   = 3 // suite u8
	sayRekey   = 4 // u8: 1 if the session goes on
)

// maxSuites bounds the suites of an initiation; further ones are ignored.
const maxSuites = 8

// request is the payload of noise message 1.
type request struct {
	suites   []session.Suite
	rekey    uint64
	instance Instance
	attempt  uint32
	token    []byte
}

func (q request) append(dst []byte) []byte {
	n := min(len(q.suites), maxSuites)
	dst = append(dst, askSuites, byte(n))
	for _, s := range q.suites[:n] {
		dst = append(dst, byte(s))
	}
	if q.rekey != 0 {
		dst = binary.BigEndian.AppendUint64(append(dst, askRekey, 8), q.rekey)
	}
	dst = append(append(dst, askInstance, 12), q.instance[:]...)
	dst = binary.BigEndian.AppendUint32(dst, q.attempt)
	if n := min(len(q.token), MaxTokenBytes); n > 0 {
		dst = append(append(dst, askToken, byte(n)), q.token[:n]...)
	}
	return dst
}

func parseRequest(b []byte) (q request, err error) {
	err = entries(b, func(kind byte, v []byte) bool {
		switch kind {
		case askSuites:
			q.suites = nil
			for _, s := range v[:min(len(v), maxSuites)] {
				q.suites = append(q.suites, session.Suite(s))
			}
		case askRekey:
			if len(v) != 8 {
				return false
			}
			q.rekey = binary.BigEndian.Uint64(v)
		case askInstance:
			if len(v) != 12 {
				return false
			}
			q.instance, q.attempt = Instance(v[:8]), binary.BigEndian.Uint32(v[8:])
		case askToken:
			q.token = v
			return len(v) <= MaxTokenBytes
		}
		return true
	})
	return q, err
}

// answer is the payload of noise message 2.
type answer struct {
	status  Status
	text    string
	session uint64
	suite   session.Suite
	rekey   bool
}

func (a answer) append(dst []byte) []byte {
	text := a.text[:min(len(a.text), MaxTextBytes)]
	dst = append(append(dst, sayStatus, byte(1+len(text)), byte(a.status)), text...)
	if a.status != StatusOK {
		return dst
	}
	dst = binary.BigEndian.AppendUint64(append(dst, saySession, 8), a.session)
	dst = append(dst, saySuite, 1, byte(a.suite))
	if a.rekey {
		dst = append(dst, sayRekey, 1, 1)
	}
	return dst
}

func parseAnswer(b []byte) (a answer, err error) {
	seen := false
	err = entries(b, func(kind byte, v []byte) bool {
		switch kind {
		case sayStatus:
			if len(v) < 1 || len(v) > 1+MaxTextBytes {
				return false
			}
			a.status, a.text, seen = Status(v[0]), printable(v[1:]), true
		case saySession:
			if len(v) != 8 {
				return false
			}
			a.session = binary.BigEndian.Uint64(v)
		case saySuite:
			if len(v) != 1 {
				return false
			}
			a.suite = session.Suite(v[0])
		case sayRekey:
			if len(v) != 1 {
				return false
			}
			a.rekey = v[0] == 1
		}
		return true
	})
	if err == nil && (!seen || a.status == StatusOK && a.session == 0) {
		err = ErrPayload
	}
	return a, err
}

// printable makes text from the other side fit to be shown: no control characters.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F || r >= 0x80 && r < 0xA0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(b), "?"))
}

// entries calls each for every entry of b; each is false for a value that cannot be.
func entries(b []byte, each func(kind byte, value []byte) bool) error {
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return ErrPayload
		}
		n := 2 + int(b[1])
		if !each(b[0], b[2:n:n]) {
			return ErrPayload
		}
		b = b[n:]
	}
	return nil
}
