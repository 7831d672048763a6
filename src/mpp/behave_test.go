package mpp

import (
	"io"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// transfer moves n bytes down and returns how long it took until the client had all.
func transfer(t *testing.T, n int, script func(*world), pipes ...pipeParams) (time.Duration, *world) {
	w := newWorld(t, 3, 64<<20)
	for _, p := range pipes {
		w.addLink(p)
	}
	w.sides[1].toSend = n
	for w.sides[0].received < uint64(n) && w.now < mono.Time(10*time.Minute) {
		if script != nil {
			script(w)
		}
		w.step()
	}
	took := time.Duration(w.now)
	if !w.run(time.Minute) || w.check() != nil {
		t.Fatalf("after %v: %v\n%v\n%v", took, w.check(), w.sides[0].conn, w.sides[1].conn)
	}
	return took, w
}

var (
	fast = pipeParams{rate: mbit(50), delay: 10 * time.Millisecond, queue: 30 * time.Millisecond, hold: 0}
	slow = pipeParams{rate: mbit(2), delay: 150 * time.Millisecond, queue: 30 * time.Millisecond, hold: 0}
)

// TestSlowestDoesNotSetTheSpeed moves short and long streams with a trickling subflow beside a good one.
func TestSlowestDoesNotSetTheSpeed(t *testing.T) {
	trickle := pipeParams{rate: mbit(0.05), delay: 300 * time.Millisecond, queue: 0, hold: 0}
	for _, n := range []int{100, 20 << 10, 200 << 10, 2 << 20, 10 << 20} {
		alone, _ := transfer(t, n, nil, fast)
		for name, other := range map[string]pipeParams{"slow": slow, "trickling": trickle} {
			both, w := transfer(t, n, nil, fast, other)
			t.Logf("%d bytes: alone %v, with %s one %v, again %d", n, alone, name, both, w.sides[1].conn.Counts().Again)
			if both > alone+alone/20+20*time.Millisecond {
				t.Errorf("%d bytes: alone %v, with %s one %v", n, alone, name, both)
			}
		}
	}
}

// TestSilentDeath freezes one of two subflows in both directions: the stream stands still for a few round trips.
func TestSilentDeath(t *testing.T) {
	const n = 20 << 20
	frozenAt, last, longest := mono.Time(0), mono.Time(0), time.Duration(0)
	before := uint64(0)
	_, w := transfer(t, n, func(w *world) {
		if frozenAt == 0 && w.sides[0].received > n/4 {
			frozenAt = w.now
			w.links[0].dir[0].frozen, w.links[0].dir[1].frozen = true, true
		}
		if got := w.sides[0].received; got != before {
			if frozenAt != 0 {
				longest = max(longest, w.now.Sub(last))
			}
			before, last = got, w.now
		}
	}, fast, fast)
	t.Logf("longest silence %v, again %d", longest, w.sides[1].conn.Counts().Again)
	if longest > 250*time.Millisecond {
		t.Errorf("silent for %v", longest)
	}
}

// TestRepairsAreRepaired freezes two of three subflows one after the other, so that what was sent again of the first is on the
// second: it is sent again once more.
func TestRepairsAreRepaired(t *testing.T) {
	const n = 20 << 20
	for _, apart := range []time.Duration{10, 20, 40, 60, 80, 100, 150} {
		var frozen, last mono.Time
		var longest time.Duration
		before := uint64(0)
		_, w := transfer(t, n, func(w *world) {
			freeze := func(l *link) { l.dir[0].frozen, l.dir[1].frozen = true, true }
			if frozen == 0 && w.sides[0].received > n/4 {
				frozen = w.now
				freeze(w.links[0])
			}
			if frozen != 0 && w.now >= frozen.Add(apart*time.Millisecond) {
				freeze(w.links[1])
			}
			if got := w.sides[0].received; got != before {
				if frozen != 0 {
					longest = max(longest, w.now.Sub(last))
				}
				before, last = got, w.now
			}
		}, fast, fast, pipeParams{rate: mbit(20), delay: 30 * time.Millisecond, queue: 30 * time.Millisecond})
		t.Logf("%d ms apart: longest silence %v, again %d", apart, longest, w.sides[1].conn.Counts().Again)
		if longest > 500*time.Millisecond {
			t.Errorf("%d ms apart: silent for %v", apart, longest)
		}
	}
}

// TestQuickestDies freezes the subflow that acknowledgements take, and whose socket swallows them: the other one goes on,
// and gets all it has.
func TestQuickestDies(t *testing.T) {
	quick, other := pipeParams{rate: mbit(20), delay: 5 * time.Millisecond, queue: time.Second}, pipeParams{rate: mbit(20), delay: 12 * time.Millisecond, queue: 100 * time.Millisecond}
	frozenAt, last, longest := mono.Time(0), mono.Time(0), time.Duration(0)
	before, came := uint64(0), uint64(0)
	_, w := transfer(t, 20<<20, func(w *world) {
		got := w.sides[0].received
		if frozenAt == 0 && got > 10<<20 {
			frozenAt, came = w.now, got
			w.links[0].dir[0].frozen, w.links[0].dir[1].frozen = true, true
		}
		if got != before {
			if frozenAt != 0 {
				longest = max(longest, w.now.Sub(last))
			}
			before, last = got, w.now
		}
	}, quick, other)
	rate := float64(before-came) / last.Sub(frozenAt).Seconds()
	t.Logf("longest silence %v, then %.1f Mbit/s, again %d", longest, rate*8e-6, w.sides[1].conn.Counts().Again)
	if longest > 400*time.Millisecond || rate < 0.85*other.rate {
		t.Errorf("silent for %v, then %.1f Mbit/s", longest, rate*8e-6)
	}
}

// TestFall lets one of two links fall to a twentieth: the sum follows, nothing waits for the old prediction.
func TestFall(t *testing.T) {
	fallen := false
	speed, _ := goodput(t, 5, 4*time.Second, func(w *world, at time.Duration) {
		if !fallen && at > time.Second {
			fallen = true
			for _, d := range w.links[0].dir {
				d.rate /= 20
			}
		}
	}, fast, fast)
	t.Logf("%.1f of 52.5 Mbit/s", speed*8e-6)
	if speed*8e-6 < 0.93*52.5 {
		t.Errorf("%.1f Mbit/s", speed*8e-6)
	}
}

// TestNeverRead bounds what a client that takes nothing can hold.
func TestNeverRead(t *testing.T) {
	w := newWorld(t, 1, 64<<20)
	w.sides[1].toSend = 1 << 40
	w.sides[0].pause = mono.Never - 1
	w.addLink(fast)
	w.addLink(fast)
	for w.now < mono.Time(20*time.Second) {
		w.step()
	}
	if n := w.pools[0].Used(); n > initialWindow+2*BlockBytes {
		t.Errorf("%d bytes for a client that reads nothing", n)
	}
	if c := w.sides[0].conn; c.Err() != nil || c.Subflows() != 2 {
		t.Error(c)
	}
}

// TestIdleCostsNothing gives back all blocks when nothing is under way.
func TestIdleCostsNothing(t *testing.T) {
	w := newWorld(t, 1, 64<<20)
	w.addLink(fast)
	for _, s := range w.sides {
		if _, err := s.conn.Write(w.now, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		s.toSend = -1
	}
	steps := 0
	for w.now < mono.Time(time.Hour) {
		w.step()
		steps++
	}
	if w.pools[0].Used()+w.pools[1].Used() != 0 {
		t.Errorf("idle connections keep %d and %d bytes", w.pools[0].Used(), w.pools[1].Used())
	}
	if steps > 3600/20*40 {
		t.Errorf("%d steps in an idle hour", steps)
	}
}

// TestSubflowNumbers refuses 0 and doubled numbers.
func TestSubflowNumbers(t *testing.T) {
	c := NewConn(1, Params{Pool: NewPool(1 << 20)})
	if c.Add(1, 0) || !c.Add(1, 4) || c.Add(1, 4) {
		t.Error("numbers")
	}
	c.Remove(1, 9)
	if err := c.Receive(1, 9, nil); err == nil {
		t.Error("received on a subflow that does not exist")
	}
}

// TestWrongMID ends a subflow that carries another connection's frames.
func TestWrongMID(t *testing.T) {
	c := NewConn(1, Params{MID: 1, Pool: NewPool(1 << 20)})
	c.Add(1, 1)
	if err := c.Receive(1, 1, AppendFrame(nil, &Frame{Type: FramePing, MID: 2})); err == nil || c.Err() != nil {
		t.Error(err, c.Err())
	}
}

// TestPollAllocatesNothing holds the way of a byte to no allocation in steady state.
func TestPollAllocatesNothing(t *testing.T) {
	pool := NewPool(64 << 20)
	a, b := NewConn(1, Params{MID: 1, Opener: true, Pool: pool}), NewConn(1, Params{MID: 1, Pool: pool})
	now := mono.Time(1)
	for id := uint16(1); id <= 2; id++ {
		a.Add(now, id)
		b.Add(now, id)
	}
	data, rec, got := make([]byte, 8<<10), make([]byte, 0, MaxRecord), make([]byte, 64<<10)
	round := func() {
		_, _ = a.Write(now, data)
		for id := uint16(1); id <= 2; id++ {
			if r := a.Poll(now, id, rec); len(r) > 0 {
				_ = b.Receive(now.Add(time.Millisecond), id, r)
			}
			if r := b.Poll(now.Add(6*time.Millisecond), id, rec); len(r) > 0 {
				_ = a.Receive(now.Add(7*time.Millisecond), id, r)
			}
		}
		_, _ = b.Read(now, got)
		now = now.Add(10 * time.Millisecond)
	}
	for range 1000 {
		round()
	}
	if n := testing.AllocsPerRun(1000, round); n > 0 {
		t.Errorf("%v allocations per round", n)
	}
	if a.Counts().Sent < 1000*8<<10 {
		t.Error("nothing moved", a, b)
	}
}

// TestLastSubflowGone: both streams have ended and are acknowledged; that the last subflow goes before our last
// acknowledgement left is the end too.
func TestLastSubflowGone(t *testing.T) {
	pool := NewPool(1 << 20)
	now := mono.Time(1)
	a, b := NewConn(now, Params{MID: 9, Opener: true, Pool: pool}), NewConn(now, Params{MID: 9, Pool: pool})
	a.Add(now, 1)
	b.Add(now, 1)
	a.CloseWrite()
	b.CloseWrite()
	for range 3 {
		now = now.Add(time.Second)
		for _, way := range [][2]*Conn{{a, b}, {b, a}} {
			if record := way[0].Poll(now, 1, nil); len(record) > 0 {
				if err := way[1].Receive(now, 1, record); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	b.ackAt = now // as after something that came twice
	if _, err := b.Read(now, make([]byte, 1)); err != io.EOF || !a.Finished() || b.Finished() {
		t.Fatalf("%v\n%v\n%v", err, a, b)
	}
	b.Remove(now, 1)
	if !b.Finished() {
		t.Errorf("waits for nobody: %v", b)
	}
}
