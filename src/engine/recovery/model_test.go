package recovery_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/wire"
)

// model drives a History with what a hostile network and an honest or broken receiver may do, and keeps the books beside it.
type model struct {
	t    testing.TB
	in   *rand.Rand
	h    *recovery.History
	pool *packet.Pool
	now  mono.Time
	// out are the packets whose fate is unknown, with their bytes; fate what became of the others.
	out   map[uint64]int
	bufs  map[uint64]*packet.Buf
	fates map[uint64]string
	// arrived are numbers that came to the receiver, in any order.
	arrived  map[uint64]bool
	largest  uint64
	received uint64
}

func (m *model) sendSome() {
	for range 1 + m.in.IntN(40) {
		n, size := m.h.Next(), 40+m.in.IntN(1460)
		if m.in.IntN(5) == 0 {
			m.h.Sent(m.now, size, false, recovery.Payload{})
			continue
		}
		load := recovery.Payload{}
		if m.in.IntN(4) > 0 {
			load.Buf = m.pool.Get()
			m.bufs[n] = load.Buf
		}
		m.h.Sent(m.now, size, true, load)
		m.out[n] = size
		m.now = m.now.Add(time.Duration(m.in.Int64N(2000)) * time.Microsecond)
	}
}

// receive lets some of the last packets arrive.
func (m *model) receive() {
	next := m.h.Next()
	if next == 0 {
		return
	}
	loss := m.in.IntN(60)
	for n := next - min(next, uint64(m.in.IntN(300))); n < next; n++ {
		if m.in.IntN(100) >= loss && !m.arrived[n] {
			m.arrived[n] = true
			m.received += 1000
			m.largest = max(m.largest, n)
		}
	}
}

// acknowledge hands in a frame: of all near the largest, or of a random piece, as if frames overtook each other.
func (m *model) acknowledge() {
	if len(m.arrived) == 0 {
		return
	}
	top := m.largest - min(m.largest, uint64(m.in.IntN(3)*m.in.IntN(200)))
	f := &wire.AckFrame{Received: m.received, ReceivedAt: m.now.Micros(), DelayMicros: uint32(m.in.IntN(30000))}
	ranges := 1 + m.in.IntN(64)
	for n := int64(top); n >= 0 && f.Count < ranges && int64(top)-n < 2000; n-- {
		if !m.arrived[uint64(n)] {
			continue
		}
		last := n
		for n > 0 && m.arrived[uint64(n-1)] {
			n--
		}
		f.AddRange(uint64(n), uint64(last))
	}
	if f.Count == 0 {
		return
	}
	r, ok := m.h.OnAck(m.now, f)
	if !ok {
		m.t.Fatalf("refused an acknowledgement of %d, next is %d", f.Largest(), m.h.Next())
	}
	for i := range r.Acked {
		if !m.arrived[r.Acked[i].Number] {
			m.t.Fatalf("%d acknowledged but never arrived", r.Acked[i].Number)
		}
	}
	m.take(r)
}

// take checks a result against the books.
func (m *model) take(r *recovery.Result) {
	var ackedBytes, lostBytes int64
	for i := range r.Acked {
		ackedBytes += m.end(&r.Acked[i], "acked")
	}
	for i := range r.Lost {
		lostBytes += m.end(&r.Lost[i], "lost")
	}
	if ackedBytes != r.AckedBytes || lostBytes != r.LostBytes {
		m.t.Fatalf("bytes %d, %d; result says %d, %d", ackedBytes, lostBytes, r.AckedBytes, r.LostBytes)
	}
	if r.New != (len(r.Acked) > 0) {
		m.t.Fatalf("new %v with %d acknowledged", r.New, len(r.Acked))
	}
	if r.Rate < 0 || r.SendRate < 0 {
		m.t.Fatalf("rates %d, %d", r.Rate, r.SendRate)
	}
}

