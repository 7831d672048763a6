package streams

import (
	"errors"
	"runtime"
	"sync"
	"syscall"

	"mpproxy/src/park"
)

// smallBuffers hold one record to be written, largeBuffers what is just read, or several records of a subflow that is quick.
// records hold what strangers send, who may take their time.
var (
	smallBuffers = newBufferPool(recordBytes)
	largeBuffers = newBufferPool(bufferBytes)
	records      = sync.Pool{New: func() any { b := make([]byte, recordBytes); return &b }}
)

// bufferPool has a bounded number of buffers out. Who has one computes with it and waits for nothing but a lock, so more than some
// for each processor would only be memory: of many subflows at once, most of it.
type bufferPool struct {
	out  chan struct{}
	free sync.Pool
}

func newBufferPool(size int) *bufferPool {
	p := &bufferPool{out: make(chan struct{}, buffersElse+buffersEach*runtime.GOMAXPROCS(0))}
	p.free.New = func() any { b := make([]byte, size); return &b }
	return p
}

// get waits for a buffer: not to be called with a stream's lock held, in a call of a connection (as closing it would then wait,
// too), or with another buffer in hand.
func (p *bufferPool) get() *[]byte {
	p.out <- struct{}{}
	return p.free.Get().(*[]byte)
}

// getNow is get that does not wait: nil if none is free.
func (p *bufferPool) getNow() *[]byte {
	select {
	case p.out <- struct{}{}:
		return p.free.Get().(*[]byte)
	default:
		return nil
	}
}

func (p *bufferPool) put(b *[]byte) {
	p.free.Put(b)
	<-p.out
}

// send writes what the first n bytes of a buffer hold, and gives the buffer back: what the socket has no room for is held by itself.
func (k *subflow) send(pool *bufferPool, buf *[]byte, n int) error {
	data := (*buf)[:n]
	done, err := k.sendNow(data)
	if err == nil && done < n {
		data = append([]byte(nil), data[done:]...)
	}
	pool.put(buf)
	if err == nil && done < n {
		_, err = k.conn.Write(data)
	}
	return err
}

// sendNow writes as much as the socket takes at once; nothing if it is somebody's who has a say in that.
func (k *subflow) sendNow(b []byte) (int, error) {
	c, ok := k.conn.(*park.Conn)
	if !ok {
		return 0, nil
	}
	w := sending{b: b}
	failed := c.Raw().Write(w.now)
	return w.n, errors.Join(failed, w.err)
}

// sending is one call that does not wait.
type sending struct {
	b   []byte
	n   int
	err error
}

func (w *sending) now(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), w.b)
		switch {
		case err == nil:
			w.n = n
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EAGAIN):
			w.err = err
		}
		return true
	}
}
