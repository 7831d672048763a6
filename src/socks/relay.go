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

	"golang.org/x/sys/unix"

	"mpproxy/src/park"
)

// Stream is a byte stream with two ends that close on their own. *net.TCPConn is one.
type Stream interface {
	io.ReadWriteCloser
	CloseWrite() error
	SetReadDeadline(time.Time) error
}

// Waiter is a stream that can wait for something to read: bytes, the end or an error. Then no buffer is held meanwhile.
type Waiter interface {
	WaitReadable() error
}

// Roomer is a stream that can wait for room to write, for so long at most, and says for how many bytes. Then no buffer is
// held meanwhile.
type Roomer interface {
	WaitWritable(most time.Duration) (room int, err error)
}

// Failer is a stream that knows that it is broken; Err is nil while it is not.
type Failer interface {
	Err() error
}

// Aborter is a stream that can be broken off rather than closed.
type Aborter interface{ Abort() }

// Rester is a stream that wakes who waits for something to read, and then needs no goroutine meanwhile.
type Rester interface {
	// Rest has w woken once there is something to read, the end or an error; false: there is already.
	Rest(w park.Waker) bool
}

// Relay copies both ways until both streams have ended, one has failed, or nothing moved for idle; then it closes
// both. Between two TCP connections the kernel copies. It returns the bytes from a to b and from b to a.
func Relay(a, b Stream, idle time.Duration) (up, down uint64) {
	over := make(chan struct{})
	Begin(nil, a, b, idle, func(u, d uint64) {
		up, down = u, d
		close(over)
	})
	<-over
	return up, down
}

// Begin is Relay that does not wait: done is told of the end, by any goroutine. With a lot there is no goroutine for a
// direction in which nothing moves.
func Begin(lot *park.Lot, a, b Stream, idle time.Duration, done func(up, down uint64)) {
	r := &relay{lot: lot, idle: idle, start: time.Now(), done: done, sides: [2]side{sideOf(a), sideOf(b)}}
	if r.sides[0].tcp() == nil && r.sides[1].tcp() == nil {
		r.lot = nil // nobody would look at the clock
	}
	r.left.Store(2)
	for i := range r.ways {
		r.ways[i].relay = r
		go r.ways[i].run()
	}
}

// relay is one pair of streams.
type relay struct {
	lot    *park.Lot // nil: goroutines wait
	idle   time.Duration
	start  time.Time
	active atomic.Int64 // how long after start something moved last: a clock that is set meanwhile changes nothing
	left   atomic.Int32 // directions that have not ended
	done   func(up, down uint64)
	sides  [2]side
	ways   [2]direction // from the first to the second, and back
	mu     sync.Mutex   // guards what directions say of their rest
}

// side is one of the two streams.
type side struct{ Stream }

func sideOf(s Stream) side { return side{Slimmable(s)} }

// tcp is the TCP connection; nil if it is another kind of stream.
func (s side) tcp() *park.Conn {
	tcp, _ := s.Stream.(*park.Conn)
	return tcp
}

// Slimmable makes a TCP connection one that takes little memory while it is relayed and nothing moves; others are returned
// as they are. The TCP connection is not to be used by itself any more.
func Slimmable(s Stream) Stream {
	if tcp, ok := s.(*net.TCPConn); ok {
		return park.NewConn(tcp)
	}
	return s
}

// broken reports that a side has failed, rather than ended.
func (s side) broken() bool {
	if f, ok := s.Stream.(Failer); ok {
		return f.Err() != nil
	}
	failed, tcp := false, s.tcp()
	return tcp != nil && (tcp.Raw().Control(func(fd uintptr) { failed = polled(fd, 0) }) != nil || failed)
}

// errIdle means that nothing moved for too long, errGone that the other side, which nobody was reading from, has failed.
var (
	errIdle = errors.New("relay: nothing moved")
	errGone = errors.New("relay: the other side has failed")
)

