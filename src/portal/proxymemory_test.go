package portal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/session"
	"mpproxy/src/mpp"
	"mpproxy/src/park"
	"mpproxy/src/socks"
	"mpproxy/src/streams"
)

const (
	// idleStreams is how many idle connections are measured; MPPROXY_IDLE sets another number. The target is 10,000.
	idleStreams = 300
	// idleBytes is what both ends of one may take of the heap together, over two subflows; the test's own ends of it are in
	// it, about 2 KiB: 5.1 KiB were measured. Less than idleLeast it cannot be: then something else went meanwhile.
	idleBytes, idleLeast = 7 << 10, 7 << 9
	// keptBytes is what an end of it keeps of its pool, for being there.
	keptBytes = 2560
	// idleDirectBytes and idleDirectLeast are the same for a direct connection: 2.2 KiB were measured.
	idleDirectBytes, idleDirectLeast = 2600, 700
	// usedBytes is what a connection has carried each way before it is idle: enough that what sending takes would show.
	usedBytes = 100_000
	// idlers is for how many idle connections there may be a goroutine: those that are just looked after.
	idlers = 4
	// busyStreams are those that move busyLength bytes each at the same time, through pools that are as small for them as
	// the router's and the server's are for 500; MPPROXY_BUSY sets another number.
	busyStreams = 50
	busyLength  = 1 << 20
	busyTarget  = 500
)

// proxyPair is both ends of multipath connections over loopback, relayed as the portals do.
type proxyPair struct {
	client *streams.Client
	lots   [2]*park.Lot
	at     string // of the server
	pools  [2]*mpp.Pool
	mu     sync.Mutex
	peers  []net.Conn // what the server's end connected to
}

func newProxyPair(t *testing.T, router, server int) *proxyPair {
	start := time.Now()
	clock := func() mono.Time { return mono.Time(time.Since(start)) + 1 }
	p := &proxyPair{pools: [2]*mpp.Pool{mpp.NewPool(router), mpp.NewPool(server)}, lots: [2]*park.Lot{newLot(t), newLot(t)}}
	secret := mpp.NewSecret(session.AES256GCM, [32]byte{1})
	p.client = streams.NewClient(clock, p.pools[0], 1)
	p.client.SetLot(p.lots[0])
	p.client.SetSecret(secret)
	s := streams.NewServer(streams.ServerOptions{Clock: clock, Pool: p.pools[1], Lot: p.lots[1], Handle: func(_ context.Context, _ string, s *streams.Stream) {
		near, far := loopback(t)
		if far == nil {
			s.Abort()
			return
		}
		p.mu.Lock()
		p.peers = append(p.peers, far)
		p.mu.Unlock()
		socks.Begin(p.lots[1], s, near, time.Hour, func(uint64, uint64) {})
	}})
	s.AddSecret("home", secret)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.at = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = s.Serve(ctx, l); close(done) }()
	t.Cleanup(func() { cancel(); <-done; s.RemovePeer("home") })
	return p
}

// newLot is where idle connections wait.
func newLot(t *testing.T) *park.Lot {
	t.Helper()
	lot, err := park.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lot.Close() })
	return lot
}

// loopback is a TCP connection's two ends.
func loopback(t *testing.T) (a, b *net.TCPConn) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	defer l.Close()
	if a, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err == nil {
		b, err = l.AcceptTCP()
	}
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

// open makes a connection over two subflows and returns the client's end.
func (p *proxyPair) open(t *testing.T) net.Conn {
	way := streams.Way{Direct: true, Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", p.at)
	}}
	s, err := p.client.Open([]streams.Way{way, way})
	if err != nil {
		t.Fatal(err)
	}
	near, far := loopback(t)
	if far == nil {
		t.FailNow()
	}
	socks.Begin(p.lots[0], near, s, time.Hour, func(uint64, uint64) {})
	return far
}

func numberFrom(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

// allowFiles raises the limit of open files, as far as it goes.
func allowFiles(n uint64) {
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}) // the connections that then fail tell
}

