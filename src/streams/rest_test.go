package streams

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"mpproxy/src/park"
)

// restBed is a bed whose client's subflows can be cut.
type restBed struct {
	*bed
	mu    sync.Mutex
	conns []*park.Conn // of the client's subflows
	far   chan *Stream
}

func newRestBed(t *testing.T) *restBed {
	r := &restBed{far: make(chan *Stream, 9)}
	r.bed = newBed(t, func(s *Stream) { r.far <- s })
	return r
}

// open makes a stream over so many subflows, and returns both ends once a byte has gone each way.
func (r *restBed) open(t *testing.T, subflows int) (near, far *Stream) {
	t.Helper()
	ways := r.ways(subflows)
	for i := range ways {
		plain := ways[i].Dial
		ways[i].Dial = func(ctx context.Context) (net.Conn, error) {
			c, err := plain(ctx)
			r.mu.Lock()
			defer r.mu.Unlock()
			if err != nil {
				return nil, err
			}
			k := park.NewConn(c.(*net.TCPConn))
			r.conns = append(r.conns, k)
			return k, nil
		}
	}
	near, err := r.client.Open(ways)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := near.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	far = <-r.far
	both(t, near, far)
	return near, far
}

// both sends something each way.
func both(t *testing.T, near, far *Stream) {
	t.Helper()
	for _, ends := range [][2]*Stream{{near, far}, {far, near}} {
		want := content(70_000)
		go func() { _, _ = ends[0].Write(want) }()
		if _, err := io.ReadFull(ends[1], make([]byte, 1)); err != nil { // the first byte that open sends, or one of the last round's
			t.Fatal(err)
		}
		got := make([]byte, len(want)-1)
		if _, err := io.ReadFull(ends[1], got); err != nil || len(got) == 0 {
			t.Fatal(err)
		}
	}
}

// parked waits until so many subflow ends are.
func (r *restBed) parked(t *testing.T, want int) {
	t.Helper()
	settle(t, func() bool { return r.lot.Parked() == want })
	if n := r.lot.Parked(); n != want {
		t.Fatalf("%d subflow ends are parked, want %d", n, want)
	}
}

// woken is a waker that tells.
type woken chan struct{}

func (w woken) Wake() { w <- struct{}{} }

// TestParked: subflows that carry nothing are parked and keep no keys; what is sent then comes, again and again.
func TestParked(t *testing.T) {
	r := newRestBed(t)
	near, far := r.open(t, 2)
	for range 3 {
		r.parked(t, 4)
		near.mu.Lock()
		for _, k := range near.subs {
			if k.parked == 0 || k.writing || !k.conn.(*park.Conn).IsSlim() {
				t.Errorf("subflow %d: not at rest", k.id)
			}
		}
		near.mu.Unlock()
		both(t, near, far)
	}
	_, _ = near.Close(), far.Close()
}

// TestParkedNeedNoGoroutines: many streams that are idle have none.
func TestParkedNeedNoGoroutines(t *testing.T) {
	r := newRestBed(t)
	r.open(t, 1)
	r.parked(t, 2)
	before := runtime.NumGoroutine()
	const number = 50
	for range number {
		r.open(t, 1)
	}
	r.parked(t, 2+2*number)
	settle(t, func() bool { return runtime.NumGoroutine() < before+number/5 })
	if n := runtime.NumGoroutine() - before; n >= number/5 {
		t.Errorf("%d goroutines more for %d idle streams", n, number)
	}
}

// TestRest: who rests is woken by bytes and by the end, and at once not taken if there is something.
func TestRest(t *testing.T) {
	r := newRestBed(t)
	near, far := r.open(t, 1)
	w := make(woken, 1)
	for _, do := range []func(){
		func() { _, _ = far.Write([]byte{7}) },
		func() { _ = far.CloseWrite() },
	} {
		if !near.Rest(w) {
			t.Fatal("there is nothing to read")
		}
		r.parked(t, 2)
		select {
		case <-w:
			t.Fatal("woken by nothing")
		default:
		}
		do()
		select {
		case <-w:
		case <-time.After(10 * time.Second):
			t.Fatal("not woken")
		}
		if near.Rest(w) {
			t.Error("there is something to read")
		}
		_, _ = near.Read(make([]byte, 9))
	}
	_, _ = far.Read(make([]byte, 9)) // what both leaves there
	if !far.Rest(w) {
		t.Fatal("there is nothing to read")
	}
	near.Abort()
	select {
	case <-w:
	case <-time.After(10 * time.Second):
		t.Fatal("not woken by the other side's abort")
	}
}

// TestParkedSubflowDies: a parked subflow that is cut, by this program or on the way, is replaced, and nothing is lost.
func TestParkedSubflowDies(t *testing.T) {
	r := newRestBed(t)
	near, far := r.open(t, 2)
	for range 2 {
		r.parked(t, 4)
		r.mu.Lock()
		made := len(r.conns)
		_ = r.conns[made-1].Close()
		_ = r.conns[made-2].CloseWrite()
		r.mu.Unlock()
		both(t, near, far)
		settle(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.conns) == made+2 })
		r.mu.Lock()
		if len(r.conns) != made+2 {
			t.Errorf("%d subflows were made, want %d", len(r.conns), made+2)
		}
		r.mu.Unlock()
	}
}

// TestLateFetch: a deadline that passes while records are looked at ends nothing.
func TestLateFetch(t *testing.T) {
	k := newSubflow(loopback(t), 1, "x", nil, nil)
	if err := k.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if n, err := k.fetchMore(make([]byte, 100)); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// TestParkedEnd: a parked stream's end is seen by the other side, and leaves nothing parked.
func TestParkedEnd(t *testing.T) {
	r := newRestBed(t)
	near, far := r.open(t, 2)
	r.parked(t, 4)
	go func() { _ = near.CloseWrite() }()
	if rest, err := io.ReadAll(far); err != nil || len(bytes.TrimRight(rest, "\x00")) > 1 {
		t.Error(len(rest), err)
	}
	_ = far.Close()
	_, _ = io.ReadAll(near)
	_ = near.Close()
	r.parked(t, 0)
	r.open(t, 2)
	r.parked(t, 4)
	r.server.RemovePeer("home")
	r.parked(t, 0)
}

// A server that does not know the secret any more says nothing and goes, maybe only when the subflow waits at rest: the secret
// is doubted all the same.
func TestDoubtAtRest(t *testing.T) {
	b := newBed(t, func(*Stream) {})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	over := make(chan struct{})
	go func() {
		defer close(over)
		c, err := l.Accept()
		for end := time.Now().Add(10 * time.Second); err == nil && b.lot.Parked() == 0 && time.Now().Before(end); {
			<-time.After(10 * time.Millisecond)
		}
		if err == nil {
			_, _ = c.Read(make([]byte, 1000)) // else it is a reset
			_ = c.Close()
		}
	}()
	s, err := b.client.Open([]Way{{Name: "one", Direct: true, Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.Addr().String())
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Abort()
	if _, err := s.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	<-over
	settle(t, func() bool {
		b.client.mu.Lock()
		defer b.client.mu.Unlock()
		return b.client.doubt
	})
}