// run moves one direction, until nothing comes for a while, or to its end, which it tells the other side.
func (d *direction) run() {
	d.awake()
	if d.to().tcp() != nil {
		_ = d.to().tcp().SetWriteDeadline(time.Now().Add(stallLook)) // it fails if it is closed, as will all else
	}
	for {
		n, err := d.move()
		if n > 0 {
			d.total += uint64(n)
			d.active.Store(int64(time.Since(d.start)))
			d.patience = min(2*d.patience, lastPatience)
		}
		if err == nil && n == 0 {
			_ = d.to().CloseWrite()
			d.end()
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !d.expired() {
			if d.rest() {
				return
			}
		} else if err != nil {
			break
		}
	}
	// It failed: the other direction ends too, and both clients see a reset where that is what happened.
	abort(d.to().Stream)
	abort(d.from().Stream)
	d.rouse()
	d.end()
}

// end counts a direction that has ended; the last one closes both.
func (r *relay) end() {
	if r.left.Add(-1) > 0 {
		return
	}
	_, _ = r.sides[0].Close(), r.sides[1].Close()
	r.done(r.ways[0].total, r.ways[1].total)
}

// expired reports that nothing has moved, in either direction, for too long.
func (r *relay) expired() bool { return time.Since(r.start)-time.Duration(r.active.Load()) >= r.idle }

// direction is one of the two ways bytes go.
type direction struct {
	*relay
	total   uint64      // bytes so far
	parked  park.Ticket // see resting; 0: it is not parked
	resting bool        // until something comes; under the relay's lock, as parked
	*pace               // nil while it rests
}

// pace is what a direction has while something moves.
type pace struct {
	reads    time.Duration // the read deadline that is set, after the relay's start
	patience time.Duration // see rest
	size     int           // how much is copied at a time
	fluent   uint          // how often the target has taken all that it was given, without being waited for
	portion  int           // how much is spliced at a time: what this machine does in a moment
	copies   bool          // the kernel does not splice these two
}

// from is where the bytes come from, and to where they go.
func (d *direction) from() side { return d.sides[d.number()] }
func (d *direction) to() side   { return d.sides[1-d.number()] }

func (d *direction) number() int {
	if d == &d.ways[1] {
		return 1
	}
	return 0
}

// move waits until there is something, and moves what has come; none and no error mean the end. os.ErrDeadlineExceeded
// says that it is time to look at the clock, and to rest.
func (d *direction) move() (int, error) {
	wait := d.idle / 2
	if d.lot != nil {
		d.patience = max(d.patience, firstPatience)
		wait = min(wait, d.patience)
	}
	if now := time.Since(d.start); d.reads-now < wait/2 {
		d.reads = now + wait
		if err := d.from().SetReadDeadline(d.start.Add(d.reads)); err != nil {
			return 0, err
		}
	}
	switch {
	case d.to().tcp() != nil && d.from().tcp() != nil && !d.copies:
		n, err := d.splice()
		if d.copies = errors.Is(err, errNoSplice); !d.copies && !errors.Is(err, errNoPipe) {
			return n, err
		}
	case d.from().tcp() == nil:
		if w, ok := d.from().Stream.(Waiter); ok {
			if err := w.WaitReadable(); err != nil {
				return 0, err
			}
		}
	}
	room, err := d.room()
	if err != nil {
		return 0, err
	}
	buf, n, err := d.from().fetch(room)
	if buf == nil {
		return 0, err
	}
	if n > 0 {
		return n, d.write(buf, n)
	}
	buffers.Put(buf)
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	return 0, err
}

// room waits until the target takes something, and says how much should be read for it.
func (d *direction) room() (int, error) {
	if d.to().tcp() != nil {
		switch {
		case d.fluent == 0:
			d.size = slowBytes
		case d.fluent%slowChunks == 0:
			d.size = d.to().portion()
		}
		return d.size, d.roomy()
	}
	room, ok := d.to().Stream.(Roomer)
	if !ok {
		return copyBytes, nil
	}
	most := copyBytes
	err := d.patiently(func() (err error) {
		most, err = room.WaitWritable(stallLook)
		return err
	})
	return min(most, copyBytes), err
}

// portion is how much a TCP connection takes at once that says it has room: that is when a third is free of what it may
// hold, and bytes take up to twice their length.
func (s side) portion() int {
	holds := 0
	_ = s.tcp().Raw().Control(func(fd uintptr) { holds, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF) }) // if not: 0
	return min(max(holds/6, slowBytes), copyBytes)
}

// patiently lets f wait for the target, again and again. Nobody reads from the source meanwhile, so it looks now and then
// whether that has failed: else both would be kept for as long as the target likes.
func (d *direction) patiently(f func() error) error {
	for {
		err := f()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		switch {
		case d.from().broken():
			return errGone
		case d.expired():
			return errIdle
		}
		if d.to().tcp() != nil {
			if err := d.to().tcp().SetWriteDeadline(time.Now().Add(stallLook)); err != nil {
				return err
			}
		}
	}
}

// roomy waits until the target's socket has room, and no buffer or pipe waits for it.
func (d *direction) roomy() error {
	return d.patiently(func() error {
		return d.to().tcp().Raw().Write(func(fd uintptr) bool {
			if polled(fd, unix.POLLOUT) {
				return true
			}
			d.fluent = 0
			return false
		})
	})
}

// write gives the target the first n bytes of the buffer, which goes back. While the target is slow only what it has no
// room for is held.
func (d *direction) write(buf *[copyBytes]byte, n int) (err error) {
	defer func() {
		if buf != nil {
			buffers.Put(buf)
		}
	}()
	if d.to().tcp() == nil {
		_, err = d.to().Write(buf[:n])
		return err
	}
	data := buf[:n]
	d.fluent++
	return d.patiently(func() error {
		var failed error
		err := d.to().tcp().Raw().Write(func(fd uintptr) bool {
			for len(data) > 0 {
				n, err := syscall.Write(int(fd), data)
				switch {
				case err == nil:
					data = data[n:]
				case errors.Is(err, syscall.EAGAIN):
					if d.fluent = 0; buf != nil {
						data = append([]byte(nil), data...)
						buffers.Put(buf)
						buf = nil
					}
					return false
				case !errors.Is(err, syscall.EINTR):
					failed = err
					return true
				}
			}
			return true
		})
		return errors.Join(failed, err)
	})
}

// fetch waits until there is something and reads it into a buffer, at most so many bytes; the buffer is the caller's to
// put back, nil if there is only an error.
func (s side) fetch(most int) (buf *[copyBytes]byte, n int, err error) {
	if s.tcp() == nil {
		buf = buffers.Get().(*[copyBytes]byte)
		n, err = s.Read(buf[:most])
		return buf, n, err
	}
	waitErr := s.tcp().Raw().Read(func(fd uintptr) bool {
		buf = buffers.Get().(*[copyBytes]byte)
		for {
			if n, err = syscall.Read(int(fd), buf[:most]); !errors.Is(err, syscall.EINTR) {
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
}

// buffers holds what streams are copied with where the kernel cannot.
var buffers = sync.Pool{New: func() any { return new([copyBytes]byte) }}

func abort(s Stream) {
	switch s := s.(type) {
	case *net.TCPConn:
		_ = s.SetLinger(0)
	case Aborter:
		s.Abort()
	}
	_ = s.Close()
}
