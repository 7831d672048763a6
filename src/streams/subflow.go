package streams

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"mpproxy/src/mpp"
	"mpproxy/src/park"
)

// subflow is one TCP connection of a stream.
type subflow struct {
	stream  *Stream
	id      uint16
	writing bool        // a goroutine writes, or has written all there will be; under the stream's lock
	greeted atomic.Bool // the hello has gone, or there was none
	heard   atomic.Bool // something authentic has come
	name    string      // "": the other side's address
	conn    net.Conn
	seal    *mpp.Sealer
	open    *mpp.Opener
	owner   owner       // may be nil
	parked  park.Ticket // under the stream's lock; 0: it is not parked
	*moving             // nil while nobody reads or writes
}

// owner is told of a subflow's end, and whether anything has come on it.
type owner interface{ ended(heard bool) }

// slimmable is a connection that takes little memory while nothing comes, if it can; a TCP connection is not to be used by
// itself any more then.
func slimmable(conn net.Conn) net.Conn {
	if tcp, ok := conn.(*net.TCPConn); ok {
		return park.NewConn(tcp)
	}
	return conn
}

func newSubflow(conn net.Conn, id uint16, name string, seal *mpp.Sealer, open *mpp.Opener) *subflow {
	prepare(conn)
	k := &subflow{id: id, name: name, conn: slimmable(conn), seal: seal, open: open}
	k.stir()
	return k
}

// title is the subflow's name for status.
func (k *subflow) title() string {
	if k.name == "" {
		return k.conn.RemoteAddr().String()
	}
	return k.name
}

// poke has somebody send what there is; with the stream's lock held. Only while there is something does a writer live:
// an idle subflow costs its reader alone.
func (k *subflow) poke() {
	if !k.writing && (k.stream.isOver || k.stream.conn.Wants(k.stream.clock(), k.id)) {
		k.writing = true
		k.stir()
		go k.write()
	}
}

// run reads until the subflow is dead or the stream is over. While nothing comes it returns, and Wake goes on.
func (k *subflow) run() {
	k.stream.rouse()
	k.stream.mu.Lock()
	k.stir()
	k.stream.mu.Unlock()
	err := k.read()
	if errors.Is(err, errParked) {
		return
	}
	if !k.heard.Load() && k.unheard != nil && k.greeted.Load() && !errors.Is(err, net.ErrClosed) {
		k.unheard()
	}
	k.stream.drop(k)
	if k.owner != nil {
		k.owner.ended(k.heard.Load())
	}
}

// write sends what there is. What that is gets chosen when the socket has room, not before, and no buffer waits for it.
func (k *subflow) write() {
	for {
		err := k.writable()
		if err == nil {
			var more bool
			if more, err = k.batch(); err == nil && !more {
				return
			}
		}
		if err != nil {
			k.stream.drop(k)
			return
		}
		if k.worthwhile() && k.tune(k.conn) {
			k.stream.mu.Lock()
			k.stream.conn.Starting(k.id, k.starting)
			k.stream.mu.Unlock()
		}
	}
}

// batch sends what leaves at once: one record, or several where they are a small part of what may wait in the socket.
// No more to come ends the writer.
func (k *subflow) batch() (more bool, err error) {
	pool, most := smallBuffers, 0
	if k.tail >= quickTail {
		pool, most = largeBuffers, k.tail/4
	}
	buf := pool.get()
	b := *buf
	n := copy(b, k.hello)
	begun := n
	for n <= max(most, begun) && n+mpp.MaxRecord+mpp.Overhead <= len(b) {
		rec := k.next(b[:n+mpp.RecordSpace], n == begun)
		if rec == nil {
			break
		}
		n += len(k.seal.Seal(rec[n:]))
	}
	if n == begun {
		pool.put(buf)
		return false, nil
	}
	err = k.send(pool, buf, n)
	k.sent(n)
	k.hello = nil
	k.greeted.Store(true)
	return true, err
}

// writable waits until the socket has room.
func (k *subflow) writable() error {
	if k.raw == nil {
		return nil
	}
	return k.raw.Write(func(fd uintptr) bool {
		poll := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(poll[:], 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR) // whatever it is, writing tells
	})
}

// next appends a record to send. nil means that there is none; if the writer has nothing else to write it ends then, until
// the next poke, or for good if the stream is over: the other side sees the end, and ends.
func (k *subflow) next(b []byte, idle bool) []byte {
	s := k.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec := s.conn.Poll(s.clock(), k.id, b); len(rec) > len(b) {
		s.arm()
		return rec
	}
	if !idle {
		return nil
	}
	if !s.isOver && s.conn.Finished() {
		s.changed() // what was sent before was the last there was to do
	}
	k.writing = s.isOver
	k.parkAgain()
	if tcp, ok := k.conn.(interface{ CloseWrite() error }); s.isOver && ok {
		_ = tcp.CloseWrite()
	}
	return nil
}

