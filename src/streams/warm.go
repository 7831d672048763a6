package streams

import (
	"context"
	"net"
	"time"

	"mpproxy/src/mpp"
)

const (
	// warmAge is how long a subflow waits for a stream: shorter than translators on the way forget it.
	warmAge = 45 * time.Second
	// warmLooks is how often in that time it is looked for those that have waited for too long.
	warmLooks = 10
	// warmServer is how long the server keeps one that waits.
	warmServer = 2 * warmAge
	// warmEach is how many wait for each way that is in use, and warmFor how long after its last use.
	warmEach = 2
	warmFor  = 30 * time.Second
	// warmAnswer, and warmRounds round trips, is how long one may be without an answer once a stream has it: what was on
	// the way may have changed while it waited, as a box that now strips the kernel's MPTCP of its options.
	warmAnswer = 3 * time.Second
	warmRounds = 4
)

// warmed is a subflow that has said hello and waits for a stream.
type warmed struct {
	conn net.Conn
	seal *mpp.Sealer
	open *mpp.Opener
	rtt  time.Duration
	at   time.Time
}

// shelf holds the waiting subflows of one way.
type shelf struct {
	way     Way
	ready   []warmed
	dialing int
	used    time.Time
}

// take returns a waiting subflow for a way, and has the shelf filled again: a new stream then needs no round trip.
func (c *Client) take(w Way) (warmed, bool) {
	if w.Key == "" {
		return warmed{}, false
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shelves[w.Key]
	if s == nil {
		s = &shelf{}
		c.shelves[w.Key] = s
	}
	s.way, s.used = w, now
	c.expire(now)
	var out warmed
	ok := len(s.ready) > 0
	if ok {
		out = s.ready[len(s.ready)-1]
		s.ready = s.ready[:len(s.ready)-1]
	}
	for s.dialing+len(s.ready) < warmEach && !c.mustShake() { // one makes a secret, the others use it
		s.dialing++
		go c.warm(s, w)
	}
	return out, ok
}

// expire closes what has waited too long, and forgets ways that are not used; with the lock held.
func (c *Client) expire(now time.Time) {
	for key, s := range c.shelves {
		kept := s.ready[:0]
		for _, k := range s.ready {
			if now.Sub(k.at) < warmAge && now.Sub(s.used) < warmFor {
				kept = append(kept, k)
			} else {
				_ = k.conn.Close()
			}
		}
		s.ready = kept
		if len(kept) == 0 && s.dialing == 0 && now.Sub(s.used) > warmFor {
			delete(c.shelves, key)
		}
	}
}

// warm sets one subflow up and puts it on the shelf.
func (c *Client) warm(s *shelf, w Way) {
	k, err := c.greet(w)
	c.mu.Lock()
	defer c.mu.Unlock()
	s.dialing--
	switch {
	case err != nil:
	case c.shelves[w.Key] != s: // it was cleared away meanwhile
		_ = k.conn.Close()
	default:
		s.ready = append(s.ready, k)
	}
	c.clear()
}

// clear has a timer look for what has waited too long, for as long as anything waits; with the lock held.
func (c *Client) clear() {
	waiting := false
	for _, s := range c.shelves {
		waiting = waiting || len(s.ready) > 0
	}
	if c.clearing || !waiting {
		return
	}
	c.clearing = true
	time.AfterFunc(warmAge/warmLooks, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.clearing = false
		c.expire(time.Now())
		c.clear()
	})
}

// greet connects and says hello, with a ping of no connection as first record.
func (c *Client) greet(w Way) (warmed, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	begin := time.Now()
	conn, err := w.Dial(ctx)
	if err != nil {
		return warmed{}, err
	}
	k := warmed{conn: conn, at: time.Now()}
	if w.Direct {
		k.rtt = time.Since(begin)
	}
	secret, ticket, ok := c.next()
	if !ok {
		_ = conn.Close()
		return warmed{}, ErrNoSecret
	}
	if k.seal, k.open, err = secret.Client(ticket); err == nil {
		b := make([]byte, mpp.RecordSpace, 256)
		rec := k.seal.Seal(mpp.AppendFrame(b, &mpp.Frame{Type: mpp.FramePing}))
		_, err = conn.Write(append(mpp.AppendHello(nil, secret.ID(), ticket), rec...))
	}
	if err != nil {
		_ = conn.Close()
		return warmed{}, err
	}
	return k, nil
}

// Close closes the subflows that wait. Streams live on.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, s := range c.shelves {
		for _, k := range s.ready {
			_ = k.conn.Close()
		}
		s.ready = nil
		delete(c.shelves, key)
	}
}

// warmSubflow makes a subflow of a stream of one that waited.
func (c *Client) warmSubflow(s *Stream, w Way, k warmed) *subflow {
	id := s.ids.Add(1)
	if id > 0xffff {
		_ = k.conn.Close()
		return nil
	}
	f := newSubflow(k.conn, uint16(id), w.Name, k.seal, k.open)
	f.rtt, f.stream = k.rtt, s
	if !s.add(f) {
		_ = k.conn.Close()
		return nil
	}
	time.AfterFunc(warmAnswer+warmRounds*k.rtt, func() {
		if f.heard.Load() {
			return
		}
		s.mu.Lock()
		over := s.isOver
		if !over {
			f.close()
		}
		s.mu.Unlock()
		if !over {
			c.discard(w.Key) // those that wait beside it are most likely no better
		}
	})
	return f
}

// discard closes what waits for a way.
func (c *Client) discard(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.shelves[key]; s != nil {
		for _, k := range s.ready {
			_ = k.conn.Close()
		}
		s.ready = nil
	}
}
