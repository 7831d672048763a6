package streams

import (
	"context"
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"mpproxy/src/mpp"
	"mpproxy/src/park"
)

// Way is how one subflow reaches the other portal.
type Way struct {
	// Name is for status.
	Name string
	// Dial connects. It may take relays on the way.
	Dial func(ctx context.Context) (net.Conn, error)
	// Direct says that the time to connect is a round trip to the other portal.
	Direct bool
	// Key, if set, has some subflows set up in advance for ways of the same key, which must lead the same way.
	Key string
}

// ErrNoSecret means that there is no session to take keys from.
var ErrNoSecret = errors.New("open stream: there is no session with the other side")

// ErrNoMemory means that the pool does not hold one more stream.
var ErrNoMemory = errors.New("open stream: the memory for connections over several links is used up")

// Client opens streams. Make it with NewClient. Safe for concurrent use.
type Client struct {
	home     home
	instance uint64
	count    atomic.Uint32
	mu       sync.Mutex
	secret   mpp.Secret
	has      bool
	ticket   uint64
	shake    Shake
	shaken   bool      // the secret is of a handshake of ours, not of a session
	made     time.Time // when that was
	doubt    bool      // the server may not know it any more
	clearing bool      // a timer looks for subflows that have waited too long
	streams  map[uint64]*Stream
	shelves  map[string]*shelf
}

// NewClient returns a client. instance is a random number of this start of the program: MIDs are never used twice.
func NewClient(clock Clock, pool *mpp.Pool, instance uint32) *Client {
	c := &Client{instance: uint64(instance) << 32, streams: make(map[uint64]*Stream), shelves: make(map[string]*shelf)}
	c.home = home{clock: clock, pool: pool, opener: true, patience: orphanTime, start: time.Now(), forget: func(mid uint64) {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.streams, mid)
	}}
	return c
}

// SetLot has subflows that carry nothing wait in a lot, without a goroutine each. Call it before Open.
func (c *Client) SetLot(l *park.Lot) { c.home.lot = l }

// SetSecret changes what new subflows are keyed with.
func (c *Client) SetSecret(s mpp.Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.has || s.ID() != c.secret.ID() {
		c.secret, c.has, c.ticket, c.shaken, c.doubt = s, true, 0, false, false
	}
}

// same tells ways apart: the same name may lead over another device now.
func (w Way) same(as Way) bool { return w.Name == as.Name && w.Key == as.Key }

// next takes a ticket.
func (c *Client) next() (mpp.Secret, uint64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ticket++
	return c.secret, c.ticket, c.has
}

// Open begins a stream over these ways, all at the same time; data goes over the first that stands.
func (c *Client) Open(ways []Way) (*Stream, error) {
	c.mu.Lock()
	has := c.has || c.shake != nil
	c.mu.Unlock()
	if !has || len(ways) == 0 {
		return nil, ErrNoSecret
	}
	s := newStream(&c.home, c.instance|uint64(c.count.Add(1)))
	if s == nil {
		return nil, ErrNoMemory
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[s.mid] = s
	c.extend(s, ways)
	return s, nil
}

// Extend gives streams, by their numbers, the ways that they have not yet, as when a link came up; they keep those that
// they have. A way that is there several times has as many subflows.
func (c *Client) Extend(ways map[uint64][]Way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for mid, s := range c.streams {
		c.extend(s, ways[mid])
	}
}

// extend is Extend for one; with the lock held.
func (c *Client) extend(s *Stream, ways []Way) {
	for i, w := range ways {
		missing := 0
		for _, each := range ways[:i+1] {
			if each.same(w) {
				missing++
			}
		}
		for _, each := range s.keepers {
			if each.way.same(w) {
				missing--
			}
		}
		if missing > 0 {
			one := &keeper{c, s, w, firstRedial}
			s.keepers = append(s.keepers, one)
			go one.run()
		}
	}
}

// Active is how many streams live.
func (c *Client) Active() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

// Alive reports whether the stream of a number lives.
func (c *Client) Alive(mid uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[mid] != nil
}

// Info describes the stream of a number; false if there is none.
func (c *Client) Info(mid uint64) (Info, bool) {
	c.mu.Lock()
	s := c.streams[mid]
	c.mu.Unlock()
	if s == nil {
		return Info{}, false
	}
	return s.Info(), true
}

// keeper has a subflow over a way for as long as the stream lives.
type keeper struct {
	client *Client
	stream *Stream
	way    Way
	pause  time.Duration
}

// run sets the subflow up, as often as it takes, and has it read; once that is over, again goes on.
func (k *keeper) run() {
	for {
		if f := k.client.connect(k.stream, k.way); f != nil {
			f.owner = k
			f.run()
			return
		}
		if !k.wait() {
			return
		}
	}
}

// ended implements owner.
func (k *keeper) ended(heard bool) { go k.again(heard) }

// again follows the subflow's end. If something was heard, the way leads there, whatever ended this subflow.
func (k *keeper) again(heard bool) {
	if heard {
		k.pause = firstRedial
	}
	if k.wait() {
		k.run()
	}
}

// wait waits before the next try, ever longer; false: the stream is over.
func (k *keeper) wait() bool {
	over := k.stream.hold()
	defer k.stream.letGo()
	select {
	case <-over:
		return false
	case <-time.After(k.pause):
		k.pause = min(2*k.pause, lastRedial)
		return true
	}
}

// connect sets one subflow up; nil if that failed, or if the stream has had as many as there are numbers for.
func (c *Client) connect(s *Stream, w Way) *subflow {
	if s.ids.Load() >= math.MaxUint16 {
		return nil
	}
	if k, ok := c.take(w); ok {
		return c.warmSubflow(s, w, k)
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	over := s.hold()
	defer s.letGo()
	go func() {
		select {
		case <-over:
			cancel()
		case <-stop:
		}
	}()
	begin := time.Now()
	conn, err := w.Dial(ctx)
	if err != nil {
		return nil
	}
	took := time.Since(begin)
	hello, seal, open, err := c.introduce(ctx, conn)
	id := s.ids.Add(1)
	if err != nil || id > math.MaxUint16 {
		conn.Close()
		return nil
	}
	k := newSubflow(conn, uint16(id), w.Name, seal, open)
	k.hello = hello
	k.unheard = func() { c.distrust(hello) }
	if w.Direct {
		k.rtt = took
	}
	k.stream = s
	if !s.add(k) {
		conn.Close()
		return nil
	}
	return k
}
