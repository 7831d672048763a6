package mpp

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/session"
)

// pipeParams describe a reliable byte pipe as a TCP connection over a link is one: what waits to be sent is bounded,
// a lost packet holds all behind it up for a round trip.
type pipeParams struct {
	rate  float64 // bytes per second
	delay time.Duration
	queue time.Duration // of the bottleneck
	hold  float64       // chance per record, or per packet of it if grows, that it is held up for a round trip
	// grows makes it begin with ten packets in a round trip and more than double them in each, as bbr does; jitter is the
	// deviation of each record's delay, in order.
	grows  bool
	jitter time.Duration
	// bbr makes it a kernel, with losses of single packets; wide lets its socket hold what is under way, however much.
	bbr, wide bool
	// stalls is how often everything is held up for more than a round trip, as after losses that were lost again.
	stalls time.Duration
}

// pipe is one direction.
type pipe struct {
	pipeParams
	rng    *rand.Rand
	since  mono.Time // of the first byte
	free   mono.Time // when all that was written has left
	last   mono.Time // no delivery before this
	frozen bool      // delivers nothing
	kernel *kernel   // nil: a simple one
	under  []parcel
}

type parcel struct {
	at    mono.Time
	bytes []byte
}

func (p *pipe) writable(now mono.Time) bool {
	if p.kernel != nil {
		return p.kernel.mayWrite()
	}
	return p.roomAt() <= now
}

// work moves what is in the kernel, and returns when it is to be called again.
func (p *pipe) work(now mono.Time) mono.Time {
	if p.kernel == nil {
		return mono.Never
	}
	next := p.kernel.run(now)
	p.under = append(p.under, p.kernel.out...)
	p.kernel.out = nil
	return next
}

// roomAt is when less waits than the queue and the unsent tail of 10 ms, and, while all is held up, less is under way than
// two round trips: a congestion window's worth.
func (p *pipe) roomAt() mono.Time {
	at := p.free.Add(-p.queue - chunkTime)
	if p.stalls == 0 {
		return at
	}
	under := 0
	for _, each := range p.under {
		under += len(each.bytes)
	}
	if float64(under) > p.rate*(4*p.delay+p.queue).Seconds() {
		at = mono.Max(at, p.under[0].at)
	}
	return at
}

func (p *pipe) write(now mono.Time, b []byte) {
	const packet = 1400
	if p.kernel != nil {
		p.kernel.write(b)
		return
	}
	if p.since == 0 {
		p.since = now
	}
	p.free = mono.Max(now, p.free).Add(time.Duration(float64(len(b)) / p.rateAt(now) * 1e9))
	at := p.free.Add(p.delay)
	tries := 1
	if p.grows {
		tries = (len(b) + packet - 1) / packet
	}
	for range tries {
		for held := p.free.Add(p.delay); p.hold > 0 && p.rng.Float64() < p.hold; { // what is sent again may be lost again
			held = held.Add(2*p.delay + p.queue/2)
			at = mono.Max(at, held)
		}
	}
	if p.stalls > 0 && p.rng.Float64() < float64(len(b))/p.rate/p.stalls.Seconds() {
		at = mono.Max(at, p.free.Add(4*p.delay+p.queue))
	}
	if p.jitter > 0 {
		at = at.Add(max(-p.delay, time.Duration(p.rng.NormFloat64()*float64(p.jitter))))
	}
	p.last = mono.Max(at, p.last)
	p.under = append(p.under, parcel{p.last, bytes.Clone(b)})
}

// rateAt is the rate that the connection has grown to.
func (p *pipe) rateAt(now mono.Time) float64 {
	if rounds := now.Sub(p.since).Seconds() / (2 * p.delay).Seconds(); p.grows && rounds < 20 {
		return min(p.rate, 14000/(2*p.delay).Seconds()*math.Pow(2.77, rounds))
	}
	return p.rate
}

// link is a subflow between the two ends.
type link struct {
	id    uint16
	dir   [2]*pipe // from end 0, from end 1
	seal  [2]*Sealer
	open  [2]*Opener
	got   [2][]byte // at end 0, at end 1: not yet a record
	dead  bool
	known bool // at end 1, which hears of it by its first record
}

// side is one end with its client.
type side struct {
	conn     *Conn
	toSend   int  // bytes of the client still to be written
	waits    bool // there will be more to send
	sum      hash.Hash
	rng      *rand.Rand
	pause    mono.Time // client reads nothing until then
	paused   func(*rand.Rand) time.Duration
	received uint64
	gotSum   hash.Hash
	ended    bool
	err      error
}

