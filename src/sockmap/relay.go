//go:build linux && (amd64 || arm64)

package sockmap

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	// bufferBytes is what the reader takes at a time.
	bufferBytes = 64 << 10
	// firstLook to lastLook: how soon the reader looks again whether a queue has what was redirected.
	firstLook = 100 * time.Microsecond
	lastLook  = 5 * time.Millisecond
	// endTime is how long bytes that the kernel has may take to show up once a stream has ended.
	endTime = 10 * time.Second
)

// ErrFull means that there are as many pairs as were asked for.
var ErrFull = errors.New("relay in the kernel: too many connections")

// errLost means that the kernel's counters do not meet: a byte was lost.
var errLost = errors.New("relay in the kernel: not every byte arrived")

// Map relays pairs of connections. Make it with New. Safe for concurrent use.
type Map struct {
	kernel  *kernel
	mu      sync.Mutex
	free    []uint32
	buffers sync.Pool
	lost    atomic.Uint64
	copied  atomic.Uint64
}

// New loads the program for at most so many pairs at a time. It fails where the kernel has no sockmap, or without the
// right to load programs.
func New(pairs int) (*Map, error) {
	k, err := newKernel(pairs)
	if err != nil {
		return nil, err
	}
	m := &Map{kernel: k, buffers: sync.Pool{New: func() any { return new([bufferBytes]byte) }}}
	for i := range uint32(2 * pairs) {
		m.free = append(m.free, i)
	}
	return m, nil
}

// Close unloads the program. No relay may run any more.
func (m *Map) Close() error { return m.kernel.close() }

// Counts returns how many bytes were copied because a receiver was behind, and how many connections were broken off
// because bytes were missing at their end.
func (m *Map) Counts() (copied, lost uint64) { return m.copied.Load(), m.lost.Load() }

// take gives out two flows.
func (m *Map) take() ([2]uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.free)
	if n < 2 {
		return [2]uint32{}, ErrFull
	}
	out := [2]uint32(m.free[n-2:])
	m.free = m.free[:n-2]
	return out, nil
}

// Relay copies both ways until both streams have ended, one has failed, or nothing moved for idle; then it closes both.
// It returns the bytes from a to b and from b to a. After an error nothing has happened, and both are still open: the
// caller relays in another way.
func (m *Map) Relay(a, b *net.TCPConn, idle time.Duration) (up, down uint64, err error) {
	sides := [2]*socket{}
	for i, c := range [2]*net.TCPConn{a, b} {
		if sides[i], err = newSocket(c); err != nil {
			return 0, 0, err
		}
	}
	numbers, err := m.take()
	if err != nil {
		return 0, 0, err
	}
	r := &pair{m: m, idle: idle}
	r.active.Store(time.Now().UnixNano())
	for i := range sides {
		r.ways[i] = &way{r: r, from: sides[i], to: sides[1-i], flow: m.kernel.flow(numbers[i])}
		*r.ways[i].flow = flow{}
	}
	defer m.forget(sides, numbers)
	if err := m.enter(r, numbers); err != nil {
		return 0, 0, err
	}
	var all sync.WaitGroup
	for _, w := range r.ways {
		all.Go(w.run)
	}
	all.Wait()
	_, _ = a.Close(), b.Close()
	return r.ways[0].total(), r.ways[1].total(), nil
}

// enter has the kernel relay. The flows are known before the sockets, and the program waits for both.
func (m *Map) enter(r *pair, numbers [2]uint32) error {
	for i, w := range r.ways {
		if err := m.kernel.index.Put(key(w.from.cookie), numbers[i]); err != nil {
			return err
		}
	}
	for i, w := range r.ways {
		err := w.to.control(func(fd int) error { return m.kernel.sockets.Update(key(w.from.cookie), uint64(fd), ebpf.UpdateNoExist) })
		if errors.Is(err, syscall.EOPNOTSUPP) {
			err = ErrState
		}
		if err != nil && i == 0 {
			return err
		}
		if err != nil {
			return nil // one of them is taken and the other has just ended: everything is passed, and copied
		}
	}
	for _, w := range r.ways {
		atomic.StoreUint64(&w.flow.ready, 1)
	}
	for _, w := range r.ways {
		if err := w.from.kick(); err != nil {
			break // its reader sees the same
		}
	}
	return nil
}

