package even

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
)

// lumps is a lane with a packet each millisecond, of which some are held back until another came again.
type lumps struct {
	t    *testing.T
	e    *Evener
	now  mono.Time
	pool *packet.Pool
	came map[uint32]mono.Time
	out  []gone
	next uint32
	v6   bool
	tcp  bool
}

// gone is a packet that went on, and how long it was kept.
type gone struct {
	at   mono.Time
	kept time.Duration
}

func newLumps(t *testing.T) *lumps {
	return &lumps{t: t, e: New(0), now: mono.Time(time.Hour), pool: packet.NewPool(1 << 12), came: map[uint32]mono.Time{}}
}

// packet is the lane's next, that came then.
func (l *lumps) packet(came mono.Time) {
	l.t.Helper()
	b := l.pool.Get()
	b.SetLen(1000)
	p := b.Bytes()
	p[0], p[9], p[6] = 0x45, 17, 0
	if l.tcp {
		p[9] = 6
	}
	if l.v6 {
		p[0], p[6], p[9] = 0x60, p[9], 0
	}
	b.Lane, b.Seq, b.Enqueued = 3, uint32(len(l.came)), came
	l.came[b.Seq] = l.now
	l.take(l.e.Push(l.now, b, nil))
}

func (l *lumps) take(out []*packet.Buf) {
	l.t.Helper()
	for _, b := range out {
		if b.Seq != l.next {
			l.t.Fatalf("packet %d, want %d", b.Seq, l.next)
		}
		l.next++
		l.out = append(l.out, gone{l.now, l.now.Sub(l.came[b.Seq])})
		b.Release()
	}
}

// wait lets a millisecond pass.
func (l *lumps) wait() {
	l.t.Helper()
	for until := l.now.Add(ms); ; {
		if at := l.e.NextTimeout(); at <= until {
			l.now = max(l.now, at)
			l.take(l.e.OnTimeout(l.now, nil))
			continue
		}
		l.now = until
		return
	}
}

// hold lets so many packets come and wait for one before them, then all go on.
func (l *lumps) hold(n int) (from int) {
	l.t.Helper()
	first := l.now
	for range n {
		l.wait()
	}
	from = len(l.out)
	for i := range n {
		l.packet(first.Add(time.Duration(i) * ms))
	}
	return from
}

// run lets packets come in order.
func (l *lumps) run(n int) {
	l.t.Helper()
	for range n {
		l.wait()
		l.packet(l.now)
	}
}

// TestALumpIsSpread: what waited 50 ms goes on within 10 ms, the first at once, and what follows is not kept once that is over.
func TestALumpIsSpread(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		l := newLumps(t)
		l.v6 = v6
		l.run(100)
		at := l.hold(50)
		began := l.now
		l.run(100)
		lump := l.out[at : at+50]
		most := map[int]int{}
		for _, g := range lump {
			most[int(g.at.Sub(began)/(2*ms))]++
		}
		for step, n := range most {
			if n > 16 {
				t.Errorf("IPv6 %v: %d packets within 2 ms, %v after the repair", v6, n, time.Duration(step)*2*ms)
			}
		}
		if last := lump[49].at.Sub(began); lump[0].kept != 0 || last < 8*ms || last > 10*ms {
			t.Errorf("IPv6 %v: the first was kept for %v, the last %v", v6, lump[0].kept, last)
		}
		for i, g := range l.out[at+50+15:] {
			if g.kept > 0 {
				t.Fatalf("packet %d after the lump was kept for %v", i+15, g.kept)
			}
		}
	}
}

// TestALumpIsNotKeptForLong: what waited for half a second goes on within 30 ms.
func TestALumpIsNotKeptForLong(t *testing.T) {
	l := newLumps(t)
	l.run(100)
	at := l.hold(500)
	l.run(100)
	for i, g := range l.out[at:] {
		if g.kept > spreadLongest {
			t.Fatalf("packet %d was kept for %v", i, g.kept)
		}
	}
	if l.out[at+499].kept < spreadLongest-grain {
		t.Errorf("the last was kept for %v", l.out[at+499].kept)
	}
}

// TestLumpsOfTCPPass: its senders leave slow start at a train of acknowledgements.
func TestLumpsOfTCPPass(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		l := newLumps(t)
		l.tcp, l.v6 = true, v6
		l.run(100)
		l.hold(50)
		l.run(10)
		for i, g := range l.out {
			if g.kept > 0 {
				t.Fatalf("packet %d was kept for %v", i, g.kept)
			}
		}
	}
}

// TestUnlikePathsAreNoLump: of two paths with 20 ms between them the lane always holds something, and nothing is to be spread.
func TestUnlikePathsAreNoLump(t *testing.T) {
	l := newLumps(t)
	for range 300 {
		l.wait()
		l.packet(l.now)               // by the slow path
		l.packet(l.now.Add(-20 * ms)) // by the fast one, behind it in order
	}
	for i, g := range l.out {
		if g.kept > 0 {
			t.Fatalf("packet %d was kept for %v", i, g.kept)
		}
	}
}

func TestUDP(t *testing.T) {
	for _, k := range []struct {
		packet []byte
		want   bool
	}{
		{nil, false}, {[]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 0}, false}, {[]byte{0x45, 0, 0, 0, 0, 0, 17, 0, 0, 6}, false},
		{[]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 0, 17}, true}, {[]byte{0x60, 0, 0, 0, 0, 0, 17, 0, 0, 0}, true},
		{[]byte{0x60, 0, 0, 0, 0, 0, 6, 0, 0, 17}, false}, {[]byte{0x50, 0, 0, 0, 0, 0, 17, 0, 0, 17}, false},
	} {
		if udp(k.packet) != k.want {
			t.Errorf("%x: %v", k.packet, !k.want)
		}
	}
}