// world is a connection with its pipes, in virtual time.
type world struct {
	t      *testing.T
	now    mono.Time
	rng    *rand.Rand
	sides  [2]*side
	links  []*link
	next   uint16
	tick   uint64
	sec    Secret
	pools  [2]*Pool
	steps  int
	packs  int                                  // how often an end was at rest, and packed
	open   bool                                 // clients do not end their streams
	whole  bool                                 // nothing is packed
	forge  func(link *link, from int, b []byte) // may change what is under way
	wake   mono.Time                            // when the test goes on
	record [RecordSpace + MaxRecord + 16]byte
}

func newWorld(t *testing.T, seed uint64, poolBytes int) *world {
	w := &world{t: t, now: 1, rng: rand.New(rand.NewPCG(seed, 7)), sec: NewSecret(session.AES256GCM, [32]byte{byte(seed), 1})}
	for i := range w.sides {
		w.pools[i] = NewPool(poolBytes)
		w.sides[i] = &side{
			conn: NewConn(w.now, Params{MID: 7, Opener: i == 0, Pool: w.pools[i]}),
			sum:  sha256.New(), gotSum: sha256.New(), rng: rand.New(rand.NewPCG(seed, uint64(i))),
		}
	}
	return w
}

func (w *world) addLink(p pipeParams) *link {
	w.next++
	l := &link{id: w.next}
	w.tick++
	var err error
	if l.seal[0], l.open[0], err = w.sec.Client(w.tick); err != nil {
		w.t.Fatal(err)
	}
	if l.seal[1], l.open[1], err = w.sec.Server(w.tick); err != nil {
		w.t.Fatal(err)
	}
	for i := range l.dir {
		l.dir[i] = &pipe{pipeParams: p, rng: w.rng}
		if p.bbr {
			l.dir[i].kernel = newKernel(p, w.rng)
		}
	}
	w.links = append(w.links, l)
	if !w.sides[0].conn.Add(w.now, l.id) {
		w.t.Fatal("subflow refused")
	}
	if l.known = !p.bbr; l.known && !w.sides[1].conn.Add(w.now, l.id) {
		w.t.Fatal("subflow refused")
	}
	if k := l.dir[0].kernel; k != nil {
		w.sides[0].conn.Hint(w.now, l.id, k.least)
		l.dir[1].kernel.least = k.least
		if *late {
			k.patient, k.hasty, k.back = true, 1, l.dir[1].kernel
			l.dir[1].kernel.patient, l.dir[1].kernel.back = true, k
		}
	}
	return l
}

// kill ends a subflow: of what is under way a random part still arrives.
func (w *world) kill(l *link) {
	if l.dead {
		return
	}
	l.dead = true
	for end := range l.dir {
		for _, p := range l.dir[end].under {
			if w.rng.IntN(3) == 0 {
				break
			}
			cut := p.bytes[:w.rng.IntN(len(p.bytes)+1)]
			w.arrive(l, 1-end, cut)
			if len(cut) < len(p.bytes) {
				break
			}
		}
	}
	for _, s := range w.sides {
		s.conn.Remove(w.now, l.id)
	}
}

// arrive gives bytes to an end.
func (w *world) arrive(l *link, end int, b []byte) {
	l.got[end] = append(l.got[end], b...)
	for {
		plain, took, _, err := l.open[end].Open(l.got[end])
		if err != nil {
			w.kill(l)
			return
		}
		if took == 0 {
			return
		}
		if end == 1 && !l.known {
			l.known = true
			if !w.sides[1].conn.Add(w.now, l.id) {
				w.t.Fatal("subflow refused")
			}
		}
		if err := w.sides[end].conn.Receive(w.now, l.id, plain); err != nil {
			w.t.Errorf("receive: %v", err)
		}
		l.got[end] = l.got[end][took:]
	}
}