func (m *model) end(p *recovery.Packet, what string) int64 {
	size, ok := m.out[p.Number]
	if !ok {
		m.t.Fatalf("%d %s, but it was %q", p.Number, what, m.fates[p.Number])
	}
	if int(p.Wire) != size || p.Buf != m.bufs[p.Number] {
		m.t.Fatalf("%d came back as another packet", p.Number)
	}
	delete(m.out, p.Number)
	m.fates[p.Number] = what
	if p.Buf != nil {
		p.Buf.Release()
	}
	return int64(size)
}

// check compares the accounts.
func (m *model) check() {
	sum := int64(0)
	for _, size := range m.out {
		sum += int64(size)
	}
	bytes, packets := m.h.Inflight()
	if bytes != sum || packets != len(m.out) {
		m.t.Fatalf("inflight %d in %d packets, want %d in %d", bytes, packets, sum, len(m.out))
	}
	last, walked := int64(-1), 0
	m.h.EachOutstanding(func(p *recovery.Packet) bool {
		if _, ok := m.out[p.Number]; !ok || int64(p.Number) <= last {
			m.t.Fatalf("%d is not outstanding, or out of order", p.Number)
		}
		last = int64(p.Number)
		walked++
		return true
	})
	if walked != len(m.out) {
		m.t.Fatalf("walked over %d of %d", walked, len(m.out))
	}
	if (m.h.NextTimeout() == mono.Never) != (len(m.out) == 0) {
		m.t.Fatalf("timeout %v with %d outstanding", m.h.NextTimeout(), len(m.out))
	}
	if m.h.RTT.PTO() <= 0 || m.h.RTT.Smoothed() <= 0 || m.h.RTT.Min() <= 0 || m.h.Reordered() < 0 {
		m.t.Fatalf("estimates %v %v %v %v", m.h.RTT.PTO(), m.h.RTT.Smoothed(), m.h.RTT.Min(), m.h.Reordered())
	}
}

// timeout lets the next timer fire, and what else is due then; a timer that stays in the past would spin.
func (m *model) timeout() {
	next := m.h.NextTimeout()
	if next == mono.Never {
		return
	}
	m.now = mono.Max(m.now, next)
	// A loss and a probe may be due at once, each for its own reason.
	for range 2 {
		if m.h.NextTimeout() <= m.now {
			m.take(m.h.OnTimeout(m.now))
		}
	}
	if m.h.NextTimeout() <= m.now {
		m.t.Fatalf("the next timeout stays %v in the past", m.now.Sub(m.h.NextTimeout()))
	}
}

func runModel(t testing.TB, seed uint64, steps int) {
	m := &model{
		t: t, in: rand.New(rand.NewPCG(seed, 5)), h: recovery.New(&recovery.Offset{}), pool: packet.NewPool(1 << 18), now: begin,
		out: map[uint64]int{}, bufs: map[uint64]*packet.Buf{}, fates: map[uint64]string{}, arrived: map[uint64]bool{},
	}
	for range steps {
		switch k := m.in.IntN(100); {
		case k < 35:
			m.sendSome()
		case k < 60:
			m.receive()
		case k < 88:
			m.acknowledge()
		case k < 97:
			m.timeout()
		case k < 98:
			m.take(m.h.Abandon())
		case k < 99:
			m.h.MarkLimited()
		default:
			if _, ok := m.h.OnAck(m.now, frame(m.h.Next()+uint64(m.in.IntN(3)))); ok {
				t.Fatal("took an acknowledgement of what was never sent")
			}
		}
		m.now = m.now.Add(time.Duration(m.in.Int64N(int64(20 * ms))))
		m.check()
	}
	m.take(m.h.Abandon())
	m.check()
	if lent, _ := m.pool.Lent(); lent != 0 {
		t.Fatalf("%d buffers are still lent", lent)
	}
}

// Whatever happens, each packet is handed out once, with its buffer, and the accounts hold.
func TestModel(t *testing.T) {
	for seed := range uint64(40) {
		runModel(t, seed, 300)
	}
}

func FuzzHistory(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed, uint16(100))
	}
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16) { runModel(t, seed, int(steps%1000)) })
}
