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
	hello   []byte        // goes before the first record
	heard   bool          // something authentic has come
	unheard func()        // called if the other side closed without a word; may be nil
	first   []byte        // the plaintext of the first record, if that was opened already
	rest    []byte        // came with the hello, or is the begin of a record
	wake    chan struct{} // the stream has changed
	gone    chan struct{} // the stream has dropped it
	tuned   time.Time
	tail    int
}

func newSubflow(conn net.Conn, id uint16, name string, seal *mpp.Sealer, open *mpp.Opener) *subflow {
	return &subflow{id: id, name: name, conn: conn, seal: seal, open: open, wake: make(chan struct{}, 1), gone: make(chan struct{})}
}

// poke makes the writer look again.
func (k *subflow) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// buffers are for what is just read or written.
var buffers = sync.Pool{New: func() any { return new([bufferBytes]byte) }}

// run reads and writes until the subflow is dead or the stream is over.
func (k *subflow) run() {
	prepare(k.conn)
	var wg sync.WaitGroup
	wg.Go(k.write)
	if err := k.read(); err != nil && !k.heard && k.unheard != nil && k.hello == nil && !errors.Is(err, net.ErrClosed) {
		k.unheard()
	}
	k.stream.drop(k)
	wg.Wait()
}

// write sends records while there are any.
func (k *subflow) write() {
	for {
		more, err := k.burst()
		if err != nil {
			k.stream.drop(k)
			return
		}
		if !more {
			// The stream is over and all is sent: the other side sees the end, and ends.
			if tcp, ok := k.conn.(interface{ CloseWrite() error }); ok {
				_ = tcp.CloseWrite()
			}
			return
		}
		select {
		case <-k.wake:
		case <-k.gone:
			return
		}
	}
}

// burst sends what there is; more is false if nothing will come any more.
func (k *subflow) burst() (more bool, err error) {
	b := buffers.Get().(*[bufferBytes]byte)
	defer buffers.Put(b)
	s := k.stream
	for {
		s.mu.Lock()
		rec := s.conn.Poll(s.clock(), k.id, b[:mpp.RecordSpace])
		over := s.isOver
		if len(rec) > mpp.RecordSpace {
			s.arm()
		}
		s.mu.Unlock()
		if len(rec) == mpp.RecordSpace {
			return !over, nil
		}
		out := k.seal.Seal(rec)
		if k.hello != nil {
			out = append(k.hello, out...)
			k.hello = nil
		}
		if _, err := k.conn.Write(out); err != nil {
			return false, err
		}
		k.tune()
	}
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
