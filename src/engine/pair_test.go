package engine

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
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
)

const ms = time.Millisecond

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// pair is a router's and a server's tunnel with links in virtual time between them; nothing is sealed.
type pair struct {
	t     testing.TB
	now   mono.Time
	rng   *rand.Rand
	sides [2]*side // router, server
	links []*pairLink
	fly   []flight // unordered
	// spoof, if set, may change a datagram's source before the server sees it, and drop it.
	spoof func(r *Received) bool
	ids   uint32
}

// side is one end.
type side struct {
	*Tunnel
	pool    *packet.Pool
	batch   Batch
	index   int
	given   int // inner packets enqueued
	arrived map[uint32]int
	// toward counts the bytes sent to each address, with outer headers.
	toward map[netip.AddrPort]int
	// order is what was delivered.
	order []uint32
}

// pairLink is a link under the tunnel, the same in both directions.
type pairLink struct {
	delay, jitter time.Duration
	loss          float64
	double        float64
	limit         int // largest datagram (UDP payload)
	cut           bool
	addr          netip.AddrPort // of the router, as the server sees it
	rate          int64          // bytes per second
	free          [2]mono.Time
}

type flight struct {
	at   mono.Time
	to   int
	r    Received
	data []byte
}

var serverAddr = netip.MustParseAddrPort("203.0.113.1:6779")

func routerAddr(link int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(link + 1)}), 4000)
}

