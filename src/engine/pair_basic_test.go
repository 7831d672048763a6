package engine

import (
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
)

// Two tunnels over two good links: everything arrives once.
func TestPairCarriesAll(t *testing.T) {
	w := newPair(t, 1, 2, nil).up()
	for range 100 {
		w.give(0, 1, 1400, 8)
		w.give(1, 2, 1400, 8)
		w.give(0, 3, 100, 1)
		w.run(20 * ms)
	}
	w.run(time.Second)
	for i, s := range w.sides {
		want(t, "arrived", len(s.arrived), w.sides[1-i].given)
		want(t, "twice", s.twice(), 0)
		want(t, "counted in", s.Counts().PacketsIn, uint64(len(s.arrived)))
		want(t, "counted out", w.sides[1-i].Counts().PacketsOut, uint64(len(s.arrived)))
	}
	w.close()
}

// Whatever is queued, under way or waiting when a tunnel closes comes back to the pool.
func TestCloseReleasesAll(t *testing.T) {
	for _, after := range []time.Duration{0, ms, 7 * ms, 30 * ms, 200 * ms} {
		w := newPair(t, 2, 2, nil).up()
		w.links[0].loss, w.links[1].limit = 0.3, 1300
		w.give(0, 1, 1400, 300)
		w.give(1, 2, 1400, 300)
		w.run(after)
		w.close()
	}
}

// A path closed between two polls is not sent on any more, by whatever way its closing came.
func TestNothingOnClosedPath(t *testing.T) {
	for _, leave := range []bool{true, false} {
		w := newPair(t, 3, 2, nil).up()
		w.give(0, 1, 1400, 200)
		w.run(10 * ms)
		s := w.sides[0]
		closed := s.Paths()[0].ID
		if leave {
			s.LeavePath(w.now, closed)
		} else {
			s.ClosePath(w.now, closed)
		}
		s.Poll(w.now, &s.batch) // not OnTimeout first
		for i := range s.batch.Datagrams {
			if s.batch.Datagrams[i].Path == closed {
				t.Fatalf("a datagram on the closed path")
			}
		}
		w.put(s)
		w.run(2 * time.Second)
		want(t, "arrived", len(w.sides[1].arrived), 200)
		w.close()
	}
}

// Without a session packets wait, up to a bound; what is beyond is counted.
func TestNoSession(t *testing.T) {
	w := newPair(t, 4, 1, nil)
	s := w.sides[0]
	s.Stop(w.now)
	want(t, "stands", s.Stands(), false)
	want(t, "timeout", s.NextTimeout(), noTime)
	w.give(0, 1, 1400, 100)
	if b := s.Backlog(); b < noSessionBacklog || b > noSessionBacklog+1400 {
		t.Errorf("%d bytes wait", b)
	}
	d := s.Drops()
	want(t, "counted", d.Map()["no_session"], 100-uint64(packetsQueued(s.Tunnel)))
	var out Batch
	want(t, "poll", s.Poll(w.now, &out), false)
	want(t, "datagrams", len(out.Datagrams), 0)
	w.start()
	w.open(0)
	w.run(2 * time.Second)
	if len(w.sides[1].arrived) < 40 {
		t.Errorf("%d of those that waited arrived", len(w.sides[1].arrived))
	}
	w.close()
}

// What exceeds the inner MTU is refused and counted.
func TestTooLarge(t *testing.T) {
	w := newPair(t, 5, 1, nil).up()
	w.sides[0].SetMTU(1300)
	want(t, "mtu", w.sides[0].MTU(), 1300)
	w.give(0, 1, 1301, 3)
	w.give(0, 1, 1300, 3)
	w.run(time.Second)
	d := w.sides[0].Drops()
	want(t, "counted", d.Map()["too_large"], 3)
	want(t, "arrived", len(w.sides[1].arrived), 3)
	w.close()
}

// Drops and counters go on counting over sessions.
func TestDropsSurviveSession(t *testing.T) {
	w := newPair(t, 6, 1, nil).up()
	s := w.sides[1]
	w.inject(1, 1, 1000, []byte{0xC0, 0, 1, 0, 0, 5, 0x45}) // a laned packet that is no packet
	for i := range uint64(3) {
		// A laned packet thrice: the lane drops two.
		w.inject(1, 1, 2000+i, append([]byte{0xC0, 0, 1, 0, 0, 5}, inner(1, 100, 7)...))
	}
	before := s.Drops()
	if before.Total() < 3 {
		t.Fatalf("%v", before.Map())
	}
	w.run(time.Second)
	w.start()
	after := s.Drops()
	for name, n := range before.Map() {
		if after.Map()[name] < n {
			t.Errorf("%s: %d before the new session, %d after it", name, n, after.Map()[name])
		}
	}
	w.close()
}

