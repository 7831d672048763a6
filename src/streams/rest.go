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
	s.deadline = time.Time{}
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
	reads    time.Time     // the read deadline that is set
	parked   park.Ticket   // under the stream's lock; 0: it is not parked
}

// patiently prepares waiting: for longer every time, as long as something comes.
func (k *subflow) patiently() error {
	if k.raw == nil || k.stream.lot == nil {
		return nil
	}
	k.patience = max(firstPatience, min(2*k.patience, lastPatience))
	now := time.Now()
	if k.reads.Sub(now) >= k.patience/2 {
		return nil
	}
	k.reads = now.Add(k.patience)
	return k.conn.SetReadDeadline(k.reads)
}

// settle has the subflow wait without a goroutine, and keep what it cannot do without; false: its reader is to go on.
func (k *subflow) settle() bool {
	s := k.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	k.patience, k.reads = 0, time.Time{}
	k.open.Rest()
	if !k.writing {
		k.seal.Rest()
	}
	s.conn.Rest()
	if k.slim != nil && !k.writing {
		_ = k.slim.Slim(s.lot) // as it is it works, too
	}
	ticket, err := s.lot.Park(k.raw, time.Time{}, k)
	k.parked = ticket
	if err != nil {
		k.patience = lastPatience
	}
	return err == nil
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
