package streams

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/session"
	"mpproxy/src/mpp"
	"mpproxy/src/park"
)

// testClock is the monotonic clock of this process.
func testClock() Clock {
	start := time.Now()
	return func() mono.Time { return mono.Time(time.Since(start)) + 1 }
}

// bed is a client and a server on loopback.
type bed struct {
	client *Client
	server *Server
	at     string
	pools  [2]*mpp.Pool
	lot    *park.Lot
}

func newBed(t testing.TB, handle func(*Stream)) *bed {
	t.Helper()
	b := &bed{pools: [2]*mpp.Pool{mpp.NewPool(64 << 20), mpp.NewPool(64 << 20)}}
	clock := testClock()
	secret := mpp.NewSecret(session.AES256GCM, [32]byte{1, 2, 3})
	b.client = NewClient(clock, b.pools[0], 77)
	b.lot = newLot(t)
	b.client.SetLot(b.lot)
	b.client.SetSecret(secret)
	b.server = NewServer(ServerOptions{Clock: clock, Pool: b.pools[1], Lot: b.lot,
		Handle: func(_ context.Context, _ string, s *Stream) { handle(s) }})
	b.server.AddSecret("home", secret)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.at = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		_ = b.server.Serve(ctx, l)
		close(done)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return b
}

// carries is what both pools hold beside what is reserved for what there is.
func (b *bed) carries() int {
	return b.pools[0].Carried() + b.pools[1].Carried()
}

// newLot is where idle subflows wait.
func newLot(t testing.TB) *park.Lot {
	t.Helper()
	lot, err := park.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lot.Close() })
	return lot
}

// ways are n direct ones.
func (b *bed) ways(n int) []Way {
	var out []Way
	for range n {
		out = append(out, Way{Name: "loop", Direct: true, Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", b.at)
		}})
	}
	return out
}

// mirror sends back all that came, once the other side has ended.
func mirror(s *Stream) {
	all, err := io.ReadAll(s)
	if err == nil {
		_, _ = s.Write(all)
	}
	_ = s.CloseWrite()
	_ = s.Close()
}

func content(n int) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = c.Read(b)
	return b
}

// roundTrip sends data and wants it back.
func roundTrip(t *testing.T, s *Stream, data []byte) {
	t.Helper()
	go func() {
		_, _ = s.Write(data)
		_ = s.CloseWrite()
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("sent %d, got %d bytes back, equal %v: %v; %+v", len(data), len(got), bytes.Equal(got, data), err, s.Info())
	}
	_ = s.Close()
}

func TestRoundTrip(t *testing.T) {
	b := newBed(t, mirror)
	for _, n := range []int{0, 1, 1000, 100_000, 8 << 20} {
		for _, ways := range []int{1, 2, 4} {
			s, err := b.client.Open(b.ways(ways))
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, s, content(n))
		}
	}
	settle(t, func() bool { return b.server.Counts().Active == 0 && b.client.Active() == 0 })
	if used := b.pools[0].Used() + b.pools[1].Used(); used != 0 {
		t.Errorf("%d bytes kept", used)
	}
}

// settle waits for something that comes true by itself.
func settle(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal("it never came")
		}
		<-time.After(20 * time.Millisecond)
	}
}

// breaking is a connection that dies after some bytes.
type breaking struct {
	*net.TCPConn
	left atomic.Int64
}

func (c *breaking) Write(p []byte) (int, error) {
	if left := c.left.Add(-int64(len(p))); left < 0 {
		n, _ := c.TCPConn.Write(p[:max(0, len(p)+int(left))])
		_ = c.SetLinger(0)
		_ = c.Close()
		return n, io.ErrClosedPipe
	}
	return c.TCPConn.Write(p)
}

// TestDyingSubflows moves data while connections die at random bytes, in either direction.
func TestDyingSubflows(t *testing.T) {
	b := newBed(t, mirror)
	var died atomic.Int64
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(n) }
	ways := b.ways(3)
	for i := range ways {
		plain := ways[i].Dial
		ways[i].Dial = func(ctx context.Context) (net.Conn, error) {
			c, err := plain(ctx)
			if err != nil || random(4) == 0 {
				return c, err
			}
			died.Add(1)
			k := &breaking{TCPConn: c.(*net.TCPConn)}
			k.left.Store(int64(random(3 << 20)))
			if random(2) == 0 { // dies while it is read
				time.AfterFunc(time.Duration(random(200))*time.Millisecond, func() { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() })
			}
			return k, nil
		}
	}
	var wg sync.WaitGroup
	for i := range 40 {
		s, err := b.client.Open(ways)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { roundTrip(t, s, content(random(1<<20)+i)) })
	}
	wg.Wait()
	t.Logf("%d connections were made to die; server: %+v", died.Load(), b.server.Counts())
}

// TestReset tells the other side.
func TestReset(t *testing.T) {
	heard := make(chan error, 1)
	b := newBed(t, func(s *Stream) {
		_, err := io.ReadAll(s)
		heard <- err
		_ = s.Close()
	})
	s, err := b.client.Open(b.ways(2))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write(content(1000))
	if err := s.Connected(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, func() bool { return b.server.Counts().Active == 1 })
	s.Abort()
	var reset *mpp.ResetError
	if err := <-heard; !errors.As(err, &reset) || reset.Code != mpp.CodeAborted {
		t.Error(err)
	}
}

