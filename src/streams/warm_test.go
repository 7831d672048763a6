package streams

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// TestWarm opens streams over subflows that were set up before: no connection is dialled for the second.
func TestWarm(t *testing.T) {
	b := newBed(t, mirror)
	var dials atomic.Int64
	ways := b.ways(1)
	plain := ways[0].Dial
	ways[0].Key = "loop"
	ways[0].Dial = func(ctx context.Context) (net.Conn, error) {
		dials.Add(1)
		return plain(ctx)
	}
	ready := func() int {
		b.client.mu.Lock()
		defer b.client.mu.Unlock()
		if s := b.client.shelves["loop"]; s != nil {
			return len(s.ready)
		}
		return 0
	}
	for i := range 4 {
		s, err := b.client.Open(ways)
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, s, content(300_000))
		settle(t, func() bool { return ready() == warmEach })
		if want := int64(3 + i); dials.Load() != want {
			t.Errorf("%d dials after stream %d, want %d", dials.Load(), i, want)
		}
	}
	if n := b.server.Counts(); n.Streams != 4 || n.Subflows != 4 || n.Strangers != 0 {
		t.Errorf("%+v", n)
	}
	b.client.Close()
}

// TestWarmGoneSilent: a subflow that waited and then answers nothing is replaced by a new one within seconds, and none of
// those that waited beside it is used.
func TestWarmGoneSilent(t *testing.T) {
	b := newBed(t, mirror)
	var dials atomic.Int64
	var silent [warmEach]atomic.Int64 // how often each of those that wait was written to
	var ended atomic.Int64            // how many of them are closed
	ways := b.ways(1)
	plain := ways[0].Dial
	ways[0].Key = "loop"
	ways[0].Dial = func(ctx context.Context) (net.Conn, error) {
		n := dials.Add(1)
		if n > warmEach {
			return plain(ctx)
		}
		near, far := net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
		go func() {
			_, _ = io.Copy(io.Discard, far)
			ended.Add(1)
		}()
		return &countedWrites{near, &silent[n-1]}, nil
	}
	ready := func() bool {
		b.client.mu.Lock()
		defer b.client.mu.Unlock()
		return b.client.shelves["loop"] != nil && len(b.client.shelves["loop"].ready) == warmEach
	}
	b.client.take(ways[0]) // has the shelf filled
	settle(t, ready)
	s, err := b.client.Open(ways)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	roundTrip(t, s, content(300_000))
	if took := time.Since(begin); took < warmAnswer || took > deadline(warmAnswer) {
		t.Errorf("it took %v", took)
	}
	if first, second := silent[0].Load(), silent[1].Load(); min(first, second) != 1 || max(first, second) < 2 {
		t.Errorf("those that waited were written to %d and %d times: more than the hello goes to one of them", first, second)
	}
	settle(t, func() bool { return ended.Load() == warmEach })
	settle(t, ready)
	b.client.Close()
}

// countedWrites is a connection that counts what is written.
type countedWrites struct {
	net.Conn
	writes *atomic.Int64
}

func (c *countedWrites) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// deadline is what a silence of so long may take in all.
func deadline(silence time.Duration) time.Duration { return silence + 8*time.Second }

// TestBadRelays has one good way and others that refuse, garble, swallow, and answer with something else.
func TestBadRelays(t *testing.T) {
	b := newBed(t, func(s *Stream) {
		_, _ = s.Write(content(8 << 20))
		_ = s.CloseWrite()
		_, _ = io.Copy(io.Discard, s)
		_ = s.Close()
	})
	relay := func(tamper func(n int, p []byte) []byte) Way {
		return Way{Name: "relay", Dial: func(ctx context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", b.at)
			if err != nil {
				return nil, err
			}
			copyTo := func(to, from net.Conn) {
				buf, n := make([]byte, 8<<10), 0
				for {
					m, err := from.Read(buf)
					if m > 0 {
						_, _ = to.Write(tamper(n, buf[:m]))
						n += m
					}
					if err != nil {
						_, _ = to.Close(), from.Close()
						return
					}
				}
			}
			go copyTo(c, far)
			go copyTo(far, c)
			return near, nil
		}}
	}
	ways := b.ways(1)
	ways = append(ways,
		Way{Name: "refuses", Dial: func(context.Context) (net.Conn, error) { return nil, net.ErrClosed }},
		relay(func(_ int, p []byte) []byte { return p }),
		relay(func(n int, p []byte) []byte { // alters a byte after a while
			if n > 100_000 {
				p[0] ^= 1
			}
			return p
		}),
		relay(func(n int, p []byte) []byte { // swallows all after a while
			if n > 50_000 {
				return nil
			}
			return p
		}),
		relay(func(int, []byte) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }))
	for range 3 {
		s, err := b.client.Open(ways)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.CloseWrite()
		got, err := io.ReadAll(s)
		if want := content(8 << 20); err != nil || string(got) != string(want) {
			t.Errorf("%d bytes: %v %+v", len(got), err, s.Info())
		}
		_ = s.Close()
	}
}
