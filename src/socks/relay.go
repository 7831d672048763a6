package socks

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is a byte stream with two ends that close on their own. *net.TCPConn is one.
type Stream interface {
	io.ReadWriteCloser
	CloseWrite() error
	SetReadDeadline(time.Time) error
}

// Relay copies both ways until both streams have ended, one has failed, or nothing moved for idle; then it closes
// both. Between two TCP connections the kernel copies. It returns the bytes from a to b and from b to a.
func Relay(a, b Stream, idle time.Duration) (up, down uint64) {
	r := &relay{idle: idle}
	r.active.Store(time.Now().UnixNano())
	var wg sync.WaitGroup
	wg.Go(func() {
		n := r.copy(b, a)
		up = uint64(n)
	})
	down = uint64(r.copy(a, b))
	wg.Wait()
	_, _ = a.Close(), b.Close()
	return up, down
}

// relay is one pair of streams.
type relay struct {
	idle   time.Duration
	active atomic.Int64
}

// copy moves one direction, and ends it on the other side when it has ended on this.
func (r *relay) copy(to, from Stream) (total int64) {
	for {
		// The kernel tells only at the end of a part how much moved, so parts are half as long as the limit.
		if err := from.SetReadDeadline(time.Now().Add(r.idle / 2)); err != nil {
			break
		}
		n, err := r.part(to, from)
		if total += n; n > 0 {
			r.active.Store(time.Now().UnixNano())
		}
		if err == nil && n == 0 {
			_ = to.CloseWrite()
			return total
		}
		expired := errors.Is(err, os.ErrDeadlineExceeded) && time.Since(time.Unix(0, r.active.Load())) >= r.idle
		if err != nil && (expired || !errors.Is(err, os.ErrDeadlineExceeded)) {
			break
		}
	}
	// It failed: the other direction ends too, and both clients see a reset where that is what happened.
	abort(to)
	abort(from)
	return total
}

// part copies some bytes; none and no error mean the end.
func (r *relay) part(to, from Stream) (int64, error) {
	tcp, ok := to.(*net.TCPConn)
	source, ok2 := from.(*net.TCPConn)
	if ok && ok2 {
		return tcp.ReadFrom(&io.LimitedReader{R: source, N: spliceChunk})
	}
	buf := buffers.Get().(*[copyBytes]byte)
	defer buffers.Put(buf)
	n, err := from.Read(buf[:])
	if n > 0 {
		if _, writeErr := to.Write(buf[:n]); writeErr != nil {
			return int64(n), writeErr
		}
		return int64(n), nil
	}
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	return 0, err
}

// buffers holds what streams are copied with where the kernel cannot.
var buffers = sync.Pool{New: func() any { return new([copyBytes]byte) }}

// Aborter is a stream that can be broken off rather than closed.
type Aborter interface{ Abort() }

func abort(s Stream) {
	switch s := s.(type) {
	case *net.TCPConn:
		_ = s.SetLinger(0)
	case Aborter:
		s.Abort()
	}
	_ = s.Close()
}
