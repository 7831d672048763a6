package flowq

import (
	"math/rand/v2"
	"testing"
	"time"
)

// bulk returns the shape of bulk flow number i.
func bulk(i, size int) shape {
	return shape{host: byte(i), src: uint16(1000 + i), dst: 443, size: size}
}

// backlog queues n packets of 1500 bytes for each of so many flows, which are no longer new.
func (b *bench) backlog(flows, n int) {
	for i := range flows {
		b.past(bulk(i, 1500))
	}
	for i := range flows {
		b.put(bulk(i, 1500), n)
	}
}

// TestFairness: backlogged flows with packets of different sizes get the same bytes.
func TestFairness(t *testing.T) {
	for _, n := range []int{2, 3, 10, 50} {
		b := newBench(t, Params{LimitBytes: 64 << 20})
		sizes := []int{1500, 100, 1000, 1420, 64, 576, 2000}
		flows := make([]*Flow, n)
		for i := range flows {
			flows[i] = b.past(bulk(i, sizes[i%len(sizes)]))
		}
		start := make([]uint64, n)
		for i, f := range flows {
			size := sizes[i%len(sizes)]
			b.put(bulk(i, size), 40*quantumBytes/size)
			start[i] = f.SentBytes()
		}
		for range 30 * n * quantumBytes / 1000 {
			b.pop(false)
		}
		low, high := uint64(1)<<62, uint64(0)
		for i, f := range flows {
			if f.Head() == nil {
				t.Fatalf("%d flows: flow %d ran dry, the test says nothing", n, i)
			}
			low, high = min(low, f.SentBytes()-start[i]), max(high, f.SentBytes()-start[i])
		}
		if high-low > 2*quantumBytes+2000 {
			t.Errorf("%d flows: between %d and %d bytes", n, low, high)
		}
		b.drain()
	}
}

// TestSparseWaits: an unmarked call among bulk flows waits for at most the packet under way.
func TestSparseWaits(t *testing.T) {
	b := newBench(t, Params{})
	call := shape{host: 99, src: 5000, dst: 5001, size: 200}
	b.past(call)
	b.backlog(20, 60)
	for range 40 { // until all have used up their first quantum
		b.pop(false)
	}
	for range 20 {
		f := b.put(call, 1)
		got, _ := b.pop(false)
		if got != f {
			t.Fatalf("a %v flow went before the call (%v)", got.Class(), f.Class())
		}
		for range 41 { // two rounds of the bulk flows
			b.pop(false)
		}
	}
}

// TestCallWaits bounds the wait of a call that sends faster than its turns come: one round of quanta.
func TestCallWaits(t *testing.T) {
	b := newBench(t, Params{})
	call := shape{host: 99, src: 5000, dst: 5001, size: 200}
	b.past(call)
	const others = 5
	b.backlog(others, 200)
	for range 50 {
		f := b.put(call, 1)
		before, passed := f.SentBytes(), 0
		for f.SentBytes() == before {
			_, n := b.pop(false)
			passed += n
		}
		if passed -= call.size; passed > (others+1)*quantumBytes {
			t.Fatalf("%d bytes went before the call", passed)
		}
		b.pop(false)
	}
}

// TestBurstIsNotSparse: of a burst of 64 KB only the first packets pass the others.
func TestBurstIsNotSparse(t *testing.T) {
	b := newBench(t, Params{})
	f := b.past(bulk(50, 1000))
	b.backlog(4, 200)
	start := f.SentBytes()
	b.put(bulk(50, 1000), 64)
	for range 50 {
		b.pop(false)
	}
	if got := f.SentBytes() - start; got > 50*1500/5+3*quantumBytes {
		t.Errorf("the burst got %d bytes of %d, a fifth is its share", got, 50*1500)
	}
}

// TestUrgentFirst: a marked call and a lookup go before all else, background last.
func TestUrgentFirst(t *testing.T) {
	b := newBench(t, Params{})
	b.past(bulk(1, 1500))
	b.put(bulk(1, 1500), 5)
	b.put(shape{tos: 8 << 2, size: 500, host: 3}, 2)
	sparse := b.past2(bulk(2, 300))
	lookup := b.put(shape{dst: 53, size: 80, host: 4}, 1)
	order := []Class{}
	for f := b.q.Next(b.now, false); f != nil; f = b.q.Next(b.now, false) {
		buf := b.q.Pop(b.now, f)
		if len(order) == 0 && f != lookup || len(order) == 1 && buf.Flow != sparse.Key() && Class(buf.Class) != Sparse {
			t.Errorf("packet %d is %v", len(order), Class(buf.Class))
		}
		order = append(order, Class(buf.Class))
		buf.Release()
	}
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			t.Errorf("order of classes: %v", order)
			break
		}
	}
}

// past2 is past for a queue that is not empty: the flow's urgent packets go, one more stays.
func (b *bench) past2(s shape) *Flow {
	f := b.put(s, urgentFirst)
	for f.Head() != nil {
		b.q.Pop(b.now, f).Release()
	}
	return b.put(s, 1)
}

