package streams

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// exactTime is how long TestExactOverSockets goes on, unless MPPROXY_TRANSFERS says how many transfers it makes.
const exactTime = 8 * time.Second

// job is what one transfer moves, each way.
type job struct {
	up, down uint64
	seed     uint64
	stalls   bool // both ends stop reading now and then
}

const jobBytes = 32

func (j job) append(b []byte) []byte {
	stalls := uint64(0)
	if j.stalls {
		stalls = 1
	}
	for _, v := range []uint64{j.up, j.down, j.seed, stalls} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func readJob(r io.Reader) (j job, err error) {
	var b [jobBytes]byte
	_, err = io.ReadFull(r, b[:])
	v := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	return job{v(0), v(1), v(2), v(3) == 1}, err
}

// source is the bytes of one direction.
func (j job) source(way byte, n uint64) io.Reader {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], j.seed)
	seed[31] = way
	return io.LimitReader(rand.NewChaCha8(seed), int64(n))
}

// take reads to the end, with pauses if the job has them.
func (j job) take(r io.Reader, rng *rand.Rand) (hash.Hash, uint64, error) {
	h, total := sha256.New(), uint64(0)
	b := make([]byte, 20_000)
	for {
		n, err := r.Read(b[:1+rng.IntN(len(b))])
		h.Write(b[:n])
		total += uint64(n)
		if err == io.EOF {
			return h, total, nil
		}
		if err != nil {
			return h, total, err
		}
		if j.stalls && rng.IntN(40) == 0 {
			<-time.After(time.Duration(rng.IntN(30)) * time.Millisecond)
		}
	}
}

// serveJob is the server's end: it sends its bytes, and behind them the hash of what it got.
func serveJob(s *Stream) {
	j, err := readJob(s)
	if err != nil {
		return
	}
	got := make(chan []byte, 1)
	go func() {
		h, n, err := j.take(s, rand.New(rand.NewPCG(j.seed, 2)))
		if err != nil || n != j.up {
			h.Reset() // what has no right hash is wrong
		}
		got <- h.Sum(nil)
	}()
	_, _ = io.Copy(s, j.source('d', j.down))
	_, _ = s.Write(<-got)
	_ = s.Close()
}

// runJob is the client's end.
func runJob(s *Stream, j job) error {
	go func() {
		if _, err := s.Write(j.append(nil)); err == nil {
			_, _ = io.Copy(s, j.source('u', j.up))
		}
		_ = s.CloseWrite()
	}()
	want, sent := sha256.New(), sha256.New()
	_, _ = io.Copy(sent, j.source('u', j.up))
	_, _ = io.Copy(want, j.source('d', j.down))
	want.Write(sent.Sum(nil))
	h, n, err := j.take(s, rand.New(rand.NewPCG(j.seed, 1)))
	if err != nil || n != j.down+sha256.Size || string(h.Sum(nil)) != string(want.Sum(nil)) {
		return fmt.Errorf("%+v: %d bytes came, or other ones: %v", j, n, err)
	}
	return s.Close()
}

// unreliable is a way whose connections may die at any byte, in either direction, by the end of their data or by a reset.
func unreliable(way Way, rng *rand.Rand, mu *sync.Mutex, died *atomic.Int64) Way {
	random := func(n int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(n) }
	plain := way.Dial
	way.Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := plain(ctx)
		if err != nil || random(3) > 0 {
			return c, err
		}
		died.Add(1)
		k := &breaking{TCPConn: c.(*net.TCPConn)}
		k.left.Store(int64(random(1 + random(1<<20))))
		switch random(3) {
		case 0: // reset
			time.AfterFunc(time.Duration(random(150))*time.Millisecond, func() { _ = k.SetLinger(0); _ = k.Close() })
		case 1: // one half ends
			time.AfterFunc(time.Duration(random(150))*time.Millisecond, func() { _ = k.TCPConn.CloseWrite() })
		}
		return k, nil
	}
	return way
}

// TestExactOverSockets moves random amounts both ways over real connections that die at random, with clients that read
// late, end early or break off, and compares hashes. MPPROXY_TRANSFERS=10000 makes as many.
func TestExactOverSockets(t *testing.T) {
	b := newBed(t, serveJob)
	b.server.peers["home"].home.patience = 5 * time.Second // for those that were broken off while nothing stood
	most, _ := strconv.Atoi(os.Getenv("MPPROXY_TRANSFERS"))
	end := time.Now().Add(exactTime)
	var died, done, broken, moved atomic.Int64
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	ways := b.ways(3)
	for i := range ways {
		ways[i] = unreliable(ways[i], rng, &mu, &died)
	}
	random := func(n int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(n) }
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				if n := done.Add(1); most > 0 && n > int64(most) || most == 0 && time.Now().After(end) {
					done.Add(-1)
					return
				}
				j := job{up: size(random), down: size(random), seed: uint64(random(1 << 40)), stalls: random(6) == 0}
				s, err := b.client.Open(ways[:1+random(3)])
				if err != nil {
					t.Error(err)
					return
				}
				if random(20) == 0 { // broken off somewhere
					broken.Add(1)
					time.AfterFunc(time.Duration(random(60))*time.Millisecond, s.Abort)
					_ = runJob(s, j)
					s.Abort()
					continue
				}
				if err := runJob(s, j); err != nil {
					t.Error(err)
				}
				moved.Add(int64(j.up + j.down))
			}
		})
	}
	wg.Wait()
	settle(t, func() bool { return b.server.Counts().Active == 0 && b.client.Active() == 0 })
	if used := b.pools[0].Used() + b.pools[1].Used(); used != 0 {
		t.Errorf("%d bytes kept", used)
	}
	t.Logf("%d transfers, %d of them broken off, %d MB, %d connections were made to die", done.Load(), broken.Load(), moved.Load()>>20, died.Load())
	if done.Load() < 100 || died.Load() < 50 || broken.Load() == 0 {
		t.Error("the test does not test what it should")
	}
}

// size is mostly small, sometimes nothing, seldom large.
func size(random func(int) int) uint64 {
	switch random(10) {
	case 0:
		return 0
	case 1:
		return uint64(random(3 << 20))
	case 2, 3:
		return uint64(random(300_000))
	}
	return uint64(random(20_000))
}
