package streams

import (
	"errors"
	"syscall"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/park"
)

// A stream sleeps while all of its subflows are parked and nobody waits for it: then it is a few numbers. Whatever is done with it
// wakes it, as does what comes on a subflow, and the time of its next question, at which its first subflow is woken.

// begin makes what a stream needs that does not sleep.
func (s *Stream) begin() {
	s.pool.Charge(liveBytes)
	s.live = &live{armed: mono.Never}
	s.live.cond.L = &s.mu
}

// wake ends the sleep; with the lock held.
func (s *Stream) wake() {
	if s.live == nil {
		s.conn, s.packed = s.packed.Unpack(s.params()), ""
		s.begin()
	}
}

// rouse is wake for one whose subflow was woken: something has come, or it is time.
func (s *Stream) rouse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil {
		s.wake()
		s.conn.OnTimeout(s.clock())
		s.changed()
	}
}

// doze has the stream sleep, if it can; with the lock held.
func (s *Stream) doze() {
	if s.live == nil || s.isOver || s.lot == nil || len(s.subs) == 0 || s.live.users > 0 || s.live.deadline != 0 {
		return
	}
	for _, k := range s.subs {
		if k.writing || !s.lot.Has(k.parked) {
			return
		}
	}
	packed := s.conn.Pack()
	now, next := s.clock(), s.conn.NextTimeout()
	if packed == "" || next <= now || next == mono.Never || !s.lot.Until(s.subs[0].parked, time.Now().Add(next.Sub(now))) {
		return
	}
	if s.live.timer != nil {
		s.live.timer.Stop()
	}
	s.conn, s.live, s.packed = nil, nil, packed
	s.pool.Charge(-liveBytes)
}

// await waits until something has changed; with the lock held.
func (s *Stream) await() {
	l := s.live
	l.users++
	l.cond.Wait()
	l.users--
}

// hold returns what is closed when nothing is to be done any more, until letGo.
func (s *Stream) hold() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	l := s.live
	l.users++
	if l.over == nil {
		l.over = make(chan struct{})
		if s.isOver {
			close(l.over)
		}
	}
	return l.over
}

func (s *Stream) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live.users--
	s.doze()
}

// Rest has w woken once there is something to read, the end or an error; false: there is already. So who waits needs no
// goroutine. Only one can rest at a time.
func (s *Stream) Rest(w park.Waker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		if s.conn.Readable() {
			return false
		}
		s.live.bound(0)
		s.doze()
	}
	s.resting = w
	return true
}

// errParked means that a subflow's reader is over, and Wake goes on.
var errParked = errors.New("read subflow: parked")

// moving is what a subflow needs while something moves on it.
type moving struct {
	raw      syscall.RawConn // of the connection; nil: it has none
	rtt      time.Duration   // as setting it up showed, or 0
	hello    []byte          // goes before the first record
	unheard  func()          // called if the other side closed without a word; may be nil
	first    []byte          // the plaintext of the first record, if that was opened already
	rest     []byte          // came with the hello, or is the begin of a record
	patience time.Duration   // how long a goroutine waits for something to read
	reads    time.Duration   // the read deadline that is set, after the stream's start
	tuning
}

// stir gives the subflow what it needs to move something; with the stream's lock held, once it has a stream.
func (k *subflow) stir() {
	if k.moving == nil {
		k.moving = &moving{}
		if c, ok := k.conn.(syscall.Conn); ok {
			k.raw, _ = c.SyscallConn() // without it no goroutine is spared
		}
	}
}

// still takes it back, if there is nothing in it that is still needed; with the stream's lock held, while nobody reads or writes.
func (k *subflow) still() {
	k.open.Rest()
	k.seal.Rest()
	if k.hello == nil && k.first == nil && len(k.rest) == 0 && (k.unheard == nil || k.heard.Load()) {
		k.moving = nil
	}
}

// patiently prepares waiting: for longer every time, as long as something comes.
func (k *subflow) patiently() error {
	if k.raw == nil || k.stream.lot == nil {
		return nil
	}
	k.patience = max(firstPatience, min(2*k.patience, lastPatience))
	now := time.Since(k.stream.start)
	if k.reads-now >= k.patience/2 {
		return nil
	}
	k.reads = now + k.patience
	return k.conn.SetReadDeadline(k.stream.start.Add(k.reads))
}

// settle has the subflow wait without a goroutine, and keep what it cannot do without; false: its reader is to go on.
func (k *subflow) settle() bool {
	s := k.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	k.patience, k.reads = 0, 0
	k.open.Rest()
	s.conn.Rest()
	return k.park()
}

// park has the subflow woken by what comes, and slim if nobody writes; false: there is no room. With the stream's lock held.
func (k *subflow) park() bool {
	s := k.stream
	if c, ok := k.conn.(*park.Conn); ok && !k.writing {
		_ = c.Slim(s.lot) // as it is it works, too
	}
	ticket, err := s.lot.Park(k.raw, time.Time{}, k)
	k.parked = ticket
	if err != nil {
		k.patience = lastPatience
		return false
	}
	if !k.writing {
		k.still() // who is woken from now on waits for the lock
		s.doze()
	}
	return true
}

// parkAgain makes a subflow slim to which something was written while it was parked; with the stream's lock held.
func (k *subflow) parkAgain() {
	if lot := k.stream.lot; lot != nil && lot.Leave(k.parked) && !k.park() {
		k.Wake()
	}
}

// Wake implements park.Waker.
func (k *subflow) Wake() { go k.run() }

// close ends the subflow's connection, and its reader with it, parked or not; with the stream's lock held.
func (k *subflow) close() {
	_ = k.conn.Close()
	if k.stream.lot != nil && k.stream.lot.Leave(k.parked) {
		k.Wake()
	}
}
