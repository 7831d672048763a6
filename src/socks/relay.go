package socks

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
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

// Waiter is a stream that can wait for something to read: bytes, the end or an error. Then no buffer is held meanwhile.
type Waiter interface {
	WaitReadable() error
}

// side is a stream that is read from.
type side struct {
	Stream
	raw    syscall.RawConn // of a TCP connection
	waiter Waiter
}

func sideOf(s Stream) side {
	out := side{Stream: s}
	if tcp, ok := s.(*net.TCPConn); ok {
		out.raw, _ = tcp.SyscallConn() // it never fails for an open connection, and without it Read waits
	}
	out.waiter, _ = s.(Waiter)
	return out
}

// copy moves one direction, and ends it on the other side when it has ended on this.
func (r *relay) copy(to, from Stream) (total int64) {
	source := sideOf(from)
	for {
		n, err := r.part(to, source)
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
func (r *relay) part(to Stream, from side) (int64, error) {
	if err := from.SetReadDeadline(time.Now().Add(r.idle / 2)); err != nil {
		return 0, err
	}
	if tcp, ok := to.(*net.TCPConn); ok && from.raw != nil {
		return splice(tcp, from, min(spliceTime, r.idle/4))
	}
	buf, n, err := from.fetch()
	if buf == nil {
		return 0, err
	}
	defer buffers.Put(buf)
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

// splice lets the kernel copy. It holds a pipe for that, so it first waits without one, and comes back
// after the busy time at the latest.
func splice(to *net.TCPConn, from side, busy time.Duration) (int64, error) {
	var one [1]byte
	var failed error
	if err := from.raw.Read(func(fd uintptr) bool {
		_, _, failed = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return !errors.Is(failed, syscall.EAGAIN)
	}); err != nil {
		return 0, err
	}
	if failed != nil && !errors.Is(failed, syscall.EINTR) {
		return 0, failed
	}
	if err := from.SetReadDeadline(time.Now().Add(busy)); err != nil {
		return 0, err
	}
	return to.ReadFrom(&io.LimitedReader{R: from.Stream, N: spliceChunk})
}

// fetch waits until there is something and reads it into a buffer, which is the caller's to put back; nil if there is
// only an error.
func (from side) fetch() (buf *[copyBytes]byte, n int, err error) {
	switch {
	case from.raw != nil:
		waitErr := from.raw.Read(func(fd uintptr) bool {
			buf = buffers.Get().(*[copyBytes]byte)
			for {
				if n, err = syscall.Read(int(fd), buf[:]); !errors.Is(err, syscall.EINTR) {
					break
				}
			}
			if errors.Is(err, syscall.EAGAIN) {
				buffers.Put(buf)
				buf = nil
				return false
			}
			return true
		})
		if waitErr != nil {
			return nil, 0, waitErr
		}
		if n <= 0 && err == nil {
			err = io.EOF
		}
		return buf, max(n, 0), err
	case from.waiter != nil:
		if err := from.waiter.WaitReadable(); err != nil {
			return nil, 0, err
		}
	}
	buf = buffers.Get().(*[copyBytes]byte)
	n, err = from.Read(buf[:])
	return buf, n, err
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