func TestReadDeadline(t *testing.T) {
	b := newBed(t, func(s *Stream) { _, _ = io.ReadAll(s) })
	s, err := b.client.Open(b.ways(1))
	if err != nil {
		t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	var timeout net.Error
	if _, err := s.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Error(err)
	}
	s.Abort()
}

// capture records what a client sends.
type capture struct {
	*net.TCPConn
	mu   *sync.Mutex
	sent *bytes.Buffer
}

func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.sent.Write(p)
	c.mu.Unlock()
	return c.TCPConn.Write(p)
}

// TestStrangersAndReplays answers nothing to garbage, unknown secrets, and copies of what was good once.
func TestStrangersAndReplays(t *testing.T) {
	b := newBed(t, mirror)
	var mu sync.Mutex
	var sent bytes.Buffer
	ways := b.ways(1)
	plain := ways[0].Dial
	ways[0].Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := plain(ctx)
		if err != nil {
			return nil, err
		}
		return &capture{c.(*net.TCPConn), &mu, &sent}, nil
	}
	s, err := b.client.Open(ways)
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, s, content(5000))
	mu.Lock()
	good := bytes.Clone(sent.Bytes())
	mu.Unlock()
	other := mpp.NewSecret(session.AES256GCM, [32]byte{9})
	seal, _, _ := other.Client(1)
	forged := append(mpp.AppendHello(nil, other.ID(), 1), seal.Seal(mpp.AppendFrame(make([]byte, mpp.RecordSpace, 200), &mpp.Frame{Type: mpp.FrameAttach, MID: 1, Subflow: 1}))...)
	changed := bytes.Clone(good)
	changed[mpp.HelloBytes+4] ^= 1
	changed[17] ^= 0x40 // another ticket
	for name, bytes := range map[string][]byte{"garbage": content(5000), "replay": good, "unknown secret": forged, "forged record": changed, "http": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")} {
		c, err := net.Dial("tcp", b.at)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(bytes)
		_ = c.(*net.TCPConn).CloseWrite()
		if got, _ := io.ReadAll(c); len(got) != 0 {
			t.Errorf("%s: answered with %d bytes", name, len(got))
		}
		_ = c.Close()
	}
	if n := b.server.Counts(); n.Streams != 1 || n.Replayed != 1 || n.Strangers != 4 {
		t.Errorf("%+v", n)
	}
}

// TestMIDOnce refuses a MID that was used before, with an answer, as the peer is who it says it is.
func TestMIDOnce(t *testing.T) {
	b := newBed(t, mirror)
	s, err := b.client.Open(b.ways(1))
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, s, content(100))
	settle(t, func() bool { return b.server.Counts().Active == 0 })
	b.client.count.Add(^uint32(0)) // the same MID again
	s, err = b.client.Open(b.ways(1))
	if err != nil {
		t.Fatal(err)
	}
	var reset *mpp.ResetError
	if _, err := s.Read(make([]byte, 1)); !errors.As(err, &reset) || reset.Code != mpp.CodeGone {
		t.Error(err)
	}
	if n := b.server.Counts(); n.Refused != 1 || n.Streams != 1 {
		t.Errorf("%+v", n)
	}
}

// TestIdleMemory holds many streams that do nothing.
func TestIdleMemory(t *testing.T) {
	const n = 300
	b := newBed(t, func(s *Stream) { _, _ = io.Copy(s, s) })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var all []*Stream
	for range n {
		s, err := b.client.Open(b.ways(2))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Write([]byte("x"))
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	settle(t, func() bool { return b.carries() == 0 })
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	perStream := int(after.HeapAlloc-before.HeapAlloc+after.StackInuse-before.StackInuse) / n
	t.Logf("%d bytes for a stream of two subflows, both ends", perStream)
	if perStream > 300<<10 { // the race detector doubles it
		t.Errorf("%d bytes", perStream)
	}
	for _, s := range all {
		s.Abort()
	}
}

// BenchmarkDown measures one stream on loopback, against one plain connection.
func BenchmarkDown(b *testing.B) {
	for name, ways := range map[string]int{"1": 1, "2": 2, "4": 4} {
		b.Run(name, func(b *testing.B) {
			data := make([]byte, 1<<20)
			bed := newBed(b, func(s *Stream) {
				for {
					if _, err := s.Write(data); err != nil {
						return
					}
				}
			})
			s, err := bed.client.Open(bed.ways(ways))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(1 << 20)
			buf := make([]byte, 1<<20)
			if _, err := io.ReadFull(s, buf); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.ReadFull(s, buf); err != nil {
					b.Fatal(err)
				}
			}
			s.Abort()
		})
	}
}

// TestNoNumbersLeft: a stream that has had all the subflows that have numbers dials no more.
func TestNoNumbersLeft(t *testing.T) {
	b := newBed(t, mirror)
	s, err := b.client.Open(b.ways(1))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Abort()
	dialled := false
	way := Way{Dial: func(context.Context) (net.Conn, error) {
		dialled = true
		return nil, errors.New("refused")
	}}
	s.ids.Store(math.MaxUint16 - 1)
	if b.client.connect(s, way) != nil || !dialled {
		t.Error("the last number was not tried")
	}
	dialled = false
	s.ids.Store(math.MaxUint16)
	if b.client.connect(s, way) != nil || dialled {
		t.Error("dialled without a number")
	}
}
