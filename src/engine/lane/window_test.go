package lane

import (
	"testing"
	"time"

	"mpproxy/src/stats"
)

// TestWrap: a lane goes on past 2^24.
func TestWrap(t *testing.T) {
	g := newRig(t, 0).two(0)
	const step = window - 100
	seq := uint32(0)
	for range 2*(1<<SeqBits)/step + 1 {
		g.out = g.r.GaveUp(g.now, 0, seq, step, g.out)
		seq = (seq + step) & seqMask
		g.push(0, (seq+1)&seqMask, seq)
		g.want(seq, (seq+1)&seqMask)
		seq = (seq + 2) & seqMask
	}
	if s := g.r.Stats(); s.Late+s.Duplicates+s.TooOld+s.Jumps+s.Gaps != 0 {
		t.Errorf("%+v", s)
	}
	g.done()
}

// TestBitmapOutlivesRelease: duplicates are known as long as the window reaches back.
func TestBitmapOutlivesRelease(t *testing.T) {
	g := newRig(t, 0).two(0)
	for seq := range uint32(20000) {
		g.push(0, seq)
	}
	g.got = g.got[:0]
	for seq := uint32(20000 - window); seq < 20000; seq += 7 {
		g.push(1, seq).repair(1, seq)
	}
	g.push(0, 20000-window-1)
	g.want()
	if s := g.r.Stats(); s.TooOld != 1 || s.Late != 0 {
		t.Errorf("%+v", s)
	}
	g.done()
}

// TestWindowSlides: a lane never holds more than its window; what does not fit pushes the oldest gap out.
func TestWindowSlides(t *testing.T) {
	g := newRig(t, 64<<20).two(0)
	for seq := uint32(1); seq < window; seq++ {
		g.push(0, seq)
	}
	g.want()
	g.push(0, window)
	if len(g.got) != window || g.got[0] != 1 {
		t.Fatalf("%d came out", len(g.got))
	}
	if s := g.r.Stats(); s.Pressure != 1 || s.Gaps != 1 || s.Skipped != 1 {
		t.Errorf("%+v", s)
	}
	g.got = g.got[:0]
	g.push(0, 0).want() // nobody knows any more whether it came
	g.done()
}

// TestJump: a sequence far beyond the window moves it; what was held comes out before.
func TestJump(t *testing.T) {
	g := newRig(t, 0).two(0).push(0, 0, 2, 4, 5).want(0)
	g.push(0, 100000).want(2, 4, 5, 100000)
	g.push(0, 100001, 99999).want(100001, 99999)
	g.push(0, 5).want() // far behind now
	if s := g.r.Stats(); s.Jumps != 1 || s.TooOld != 1 || s.Late != 1 {
		t.Errorf("%+v", s)
	}
	g.done()
}

// TestJumpForgets: after a jump the bitmap knows nothing of what lay before.
func TestJumpForgets(t *testing.T) {
	g := newRig(t, 0).two(0)
	for seq := range uint32(window) {
		g.push(0, seq)
	}
	g.got = g.got[:0]
	g.push(0, 5*window).want(5 * window)
	for seq := uint32(5*window - 1); seq > 4*window; seq-- {
		g.push(0, seq).want(seq)
	}
	g.done()
}

// TestJumpBoundary: one below the window's end is held, at its end is a jump.
func TestJumpBoundary(t *testing.T) {
	g := newRig(t, 0).two(0).push(0, 0).push(1, 1).push(0, window+1).want(0, 1)
	g.r.Flush(nil)[0].Release()
	g = newRig(t, 0).two(0).push(0, 0).push(1, 1).push(0, window+2).want(0, 1, window+2)
	if g.r.Stats().Jumps != 1 {
		t.Error("no jump")
	}
	g.done()
}

