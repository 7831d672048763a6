//go:build linux && (amd64 || arm64)

package sockmap

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// transfers is how many pairs are relayed; MPPROXY_TRANSFERS sets another number.
	transfers = 2000
	together  = 16
)

func newMap(t *testing.T, pairs int) *Map {
	m, err := New(pairs)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EOPNOTSUPP) {
		t.Skipf("no sockmap here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// connected is a TCP connection's two ends.
func connected(t *testing.T) (a, b *net.TCPConn) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	if b, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// plan is what one end of a transfer does.
type plan struct {
	data  []byte
	early int // bytes sent before the relay begins
	rng   *rand.Rand
	slow  bool // reads little at a time, and rests
}

func newPlan(rng *rand.Rand) plan {
	size := 0
	switch rng.IntN(4) {
	case 0:
		size = rng.IntN(10)
	case 1:
		size = rng.IntN(10_000)
	case 2:
		size = rng.IntN(300_000)
	case 3:
		size = rng.IntN(3_000_000)
	}
	p := plan{data: make([]byte, size), slow: rng.IntN(4) == 0, rng: rand.New(rand.NewPCG(rng.Uint64(), 1))}
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)}).Read(p.data)
	if rng.IntN(2) == 0 {
		p.early = rng.IntN(min(size, 50_000) + 1)
	}
	return p
}

// send sends the rest in pieces of any size, and ends the stream.
func (p plan) send(c *net.TCPConn) error {
	for rest := p.data[p.early:]; len(rest) > 0; {
		n := 1 + p.rng.IntN(1<<p.rng.IntN(18))
		n = min(n, len(rest))
		if _, err := c.Write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
		if p.rng.IntN(50) == 0 {
			<-time.After(time.Duration(p.rng.IntN(2000)) * time.Microsecond)
		}
	}
	return c.CloseWrite()
}

