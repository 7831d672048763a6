package streams

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"mpproxy/src/mpp"
)

// A subflow without a secret, because there is no session, makes one first. It costs a round trip:
//
//	'N' | version u8 | length u16 | initiation     -->
//	                  <--  length u16 | response
//	hello and records, keyed by what both now have -->
//
// The server keeps the secret once a first record has proved that the other side has it too, so that a copy of an
// initiation is worth nothing.
const (
	shakeMagic     = 'N'
	shakeVersion   = 1
	shakeHeadBytes = 4
	// maxShakeBytes bounds either message.
	maxShakeBytes = 1500
	// shakenTime is how long a secret made in this way is used for new subflows.
	shakenTime = 10 * time.Minute
	// shakesPerSecond bounds the server's work for those who only know its public key.
	shakesPerSecond = 50
)

// Shake begins a handshake with the other side; finish takes its answer.
type Shake func() (initiation []byte, finish func(answer []byte) (mpp.Secret, error), err error)

// Answer is the server's side of a Shake: the answer, and who it is that can have the secret now.
type Answer func(from netip.AddrPort, initiation []byte) (answer []byte, peer string, secret mpp.Secret, err error)

// ErrShake means that there was no handshake.
var ErrShake = errors.New("make secret: the other side did not answer the handshake")

// SetShake lets subflows make a secret when no session has given one. Call it before Open.
func (c *Client) SetShake(s Shake) { c.shake = s }

// mustShake reports whether the next subflow needs a handshake, and can have one; with the lock held.
func (c *Client) mustShake() bool {
	return c.shake != nil && (!c.has || c.doubt || c.shaken && time.Since(c.made) > shakenTime)
}

// introduce makes the keys of a new subflow and the hello that names them.
func (c *Client) introduce(ctx context.Context, conn net.Conn) (hello []byte, seal *mpp.Sealer, open *mpp.Opener, err error) {
	c.mu.Lock()
	must := c.mustShake()
	c.mu.Unlock()
	var secret mpp.Secret
	var ticket uint64
	if must {
		if secret, err = c.shakeOver(ctx, conn); err != nil {
			return nil, nil, nil, err
		}
		ticket = c.adopt(secret)
	} else {
		ok := false
		if secret, ticket, ok = c.next(); !ok {
			return nil, nil, nil, ErrNoSecret
		}
	}
	seal, open, err = secret.Client(ticket)
	return mpp.AppendHello(nil, secret.ID(), ticket), seal, open, err
}

// adopt uses a new secret from now on, and returns its first ticket.
func (c *Client) adopt(s mpp.Secret) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secret, c.has, c.ticket, c.shaken, c.made, c.doubt = s, true, 1, true, time.Now(), false
	return 1
}

// distrust has the next subflow make a new secret: the server closed one without a word.
func (c *Client) distrust(hello []byte) {
	id, _, err := mpp.ParseHello(hello)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && id == c.secret.ID() {
		c.doubt = true
	}
}

func (c *Client) shakeOver(ctx context.Context, conn net.Conn) (mpp.Secret, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	initiation, finish, err := c.shake()
	if err != nil {
		return mpp.Secret{}, err
	}
	if err := conn.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return mpp.Secret{}, err
	}
	head := binary.BigEndian.AppendUint16([]byte{shakeMagic, shakeVersion}, uint16(len(initiation)))
	if _, err := conn.Write(append(head, initiation...)); err != nil {
		return mpp.Secret{}, fmt.Errorf("%w: %w", ErrShake, err)
	}
	var b [2 + maxShakeBytes]byte
	n, err := readAtLeast(conn, b[:2], 0, 2)
	if err == nil {
		size := int(binary.BigEndian.Uint16(b[:]))
		if size > maxShakeBytes {
			return mpp.Secret{}, ErrShake
		}
		n, err = readAtLeast(conn, b[:2+size], n, 2+size)
	}
	if err != nil {
		return mpp.Secret{}, fmt.Errorf("%w: %w", ErrShake, err)
	}
	secret, err := finish(b[2:n])
	if err != nil {
		return mpp.Secret{}, fmt.Errorf("make secret: %w", err)
	}
	if !stop() {
		return mpp.Secret{}, ctx.Err()
	}
	return secret, conn.SetDeadline(time.Time{})
}

// answer serves a handshake at the begin of a connection; what it returns is not yet proved.
func (s *Server) answer(conn net.Conn, in *intake) (*keyed, error) {
	if err := in.have(shakeHeadBytes); err != nil {
		return nil, err
	}
	head := in.b[:shakeHeadBytes]
	size := int(binary.BigEndian.Uint16(head[2:]))
	if head[1] != shakeVersion || size > maxShakeBytes || !s.shakes.take(time.Now()) {
		return nil, mpp.ErrHello
	}
	in.used = shakeHeadBytes
	if err := in.have(size); err != nil {
		return nil, err
	}
	initiation := in.b[in.used : in.used+size]
	in.used += size
	from, _ := conn.RemoteAddr().(*net.TCPAddr)
	at := netip.AddrPort{}
	if from != nil {
		at = from.AddrPort()
	}
	s.mu.Lock()
	removals := s.removals
	s.mu.Unlock()
	answer, peer, secret, err := s.Answer(at, initiation)
	if err != nil || len(answer) > maxShakeBytes {
		return nil, mpp.ErrHello
	}
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
		return nil, err
	}
	return &keyed{peer: peer, secret: secret, tickets: mpp.NewTickets(), asked: removals}, in.have(mpp.HelloBytes)
}

// have reads until so many bytes are there that were not used.
func (in *intake) have(n int) error {
	if in.used+n > len(in.b) {
		return mpp.ErrLength
	}
	var err error
	in.n, err = readAtLeast(in.conn, in.b, in.n, in.used+n)
	return err
}

// rateLimit lets so many through in a second.
type rateLimit struct {
	mu    sync.Mutex
	since time.Time
	left  float64
}

func (r *rateLimit) take(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = min(shakesPerSecond, r.left+now.Sub(r.since).Seconds()*shakesPerSecond)
	r.since = now
	if r.left < 1 {
		return false
	}
	r.left--
	return true
}