// TestNothingStarves: with endless traffic above them bulk and background still move.
func TestNothingStarves(t *testing.T) {
	b := newBench(t, Params{})
	low, back := b.past(bulk(1, 1500)), b.past(shape{tos: 8 << 2, size: 1500, host: 3})
	b.put(bulk(1, 1500), 400)
	b.put(shape{tos: 8 << 2, size: 1500, host: 3}, 400)
	start, startBack, total := low.SentBytes(), back.SentBytes(), 0
	for i := range 1000 {
		b.put(shape{tos: dscpEF << 2, host: 9, size: 1000, src: uint16(i % 7)}, 1)
		b.put(shape{host: 9, size: 1000, src: uint16(i), dst: 99}, 1) // endless new flows
		_, n := b.pop(false)
		total += n
	}
	if got := float64(low.SentBytes()-start) / float64(total); got < 0.15 {
		t.Errorf("bulk had %.3f of the bytes", got)
	}
	if got := float64(back.SentBytes()-startBack) / float64(total); got < 0.03 {
		t.Errorf("background had %.3f of the bytes", got)
	}
}

// TestLimit: the fattest flow pays, with its oldest packets, and small packets count for the memory they take.
func TestLimit(t *testing.T) {
	b := newBench(t, Params{LimitBytes: 200 << 10})
	thin := b.put(bulk(1, 1000), 20)
	fat := b.put(bulk(2, 1500), 100)
	oldest := fat.Head()
	for i := range 100 {
		b.put(bulk(2, 1500), 1)
		if packets, _ := thin.Backlog(); packets != 20 {
			t.Fatalf("the thin flow lost packets after %d", i)
		}
		if b.q.cost > 200<<10 {
			t.Fatalf("the queue holds %d", b.q.cost)
		}
	}
	before := fat.packets
	b.put(bulk(1, 1000), 5)
	if thin.packets != 25 || fat.packets >= before {
		t.Errorf("the thin flow went from 20 to %d packets, the fat one from %d to %d", thin.packets, before, fat.packets)
	}
	if fat.Head() == oldest || b.q.Counts().DroppedFull == 0 {
		t.Error("the fattest flow's oldest packet is still there")
	}
	for range 1000 {
		b.put(shape{host: 3, src: 9, size: 64}, 1)
	}
	if packets, _ := b.q.Backlog(); packets > 200 {
		t.Errorf("%d packets in a queue of 200 KiB", packets)
	}
	counts := b.q.Counts()
	packets, _ := b.q.Backlog()
	if counts.Enqueued != uint64(packets)+counts.DroppedFull {
		t.Errorf("of %d packets %d are queued and %d dropped", counts.Enqueued, packets, counts.DroppedFull)
	}
	b.drain()
}

func TestSizeOfRises(t *testing.T) {
	last := uint8(0)
	for c := minCostBytes; c < 64<<20; c += c/100 + 1 {
		size := sizeOf(c)
		if size < last {
			t.Fatalf("size of %d is %d, below %d", c, size, last)
		}
		last = size
	}
	if sizeOf(1<<20) == sizeOf(1<<20+1<<18) {
		t.Error("a quarter more is the same size")
	}
}

// TestPark: parked flows are passed over, then come first, in their order.
func TestPark(t *testing.T) {
	for _, size := range []int{100, 1500} { // sparse, bulk
		b := newBench(t, Params{})
		for i := range 4 {
			b.past(bulk(i, size))
		}
		for i := range 4 {
			b.put(bulk(i, size), 10)
		}
		if size == 1500 {
			for range 4 {
				b.pop(false)
			}
		}
		var parked []*Flow
		for range 3 {
			f := b.q.Next(b.now, false)
			parked = append(parked, f)
			b.q.Park(f)
			b.q.Park(f)
		}
		left, _ := b.pop(false)
		b.q.Unpark()
		for i, f := range append(parked, left) {
			got := b.q.Next(b.now, false)
			if got != f {
				t.Errorf("size %d: flow %d is not in its place", size, i)
			}
			b.q.Park(got)
		}
		b.q.Unpark()
		b.drain()
	}
}

// TestReturningIsNotSparse: a flow that sends a full packet whenever its last one has left is as good as backlogged.
func TestReturningIsNotSparse(t *testing.T) {
	b := newBench(t, Params{})
	b.past(bulk(50, 1500))
	b.backlog(4, 100)
	f := b.put(bulk(50, 1500), 1)
	start := f.SentBytes()
	for range 200 {
		if f.Head() == nil {
			b.put(bulk(50, 1500), 1)
		}
		b.pop(false)
	}
	if got := (f.SentBytes() - start) / 1500; got > 50 {
		t.Errorf("it got %d packets of 200, its share is 40", got)
	}
}

