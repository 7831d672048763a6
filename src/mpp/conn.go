package mpp

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"mpproxy/src/engine/mono"
)

// Params make a Conn.
type Params struct {
	// MID is the connection's id.
	MID uint64
	// Opener says that this side opens the subflows, and attaches them.
	Opener bool
	// Pool is the memory, shared with other connections.
	Pool *Pool
	// MaxBuffer bounds what is kept in each direction; 0 means half of the pool, at most 24 MiB: 100 Mbit/s while a link
	// with a round trip of 600 ms repeats a loss. A connection alone may have that; many share.
	MaxBuffer int
}

// ResetError is how a connection ends that was not closed.
type ResetError struct {
	Code   Code
	Remote bool // the other side said so
}

// Error is the code in words.
func (e *ResetError) Error() string { return e.Code.String() }

// ErrClosedWrite is returned for writing after CloseWrite.
var ErrClosedWrite = errors.New("write stream: closed for writing")

// Counts are a Conn's sums. Bytes are of payload.
type Counts struct {
	Sent, Received uint64 // of the streams, once each
	Again          uint64 // bytes sent another time
	Doubled        uint64 // bytes received another time
	Refused        uint64 // bytes for which there was no memory
}

// Conn is one end of a connection. Make it with NewConn; end it with Close.
type Conn struct {
	p      Params
	err    error
	closed bool
	subs   []*subflow
	frame  *Frame // what is just parsed; nil: at rest
	counts Counts

	// Sending: acked <= sent <= end of what was written (and one more for the end).
	out         buffer
	acked, sent uint64
	written     uint64
	fin         bool
	limit       uint64
	capacity    int
	full        mono.Time // when the client last wrote all that there was room for
	segs        []*segment
	firstSeg    int
	spare       []*segment
	lost        int
	came        int // segments that came, see segment

	// Receiving: read <= next <= what is held. The end counts in next, as in the spans that are held.
	in       buffer
	held     spans
	read     uint64
	next     uint64
	finAt    uint64
	finKnown bool
	window   int
	told     uint64 // the limit last told
	meter    meter
	ackAt    mono.Time // when an acknowledgement is due; 0: none is
	ackNew   int
	ticked   mono.Time // when OnTimeout was last called
	ranges   []Span
	progress []Progress
}

// meter measures how fast the client takes what has come.
type meter struct {
	since mono.Time
	read  uint64
}

// NewConn returns a connection without subflows.
func NewConn(now mono.Time, p Params) *Conn {
	c := newConn(p)
	c.meter.since = now
	return c
}

func newConn(p Params) *Conn {
	if p.MaxBuffer == 0 {
		p.MaxBuffer = min(24<<20, p.Pool.Limit()/2)
	}
	p.MaxBuffer = max(p.MaxBuffer, initialWindow)
	return &Conn{
		p: p, out: buffer{pool: p.Pool}, in: buffer{pool: p.Pool}, limit: initialWindow, capacity: initialWindow,
		window: initialWindow, told: initialWindow,
	}
}

// MID returns the connection's id.
func (c *Conn) MID() uint64 { return c.p.MID }

// Counts returns the sums so far.
func (c *Conn) Counts() Counts {
	n := c.counts
	n.Sent, n.Received = min(c.acked, c.written), c.come()
	return n
}

// Err returns why the connection broke, a *ResetError, or nil.
func (c *Conn) Err() error { return c.err }

// Write takes bytes of the client, as many as there is room for: 0 means to try again after an acknowledgement.
func (c *Conn) Write(now mono.Time, p []byte) (int, error) {
	switch {
	case c.err != nil:
		return 0, c.err
	case c.fin || c.closed:
		return 0, ErrClosedWrite
	}
	n := c.out.put(c.written, p[:min(len(p), c.Room())])
	c.written += uint64(n)
	if n < len(p) || c.Room() == 0 {
		c.full = now
	}
	return n, nil
}

// Room is how many bytes Write would take, if the pool has them.
func (c *Conn) Room() int {
	if c.p.Pool.fill() > poolPressure {
		return max(0, minWindow-int(c.written-c.acked))
	}
	return max(0, c.capacity-int(c.written-c.acked))
}

// CloseWrite ends the stream to the other side behind what was written.
func (c *Conn) CloseWrite() { c.fin = true }

// end is behind all there is to send; the end itself counts as one byte.
func (c *Conn) end() uint64 {
	if c.fin {
		return c.written + 1
	}
	return c.written
}

// Readable reports whether Read would return something: bytes, the end, or an error.
func (c *Conn) Readable() bool { return c.err != nil || c.come() > c.read || c.ended() }

// come is behind the last byte that can be read.
func (c *Conn) come() uint64 {
	if c.finKnown {
		return min(c.next, c.finAt)
	}
	return c.next
}

func (c *Conn) ended() bool { return c.finKnown && c.read == c.finAt }

// Read copies what has come in order into p. 0 and nil mean that nothing is there yet; io.EOF is the end.
func (c *Conn) Read(now mono.Time, p []byte) (int, error) {
	n := 0
	for to := c.come(); n < len(p) && c.read < to; {
		part := copy(p[n:], c.in.view(c.read, int(min(to-c.read, BlockBytes))))
		n += part
		c.read += uint64(part)
	}
	if n > 0 {
		c.in.release(c.read)
		c.grow(now)
		return n, nil
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.ended():
		return 0, io.EOF
	}
	return 0, nil
}

