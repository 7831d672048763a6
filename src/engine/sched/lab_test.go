package sched

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/wire"
	"mpproxy/src/linksim"
)

const ms = time.Millisecond

// begin is when tests start: not zero, because zero means unset.
const begin = mono.Time(time.Hour)

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %.40v, want %.40v", what, name(got), name(want))
	}
}

// name is short for paths.
func name(v any) any {
	if p, ok := v.(*path.Path); ok && p != nil {
		return p.ID
	}
	return v
}

// lab is some paths over simulated links, with a receiver that acknowledges everything, in virtual time.
type lab struct {
	t     testing.TB
	now   mono.Time
	rng   *rand.Rand
	paths []*path.Path
	links []*linksim.Link[sent]
	rx    []path.Received
	back  []answer
	// arrived sees each tagged packet in the order of arrival.
	arrived func(tag int)
	queue   *flowq.Queue
	// busy is set while there is as much to send as the paths take: what is sent else says nothing of their rate.
	busy bool
	pool *packet.Pool
}

type sent struct {
	number uint64
	size   int
	tag    int // 0: nobody's
}

type answer struct {
	at   mono.Time
	path int
	f    *wire.AckFrame
}

// wayBack is what an acknowledgement takes.
const wayBack = 10 * ms

// newLab measures the paths, one after the other, and lets all come to rest.
func newLab(t testing.TB, seed uint64, links ...linksim.Params) *lab {
	l := &lab{t: t, now: begin, rng: rand.New(rand.NewPCG(seed, 4)), arrived: func(int) {}, pool: packet.NewPool(1 << 16)}
	l.queue = flowq.New(flowq.Params{LimitBytes: 1 << 30})
	offset := &recovery.Offset{}
	for i, p := range links {
		q := path.New(l.now, path.Config{ID: uint32(i + 1), Link: i, Overhead: 28, Datagram: 1450, Offset: offset, Bandwidth: p.Rate / 8})
		q.Peer.Trust(netip.MustParseAddrPort("203.0.113.1:1"))
		l.paths = append(l.paths, q)
		l.links = append(l.links, linksim.New[sent](p, rand.New(rand.NewPCG(seed, uint64(i)))))
	}
	l.rx = make([]path.Received, len(links))
	for i := range l.paths {
		l.send(i, 100, 0)
	}
	l.run(300 * ms)
	for i := range l.paths {
		for range 20 {
			l.send(i, 100, 0)
			l.run(10 * ms)
		}
		l.saturate(i, 500*ms)
	}
	// The averages forget the queue that start-up made.
	for range 100 {
		for i := range l.paths {
			l.send(i, 100, 0)
		}
		l.run(10 * ms)
	}
	return l
}

// saturate fills a path as far as its controller lets it, so that its rate is known, and lets it drain.
func (l *lab) saturate(i int, d time.Duration) {
	l.busy = true
	for until := l.now.Add(d); l.now < until; l.run(ms) {
		for l.paths[i].Refill(l.now); l.paths[i].CanSend(); {
			l.send(i, 1422, 0)
		}
	}
	l.busy = false
	l.run(500 * ms)
}

// send puts a datagram of size bytes (UDP payload) on path i.
func (l *lab) send(i, size, tag int) {
	p := l.paths[i]
	d := sent{p.Sent.Next(), size + 28, tag}
	load := recovery.Payload{}
	if l.busy {
		load.Buf = l.pool.Get()
	}
	p.OnSent(l.now, size, true, load)
	l.links[i].Send(l.now, size+28, d)
}

func (l *lab) run(d time.Duration) {
	for until := l.now.Add(d); ; {
		next := until
		for i, p := range l.paths {
			next = mono.Min(next, mono.Min(l.links[i].Next(), p.Sent.NextTimeout()))
			next = mono.Min(next, l.rx[i].Due(20*ms))
		}
		for _, a := range l.back {
			next = mono.Min(next, a.at)
		}
		l.now = mono.Max(l.now, next)
		l.step()
		if l.now >= until {
			return
		}
	}
}

func (l *lab) step() {
	for i := range l.paths {
		for d, ok := l.links[i].Receive(l.now); ok; d, ok = l.links[i].Receive(l.now) {
			l.rx[i].On(l.now, l.now, d.number, d.size, false, true)
			if d.tag != 0 {
				l.arrived(d.tag)
			}
		}
		if l.now >= l.rx[i].Due(20*ms) {
			f := &wire.AckFrame{}
			l.rx[i].Fill(l.now, uint32(i+1), 20*ms, f)
			l.rx[i].Acked(l.now)
			l.back = append(l.back, answer{l.now.Add(wayBack), i, f})
		}
	}
	for len(l.back) > 0 && l.back[0].at <= l.now {
		r, ok := l.paths[l.back[0].path].OnAck(l.now, l.back[0].f)
		if !ok {
			l.t.Fatal("acknowledgement refused")
		}
		release(r)
		l.back = l.back[1:]
	}
	for _, p := range l.paths {
		if l.now >= p.Sent.NextTimeout() {
			release(p.Timeout(l.now))
		}
		p.Refill(l.now)
	}
}

func release(r *recovery.Result) {
	for _, list := range [][]recovery.Packet{r.Acked, r.Lost} {
		for i := range list {
			if b := list[i].Buf; b != nil {
				b.Release()
			}
		}
	}
}

// flow queues an inner packet of a flow named by its port and returns the flow.
func (l *lab) flow(port uint16, size int) *flowq.Flow { return l.enqueue(port, size, flowq.ProtoUDP) }

// ack queues a TCP acknowledgement without data.
func (l *lab) ack(port uint16) *flowq.Flow { return l.enqueue(port, 40, flowq.ProtoTCP) }

func (l *lab) enqueue(port uint16, size int, proto byte) *flowq.Flow {
	pkt := make([]byte, size)
	pkt[0], pkt[8], pkt[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(pkt[2:], uint16(size))
	copy(pkt[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(pkt[20:], port)
	binary.BigEndian.PutUint16(pkt[22:], 443)
	if proto == flowq.ProtoTCP {
		pkt[32], pkt[33] = 5<<4, flowq.FlagACK
	}
	b := l.pool.Get()
	b.Set(pkt)
	l.queue.Enqueue(l.now, b)
	return l.queue.Lookup(b.Flow)
}

// bound is a flow whose last packet went over the second path just now, with its next one queued.
func (l *lab) bound() *flowq.Flow {
	f := l.flow(1, 200)
	f.Binding.Path, f.Binding.HasPath, f.Binding.LastSent = 2, true, l.now
	return f
}

// single sends the flow's head where the scheduler says, trying again every 100 µs, and returns on which path.
func (l *lab) single(s *Scheduler, f *flowq.Flow, tag int) int {
	for range 100_000 {
		size := f.Head().Len() + 30
		if p := s.Single(l.now, f, size, false, l.paths); p != nil {
			l.queue.Pop(l.now, f).Release()
			l.send(p.Link, size, tag)
			return p.Link
		}
		l.run(100 * time.Microsecond)
	}
	l.t.Fatal("no path takes the packet")
	return 0
}

func mbit(n float64, delay time.Duration) linksim.Params {
	return linksim.Params{Rate: int64(n * 1e6), Delay: delay, Queue: 200 * ms}
}
