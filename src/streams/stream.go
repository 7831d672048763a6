package streams

import (
	"context"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/mpp"
	"mpproxy/src/park"
)

// Clock tells the time on a monotonic clock.
type Clock func() mono.Time

// home is what all streams of a client, or of one router at a server, have in common.
type home struct {
	clock    Clock
	pool     *mpp.Pool
	lot      *park.Lot // where subflows wait that carry nothing; nil: goroutines wait
	opener   bool
	patience time.Duration    // of a stream without any subflow
	start    time.Time        // what streams count their times from
	forget   func(mid uint64) // called once for each, when its linger time is over
}

// Stream is one end of a multipath connection. Safe for concurrent use by one reader and one writer.
type Stream struct {
	*home
	mid     uint64
	born    time.Duration // after start
	mu      sync.Mutex
	conn    *mpp.Conn  // nil while the stream sleeps
	packed  mpp.Packed // what there is of conn then
	live    *live      // nil while it sleeps
	subs    []*subflow
	resting park.Waker // who is woken when there is something to read; nil: nobody
	orphan  mono.Time  // since when there is no subflow
	isOver  bool       // nothing is to be done any more
	read    bool       // the client has seen the end
	ids     atomic.Uint32
	keepers []*keeper // of the client's ways, under the client's lock
}

// live is what a stream needs while something moves, or somebody waits.
type live struct {
	cond     sync.Cond
	users    int // who wait for cond or over
	timer    *time.Timer
	armed    mono.Time
	deadline time.Duration // of Read, after start; 0: none
	alarm    *time.Timer
	over     chan struct{} // closed when nothing is to be done any more; nil: nobody has asked
}

// newStream reserves what a stream with a subflow takes; nil if there is too little left of the pool.
func newStream(h *home, mid uint64) *Stream {
	if !h.pool.Reserve(streamBytes) {
		return nil
	}
	now := h.clock()
	s := &Stream{home: h, mid: mid, orphan: now, born: time.Since(h.start)}
	s.conn = mpp.NewConn(now, s.params())
	s.begin()
	s.arm()
	return s
}

func (s *Stream) params() mpp.Params {
	return mpp.Params{MID: s.mid, Opener: s.opener, Pool: s.pool}
}

// Read implements io.Reader.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		s.wake()
		n, err := s.conn.Read(s.clock(), p)
		if err == io.EOF {
			s.read = true
		}
		if n > 0 || err != nil || len(p) == 0 {
			s.changed()
			return n, err
		}
		if s.late() {
			return 0, os.ErrDeadlineExceeded
		}
		s.await()
	}
}

// WaitReadable waits until Read would return at once: bytes, the end or an error. It fails at the read deadline.
func (s *Stream) WaitReadable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.wake(); !s.conn.Readable(); {
		if s.late() {
			return os.ErrDeadlineExceeded
		}
		s.await()
	}
	return nil
}

// late reports that the read deadline has passed.
func (s *Stream) late() bool { return s.live.deadline != 0 && time.Since(s.start) >= s.live.deadline }

// Write implements io.Writer.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := 0
	for {
		s.wake()
		n, err := s.conn.Write(s.clock(), p[done:])
		if done += n; n > 0 {
			s.changed()
		}
		if err != nil || done == len(p) {
			return done, err
		}
		s.await()
	}
}

// CloseWrite ends the stream to the other side.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	s.conn.CloseWrite()
	s.changed()
	return nil
}

// Close ends the stream; what the other side still sends, if it has not ended its stream, breaks the connection off.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	s.conn.CloseWrite()
	if !s.read && s.conn.Err() == nil {
		s.conn.Reset(mpp.CodeAborted)
	}
	s.changed()
	return nil
}

// Abort breaks the connection off.
func (s *Stream) Abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake(); !s.isOver {
		s.conn.Reset(mpp.CodeAborted)
		s.changed()
	}
}

// SetReadDeadline bounds Read; zero means no bound.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.IsZero() && s.live == nil {
		return nil
	}
	s.wake()
	s.live.bound(0)
	if !t.IsZero() {
		s.live.bound(max(1, t.Sub(s.start)))
		s.live.alarm = time.AfterFunc(time.Until(t), s.call)
	}
	s.live.cond.Broadcast()
	return nil
}

// bound sets the deadline of Read.
func (l *live) bound(d time.Duration) {
	l.deadline = d
	if l.alarm != nil {
		l.alarm.Stop()
		l.alarm = nil
	}
}

// call has all who wait look again.
func (s *Stream) call() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		s.live.cond.Broadcast()
	}
}