// receive wants exactly what the other end sent.
func (p plan) receive(c *net.TCPConn, from plan) error {
	h, n := sha256.New(), 0
	rng := rand.New(rand.NewPCG(uint64(len(from.data)), 2)) // sending uses the other one at the same time
	b := make([]byte, 64<<10)
	for {
		part := b
		if p.slow {
			part = b[:1+rng.IntN(len(b))]
			if rng.IntN(8) == 0 {
				<-time.After(time.Duration(rng.IntN(5000)) * time.Microsecond)
			}
		}
		k, err := c.Read(part)
		h.Write(part[:k])
		n += k
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if want := sha256.Sum256(from.data); n != len(from.data) || !bytes.Equal(h.Sum(nil), want[:]) {
		return errors.New("got " + strconv.Itoa(n) + " of " + strconv.Itoa(len(from.data)) + " bytes, or others")
	}
	return nil
}

// transfer relays one pair of connections and reports what went wrong.
func transfer(t *testing.T, m *Map, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	a, nearA := connected(t)
	b, nearB := connected(t)
	plans, ends := [2]plan{newPlan(rng), newPlan(rng)}, [2]*net.TCPConn{a, b}
	for i, p := range plans {
		_ = ends[i].SetDeadline(time.Now().Add(60 * time.Second))
		if _, err := ends[i].Write(p.data[:p.early]); err != nil {
			t.Error(err)
		}
	}
	var all sync.WaitGroup
	for i, p := range plans {
		all.Go(func() {
			if err := p.send(ends[i]); err != nil {
				t.Errorf("seed %d: send %d: %v", seed, i, err)
			}
		})
		all.Go(func() {
			if err := p.receive(ends[i], plans[1-i]); err != nil {
				t.Errorf("seed %d: receive at %d: %v", seed, i, err)
			}
		})
	}
	up, down, err := m.Relay(nearA, nearB, time.Minute)
	if errors.Is(err, ErrState) { // it had ended before: the caller would copy
		for _, pair := range [][2]*net.TCPConn{{nearA, nearB}, {nearB, nearA}} {
			all.Go(func() { _, _ = io.Copy(pair[1], pair[0]); _ = pair[1].CloseWrite() })
		}
		up, down, err = uint64(len(plans[0].data)), uint64(len(plans[1].data)), nil
	}
	all.Wait()
	if err != nil || int(up) != len(plans[0].data) || int(down) != len(plans[1].data) {
		t.Errorf("seed %d: relayed %d of %d and %d of %d: %v", seed, up, len(plans[0].data), down, len(plans[1].data), err)
	}
	for _, c := range []*net.TCPConn{a, b, nearA, nearB} {
		_ = c.Close()
	}
}

// TestExact relays thousands of transfers of random sizes, both ways at once, with bytes before the begin, half-closes,
// slow and fast readers: every byte arrives once, and in order.
func TestExact(t *testing.T) {
	m := newMap(t, together)
	number := transfers
	if n, err := strconv.Atoi(os.Getenv("MPPROXY_TRANSFERS")); err == nil {
		number = n
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range together {
		all.Go(func() {
			for i := next.Add(1); i <= int64(number) && !t.Failed(); i = next.Add(1) {
				transfer(t, m, uint64(i))
			}
		})
	}
	all.Wait()
	copied, lost := m.Counts()
	t.Logf("%d transfers, %d bytes of them copied because a receiver was behind, %d broken off", number, copied, lost)
	if lost > 0 {
		t.Error("bytes were lost")
	}
}

// TestStalledReceiver: a receiver that takes nothing stops the sender, as it would without a relay, and the other
// direction goes on.
func TestStalledReceiver(t *testing.T) {
	m := newMap(t, 1)
	a, nearA := connected(t)
	b, nearB := connected(t)
	done := make(chan struct{})
	go func() { _, _, _ = m.Relay(nearA, nearB, time.Minute); close(done) }()
	const most = 32 << 20 // socket buffers at both ends, and what may be behind
	chunk := make([]byte, 256<<10)
	sent := 0
	for quiet := 0; quiet < 5 && sent < 4*most; {
		_ = a.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := a.Write(chunk)
		sent += n
		if quiet++; n > 0 || err == nil {
			quiet = 0
		}
	}
	if sent > most {
		t.Errorf("the sender got rid of %d bytes", sent)
	}
	_ = a.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := b.Write([]byte("answer")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(a, make([]byte, 6)); err != nil {
		t.Error(err)
	}
	got := 0
	go func() { _ = a.CloseWrite() }()
	_ = b.SetReadDeadline(time.Now().Add(30 * time.Second))
	for n, err := b.Read(chunk); ; n, err = b.Read(chunk) {
		if got += n; err != nil {
			break
		}
	}
	if got != sent {
		t.Errorf("%d of %d bytes arrived in the end", got, sent)
	}
	t.Logf("%d bytes went before the sender was stopped", sent)
	_, _ = a.Close(), b.Close()
	<-done
}

// TestIdle ends a pair on which nothing moves.
func TestIdle(t *testing.T) {
	m := newMap(t, 1)
	a, nearA := connected(t)
	b, nearB := connected(t)
	defer a.Close()
	defer b.Close()
	begin := time.Now()
	if _, _, err := m.Relay(nearA, nearB, 300*time.Millisecond); err != nil || time.Since(begin) < 250*time.Millisecond {
		t.Error(err, time.Since(begin))
	}
	if _, err := a.Read(make([]byte, 1)); err == nil {
		t.Error("still open")
	}
}

// TestFull refuses one pair too many, and leaves it as it was.
func TestFull(t *testing.T) {
	m := newMap(t, 1)
	if _, err := m.take(); err != nil {
		t.Fatal(err)
	}
	_, nearA := connected(t)
	_, nearB := connected(t)
	if _, _, err := m.Relay(nearA, nearB, time.Minute); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if err := nearA.SetDeadline(time.Time{}); err != nil {
		t.Errorf("closed: %v", err)
	}
	_, _ = nearA.Close(), nearB.Close()
}

// TestReset: a connection that is broken off breaks the other one off.
func TestReset(t *testing.T) {
	m := newMap(t, 1)
	a, nearA := connected(t)
	b, nearB := connected(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _, _ = m.Relay(nearA, nearB, time.Minute)
	}()
	defer func() { <-ended }()
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = b.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = a.SetLinger(0)
	_ = a.Close()
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the other end saw %v", err)
	}
	_ = b.Close()
}
