package engine

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
)

// BenchmarkTunnel sends one backlogged flow of full packets from one tunnel to another. One operation is one inner packet
// delivered, with everything that belongs to it: queueing, lane, sealing (or a copy in its place), opening, reordering,
// acknowledgements, and repair of the losses. The stages are reported in nanoseconds per packet.
func BenchmarkTunnel(b *testing.B) {
	for _, paths := range []int{1, 4} {
		for _, sealed := range []bool{true, false} {
			for _, lossEvery := range []int{0, 200} {
				b.Run(fmt.Sprintf("paths=%d/sealed=%v/loss=%v", paths, sealed, lossEvery > 0), func(b *testing.B) {
					p := newBenchPair(b, paths, sealed, lossEvery)
					p.run(20000)
					p.stages, p.elapsed = [stages]time.Duration{}, b.Elapsed
					b.ReportAllocs()
					b.ResetTimer()
					n := p.run(b.N)
					b.StopTimer()
					b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "packets/s")
					for s, d := range p.stages {
						b.ReportMetric(float64(d.Nanoseconds())/float64(n), stageNames[s])
					}
					p.close()
				})
			}
		}
	}
}

// TestNoAllocations holds both sides of a tunnel to the promise of its hot path.
func TestNoAllocations(t *testing.T) {
	for _, paths := range []int{1, 4} {
		for _, lossEvery := range []int{0, 100} {
			p := newBenchPair(t, paths, true, lossEvery)
			p.run(50000)
			// One in 5000 packets is a buffer that met its largest use yet.
			if n := testing.AllocsPerRun(5, func() { p.run(5000) }); n > 1 {
				t.Errorf("%d paths, loss every %d: %v allocations for 5000 packets", paths, lossEvery, n)
			}
			p.close()
		}
	}
}

// The stages of a packet's way that are measured.
const (
	stageEnqueue = iota
	stagePoll
	stageSeal
	stageOpen
	stageReceive
	stageBack
	stages
)

var stageNames = [stages]string{"ns-enqueue", "ns-poll", "ns-seal", "ns-open", "ns-receive", "ns-acks"}

const (
	benchRate  = 4_000_000_000 / 8 // bytes per second of all paths together
	benchDelay = 500 * time.Microsecond
	benchTick  = 50 * time.Microsecond
	benchSlots = 4096
	benchDepth = 256 // packets kept waiting at the sender
)

// benchPair is two tunnels with links in virtual time between them.
type benchPair struct {
	now       mono.Time
	a, b      benchSide
	sealed    bool
	lossEvery int
	sent      int
	delivered int
	pool      *packet.Pool
	template  []byte
	batch     [64]*packet.Buf
	elapsed   func() time.Duration // nil: stages are not measured
	stages    [stages]time.Duration
}

type benchSide struct {
	*Tunnel
	table  session.Table
	sealer session.Sealer
	opener session.Opener
	batch  Batch
	links  []benchLink // towards the other side
	out    session.Direction
}

// benchLink is a fixed ring of datagrams under way.
type benchLink struct {
	slots      []benchSlot
	head, tail int
	free       mono.Time // when the link has sent what it was given
	rate       int64
}

type benchSlot struct {
	at     mono.Time
	data   []byte
	number uint64
	path   uint32
}