// Reset breaks the connection off; the other side is told on all subflows.
func (c *Conn) Reset(code Code) { c.fail(&ResetError{Code: code}) }

func (c *Conn) fail(err *ResetError) {
	if c.err != nil {
		return
	}
	c.err = err
	for _, s := range c.subs {
		s.reset = !err.Remote
	}
	c.free()
}

// Close gives the memory back. The connection is not to be used any more.
func (c *Conn) Close() {
	if !c.closed {
		c.closed = true
		c.free()
	}
}

func (c *Conn) free() {
	c.out.drop()
	c.in.drop()
	c.segs, c.firstSeg, c.lost, c.came, c.held = nil, 0, 0, 0, nil
	c.next = c.read
}

// Finished reports that nothing is to be done any more: both streams have ended and both ends know it, or the
// connection broke and the other side was told. The subflows can then be closed, each after its last record. Without
// any subflow nobody is left to hear the last acknowledgement: most likely the other side was finished first.
func (c *Conn) Finished() bool {
	if c.err == nil && len(c.subs) == 0 {
		return c.fin && c.acked == c.end() && c.complete()
	}
	for _, s := range c.subs {
		if s.reset || c.err == nil && s.ackHere {
			return false
		}
	}
	return c.err != nil || c.fin && c.acked == c.end() && c.complete() && c.ackAt == 0
}

// complete reports that all of the other side's stream has come.
func (c *Conn) complete() bool {
	return c.finKnown && c.next > c.finAt
}

// Add gives the connection a subflow. Its number is the opener's to choose, not 0, and not used before in this
// connection; false if it is in use or there are too many.
func (c *Conn) Add(now mono.Time, id uint16) bool {
	if id == 0 || len(c.subs) >= maxSubflows || c.find(id) != nil {
		return false
	}
	s := &subflow{id: id, attach: c.p.Opener, pingAt: now, heard: now, reset: c.err != nil}
	c.subs = append(c.subs, s)
	if c.told > initialWindow || c.next > 0 {
		c.ackAt = now // the other side may have missed the last one
	}
	return true
}

// Hint tells what is known of a new subflow's round trip, as from setting up its TCP connection, so that it need not
// be asked for first.
func (c *Conn) Hint(now mono.Time, id uint16, rtt time.Duration) {
	if s := c.find(id); s != nil {
		s.hint(now, rtt)
	}
}

// Starting tells whether a subflow's own congestion control still looks for its rate. It finds it only if it always has
// something to send.
func (c *Conn) Starting(id uint16, on bool) {
	if s := c.find(id); s != nil {
		s.starting = on
	}
}

// Remove tells that a subflow is dead, or not to be used any more: what was on it goes out on others.
func (c *Conn) Remove(now mono.Time, id uint16) {
	i := slices.IndexFunc(c.subs, func(s *subflow) bool { return s.id == id })
	if i < 0 {
		return
	}
	s := c.subs[i]
	c.subs = slices.Delete(c.subs, i, i+1)
	for i := range s.flying() {
		f := &s.flying()[i]
		c.landed(s, f)
		if f.seg.late == f.seg.flights {
			c.lose(f.seg, now)
		}
	}
	if c.next > 0 || c.finKnown {
		c.ackAt = now
	}
}

// Subflows returns how many subflows there are.
func (c *Conn) Subflows() int { return len(c.subs) }

func (c *Conn) find(id uint16) *subflow {
	for _, s := range c.subs {
		if s.id == id {
			return s
		}
	}
	return nil
}

// SubflowInfo describes a subflow for status.
type SubflowInfo struct {
	ID             uint16
	Sent, Received uint64 // bytes of payload
	InFlight       int
	Rate           float64 // bytes per second, as far as known
	RTT            time.Duration
	Stalled        bool
}

// Info describes a subflow; false if there is none of that number.
func (c *Conn) Info(now mono.Time, id uint16) (SubflowInfo, bool) {
	s := c.find(id)
	if s == nil {
		return SubflowInfo{}, false
	}
	return SubflowInfo{s.id, s.sent, s.got, s.inflight(), s.rate.value(), s.srtt, s.stalled}, true
}

// Dead reports that a subflow has not answered for too long: the caller closes and removes it.
func (c *Conn) Dead(now mono.Time, id uint16) bool {
	s := c.find(id)
	return s != nil && s.pingSent != 0 && now.Sub(mono.Max(s.pingSent, s.heard)) > deadAfter
}

// String describes the connection for people who look for errors.
func (c *Conn) String() string {
	return fmt.Sprintf("mid %x acked %d sent %d written %d fin %v limit %d capacity %d segs %d lost %d | read %d next %d fin %v@%d held %d window %d told %d | subs %d err %v",
		c.p.MID, c.acked, c.sent, c.written, c.fin, c.limit, c.capacity, len(c.segs)-c.firstSeg, c.lost,
		c.read, c.next, c.finKnown, c.finAt, len(c.held), c.window, c.told, len(c.subs), c.err)
}