// Connected waits until there is a subflow.
func (s *Stream) Connected(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.call)
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.wake(); len(s.subs) == 0; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.conn.Err(); err != nil {
			return err
		}
		s.await()
	}
	return nil
}

// changed lets everybody look again; with the lock held.
func (s *Stream) changed() {
	s.wake()
	s.live.cond.Broadcast()
	if !s.isOver && s.conn.Finished() {
		s.finish()
	}
	if s.resting != nil && s.conn.Readable() {
		s.resting.Wake()
		s.resting = nil
	}
	for _, k := range s.subs {
		k.poke()
	}
	s.arm()
}

// arm sets the timer to what is next.
func (s *Stream) arm() {
	if s.isOver {
		return
	}
	next := s.conn.NextTimeout()
	if len(s.subs) == 0 {
		next = mono.Min(next, s.orphan.Add(s.patience))
	}
	l := s.live
	if next == l.armed {
		return
	}
	l.armed = next
	if wait := max(0, next.Sub(s.clock())); l.timer == nil {
		l.timer = time.AfterFunc(wait, s.tick)
	} else {
		l.timer.Reset(wait)
	}
}

// tick does what time decides.
func (s *Stream) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isOver || s.live == nil { // it came to rest just now
		return
	}
	now := s.clock()
	s.live.armed = mono.Never
	s.conn.OnTimeout(now)
	for _, k := range s.subs {
		if s.conn.Dead(now, k.id) {
			k.close() // its reader does the rest
		}
	}
	if len(s.subs) == 0 && now >= s.orphan.Add(s.patience) {
		s.conn.Reset(mpp.CodeLost)
	}
	s.changed()
}

// finish lets the subflows end once they have sent what they have; with the lock held.
func (s *Stream) finish() {
	s.isOver = true
	if l := s.live; l.timer != nil {
		l.timer.Stop()
	}
	if s.live.over != nil {
		close(s.live.over)
	}
	time.AfterFunc(lingerTime, func() {
		s.mu.Lock()
		s.conn.Close()
		for _, k := range s.subs {
			k.close()
		}
		s.mu.Unlock()
		s.pool.Return(streamBytes)
		s.pool.Charge(-liveBytes)
		s.forget(s.mid)
	})
}

// has reports whether there is a subflow of this number.
func (s *Stream) has(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	_, ok := s.conn.Info(s.clock(), id)
	return ok
}

// add gives the stream a subflow; false if it cannot take it.
func (s *Stream) add(k *subflow) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	s.wake()
	more := len(s.subs) > 0
	if more && !s.pool.Reserve(subflowBytes) {
		return false
	}
	if !s.conn.Add(now, k.id) {
		if more {
			s.pool.Return(subflowBytes)
		}
		return false
	}
	s.conn.Hint(now, k.id, k.rtt)
	if k.first != nil && s.conn.Receive(now, k.id, k.first) != nil { // what it attaches with, before anything is sent
		s.conn.Remove(now, k.id)
		if more {
			s.pool.Return(subflowBytes)
		}
		s.changed()
		return false
	}
	k.first = nil
	s.subs = append(s.subs, k)
	s.changed()
	return true
}

// drop takes a subflow away.
func (s *Stream) drop(k *subflow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	k.close()
	for i, each := range s.subs {
		if each == k {
			s.subs = append(s.subs[:i], s.subs[i+1:]...)
			s.conn.Remove(s.clock(), k.id)
			if len(s.subs) > 0 {
				s.pool.Return(subflowBytes)
			}
			break
		}
	}
	if len(s.subs) == 0 {
		s.orphan = s.clock()
	}
	s.changed()
}

// MID returns the connection's id.
func (s *Stream) MID() uint64 { return s.mid }

// Info describes a stream.
type Info struct {
	MID      uint64
	Age      time.Duration
	Counts   mpp.Counts
	Subflows []SubflowInfo
}

// SubflowInfo describes a subflow.
type SubflowInfo struct {
	Name string
	mpp.SubflowInfo
}

// Info returns what is known of the stream now.
func (s *Stream) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.conn
	if conn == nil {
		conn = s.packed.Unpack(s.params())
	}
	out := Info{MID: s.mid, Age: time.Since(s.start) - s.born, Counts: conn.Counts()}
	for _, k := range s.subs {
		info, _ := conn.Info(s.clock(), k.id)
		out.Subflows = append(out.Subflows, SubflowInfo{k.title(), info})
	}
	return out
}

// Err returns why the stream broke, or nil.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil // what sleeps is not broken
	}
	return s.conn.Err()
}