// TestExtend compares the clearing of the bitmap by words with clearing bit by bit.
func TestExtend(t *testing.T) {
	for from := uint64(firstSeq); from < firstSeq+130; from++ {
		for _, more := range []uint64{0, 1, 61, 62, 63, 64, 65, 127, 128, 129, 200, window - 1, window, window + 5} {
			l := &lane{end: from}
			for i := range l.seen {
				l.seen[i] = ^uint64(0)
			}
			l.extend(from + more)
			if l.end != from+more+1 {
				t.Fatalf("from %d by %d: end %d", from, more, l.end)
			}
			for s := l.end - window; s < l.end; s++ {
				if set := l.wasSeen(s); set != (s < from) {
					t.Fatalf("from %d by %d: %d is set: %v", from, more, s, set)
				}
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	g := newRig(t, 0)
	g.out = g.r.Push(g.now, MaxLanes, 0, 0, false, g.buf(1, 100), g.out)
	g.out = g.r.Mark(g.now, MaxLanes, 0, 0, g.out)
	g.out = g.r.GaveUp(g.now, 65535, 0, 1, g.out)
	g.out = g.r.GaveUp(g.now, 0, 0, 0, g.out)
	g.out = g.r.GaveUp(g.now, 0, 0, 1<<20, g.out)
	g.out = g.r.GaveUp(g.now, 0, 1<<22, 100, g.out)
	g.collect()
	g.want()
	drops := g.r.Drops()
	if s := g.r.Stats(); s.Malformed != 6 || s.Lanes != 1 || drops[stats.MalformedFrame] != 6 {
		t.Errorf("%+v", s)
	}
	g.done()
}

// TestRingSizes: the hold buffer grows by use, and shrinks by half with each hold that did not need it.
func TestRingSizes(t *testing.T) {
	for n, want := range map[uint64]int{1: 64, 64: 64, 65: 128, 128: 128, 129: 256, 4097: 8192, 8192: 8192} {
		if got := slotsOf(classFor(n)); got != want {
			t.Errorf("%d packets: %d slots, want %d", n, got, want)
		}
	}
	g := newRig(t, 0).two(0)
	hold := func(n uint32) int {
		base := uint32(g.r.lane(0).end)
		for i := uint32(1); i < n; i++ {
			g.push(0, (base+i)&seqMask)
		}
		slots := len(g.r.lane(0).ring)
		g.push(1, base&seqMask)
		return slots
	}
	for _, step := range []struct{ hold, slots int }{{10, 64}, {1000, 1024}, {10, 1024}, {10, 512}, {200, 256}, {10, 256}, {10, 128}, {10, 64}} {
		if got := hold(uint32(step.hold)); got != step.slots {
			t.Errorf("holding %d: %d slots, want %d", step.hold, got, step.slots)
		}
	}
	g.collect()
	g.done()
}

// TestMemory: over the limit the fattest lane lets its oldest gap go; a thin one keeps waiting.
func TestMemory(t *testing.T) {
	const limit = 300 << 10
	g := newRig(t, limit).two(0)
	for seq := uint32(1); seq < 2000; seq++ {
		if seq == 60 {
			g.push(0, 1, 2)
		}
		if seq%50 == 0 {
			continue
		}
		g.out = g.r.Push(g.now, 7, seq, 0, false, g.buf(1e6+seq, 1400), g.out)
		if used := g.r.cost + g.r.ringBytes; used > limit {
			t.Fatalf("%d bytes held", used)
		}
	}
	g.collect()
	for i, n := range g.got {
		if n < 1e6 {
			t.Fatalf("the thin lane gave up its gap")
		}
		if i > 0 && n < g.got[i-1] {
			t.Fatalf("%d after %d", n, g.got[i-1])
		}
	}
	if s := g.r.Stats(); s.Pressure == 0 {
		t.Errorf("%+v", s)
	}
	g.out = g.r.Flush(g.out)
	g.collect()
	if want := 2000 - 40 + 2; len(g.got) != want {
		t.Errorf("%d came out, want %d", len(g.got), want)
	}
	g.done()
}

// TestMemoryTiny: with no room for even one hold buffer packets go on unordered.
func TestMemoryTiny(t *testing.T) {
	g := newRig(t, 1000).two(0).push(0, 0, 2, 3, 1).want(0, 2, 3, 1)
	g.out = g.r.GaveUp(g.now, 0, 10, 2, g.out)
	g.push(0, 12).want(12)
	g.done()
}

// TestManyPaths: more paths than are remembered push out those that are down; what they said of lanes goes with them.
func TestManyPaths(t *testing.T) {
	g := newRig(t, 0).two(0)
	for id := uint32(2); id < 500; id++ {
		g.r.Heard(id, g.now.Add(time.Duration(id)*ms))
		g.r.SetPath(id, PathInfo{})
		g.r.Heard(0, g.now.Add(time.Duration(id)*ms))
		g.r.Heard(1, g.now.Add(time.Duration(id)*ms))
	}
	if len(g.r.paths) != maxPaths {
		t.Errorf("%d paths", len(g.r.paths))
	}
	for _, id := range []uint32{0, 1} {
		if p := g.r.paths[g.r.pathIndex(id)]; p.id != id || !p.info.Up {
			t.Errorf("path %d was forgotten: %+v", id, p)
		}
	}
	g.push(0, 0).push(600, 1).want(0, 1)
	g.done()
}

func TestNoAllocations(t *testing.T) {
	g := newRig(t, 0).two(0)
	seq := uint32(0)
	step := func() {
		for range 20 {
			for _, i := range []uint32{0, 3, 1, 2, 5, 6, 7, 4, 9, 8} {
				g.out = g.r.Push(g.now, 0, (seq+i)&seqMask, i%2, false, g.buf(i, 100), g.out)
			}
			seq += 10
			g.now = g.now.Add(ms)
			for _, b := range g.out {
				b.Release()
			}
			g.out = g.out[:0]
		}
	}
	step()
	if got := testing.AllocsPerRun(50, step); got != 0 {
		t.Errorf("%.1f allocations per 200 packets", got)
	}
	g.done()
}

func benchmark(b *testing.B, order []uint32) {
	g := newRig(b, 0).two(0)
	seq := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		for _, i := range order {
			g.out = g.r.Push(g.now, 0, (seq+i)&seqMask, i%2, false, g.buf(i, 1400), g.out)
		}
		seq += uint32(len(order))
		g.now = g.now.Add(ms)
		for _, buf := range g.out {
			buf.Release()
		}
		g.out = g.out[:0]
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(order)), "ns/packet")
}

func BenchmarkInOrder(b *testing.B) { benchmark(b, []uint32{0, 1, 2, 3, 4, 5, 6, 7}) }

func BenchmarkReordered(b *testing.B) {
	order := make([]uint32, 0, 256)
	for i := range uint32(128) {
		order = append(order, i+128, i)
	}
	benchmark(b, order)
}
