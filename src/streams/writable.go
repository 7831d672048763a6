package streams

import (
	"os"
	"time"
)

// WaitWritable waits until there is room to write, for so long at most, and returns how many bytes Write would take at
// once; the error is why the stream broke, or os.ErrDeadlineExceeded. So a writer needs no buffer while the other side is
// slow. After CloseWrite it returns at once: Write tells.
func (s *Stream) WaitWritable(most time.Duration) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var late bool
	var alarm *time.Timer
	for {
		s.wake()
		if err := s.conn.Err(); err != nil {
			return 0, err
		}
		if room := s.conn.Room(); room > 0 || s.isOver {
			return max(room, 1), nil
		}
		if late {
			return 0, os.ErrDeadlineExceeded
		}
		if alarm == nil {
			alarm = time.AfterFunc(most, func() {
				s.mu.Lock()
				late = true
				if s.live != nil {
					s.live.cond.Broadcast()
				}
				s.mu.Unlock()
			})
			defer alarm.Stop()
		}
		s.await()
	}
}
