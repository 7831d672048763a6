package recovery_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/wire"
	"mpproxy/src/linksim"
)

const ms = time.Millisecond

// begin is when tests start: not zero, because zero means unset.
const begin = mono.Time(time.Hour)

// frame acknowledges the numbers, in any order.
func frame(numbers ...uint64) *wire.AckFrame {
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	f := &wire.AckFrame{}
	for i := len(numbers) - 1; i >= 0; {
		j := i
		for j > 0 && numbers[j-1] == numbers[j]-1 {
			j--
		}
		if !f.AddRange(numbers[j], numbers[i]) {
			break
		}
		i = j - 1
	}
	return f
}

// send records n packets of size bytes at once.
func send(h *recovery.History, now mono.Time, n, size int) (first uint64) {
	first = h.Next()
	for range n {
		h.Sent(now, size, true, recovery.Payload{})
	}
	return first
}

// ack expects the acknowledgement to be taken.
func ack(t testing.TB, h *recovery.History, now mono.Time, numbers ...uint64) *recovery.Result {
	t.Helper()
	r, ok := h.OnAck(now, frame(numbers...))
	if !ok {
		t.Fatalf("acknowledgement of %v refused", numbers)
	}
	return r
}

func numbers(list []recovery.Packet) (out []uint64) {
	for i := range list {
		out = append(out, list[i].Number)
	}
	return out
}

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func wantNumbers(t testing.TB, what string, got []recovery.Packet, want ...uint64) {
	t.Helper()
	if !slices.Equal(numbers(got), want) {
		t.Errorf("%s: %v, want %v", what, numbers(got), want)
	}
}

// route is a path in virtual time: a sender with a history, a link, a receiver that acknowledges every few packets over
// a way back that only delays.
type route struct {
	t    testing.TB
	now  mono.Time
	h    *recovery.History
	link *linksim.Link[datagram]
	back []flying
	// clock is the receiver's less the sender's; ackEvery packets are acknowledged together.
	clock    time.Duration
	ackEvery int
	reverse  time.Duration
	// window is what may be on the way, more says whether there is data; each is offered at once.
	window int64
	more   func() bool
	size   int
	pool   *packet.Pool
	// each sees each result.
	each func(r *recovery.Result)

	got      map[uint64]bool
	received uint64
	pending  int
	largest  uint64
	arrived  mono.Time
	atMost   uint64
}

type datagram struct {
	number    uint64
	wire      int
	eliciting bool
}

type flying struct {
	at mono.Time
	f  *wire.AckFrame
}

func newRoute(t testing.TB, p linksim.Params) *route {
	return &route{
		t: t, now: begin, h: recovery.New(&recovery.Offset{}), link: linksim.New[datagram](p, rand.New(rand.NewPCG(1, 2))),
		ackEvery: 2, reverse: p.Delay, window: 1 << 40, size: 1500, got: map[uint64]bool{}, more: func() bool { return false },
		each: func(*recovery.Result) {},
	}
}

// offer sends one datagram.
func (n *route) offer(size int, eliciting bool, load recovery.Payload) {
	d := datagram{n.h.Next(), size, eliciting}
	n.h.Sent(n.now, size, eliciting, load)
	n.link.Send(n.now, size, d)
}

func (n *route) run(d time.Duration) {
	until := n.now.Add(d)
	for {
		for n.more() {
			if b, _ := n.h.Inflight(); b+int64(n.size) > n.window {
				break
			}
			load := recovery.Payload{}
			if n.pool != nil {
				load.Buf = n.pool.Get()
			}
			n.offer(n.size, true, load)
		}
		next := mono.Min(n.link.Next(), n.h.NextTimeout())
		if len(n.back) > 0 {
			next = mono.Min(next, n.back[0].at)
		}
		if next >= until {
			n.now = until
			return
		}
		n.now = mono.Max(n.now, next)
		n.step()
	}
}

func (n *route) step() {
	for d, ok := n.link.Receive(n.now); ok; d, ok = n.link.Receive(n.now) {
		n.arrive(d)
	}
	for len(n.back) > 0 && n.back[0].at <= n.now {
		f := n.back[0].f
		n.back = n.back[1:]
		r, ok := n.h.OnAck(n.now, f)
		if !ok {
			n.t.Fatal("acknowledgement refused")
		}
		n.settle(r)
	}
	if n.now >= n.h.NextTimeout() {
		n.settle(n.h.OnTimeout(n.now))
	}
}

func (n *route) settle(r *recovery.Result) {
	n.each(r)
	for _, list := range [][]recovery.Packet{r.Acked, r.Lost} {
		for i := range list {
			if b := list[i].Buf; b != nil {
				b.Release()
			}
		}
	}
}

func (n *route) arrive(d datagram) {
	n.got[d.number] = true
	n.received += uint64(d.wire)
	if d.number >= n.largest {
		n.largest, n.arrived, n.atMost = d.number, n.now, n.received
	}
	if !d.eliciting {
		return
	}
	if n.pending++; n.pending < n.ackEvery {
		return
	}
	n.acknowledge()
}

// acknowledge sends what the receiver has, newest first.
func (n *route) acknowledge() {
	n.pending = 0
	f := &wire.AckFrame{Received: n.atMost, ReceivedAt: n.arrived.Add(n.clock).Micros(), DelayMicros: uint32(n.now.Sub(n.arrived) / time.Microsecond)}
	// What is far below the largest was acknowledged before.
	for i := int64(n.largest); i >= max(int64(n.largest)-200, 0); i-- {
		if first := i; n.got[uint64(i)] {
			for i > 0 && n.got[uint64(i-1)] && i > int64(n.largest)-200 {
				i--
			}
			f.AddRange(uint64(i), uint64(first))
		}
	}
	n.back = append(n.back, flying{n.now.Add(n.reverse), f})
}

// lender returns a pool to which all buffers must have come back when the test ends.
func lender(t testing.TB) *packet.Pool {
	pool := packet.NewPool(1 << 17)
	t.Cleanup(func() {
		if lent, _ := pool.Lent(); lent != 0 {
			t.Errorf("%d buffers are still lent", lent)
		}
	})
	return pool
}
