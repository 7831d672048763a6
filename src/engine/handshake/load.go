package handshake

import (
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/crypto/blake2s"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/wire"
)

// load tells whether more initiations come than limit per second.
type load struct {
	limit   int
	start   mono.Time
	count   int
	exceeds bool
}

// exceeded counts one initiation. It stays true until a whole second brought less than the limit.
func (l *load) exceeded(now mono.Time) bool {
	if age := now.Sub(l.start); age >= time.Second || age < 0 {
		l.exceeds = age < 2*time.Second && l.count > l.limit
		l.start, l.count = now, 0
	}
	l.count++
	return l.exceeds || l.count > l.limit
}

// cookieSecret is what cookies are made with for CookieLifetime.
type cookieSecret struct {
	secret [KeyBytes]byte
	since  mono.Time
	drawn  bool
}

// refresh draws a new secret if the old one is too old.
func (c *cookieSecret) refresh(now mono.Time, random io.Reader) error {
	if c.drawn && now.Sub(c.since) < CookieLifetime {
		return nil
	}
	if _, err := io.ReadFull(random, c.secret[:]); err != nil {
		c.drawn = false
		return fmt.Errorf("draw cookie secret: %w", err)
	}
	c.since, c.drawn = now, true
	return nil
}

// checkCookie reports whether MAC2 proves that the sender receives at its address; else it makes the cookie reply.
func (r *Responder) checkCookie(now mono.Time, from netip.AddrPort, datagram []byte) (ok bool, reply []byte, err error) {
	if err := r.cookies.refresh(now, r.params.Random); err != nil {
		return false, nil, err
	}
	cookie := cookieFor(&r.cookies.secret, from.Addr())
	covered := datagram[:len(datagram)-macBytes]
	if equalMAC(mac(cookie[:], covered), datagram[len(covered):]) {
		return true, nil, nil
	}
	reply = appendHeader(make([]byte, 0, cookieReplyBytes), byte(wire.KindCookieReply), Version, 0, idOf(datagram))
	reply = reply[:headerBytes+cookieNonceBytes]
	nonce := reply[headerBytes:]
	if _, err := io.ReadFull(r.params.Random, nonce); err != nil {
		return false, nil, fmt.Errorf("draw cookie nonce: %w", err)
	}
	return false, cookieCipher(r.own.public).Seal(reply, nonce, cookie[:], mac1Of(datagram)), ErrUnderLoad
}

// answerCache keeps the last answers by the hash of their initiation. Zero is ready.
type answerCache struct {
	answers map[[blake2s.Size]byte][]byte
	order   [][blake2s.Size]byte
	oldest  int
}

func (c *answerCache) get(key [blake2s.Size]byte) []byte { return c.answers[key] }

// put adds an answer whose key is not there yet.
func (c *answerCache) put(key [blake2s.Size]byte, reply []byte) {
	if c.answers == nil {
		c.answers = map[[blake2s.Size]byte][]byte{}
	}
	if len(c.order) < cachedAnswers {
		c.order = append(c.order, key)
	} else {
		delete(c.answers, c.order[c.oldest])
		c.order[c.oldest] = key
		c.oldest = (c.oldest + 1) % cachedAnswers
	}
	c.answers[key] = reply
}
