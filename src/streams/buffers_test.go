package streams

import (
	"io"
	"runtime"
	"testing"
	"time"
)

// TestBuffersBounded: no more buffers are out than may be; who waits for one gets it when another is put back.
func TestBuffersBounded(t *testing.T) {
	p := newBufferPool(16)
	var out []*[]byte
	for range cap(p.out) {
		out = append(out, p.get())
	}
	if p.getNow() != nil {
		t.Fatal("there was one more")
	}
	got := make(chan *[]byte)
	go func() { got <- p.get() }()
	select {
	case <-got:
		t.Fatal("there was one more for who waits")
	case <-time.After(20 * time.Millisecond):
	}
	p.put(out[0])
	p.put(<-got)
	for _, b := range out[1:] {
		p.put(b)
	}
	if b := p.getNow(); b == nil || len(*b) != 16 || len(p.out) != 1 {
		t.Errorf("%d are out of those that were put back", len(p.out))
	}
}

// TestWritersWait: while no buffer is free subflows with something to send need no goroutine; afterwards all of it is sent.
func TestWritersWait(t *testing.T) {
	b := newBed(t, mirror)
	const number = 200
	var all []*Stream
	for range number {
		s, err := b.client.Open(b.ways(1))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
		if _, err := s.Write(content(100)); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, func() bool { return b.lot.Parked() == 2*number })
	var out []*[]byte
	for range cap(smallBuffers.out) {
		out = append(out, smallBuffers.get())
	}
	before := runtime.NumGoroutine()
	for _, s := range all {
		if _, err := s.Write(content(100)); err != nil {
			t.Fatal(err)
		}
	}
	if n := runtime.NumGoroutine() - before; n > number/4 || smallBuffers.queued.Load() < number {
		t.Errorf("%d goroutines for %d that wait, %d are queued", n, number, smallBuffers.queued.Load())
	}
	for _, buf := range out {
		smallBuffers.put(buf)
	}
	for _, s := range all {
		_ = s.CloseWrite()
		got := make([]byte, 300)
		if n, err := io.ReadFull(s, got); n != 200 || err != io.ErrUnexpectedEOF {
			t.Fatal(n, err)
		}
		_ = s.Close()
	}
}