// newPair makes both tunnels and a session; adjust may change the parameters.
func newPair(t testing.TB, seed uint64, links int, adjust func(p *Params)) *pair {
	w := &pair{t: t, now: mono.Time(time.Hour), rng: rand.New(rand.NewPCG(seed, 6))}
	for i := range w.sides {
		s := &side{pool: packet.NewPool(1 << 15), index: i, arrived: map[uint32]int{}, toward: map[netip.AddrPort]int{}}
		p := Params{Initiator: i == 0, Pool: s.pool, Seed: seed, Random: w.rng.Uint64}
		if adjust != nil {
			adjust(&p)
		}
		s.Tunnel = New(w.now, p)
		s.SetOwned([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
		w.sides[i] = s
	}
	for i := range links {
		w.links = append(w.links, &pairLink{delay: time.Duration(5+10*i) * ms, limit: 2000, rate: 2_500_000, addr: routerAddr(i)})
	}
	w.start()
	for i := range links {
		w.open(i)
	}
	return w
}

// start begins a session on both sides.
func (w *pair) start() {
	var seed [session.SecretBytes]byte
	binary.BigEndian.PutUint64(seed[:], w.rng.Uint64())
	secrets := session.NewSecrets(seed, seed)
	for i, s := range w.sides {
		keys, err := secrets.Keys(session.Direction(i), session.AES256GCM, session.Encrypt)
		if err != nil {
			w.t.Fatal(err)
		}
		s.Start(w.now, session.NewSending(keys), secrets.ConnIDs())
	}
	w.fly = nil
	w.ids = 0
}

// open opens a new path over a link at the router.
func (w *pair) open(link int) uint32 {
	w.ids++
	w.sides[0].OpenPath(w.now, PathSpec{ID: w.ids, Link: uint32(link), Overhead: 28, RTT: 20 * ms}, serverAddr)
	return w.ids
}

// inner is an inner packet of a flow with an id.
func inner(flow uint16, size int, id uint32) []byte {
	b := make([]byte, max(size, 32))
	b[0], b[8], b[9] = 0x45, 64, flowq.ProtoUDP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(b[20:], 1000+flow)
	binary.BigEndian.PutUint16(b[22:], 443)
	binary.BigEndian.PutUint32(b[28:], id)
	return b
}

// give enqueues inner packets of a flow at a side; their ids count up per side.
func (w *pair) give(from int, flow uint16, size, count int) {
	s := w.sides[from]
	var batch []*packet.Buf
	for range count {
		b := s.pool.Get()
		if b == nil {
			break
		}
		b.Set(inner(flow, size, uint32(s.given)))
		s.given++
		batch = append(batch, b)
	}
	s.Enqueue(w.now, batch)
}

// settle lets both sides do all that is due now; it fails if there is no end of it.
func (w *pair) settle() {
	for _, s := range w.sides {
		for turns := 0; ; turns++ {
			if w.now >= s.NextTimeout() {
				s.OnTimeout(w.now)
			}
			more := s.Poll(w.now, &s.batch)
			w.put(s)
			w.deliver(s)
			if !more && s.NextTimeout() > w.now {
				break
			}
			if turns > 200 {
				w.t.Fatalf("side %d: the next timeout stays %v in the past: %s", s.index, w.now.Sub(s.NextTimeout()), s.reason(w.now))
			}
		}
	}
}

// reason says which timer is due.
func (s *side) reason(now mono.Time) string {
	out := ""
	add := func(what string, at mono.Time) {
		if at <= now {
			out += " " + what
		}
	}
	add("refresh", s.refreshAt)
	add("lanes", s.in.NextTimeout())
	add("marks", s.lanes.nextMark())
	for _, p := range s.paths {
		add("recovery", p.Sent.NextTimeout())
		add("check in "+p.State().String(), p.NextCheck(s.polled, s.lastHeard, s.lastData))
		add("ack", p.Rx.Due(p.Sent.RTT.Smoothed()))
		add("challenge", p.Peer.NextChallenge())
		add("tail", p.TailAt())
		add("pace", p.NextSend())
		add("tell", p.TellAt())
	}
	return out
}

// put puts what a side wants to send onto the links.
func (w *pair) put(s *side) {
	for i := range s.batch.Datagrams {
		d := &s.batch.Datagrams[i]
		size := s.batch.Size(i)
		data := append([]byte(nil), s.batch.arena[d.from:d.to]...)
		if d.buf != nil {
			data = append(data, d.buf.Bytes()[d.bufFrom:d.bufTo]...)
		}
		if len(data)+wire.HeaderBytes+wire.TagBytes != size {
			w.t.Fatalf("datagram of %d bytes says %d", len(data)+wire.HeaderBytes+wire.TagBytes, size)
		}
		s.toward[d.To] += size + 28
		link, from := d.Link, serverAddr
		if s.index == 0 {
			from = w.links[link].addr
		} else if link = w.linkTo(d.To); link < 0 {
			continue
		}
		w.carry(s.index, link, data, Received{Number: d.Number, Path: d.Path, Wire: size + 28, From: from, Link: link})
	}
	s.batch.Reset()
}

func (w *pair) linkTo(to netip.AddrPort) int {
	for i := range w.links {
		if w.links[i].addr == to {
			return i
		}
	}
	return -1
}

// carry sends a datagram over a link, or loses it.
func (w *pair) carry(from, link int, data []byte, r Received) {
	l := w.links[link]
	l.free[from] = mono.Max(l.free[from], w.now).Add(time.Duration(int64(r.Wire) * int64(time.Second) / l.rate))
	if l.cut || len(data)+wire.HeaderBytes+wire.TagBytes > l.limit || w.rng.Float64() < l.loss || l.free[from].Sub(w.now) > 200*ms {
		return
	}
	copies := 1
	if w.rng.Float64() < l.double {
		copies = 2
	}
	for range copies {
		at := l.free[from].Add(l.delay)
		if l.jitter > 0 {
			at = at.Add(time.Duration(w.rng.Int64N(int64(l.jitter))))
		}
		w.fly = append(w.fly, flight{at, 1 - from, r, data})
	}
}

// run lets d pass.
func (w *pair) run(d time.Duration) {
	for until := w.now.Add(d); ; {
		w.settle()
		next := until
		for _, s := range w.sides {
			next = mono.Min(next, s.NextTimeout())
		}
		for i := range w.fly {
			next = mono.Min(next, w.fly[i].at)
		}
		if next >= until {
			w.now = until
			return
		}
		w.now = mono.Max(next, w.now)
		for i := 0; i < len(w.fly); i++ {
			if f := w.fly[i]; f.at <= w.now {
				w.fly[i] = w.fly[len(w.fly)-1]
				w.fly = w.fly[:len(w.fly)-1]
				i--
				w.receive(f)
			}
		}
	}
}

// receive gives a datagram to a side.
func (w *pair) receive(f flight) {
	s := w.sides[f.to]
	b := s.pool.Get()
	if b == nil {
		return
	}
	b.Set(f.data)
	f.r.Buf, f.r.At = b, w.now
	if f.to == 1 && w.spoof != nil && !w.spoof(&f.r) {
		b.Release()
		return
	}
	s.Receive(w.now, &f.r)
}

// inject gives frames to a side as an authentic datagram on a path.
func (w *pair) inject(to int, id uint32, number uint64, frames []byte) {
	w.receive(flight{to: to, data: frames, r: Received{Number: number, Path: id, Wire: len(frames) + 52, From: w.fromOf(to, 0)}})
}

func (w *pair) fromOf(to, link int) netip.AddrPort {
	if to == 0 {
		return serverAddr
	}
	return w.links[link].addr
}

func (w *pair) deliver(s *side) {
	for _, b := range s.Delivered() {
		id := binary.BigEndian.Uint32(b.Bytes()[28:])
		s.arrived[id]++
		s.order = append(s.order, id)
		b.Release()
	}
}

// close ends both tunnels; every buffer must have come back.
func (w *pair) close() {
	w.t.Helper()
	for _, s := range w.sides {
		s.Close(w.now)
		s.batch.Reset()
		if lent, _ := s.pool.Lent(); lent != 0 {
			w.t.Errorf("side %d: %d buffers are still lent", s.index, lent)
		}
	}
}

// accounted checks that each packet given to side from was delivered or is counted; lost at most what is counted.
func (w *pair) accounted(from int) {
	w.t.Helper()
	s, to := w.sides[from], w.sides[1-from]
	missing := 0
	for id := range s.given {
		if to.arrived[uint32(id)] == 0 {
			missing++
		}
	}
	counted := uint64(0)
	for _, d := range []map[string]uint64{dropsOf(s), dropsOf(to)} {
		for _, n := range d {
			counted += n
		}
	}
	q := s.QueueCounts()
	counted += q.DroppedFull + q.DroppedDelay + q.DroppedTable + q.DroppedNotIP + uint64(packetsQueued(s.Tunnel))
	if uint64(missing) > counted {
		w.t.Errorf("side %d: %d of %d packets are missing, %d counted: %v %v", from, missing, s.given, counted, dropsOf(s), dropsOf(to))
	}
}

func packetsQueued(t *Tunnel) int { n, _ := t.queue.Backlog(); return n + t.repairs.len() }

// dropsOf are the drops that can explain a missing packet.
func dropsOf(s *side) map[string]uint64 {
	d := s.Drops()
	m := d.Map()
	for _, other := range []string{"replayed", "malformed_frame", "unknown_connection"} {
		delete(m, other)
	}
	return m
}

// twice is how many packets a side delivered more than once.
func (s *side) twice() (n int) {
	for _, count := range s.arrived {
		if count > 1 {
			n++
		}
	}
	return n
}

// up waits until all links are up on both sides.
func (w *pair) up() *pair {
	w.run(time.Second)
	for _, s := range w.sides {
		want(w.t, "paths", len(s.Paths()), len(w.links))
		for _, p := range s.Paths() {
			want(w.t, "path state", p.State(), path.Up)
			want(w.t, "usable", p.Usable(), true)
		}
	}
	return w
}
