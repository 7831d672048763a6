package recovery

import (
	"time"

	"mpproxy/src/engine/mono"
)

// checkpoint is a moment of both ends: a packet was sent at sent as the last of total bytes, and when it arrived, at the
// receiver's clock at, received bytes had arrived.
type checkpoint struct {
	sent     mono.Time
	total    int64
	received uint64
	at       uint32
}

// span remembers checkpoints of the running flight, so that rates can be measured over longer than a round trip where the
// delay jitters. The zero value is ready.
type span struct {
	ring    [64]checkpoint
	head, n int
	limited mono.Time // when a packet of a sender short of data last went out
}

// restart forgets all but a new beginning.
func (s *span) restart(c checkpoint) {
	s.head, s.n = 0, 0
	s.push(c)
}

// note adds a checkpoint if the last one is at least apart old.
func (s *span) note(c checkpoint, apart time.Duration) {
	if s.n > 0 && elapsed(s.newest().at, c.at) < apart {
		return
	}
	s.push(c)
}

func (s *span) push(c checkpoint) {
	s.ring[(s.head+s.n)%len(s.ring)] = c
	if s.n < len(s.ring) {
		s.n++
	} else {
		s.head = (s.head + 1) % len(s.ring)
	}
}

func (s *span) newest() *checkpoint { return &s.ring[(s.head+s.n-1)%len(s.ring)] }

// back returns the newest checkpoint that is at least need old at the receiver's clock at, or else the oldest there is.
func (s *span) back(at uint32, need time.Duration) (c *checkpoint, ok bool) {
	for i := s.n - 1; i >= 0; i-- {
		c = &s.ring[(s.head+i)%len(s.ring)]
		if elapsed(c.at, at) >= need {
			return c, true
		}
	}
	return c, s.n > 0
}

// elapsed is the time from one stamp of the receiver to another.
func elapsed(from, to uint32) time.Duration { return time.Duration(int32(to-from)) * time.Microsecond }
