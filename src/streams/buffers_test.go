package streams

import (
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