// read takes records until the end; a buffer is held only while there is something to read.
func (k *subflow) read() error {
	used, err := k.records(k.rest)
	if err != nil {
		return err
	}
	k.rest = k.rest[used:]
	for {
		b, n, err := k.fetch()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if k.settle() {
				return errParked
			}
			continue
		}
		for err == nil && n > 0 {
			var used int
			if used, err = k.records((*b)[:n]); err != nil {
				break
			}
			k.rest = (*b)[:copy(*b, (*b)[used:n])]
			if n < len(*b)/2 {
				break
			}
			n, err = k.fetchMore(*b) // most likely there is
		}
		if b != nil {
			k.rest = append([]byte(nil), k.rest...)
			k.giveBack(b)
		}
		if err != nil {
			return err
		}
	}
}

// fetch waits until there is something, and reads it into a buffer behind a copy of rest; n counts both. The caller gives
// the buffer back, if there is one.
func (k *subflow) fetch() (b *[]byte, n int, err error) {
	if err := k.patiently(); err != nil {
		return nil, 0, err
	}
	if k.raw == nil { // reading waits, as no descriptor says that there is something: with a buffer of its own
		own := make([]byte, bufferBytes)
		n, err = k.conn.Read(own[copy(own, k.rest):])
		return &own, len(k.rest) + n, err
	}
	for none := true; none; {
		none = false
		err = k.readRaw(func(read func([]byte) (int, error)) (bool, error) {
			if b == nil {
				b = largeBuffers.getNow()
			}
			if none = b == nil; none {
				return true, nil
			}
			n, err = read((*b)[copy(*b, k.rest):])
			if errors.Is(err, syscall.EAGAIN) {
				largeBuffers.put(b)
				b = nil
				return false, nil
			}
			if n <= 0 && err == nil {
				err = io.EOF
			}
			n = len(k.rest) + max(n, 0)
			return true, err
		})
		if none && err == nil {
			b = largeBuffers.get()
		}
	}
	if b != nil && n <= 0 { // it failed before anything was read
		largeBuffers.put(b)
		b = nil
	}
	return b, n, err
}

func (k *subflow) giveBack(b *[]byte) {
	if k.raw != nil {
		largeBuffers.put(b)
	}
}

// fetchMore reads what is there behind rest, which lies at the begin of b; n counts both, and is 0 if there is nothing.
func (k *subflow) fetchMore(b []byte) (n int, err error) {
	err = k.readRaw(func(read func([]byte) (int, error)) (bool, error) {
		if n, err = read(b[len(k.rest):]); n <= 0 {
			n = 0 // an end or an error is still there for the next fetch
			return true, nil
		}
		n += len(k.rest)
		return true, nil
	})
	if errors.Is(err, os.ErrDeadlineExceeded) { // what came took its time: the next fetch has a deadline of its own
		return 0, nil
	}
	return n, err
}

// readRaw lets f read without waiting, again and again whenever something has come, until it says that it is done.
func (k *subflow) readRaw(f func(read func([]byte) (int, error)) (done bool, err error)) error {
	if k.raw == nil {
		_, err := f(k.conn.Read)
		return err
	}
	var failed error
	err := k.raw.Read(func(fd uintptr) (done bool) {
		done, failed = f(func(b []byte) (n int, err error) {
			for {
				if n, err = syscall.Read(int(fd), b); !errors.Is(err, syscall.EINTR) {
					return n, err
				}
			}
		})
		return done
	})
	if failed == nil {
		failed = err
	}
	return failed
}

// records takes the whole records in b and returns how many bytes those were.
func (k *subflow) records(b []byte) (used int, err error) {
	s := k.stream
	for {
		plain, took, _, err := k.open.Open(b[used:])
		if err != nil {
			return used, err
		}
		if took == 0 {
			break
		}
		used += took
		k.heard.Store(true)
		s.mu.Lock()
		err = s.conn.Receive(s.clock(), k.id, plain)
		s.mu.Unlock()
		if err != nil {
			break
		}
	}
	if used > 0 {
		s.mu.Lock()
		s.changed()
		s.mu.Unlock()
	}
	return used, err
}

// prepare sets what subflows need: small queues in the socket, and congestion control that loss alone does not stop,
// where the kernel has it.
func prepare(conn net.Conn) {
	setInt(conn, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, minTail)
	c, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "bbr") })
	}
}

func setInt(conn net.Conn, level, name, v int) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), level, name, v) })
	}
}
