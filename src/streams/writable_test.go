package streams

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// TestWaitWritable: it says how much a write takes at once, waits while the other side reads nothing, goes on as soon as that
// reads, and ends with the stream.
func TestWaitWritable(t *testing.T) {
	reads := make(chan struct{})
	b := newBed(t, func(s *Stream) {
		<-reads
		_, _ = io.Copy(io.Discard, s)
	})
	s, err := b.client.Open(b.ways(1))
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for {
		room, err := s.WaitWritable(500 * time.Millisecond)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil || room <= 0 || sent > 64<<20 {
			t.Fatal(sent, room, err)
		}
		begin := time.Now()
		if n, err := s.Write(make([]byte, room)); n != room || err != nil || time.Since(begin) > 5*time.Second {
			t.Fatalf("%d of %d bytes after %v: %v", n, room, time.Since(begin), err)
		}
		sent += room
	}
	if sent == 0 {
		t.Fatal("nothing could be written")
	}
	go close(reads)
	if room, err := s.WaitWritable(10 * time.Second); err != nil || room <= 0 {
		t.Fatalf("the other side reads: %d, %v", room, err)
	}
	s.Abort()
	if _, err := s.WaitWritable(10 * time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after its end: %v", err)
	}
}