func TestNextNothing(t *testing.T) {
	b := newBench(t, Params{})
	if b.q.Next(b.now, true) != nil {
		t.Error("an empty queue has a next flow")
	}
	f := b.put(bulk(1, 100), 1)
	b.q.Park(f)
	if b.q.Next(b.now, true) != nil {
		t.Error("a parked flow is next")
	}
	b.q.Pop(b.now, f).Release() // the engine may still take it
	b.q.Unpark()
	if b.q.Next(b.now, true) != nil {
		t.Error("an empty flow is next")
	}
	buf := b.pool.Get()
	buf.Set([]byte("no packet"))
	b.q.Enqueue(b.now, buf)
	if c := b.q.Counts(); c.DroppedNotIP != 1 || b.q.Flows() != 1 {
		t.Errorf("%+v", c)
	}
	b.drain()
}

// TestExpire: idle flows go after 10 s, and when the table is full; the hook sees each once.
func TestExpire(t *testing.T) {
	b := newBench(t, Params{MaxFlows: 100})
	forgotten := map[uint64]int{}
	b.q.OnForget = func(f *Flow) { forgotten[f.Key()]++ }
	keep := b.put(bulk(1, 100), 1)
	keep.Binding.Lane = 7
	for i := range 200 {
		b.past2(shape{host: 2, src: uint16(i), dst: 3})
		b.q.Pop(b.now, b.q.Next(b.now, false)).Release()
		if b.q.Flows() > 100 {
			t.Fatalf("%d flows", b.q.Flows())
		}
	}
	for f := b.q.Next(b.now, false); f != nil; f = b.q.Next(b.now, false) {
		b.q.Pop(b.now, f).Release()
	}
	b.now = b.now.Add(9 * time.Second)
	b.q.Expire(b.now)
	if b.q.Flows() != 100 {
		t.Errorf("%d flows after 9 s", b.q.Flows())
	}
	f := b.put(bulk(1, 100), 1)
	if forgotten[f.Key()] != 1 || f.Binding != (Binding{}) || f.SentBytes() != 0 {
		t.Error("a new flow has another's binding")
	}
	b.now = b.now.Add(2 * time.Second)
	b.q.Expire(b.now)
	if b.q.Flows() != 1 || b.q.Lookup(f.Key()) != f {
		t.Errorf("%d flows after 11 s", b.q.Flows())
	}
	b.q.Close()
	for key, n := range forgotten {
		if n > 1 && key != f.Key() {
			t.Errorf("flow %x was forgotten %d times", key, n)
		}
	}
	b.drain()
}

// TestTableFullOfBacklog: then a new flow's packet is dropped and counted.
func TestTableFullOfBacklog(t *testing.T) {
	b := newBench(t, Params{MaxFlows: 4})
	for i := range 6 {
		b.put(bulk(i, 100), 1)
	}
	if c := b.q.Counts(); c.DroppedTable != 2 || b.q.Flows() != 4 {
		t.Errorf("%d flows, %+v", b.q.Flows(), c)
	}
	b.q.Close()
	b.drain()
}

func TestRateAndPureAck(t *testing.T) {
	b := newBench(t, Params{})
	var f *Flow
	for range 2000 {
		f = b.put(shape{proto: ProtoTCP, flags: FlagACK, src: 1, dst: 2}, 1)
		if !f.PureAck() {
			t.Fatal("an acknowledgement is not seen")
		}
		b.pop(false)
		b.now = b.now.Add(time.Millisecond)
	}
	if got := f.Rate(b.now); got < 310e3 || got > 330e3 {
		t.Errorf("40 bytes per ms are %.0f bit/s", got)
	}
	if f.PureAck() {
		t.Error("an empty flow has an acknowledgement at its head")
	}
	if got := f.Rate(b.now.Add(10 * time.Second)); got > 5e3 {
		t.Errorf("after 10 s of silence %.0f bit/s", got)
	}
}

func BenchmarkQueue(b *testing.B) {
	bench := newBench(b, Params{})
	rng := rand.New(rand.NewPCG(1, 2))
	packets := make([][]byte, 64)
	for i := range packets {
		packets[i] = bulk(i, 100+rng.IntN(1300)).build()
	}
	one := func(i int) {
		buf := bench.pool.Get()
		buf.Set(packets[i%len(packets)])
		bench.q.Enqueue(bench.now, buf)
		bench.now++
		if i%8 != 7 {
			return
		}
		for range 8 {
			f := bench.q.Next(bench.now, true)
			bench.q.Pop(bench.now, f).Release()
		}
	}
	for i := range 10000 {
		one(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		one(i)
	}
}

// TestNoAllocations: in steady state, with flows coming and going, nothing is allocated.
func TestNoAllocations(t *testing.T) {
	b := newBench(t, Params{MaxFlows: 64})
	packet, i := bulk(1, 500).build(), 0
	step := func() {
		for range 100 {
			packet[21] = byte(i) // source port
			packet[20] = byte(i >> 8)
			i++
			buf := b.pool.Get()
			buf.Set(packet)
			b.q.Enqueue(b.now, buf)
			b.q.Pop(b.now, b.q.Next(b.now, true)).Release()
			b.now = b.now.Add(time.Millisecond)
		}
		b.q.Expire(b.now)
	}
	step()
	if got := testing.AllocsPerRun(50, step); got > 1 { // the map may rehash now and then
		t.Errorf("%.0f allocations per 100 packets", got)
	}
}