// Unowned addresses: the router takes what is for its own addresses, the server what comes from its router's.
func TestOwnership(t *testing.T) {
	w := newPair(t, 7, 1, nil).up()
	foreign := func(at int) []byte {
		b := inner(1, 100, 1)
		copy(b[at:], []byte{192, 0, 2, 1})
		return b
	}
	const src, dst = 12, 16
	for _, c := range []struct {
		what   string
		to     int
		packet []byte
		reason string
	}{
		{"server, foreign source", 1, foreign(src), "source_not_owned"},
		{"server, foreign destination", 1, foreign(dst), ""},
		{"router, foreign destination", 0, foreign(dst), "destination_not_owned"},
		{"router, foreign source", 0, foreign(src), ""},
		{"server, nonsense", 1, []byte{1, 2, 3}, "not_ip"},
		{"router, nothing", 0, nil, "not_ip"},
	} {
		s := w.sides[c.to]
		was := s.Drops()
		number := uint64(1e6) + uint64(len(c.what))*100
		w.inject(c.to, 1, number, append([]byte{0x80}, c.packet...))
		delivered := s.Delivered()
		now := s.Drops()
		if c.reason == "" {
			want(t, c.what, len(delivered), 1)
			delivered[0].Release()
			continue
		}
		want(t, c.what, len(delivered), 0)
		want(t, c.what, now.Map()[c.reason]-was.Map()[c.reason], 1)
	}
	w.close()
}

// Frames that do not parse, and those that parse but make no sense, are counted and hurt nobody.
func TestMalformedFrames(t *testing.T) {
	w := newPair(t, 8, 2, nil).up()
	number := uint64(1e6)
	for _, frames := range [][]byte{
		{0x0E}, {0x7F}, {0x01}, {0x01, 1, 0xFF}, {0x03, 1, 2}, {0x83, 1}, {0x8C, 1}, {0xC0, 0xFF, 0xFF, 0, 0, 1, 0x45},
		{0x07, 0xFF, 0xFF, 0, 0, 1}, {0x08, 0xFF, 0xFF, 0, 0, 1, 1}, {0x0C, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F}, {},
		{0x01, 1, 0xFF, 0xFF, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0}, // acknowledges what was never sent
		{0x01, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},               // of an unknown path
		{0x06, 0xFF, 0xFF, 2, 99, 1, 2, 3, 4, 1, 0xFF, 0xFF, 0xFF, 0xFF},
	} {
		for to := range 2 {
			number++
			w.inject(to, 1, number, frames)
		}
	}
	w.run(200 * ms)
	for i := range w.sides {
		d := w.sides[i].Drops()
		if d.Map()["malformed_frame"] < 8 {
			t.Errorf("side %d: %v", i, d.Map())
		}
		w.give(i, 1, 1000, 50)
	}
	w.run(2 * time.Second)
	want(t, "arrived at the server", len(w.sides[1].arrived), 50)
	want(t, "arrived at the router", len(w.sides[0].arrived), 50)
	w.close()
}

// A datagram on a path the router never opened is nobody's.
func TestUnknownPathAtRouter(t *testing.T) {
	w := newPair(t, 9, 1, nil).up()
	w.inject(0, 77, 1, []byte{0x02})
	d := w.sides[0].Drops()
	want(t, "counted", d.Map()["unknown_connection"], 1)
	want(t, "paths", len(w.sides[0].Paths()), 1)
	w.close()
}

// The configuration gets there whatever is lost, once, and its last version counts.
func TestConfigUnderLoss(t *testing.T) {
	w := newPair(t, 10, 2, nil)
	for _, l := range w.links {
		l.loss = 0.4
	}
	w.sides[1].SetConfig([]byte("one"))
	w.run(5 * time.Second)
	blob, first := w.sides[0].PeerConfig()
	want(t, "configuration", string(blob), "one")
	w.sides[1].SetConfig([]byte("two"))
	w.run(5 * time.Second)
	blob, second := w.sides[0].PeerConfig()
	want(t, "configuration", string(blob), "two")
	want(t, "changes", second-first, 1)
	want(t, "acknowledged", w.sides[1].config.done, true)
	// A new session tells it again, and it is the same.
	w.start()
	w.open(0)
	w.run(5 * time.Second)
	blob, third := w.sides[0].PeerConfig()
	want(t, "configuration", string(blob), "two")
	want(t, "changes", third, second)
	w.close()
}

// A notice gets there under loss, at least once.
func TestNoticeUnderLoss(t *testing.T) {
	w := newPair(t, 11, 1, nil).up()
	w.links[0].loss = 0.5
	w.sides[1].Notify(w.now, 3, "hello\x1b[31m")
	w.run(10 * time.Second)
	n := w.sides[0].Notices()
	if len(n) == 0 || n[0] != "hello?[31m" {
		t.Errorf("notices %q", n)
	}
	want(t, "taken", len(w.sides[0].Notices()), 0)
	w.close()
}

// Lanes come back when flows are idle, and memory is bounded by what is in use.
func TestLanesComeBack(t *testing.T) {
	w := newPair(t, 12, 2, nil).up()
	for flow := range uint16(20) {
		w.give(0, flow, 1400, 30)
	}
	w.run(50 * ms)
	if w.sides[0].Lanes() == 0 {
		t.Fatal("no lanes for backlogged flows")
	}
	w.run(10 * time.Second)
	want(t, "lanes", w.sides[0].Lanes(), 0)
	want(t, "in use", w.sides[0].lanes.alloc.InUse(), 0)
	want(t, "arrived", len(w.sides[1].arrived), 600)
	w.run(20 * time.Second)
	want(t, "flows", w.sides[0].Flows(), 0)
	w.close()
}