func newBenchPair(t testing.TB, paths int, sealed bool, lossEvery int) *benchPair {
	p := &benchPair{now: mono.Time(time.Hour), sealed: sealed, lossEvery: lossEvery, pool: packet.NewPool(1 << 14), template: benchPacket()}
	secrets := session.NewSecrets([session.SecretBytes]byte{1}, [session.SecretBytes]byte{2})
	random := uint64(1)
	params := Params{Initiator: true, Pool: p.pool, Seed: 7, Random: func() uint64 { random += 0x9E3779B97F4A7C15; return random }}
	p.a.begin(p.now, params, session.Up, paths)
	params.Initiator = false
	p.b.begin(p.now, params, session.Down, paths)
	for _, s := range []*benchSide{&p.a, &p.b} {
		keys := func(d session.Direction) *session.Keys {
			k, err := secrets.Keys(d, session.AES256GCM, session.Encrypt)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		s.SetOwned([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")})
		receiving := session.NewReceiving(keys(1 - s.out))
		for id := range uint32(paths) {
			s.table.Add(secrets.ConnIDs().ConnID(1-s.out, id), &session.Entry{Path: id, Receiving: receiving})
		}
		s.Start(p.now, session.NewSending(keys(s.out)), secrets.ConnIDs())
	}
	p.prefill()
	for id := range uint32(paths) {
		p.a.OpenPath(p.now, PathSpec{ID: id, Link: id, Overhead: 28, RTT: 2 * benchDelay}, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1))
	}
	return p
}

// prefill makes the pool make its buffers now: what is measured is the way of a packet, not a queue that grows.
func (p *benchPair) prefill() {
	var bufs []*packet.Buf
	for b := p.pool.Get(); b != nil; b = p.pool.Get() {
		bufs = append(bufs, b)
	}
	for _, b := range bufs {
		b.Release()
	}
}

func (s *benchSide) begin(now mono.Time, params Params, out session.Direction, paths int) {
	s.Tunnel, s.out = New(now, params), out
	for range paths {
		l := benchLink{slots: make([]benchSlot, benchSlots), rate: benchRate / int64(paths)}
		for i := range l.slots {
			l.slots[i].data = make([]byte, 0, 2048)
		}
		s.links = append(s.links, l)
	}
}

// benchPacket is a full TCP segment.
func benchPacket() []byte {
	b := make([]byte, DefaultMTU)
	b[0], b[8], b[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], []byte{10, 99, 0, 2, 10, 99, 0, 1, 0x9c, 0x40, 0x13, 0x89})
	b[32], b[33] = 0x80, 0x10
	return b
}

func (p *benchPair) close() {
	for _, s := range []*benchSide{&p.a, &p.b} {
		s.Tunnel.Close(p.now)
	}
}

// run goes on until n more packets were delivered, and returns how many there were.
func (p *benchPair) run(n int) int {
	from := p.delivered
	for idle := 0; p.delivered-from < n; idle++ {
		if idle > n+10000 {
			panic("nothing arrives")
		}
		p.step()
	}
	return p.delivered - from
}

// clock measures a stage in the real time that benchmarks are about.
func (p *benchPair) clock(stage int, f func()) {
	if p.elapsed == nil {
		f()
		return
	}
	began := p.elapsed()
	f()
	p.stages[stage] += p.elapsed() - began
}

func (p *benchPair) step() {
	p.now = p.now.Add(benchTick)
	p.clock(stageEnqueue, p.fill)
	p.sendAll(&p.a, stagePoll, stageSeal)
	p.arrive(&p.a, &p.b, stageOpen, stageReceive)
	p.sendAll(&p.b, stageBack, stageBack)
	p.arrive(&p.b, &p.a, stageBack, stageBack)
}

// fill keeps the sender busy.
func (p *benchPair) fill() {
	packets := p.a.Backlog() / DefaultMTU
	for packets < benchDepth {
		n := 0
		for ; n < len(p.batch); n++ {
			b := p.pool.Get()
			if b == nil {
				break
			}
			b.Set(p.template)
			p.batch[n] = b
		}
		if n == 0 {
			return
		}
		p.a.Enqueue(p.now, p.batch[:n])
		packets += n
	}
}

// sendAll polls a side until it has nothing more, and puts everything on its links.
func (p *benchPair) sendAll(s *benchSide, poll, seal int) {
	for more := true; more; {
		p.clock(poll, func() {
			if p.now >= s.NextTimeout() {
				s.OnTimeout(p.now)
			}
			more = s.Poll(p.now, &s.batch)
		})
		p.clock(seal, func() {
			for i := range s.batch.Datagrams {
				p.put(s, i)
			}
			s.batch.Reset()
		})
	}
}

// put seals a datagram, or only copies it, into the next place of its link.
func (p *benchPair) put(s *benchSide, i int) {
	d := &s.batch.Datagrams[i]
	l := &s.links[d.Path]
	p.sent++
	if l.tail-l.head == len(l.slots) || p.lossEvery > 0 && p.sent%p.lossEvery == 0 {
		return
	}
	slot := &l.slots[l.tail%len(l.slots)]
	l.tail++
	slot.number, slot.path = d.Number, d.Path
	if p.sealed {
		slot.data = s.batch.Seal(&s.sealer, slot.data[:0], i)
	} else {
		slot.data = append(slot.data[:0], make([]byte, wire.HeaderBytes)...)
		slot.data = append(slot.data, s.batch.arena[d.from:d.to]...)
		if d.buf != nil {
			slot.data = append(slot.data, d.buf.Bytes()[d.bufFrom:d.bufTo]...)
		}
		slot.data = slot.data[:len(slot.data)+wire.TagBytes]
	}
	l.free = mono.Max(l.free, p.now).Add(time.Duration(int64(len(slot.data)+28) * int64(time.Second) / l.rate))
	slot.at = l.free.Add(benchDelay)
}

// arrive opens what has come from one side and gives it to the other.
func (p *benchPair) arrive(from, to *benchSide, open, receive int) {
	for i := range from.links {
		l := &from.links[i]
		for l.head < l.tail && l.slots[l.head%len(l.slots)].at <= p.now {
			p.arrivals(l, to, open, receive)
		}
	}
	p.clock(receive, func() {
		for _, b := range to.Delivered() {
			b.Release()
			p.delivered++
		}
	})
}

// arrivals takes a batch off a link.
func (p *benchPair) arrivals(l *benchLink, to *benchSide, open, receive int) {
	var batch [64]Received
	n := 0
	p.clock(open, func() {
		for ; n < len(batch) && l.head < l.tail; n++ {
			slot := &l.slots[l.head%len(l.slots)]
			if slot.at > p.now {
				return
			}
			l.head++
			batch[n] = Received{Buf: p.open(slot, to), Number: slot.number, Path: slot.path, Wire: len(slot.data) + 28, At: slot.at,
				From: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1)}
		}
	})
	p.clock(receive, func() {
		for i := range batch[:n] {
			to.Receive(p.now, &batch[i])
		}
	})
}

func (p *benchPair) open(slot *benchSlot, to *benchSide) *packet.Buf {
	b := p.pool.Get()
	if !p.sealed {
		b.Set(slot.data[wire.HeaderBytes : len(slot.data)-wire.TagBytes])
		return b
	}
	_, number, plain, err := session.Open(&to.table, slot.data, b.Room()[:0], &to.opener)
	if err != nil || number != slot.number {
		panic(fmt.Sprint("open: ", err))
	}
	b.SetLen(len(plain))
	return b
}
