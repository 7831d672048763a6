package streams

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/mpp"
)

// subflow is one TCP connection of a stream.
type subflow struct {
	stream  *Stream
	id      uint16
	name    string
	rtt     time.Duration // as setting it up showed, or 0
	conn    net.Conn
	seal    *mpp.Sealer
	open    *mpp.Opener
	hello   []byte // goes before the first record
	heard   bool   // something authentic has come
	unheard func() // called if the other side closed without a word; may be nil
	first   []byte // the plaintext of the first record, if that was opened already
	rest    []byte // came with the hello, or is the begin of a record
	writing bool   // a goroutine writes, or has written all there will be; under the stream's lock
	tuned   time.Time
	tail    int
}

func newSubflow(conn net.Conn, id uint16, name string, seal *mpp.Sealer, open *mpp.Opener) *subflow {
	prepare(conn)
	return &subflow{id: id, name: name, conn: conn, seal: seal, open: open}
}

// poke has somebody look whether there is something to send; with the stream's lock held. Only while there is does a
// writer live: an idle subflow costs its reader alone.
func (k *subflow) poke() {
	if !k.writing {
		k.writing = true
		go k.write()
	}
}

// buffers are for what is just read or written.
var buffers = sync.Pool{New: func() any { return new([bufferBytes]byte) }}

// run reads until the subflow is dead or the stream is over.
func (k *subflow) run() {
	if err := k.read(); err != nil && !k.heard && k.unheard != nil && k.hello == nil && !errors.Is(err, net.ErrClosed) {
		k.unheard()
	}
	k.stream.drop(k)
}

// write sends what there is.
func (k *subflow) write() {
	b := buffers.Get().(*[bufferBytes]byte)
	defer buffers.Put(b)
	for {
		rec, over := k.next(b[:mpp.RecordSpace])
		if rec == nil {
			// The stream is over and all is sent: the other side sees the end, and ends.
			if tcp, ok := k.conn.(interface{ CloseWrite() error }); over && ok {
				_ = tcp.CloseWrite()
			}
			return
		}
		out := k.seal.Seal(rec)
		if k.hello != nil {
			out = append(k.hello, out...)
			k.hello = nil
		}
		if _, err := k.conn.Write(out); err != nil {
			k.stream.drop(k)
			return
		}
		k.tune()
	}
}

// next returns a record to send behind what b holds. nil ends the writer: until the next poke, or, if the stream is over,
// for good.
func (k *subflow) next(b []byte) (rec []byte, over bool) {
	s := k.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec = s.conn.Poll(s.clock(), k.id, b); len(rec) > len(b) {
		s.arm()
		return rec, false
	}
	if !s.isOver && s.conn.Finished() {
		s.changed() // what was just sent was the last there was to do
	}
	k.writing = s.isOver
	return nil, s.isOver
}

// tune lets so much wait unsent in the socket as leaves in a few milliseconds.
func (k *subflow) tune() {
	if time.Since(k.tuned) < retune {
		return
	}
	k.tuned = time.Now()
	s := k.stream
	s.mu.Lock()
	info, _ := s.conn.Info(s.clock(), k.id)
	s.mu.Unlock()
	want := min(maxTail, max(minTail, int(info.Rate*tailTime.Seconds())))
	if want > k.tail*5/4 || want < k.tail*3/4 {
		k.tail = want
		setInt(k.conn, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, want)
	}
}

// read takes records until the end; a buffer is held only while there is something to read.
func (k *subflow) read() error {
	if k.first != nil {
		k.stream.mu.Lock()
		err := k.stream.conn.Receive(k.stream.clock(), k.id, k.first)
		k.first = nil
		k.stream.changed()
		k.stream.mu.Unlock()
		if err != nil {
			return err
		}
	}
	if err := k.records(nil); err != nil {
		return err
	}
	for {
		b := (*[bufferBytes]byte)(nil)
		n, err := 0, error(nil)
		if tcp, ok := k.conn.(syscall.Conn); ok {
			b, n, err = k.readReady(tcp)
		} else {
			b = buffers.Get().(*[bufferBytes]byte)
			n, err = k.conn.Read(b[copy(b[:], k.rest):])
		}
		if n > 0 {
			n += len(k.rest)
			k.rest = nil
			if failed := k.records(b[:n]); failed != nil {
				err = failed
			}
		}
		if b != nil {
			buffers.Put(b)
		}
		if err != nil {
			return err
		}
	}
}

// readReady waits until there is something and reads it behind a copy of rest.
func (k *subflow) readReady(c syscall.Conn) (b *[bufferBytes]byte, n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, 0, err
	}
	waitErr := raw.Read(func(fd uintptr) bool {
		b = buffers.Get().(*[bufferBytes]byte)
		for {
			n, err = syscall.Read(int(fd), b[copy(b[:], k.rest):])
			if !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		if errors.Is(err, syscall.EAGAIN) {
			buffers.Put(b)
			b, n, err = nil, 0, nil
			return false
		}
		return true
	})
	if err == nil {
		err = waitErr
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	return b, max(n, 0), err
}

// records opens what is whole in b, or in rest if b is nil, and keeps what is not.
func (k *subflow) records(b []byte) error {
	if b == nil {
		b, k.rest = k.rest, nil
	}
	s := k.stream
	for {
		plain, took, _, err := k.open.Open(b)
		if err != nil {
			return err
		}
		if took == 0 {
			break
		}
		k.heard = true
		b = b[took:]
		s.mu.Lock()
		err = s.conn.Receive(s.clock(), k.id, plain)
		if err == nil || len(b) == 0 {
			s.changed()
		}
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	if len(b) > 0 {
		k.rest = append([]byte(nil), b...)
	}
	return nil
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