// client writes and reads as much as it can.
func (w *world) client(s *side) mono.Time {
	var buf [8192]byte
	for s.toSend > 0 && s.conn.Err() == nil {
		n := min(s.toSend, 1+s.rng.IntN(len(buf)))
		n = min(n, s.conn.Room())
		for i := 0; i < n; i += 8 {
			v := s.rng.Uint64()
			for j := i; j < min(i+8, n); j++ {
				buf[j] = byte(v >> (8 * (j - i)))
			}
		}
		done, err := s.conn.Write(w.now, buf[:n])
		if err != nil {
			s.err = err
			return mono.Never
		}
		s.sum.Write(buf[:done])
		s.toSend -= done
		if done == 0 {
			break
		}
	}
	if s.toSend == 0 && !s.waits && !s.conn.fin && !w.open {
		s.conn.CloseWrite()
	}
	for !s.ended && w.now >= s.pause && s.conn.Readable() {
		n, err := s.conn.Read(w.now, buf[:1+s.rng.IntN(len(buf))])
		s.gotSum.Write(buf[:n])
		s.received += uint64(n)
		if err == io.EOF {
			s.ended = true
		} else if err != nil {
			s.err, s.ended = err, true
		}
		if s.paused != nil {
			s.pause = w.now.Add(s.paused(s.rng))
		}
	}
	if s.pause > w.now {
		return s.pause
	}
	return mono.Never
}

// step does all that can be done now, and moves on to the next event.
func (w *world) step() {
	w.steps++
	next := mono.Never
	for _, s := range w.sides {
		next = mono.Min(next, w.client(s))
	}
	for end, s := range w.sides {
		for _, l := range w.links {
			for !l.dead {
				d := l.dir[end]
				due := d.work(w.now)
				if next = mono.Min(next, due); !d.writable(w.now) {
					if d.kernel == nil {
						next = mono.Min(next, d.roomAt())
					}
					break
				}
				w.tune(s.conn, l.id, d)
				rec := s.conn.Poll(w.now, l.id, w.record[:RecordSpace])
				if len(rec) == RecordSpace {
					break
				}
				if len(rec) > RecordSpace+MaxRecord {
					w.t.Fatalf("record of %d", len(rec))
				}
				rec = l.seal[end].Seal(rec)
				if w.forge != nil {
					w.forge(l, end, rec)
				}
				d.write(w.now, rec)
			}
			if d := l.dir[end]; !l.dead && len(d.under) > 0 && !d.frozen {
				next = mono.Min(next, mono.Max(w.now, d.under[0].at))
			}
		}
		next = mono.Min(next, s.conn.NextTimeout())
	}
	if w.wake > w.now {
		next = mono.Min(next, w.wake)
	}
	if next == mono.Never {
		w.now = w.now.Add(time.Second)
		return
	}
	w.now = mono.Max(w.now, next)
	for end := range w.sides {
		for _, l := range w.links {
			for d := l.dir[end]; !l.dead && !d.frozen && len(d.under) > 0 && d.under[0].at <= w.now; {
				b := d.under[0].bytes
				d.under = d.under[1:]
				w.arrive(l, 1-end, b)
			}
		}
	}
	for _, s := range w.sides {
		s.conn.OnTimeout(w.now)
		if p := s.conn.Pack(); p != "" && !w.whole {
			s.conn = p.Unpack(s.conn.p)
			w.packs++
		}
	}
}

// tune does for a kernel what package streams does: the unsent tail follows the pace, and the connection is told of its
// start-up.
func (w *world) tune(c *Conn, id uint16, d *pipe) {
	if k := d.kernel; k != nil && d.wide {
		k.tail = min(1<<20, max(16<<10, int(k.pace()*chunkTime.Seconds())))
		c.Starting(id, !k.full)
	} else if k != nil {
		info, _ := c.Info(w.now, id)
		k.tail = min(1<<20, max(16<<10, int(info.Rate*chunkTime.Seconds())))
	}
}

func (w *world) done() bool {
	a, b := w.sides[0], w.sides[1]
	return a.ended && b.ended && a.conn.Finished() && b.conn.Finished()
}

// run steps until both ends are done, at most so long.
func (w *world) run(limit time.Duration) bool {
	for end := w.now.Add(limit); !w.done() && w.now < end; {
		w.step()
	}
	return w.done()
}

// check compares what was sent and received.
func (w *world) check() error {
	for i, s := range w.sides {
		o := w.sides[1-i]
		if s.err != nil {
			return fmt.Errorf("side %d: %w", i, s.err)
		}
		if !bytes.Equal(s.sum.Sum(nil), o.gotSum.Sum(nil)) {
			return fmt.Errorf("side %d sent what did not arrive: %d received", i, o.received)
		}
	}
	return nil
}

// leaks tells whether all memory was given back.
func (w *world) leaks() error {
	for i, s := range w.sides {
		s.conn.Close()
		if n := w.pools[i].Used(); n != 0 {
			return fmt.Errorf("side %d keeps %d bytes", i, n)
		}
	}
	return nil
}

func mbit(n float64) float64 { return n * 1e6 / 8 }
