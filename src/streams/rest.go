package streams

import (
	"errors"
	"time"

	"mpproxy/src/park"
)

// Rest has w woken once there is something to read, the end or an error; false: there is already. So who waits needs no
// goroutine. Only one can rest at a time.
func (s *Stream) Rest(w park.Waker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.Readable() {
		return false
	}
	s.resting = w
	s.deadline = 0
	if s.alarm != nil {
		s.alarm.Stop()
		s.alarm = nil
	}
	return true
}

// errParked means that a subflow's reader is over, and Wake goes on.
var errParked = errors.New("read subflow: parked")

// waiting is how a subflow waits for something to read.
type waiting struct {
	patience time.Duration // how long a goroutine waits
	reads    time.Duration // the read deadline that is set, after the stream's begin
	parked   park.Ticket   // under the stream's lock; 0: it is not parked
}

// patiently prepares waiting: for longer every time, as long as something comes.
func (k *subflow) patiently() error {
	if k.raw == nil || k.stream.lot == nil {
		return nil
	}
	k.patience = max(firstPatience, min(2*k.patience, lastPatience))
	now := time.Since(k.stream.born)
	if k.reads-now >= k.patience/2 {
		return nil
	}
	k.reads = now + k.patience
	return k.conn.SetReadDeadline(k.stream.born.Add(k.reads))
}

// settle has the subflow wait without a goroutine, and keep what it cannot do without; false: its reader is to go on.
func (k *subflow) settle() bool {
	s := k.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	k.patience, k.reads = 0, 0
	k.open.Rest()
	if !k.writing {
		k.seal.Rest()
	}
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
	}
	return err == nil
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