// alone runs the test that calls it in a process of its own and says whether this is that process: what other tests left
// behind, as streams that linger, would go while memory is counted.
func alone(t *testing.T) bool {
	t.Helper()
	const name = "MPPROXY_TEST_ALONE"
	if os.Getenv(name) == t.Name() {
		return true
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.timeout=5m", "-test.run=^"+t.Name()+"$")
	c.Env = append(os.Environ(), name+"="+t.Name())
	said, err := c.CombinedOutput()
	for line := range strings.Lines(string(said)) {
		if strings.HasPrefix(line, "    ") { // its logs and errors; what "go test" would take for results of this process not
			t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Error(err)
	} else if !bytes.Contains(said, []byte("--- PASS: "+t.Name())) {
		t.Error("the test did not run")
	}
	return false
}

// awaitIdle waits until as few goroutines look after the connections as may, beside others of the test, and the pools hold no
// more than what connections take by being there.
func awaitIdle(connections, others int, pools ...*mpp.Pool) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		rest := true
		for _, p := range pools {
			rest = rest && p.Carried() == 0 && p.Used() <= connections*keptBytes
		}
		if rest && runtime.NumGoroutine()-others <= connections/idlers {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

// heap is what is in use after two collections. Stacks are not in it, of which the runtime keeps some: goroutines are counted.
func heap() int {
	runtime.GC()
	runtime.GC() // what pools of buffers keep goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestIdleConnections: many connections that have been used and carry nothing hold no buffers and little else.
func TestIdleConnections(t *testing.T) {
	if !alone(t) {
		return
	}
	number := numberFrom("MPPROXY_IDLE", idleStreams)
	if number > idleStreams {
		allowFiles(uint64(20 * number))
	}
	p := newProxyPair(t, 32*mebibyte, 256*mebibyte)
	var all []net.Conn
	hold := func(n int) {
		for range n {
			c := p.open(t)
			p.use(t, c)
			all = append(all, c)
		}
		awaitIdle(len(all), 0, p.pools[:]...)
	}
	hold(number / 3) // what is made once, as the runtime's descriptors of goroutines that were
	before := heap()
	hold(number)
	each := (heap() - before) / number
	t.Logf("%d idle connections: %d bytes each at both ends together, %d goroutines; pools %d and %d", number, each, runtime.NumGoroutine(), p.pools[0].Used(), p.pools[1].Used())
	for i, p := range p.pools {
		if used := p.Used(); p.Carried() != 0 || used != len(all)*keptBytes {
			t.Errorf("pool %d: %d bytes for each idle connection, want %d; %d carried", i, used/len(all), keptBytes, p.Carried())
		}
	}
	if each > idleBytes && !raced || each < idleLeast {
		t.Errorf("%d bytes for each idle connection, %d to %d", each, idleLeast, idleBytes)
	}
	if n := runtime.NumGoroutine(); n > len(all)/idlers {
		t.Errorf("%d goroutines for %d idle connections", n, len(all))
	}
	for _, c := range all {
		_ = c.Close()
	}
}

// TestBusyConnections: many connections that carry as much as they can, to readers that rest again and again, share the
// pools: all come to their end, every byte of them, and no more memory is taken than there is.
func TestBusyConnections(t *testing.T) {
	number := numberFrom("MPPROXY_BUSY", busyStreams)
	p := newProxyPair(t, 32*mebibyte*number/busyTarget, 256*mebibyte*number/busyTarget)
	data := make([]byte, busyLength)
	_, _ = rand.NewChaCha8([32]byte{5}).Read(data)
	want := sha256.Sum256(data)
	var highest [2]int
	over, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			for i, pool := range p.pools {
				highest[i] = max(highest[i], pool.Used())
			}
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	var busy sync.WaitGroup
	for range number {
		c := p.open(t)
		peer := p.use(t, c)
		for _, ends := range [][2]net.Conn{{c, peer}, {peer, c}} {
			busy.Go(func() { _, _ = ends[0].Write(data); _ = ends[0].(*net.TCPConn).CloseWrite() })
			busy.Go(func() {
				_ = ends[1].SetDeadline(time.Now().Add(time.Minute))
				h := sha256.New()
				for {
					n, err := io.CopyN(h, ends[1], 100<<10)
					if n == 0 || err != nil {
						break
					}
					<-time.After(5 * time.Millisecond)
				}
				if [32]byte(h.Sum(nil)) != want {
					t.Error("not what was sent")
				}
			})
		}
	}
	busy.Wait()
	close(over)
	<-watched
	for i, pool := range p.pools {
		t.Logf("pool %d: at most %d of %d bytes", i, highest[i], pool.Limit())
		// Every connection has a block for each direction in any case.
		if most := pool.Limit() + 2*number*mpp.BlockBytes; highest[i] > most {
			t.Errorf("pool %d: %d bytes, at most %d", i, highest[i], most)
		}
	}
}

// use sends something each way, and returns the far end.
func (p *proxyPair) use(t *testing.T, c net.Conn) net.Conn {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	var peer net.Conn
	for deadline := time.Now().Add(20 * time.Second); peer == nil && time.Now().Before(deadline); <-time.After(time.Millisecond) {
		p.mu.Lock()
		if n := len(p.peers); n > 0 {
			peer, p.peers = p.peers[n-1], p.peers[:n-1]
		}
		p.mu.Unlock()
	}
	if peer == nil {
		t.Fatal("the server did not connect")
	}
	_ = peer.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, usedBytes)
	for _, ends := range [][2]net.Conn{{peer, c}, {c, peer}} {
		sent := make(chan error, 1)
		go func() { _, err := ends[0].Write(data); sent <- err }()
		if _, err := io.CopyN(io.Discard, ends[1], usedBytes); err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	return peer
}

// TestIdleDirectConnections is the same for connections that are made directly; the test's own ends are in it.
func TestIdleDirectConnections(t *testing.T) {
	if !alone(t) {
		return
	}
	number := numberFrom("MPPROXY_IDLE", idleStreams)
	target, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	all := func(netip.AddrPort) bool { return true }
	s := socks.NewServer(socks.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Connector: &socks.Direct{Guard: all}, Guard: all, Lot: newLot(t)})
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	defer func() { cancel(); <-done; _ = target.Close() }()
	var kept []net.Conn
	defer func() {
		for _, c := range kept {
			_ = c.Close()
		}
	}()
	open := func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, c)
		at := func(a net.Addr) socks.Address { return socks.FromAddrPort(a.(*net.TCPAddr).AddrPort()) }
		if err := socks.Through(ctx, c, []socks.Hop{{At: at(l.Addr())}}, at(target.Addr())); err != nil {
			t.Fatal(err)
		}
		peer, err := target.Accept()
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, peer)
		for _, ends := range [][2]net.Conn{{c, peer}, {peer, c}} {
			_ = ends[1].SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = ends[0].Write([]byte{1})
			if _, err := io.ReadFull(ends[1], make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	goroutines := runtime.NumGoroutine()
	hold := func(n int) {
		for range n {
			open()
		}
		awaitIdle(len(kept)/2, goroutines)
	}
	hold(number / 3) // what is made once, as the runtime's descriptors of goroutines that were
	before := heap()
	hold(number)
	each := (heap() - before) / number
	if n := runtime.NumGoroutine() - goroutines; n > len(kept)/2/idlers {
		t.Errorf("%d goroutines for %d idle connections", n, len(kept)/2)
	}
	t.Logf("%d idle connections: %d bytes each, %d goroutines", number, each, runtime.NumGoroutine()-goroutines)
	if each > idleDirectBytes && !raced || each < idleDirectLeast {
		t.Errorf("%d bytes for each idle connection, %d to %d", each, idleDirectLeast, idleDirectBytes)
	}
}
