package streams

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/mpp"
	"mpproxy/src/park"
)

// Clock tells the time on a monotonic clock.
type Clock func() mono.Time

// Stream is one end of a multipath connection. Safe for concurrent use by one reader and one writer.
type Stream struct {
	clock    Clock
	mu       sync.Mutex
	cond     sync.Cond
	conn     *mpp.Conn
	subs     []*subflow
	lot      *park.Lot  // where subflows wait that carry nothing; nil: goroutines wait
	resting  park.Waker // who is woken when there is something to read; nil: nobody
	timer    *time.Timer
	armed    mono.Time
	orphan   mono.Time     // since when there is no subflow
	patience time.Duration // without any
	deadline time.Duration // of Read, after born; 0: none
	alarm    *time.Timer
	over     chan struct{} // closed when nothing is to be done any more
	isOver   bool
	read     bool   // the client has seen the end
	ended    func() // called once, when the linger time is over
	born     time.Time
}

func newStream(clock Clock, p mpp.Params, lot *park.Lot, patience time.Duration, ended func()) *Stream {
	now := clock()
	s := &Stream{clock: clock, conn: mpp.NewConn(now, p), lot: lot, over: make(chan struct{}), ended: ended,
		orphan: now, patience: patience, born: time.Now()}
	s.cond.L = &s.mu
	s.armed = mono.Never
	s.timer = time.AfterFunc(patience, s.tick)
	return s
}

// Read implements io.Reader.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
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
		s.cond.Wait()
	}
}

// WaitReadable waits until Read would return at once: bytes, the end or an error. It fails at the read deadline.
func (s *Stream) WaitReadable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.conn.Readable() {
		if s.late() {
			return os.ErrDeadlineExceeded
		}
		s.cond.Wait()
	}
	return nil
}

// late reports that the read deadline has passed.
func (s *Stream) late() bool { return s.deadline != 0 && time.Since(s.born) >= s.deadline }

// Write implements io.Writer.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := 0
	for {
		n, err := s.conn.Write(s.clock(), p[done:])
		if done += n; n > 0 {
			s.changed()
		}
		if err != nil || done == len(p) {
			return done, err
		}
		s.cond.Wait()
	}
}

// CloseWrite ends the stream to the other side.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.CloseWrite()
	s.changed()
	return nil
}

// Close ends the stream; what the other side still sends, if it has not ended its stream, breaks the connection off.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
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
	if !s.isOver {
		s.conn.Reset(mpp.CodeAborted)
		s.changed()
	}
}

// SetReadDeadline bounds Read; zero means no bound.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = 0
	if s.alarm != nil {
		s.alarm.Stop()
		s.alarm = nil
	}
	if !t.IsZero() {
		s.deadline = max(1, t.Sub(s.born))
		s.alarm = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			s.cond.Broadcast()
			s.mu.Unlock()
		})
	}
	s.cond.Broadcast()
	return nil
}

// Connected waits until there is a subflow.
func (s *Stream) Connected(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		s.cond.Broadcast()
		s.mu.Unlock()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.subs) == 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.conn.Err(); err != nil {
			return err
		}
		s.cond.Wait()
	}
	return nil
}

// changed lets everybody look again; with the lock held.
func (s *Stream) changed() {
	s.cond.Broadcast()
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
	if next != s.armed {
		s.armed = next
		s.timer.Reset(max(0, next.Sub(s.clock())))
	}
}

// tick does what time decides.
func (s *Stream) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isOver {
		return
	}
	now := s.clock()
	s.armed = mono.Never
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
	s.timer.Stop()
	close(s.over)
	time.AfterFunc(lingerTime, func() {
		s.mu.Lock()
		s.conn.Close()
		for _, k := range s.subs {
			k.close()
		}
		s.mu.Unlock()
		if s.ended != nil {
			s.ended()
		}
	})
}

// has reports whether there is a subflow of this number.
func (s *Stream) has(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.conn.Info(s.clock(), id)
	return ok
}

// add gives the stream a subflow; false if it cannot take it.
func (s *Stream) add(k *subflow) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	if !s.conn.Add(now, k.id) {
		return false
	}
	s.conn.Hint(now, k.id, k.rtt)
	s.subs = append(s.subs, k)
	s.changed()
	return true
}

// drop takes a subflow away.
func (s *Stream) drop(k *subflow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.close()
	for i, each := range s.subs {
		if each == k {
			s.subs = append(s.subs[:i], s.subs[i+1:]...)
			s.conn.Remove(s.clock(), k.id)
			break
		}
	}
	if len(s.subs) == 0 {
		s.orphan = s.clock()
	}
	s.changed()
}

// MID returns the connection's id.
func (s *Stream) MID() uint64 { return s.conn.MID() }

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
	out := Info{MID: s.conn.MID(), Age: time.Since(s.born), Counts: s.conn.Counts()}
	for _, k := range s.subs {
		info, _ := s.conn.Info(s.clock(), k.id)
		out.Subflows = append(out.Subflows, SubflowInfo{k.name, info})
	}
	return out
}

// Err returns why the stream broke, or nil.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn.Err()
}