// forget gives the flows back, once the sockets are closed, or were not taken.
func (m *Map) forget(sides [2]*socket, numbers [2]uint32) {
	for _, s := range sides {
		_ = m.kernel.sockets.Delete(key(s.cookie)) // closing has done it, mostly
		_ = m.kernel.index.Delete(key(s.cookie))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = append(m.free, numbers[:]...)
}

// pair is two connections.
type pair struct {
	m      *Map
	idle   time.Duration
	active atomic.Int64
	ways   [2]*way
}

// way is one direction.
type way struct {
	r        *pair
	from, to *socket
	flow     *flow
	read     uint64 // bytes that the reader has taken
	seen     uint64
}

// total is how many bytes went this way.
func (w *way) total() uint64 { return w.flow.load(&w.flow.sent) + w.read }

// run is the reader: it moves what the kernel passes, and ends the stream.
func (w *way) run() {
	if err := w.move(); err != nil {
		if errors.Is(err, errLost) {
			w.r.m.lost.Add(1)
		}
		for _, s := range []*socket{w.from, w.to} {
			_ = s.conn.SetLinger(0)
			_ = s.conn.Close()
		}
	}
}

func (w *way) move() error {
	for {
		if err := w.from.conn.SetReadDeadline(time.Now().Add(w.r.idle / 2)); err != nil {
			return err
		}
		n, err := w.part()
		if total := w.total(); n > 0 || total != w.seen {
			w.seen = total
			w.r.active.Store(time.Now().UnixNano())
		}
		switch {
		case errors.Is(err, io.EOF):
			if err := w.settle(); err != nil {
				return err
			}
			return w.to.conn.CloseWrite()
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Since(time.Unix(0, w.r.active.Load())) < w.r.idle:
		case err != nil:
			return err
		}
	}
}

// part waits for something that the kernel passes, and writes it on. io.EOF is the end.
func (w *way) part() (n int, err error) {
	buf := (*[bufferBytes]byte)(nil)
	defer func() {
		if buf != nil {
			w.r.m.buffers.Put(buf)
		}
	}()
	waited := w.from.raw.Read(func(fd uintptr) bool {
		if buf == nil {
			buf = w.r.m.buffers.Get().(*[bufferBytes]byte)
		}
		for {
			if n, err = syscall.Read(int(fd), buf[:]); !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return true
		}
		n, err = 0, nil
		w.confirm()
		w.r.m.buffers.Put(buf)
		buf = nil
		return false
	})
	switch {
	case waited != nil:
		return 0, waited
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	if err := w.drained(); err != nil {
		return 0, err
	}
	if _, err := w.to.conn.Write(buf[:n]); err != nil {
		return 0, err
	}
	w.read += uint64(n)
	w.r.m.copied.Add(uint64(n))
	w.confirm()
	atomic.StoreUint64(&w.flow.taken, w.flow.taken+uint64(n)) // from here on the kernel may redirect again
	return n, nil
}

// confirm tells the program how far the receiver's queue is, if that might matter soon.
func (w *way) confirm() {
	if w.flow.load(&w.flow.sent)-w.flow.confirmed < behindBytes/4 {
		return
	}
	if n, err := w.to.queued(); err == nil && n >= w.read {
		atomic.StoreUint64(&w.flow.confirmed, n-w.read)
	}
}

// drained waits until all that was redirected is in the receiver's queue. Nothing is redirected meanwhile.
func (w *way) drained() error {
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		n, err := w.to.queued()
		if err != nil {
			return err
		}
		if n >= w.total() {
			atomic.StoreUint64(&w.flow.confirmed, w.flow.load(&w.flow.sent))
			return nil
		}
		if err := w.look(pause); err != nil {
			return err
		}
	}
}

// look waits a moment. It fails when the connection is gone: the other direction has given up, or the peer has.
func (w *way) look(pause time.Duration) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	<-t.C
	return w.to.control(func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.State == closed {
			return net.ErrClosed
		}
		return err
	})
}

// closed is TCP_CLOSE: after a reset.
const closed = 7

// settle waits, at the end of a stream, until every byte that came is in the receiver's queue. What the kernel still
// passes is taken.
func (w *way) settle() error {
	for end := time.Now().Add(endTime); ; {
		came, err := w.from.received()
		if err != nil {
			return err
		}
		if came == w.total()+1 { // the end counts as one
			return w.drained()
		}
		if time.Now().After(end) {
			return errLost
		}
		if err := w.look(firstLook); err != nil {
			return err
		}
		if _, err := w.part(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
}