// A new flow's first burst arrives in order over links that are not: also the packets that are urgent for being the first.
func TestFirstBurstInOrder(t *testing.T) {
	w := newPair(t, 15, 2, nil).up()
	for _, l := range w.links {
		l.jitter = 20 * ms
	}
	w.run(time.Second)
	for flow := range uint16(20) {
		w.sides[1].order = nil
		w.give(0, flow, 1400, 10)
		w.run(300 * ms)
		want(t, "arrived", len(w.sides[1].order), 10)
		if !slices.IsSorted(w.sides[1].order) {
			t.Errorf("flow %d: %v", flow, w.sides[1].order)
		}
	}
	w.close()
}

// The repair store is bounded: beyond it packets are sent and not kept.
func TestRepairStoreBound(t *testing.T) {
	w := newPair(t, 13, 2, func(p *Params) { p.RepairBytes = 20_000 }).up()
	for _, l := range w.links {
		l.delay = 100 * ms
	}
	w.run(time.Second)
	most := int64(0)
	for range 200 {
		w.give(0, 1, 1400, 20)
		w.run(5 * ms)
		most = max(most, w.sides[0].held)
	}
	if most > 20_000+1400 {
		t.Errorf("%d bytes held", most)
	}
	d := w.sides[0].Drops()
	if d.Map()["repair_pushed_out"] == 0 {
		t.Error("nothing was pushed out")
	}
	w.run(3 * time.Second)
	want(t, "held at rest", w.sides[0].held, 0)
	w.close()
}

// held is what is kept for repair, and comes back to nothing whatever happened.
func TestHeldComesBack(t *testing.T) {
	w := newPair(t, 14, 2, nil).up()
	w.links[0].loss, w.links[1].limit = 0.1, 1300
	for range 50 {
		w.give(0, 1, 1400, 20)
		w.run(20 * ms)
	}
	w.links[0].cut = true
	w.run(3 * time.Second)
	w.links[0].cut = false
	w.run(3 * time.Second)
	want(t, "held", w.sides[0].held, 0)
	w.accounted(0)
	w.close()
}

// A repair queue that is full gives up and says so.
func TestRepairsQueue(t *testing.T) {
	pool := packet.NewPool(maxRepairs + 10)
	var q repairs
	for i := range maxRepairs + 5 {
		r := repair{}
		r.load.Buf, r.load.Seq, r.load.Laned = pool.Get(), uint32(i), true
		if ok := q.push(r); ok != (i < maxRepairs) {
			t.Fatalf("push %d: %v", i, ok)
		} else if !ok {
			r.load.Buf.Release()
		}
		if i == 100 {
			for n := range 50 {
				r := q.pop()
				want(t, "order", r.load.Seq, uint32(n))
				q.push(r)
			}
		}
	}
	q.unlane()
	want(t, "laned", q.front().load.Laned, false)
	want(t, "length", q.len(), maxRepairs)
	q.drop()
	want(t, "length", q.len(), 0)
	lent, _ := pool.Lent()
	want(t, "lent", lent, 0)
}

// Only the acknowledgement of the configuration in force ends its repetition.
func TestConfigLateAck(t *testing.T) {
	c := pendingConfig{blob: []byte("two"), id: 2}
	c.acked(1)
	want(t, "due", c.due(1), true)
	want(t, "repeated at once", c.due(2), false)
	want(t, "repeated later", c.due(1+mono.Time(configEvery)), true)
	c.acked(2)
	want(t, "after its acknowledgement", c.due(mono.Never), false)
}

// While packets wait for the pacer only, the tunnel wants to be called when they may go, not at its next leisure.
func TestWokenByPacer(t *testing.T) {
	w := newPair(t, 15, 1, nil).up()
	p := w.sides[0].Paths()[0]
	waited := 0
	for range 500 {
		w.give(0, 1, 1400, 20)
		w.settle()
		if p.HasWindow() && !p.Pace.Ready() && w.sides[0].Backlog() > 0 {
			waited++
			if next := w.sides[0].NextTimeout(); next > p.NextSend() {
				t.Fatalf("next timeout %v after the pacer's time", next.Sub(p.NextSend()))
			}
		}
		w.run(ms)
	}
	if waited < 25 {
		t.Errorf("waited for the pacer %d times", waited)
	}
	w.close()
}

// While the sender of a link is busy nothing is sent there; when it is not, all goes on.
func TestBusy(t *testing.T) {
	w := newPair(t, 16, 1, nil).up()
	p := w.sides[0].Paths()[0]
	p.Busy = true
	w.give(0, 1, 1400, 50)
	w.run(100 * ms)
	want(t, "arrived", len(w.sides[1].arrived), 0)
	p.Busy = false
	w.run(time.Second)
	want(t, "arrived", len(w.sides[1].arrived), 50)
	w.close()
}
