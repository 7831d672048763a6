package flowq

import (
	"math/bits"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/stats"
)

// Counts are a Queue's counters since it was made. Each packet that came leaves by Pop, by one of the drops, or by Close.
type Counts struct {
	Enqueued     uint64 // packets given to Enqueue
	Sent         uint64 // packets taken by Pop
	Marked       uint64 // packets marked CE instead of dropped; they go on
	DroppedNotIP uint64 // not an IP packet
	DroppedFull  uint64 // over the limit: oldest packet of the fattest flow
	DroppedDelay uint64 // CoDel
	DroppedTable uint64 // every flow of a full table had packets queued
	DroppedNoWay uint64 // by Drop
	DroppedClose uint64 // still queued at Close
	// SupersededAcks counts TCP acknowledgements whose place a newer one of the same connection took.
	SupersededAcks uint64
	// Demoted counts packets that asked to be urgent beyond their host's share and became bulk.
	Demoted uint64
	// Forgotten counts flows forgotten early because the table was full.
	Forgotten uint64
}

// sizes is the number of backlog sizes that are told apart, eight to the octave.
const sizes = 256

// turns is the list of one level and of its parked flows.
type turns struct{ ready, parked list }

// Queue holds the inner packets that wait for a path. Make it with New; it is not safe for concurrent use.
type Queue struct {
	// OnForget, if set, is called with each flow that leaves the table, before its memory is reused.
	OnForget func(*Flow)
	// OnQueue, if set, is called with each packet that was put at the end of its flow, OnDrop with each that is dropped
	// after that, before it is released.
	OnQueue func(*Flow, *packet.Buf)
	OnDrop  func(*packet.Buf)
	// Full says of flows with a Way of their own what Next is told of the others; it must be set before there are such.
	Full func(mono.Time, Way) bool

	params         Params
	hash           hasher
	single, spread bounds
	hosts          hosts
	ways           []wayBounds
	judge          func(Info) Verdict
	judges         uint32
	flows          map[uint64]*Flow
	spare          *Flow // linked by links[turnLink].next
	spares         int

	levels  [classes]turns
	passed  [classes]int // bytes that overtook the level since it was last served, while it waited
	fat     [sizes]list
	fattest int // no list of fat above this one has flows
	idle    list

	packets, bytes, cost int
	counts               Counts
}

// New returns an empty Queue.
func New(p Params) *Queue {
	if p.LimitBytes <= 0 {
		p.LimitBytes = defaultLimitBytes
	}
	if p.MaxFlows <= 0 {
		p.MaxFlows = maxFlows
	}
	q := &Queue{params: p, hash: newHasher(p.Seed), flows: make(map[uint64]*Flow)}
	for i := range q.fat {
		q.fat[i].kind = sizeLink
	}
	q.idle.kind = sizeLink
	q.SetRTT(0, 0, 0)
	return q
}

// SetRTT tells the inner round trip to expect of a flow on one path and of one that is spread; CoDel's target follows it.
// ahead is how long a spread flow's packets must stand in the queue for slower paths to take them from its depth.
func (q *Queue) SetRTT(single, spread, ahead time.Duration) {
	q.single, q.spread = boundsFor(q.params.Profile, single, 0), boundsFor(q.params.Profile, spread, ahead)
}

// SetCapacity tells what all paths together carry, in bits per second; a host may use 20 % of it as urgent. 0 means not known: no limit.
func (q *Queue) SetCapacity(bitsPerSecond float64) { q.hosts.setCapacity(bitsPerSecond) }

// KeyOf returns the key that a packet's flow has, or would have.
func (q *Queue) KeyOf(info *Info) uint64 { return q.hash.flow(info) }

// Backlog returns what is queued.
func (q *Queue) Backlog() (packets, bytes int) { return q.packets, q.bytes }

// Flows returns how many flows are known, idle ones included.
func (q *Queue) Flows() int { return len(q.flows) }

// Counts returns the counters.
func (q *Queue) Counts() Counts { return q.counts }

// Drops returns the packets dropped since the Queue was made, by reason; those of Close have none.
func (q *Queue) Drops() (d stats.Drops) {
	d[stats.NotIP] = q.counts.DroppedNotIP
	d[stats.CoDel] = q.counts.DroppedDelay
	d[stats.AckSuperseded] = q.counts.SupersededAcks
	d[stats.NoPath] = q.counts.DroppedNoWay
	d[stats.QueueFull] = q.counts.DroppedFull + q.counts.DroppedTable
	return d
}

// Lookup returns the flow with the given key, nil if it is not known.
func (q *Queue) Lookup(key uint64) *Flow { return q.flows[key] }

// Enqueue takes b over, finds or makes its flow, and puts it at that flow's end. It sets Enqueued, Flow and Class of b.
func (q *Queue) Enqueue(now mono.Time, b *packet.Buf) {
	q.counts.Enqueued++
	info, ok := ParseIP(b.Bytes())
	if !ok {
		q.counts.DroppedNotIP++
		b.Release()
		return
	}
	f := q.flow(q.hash.flow(&info))
	if f == nil {
		q.counts.DroppedTable++
		b.Release()
		return
	}
	if f.judged != q.judges {
		q.ask(f, &info)
	}
	class := f.verdict.Class.over(wish(&info, f.seen < urgentFirst))
	if f.seen < urgentFirst {
		f.seen++
	}
	if class == Urgent && !q.hosts.allow(now, q.host(&info), b.Len()) {
		class = Bulk
		q.counts.Demoted++
	}
	b.Enqueued, b.Flow, b.Class = now, f.key, uint8(class)
	f.arrived(now, b.Len())
	if q.supersedes(f, b, &info) {
		return
	}
	if info.Proto == ProtoUDP {
		f.steady.note(now, b.Len())
	}
	q.unsize(f)
	f.append(b)
	if q.OnQueue != nil {
		q.OnQueue(f, b)
	}
	q.resize(f)
	q.packets, q.bytes, q.cost = q.packets+1, q.bytes+b.Len(), q.cost+cost(b)
	if f.packets == 1 {
		q.settle(f)
	}
	for q.cost > q.params.LimitBytes {
		q.dropHead(q.fattestFlow(), &q.counts.DroppedFull)
	}
}

// host returns the key of the LAN host that a packet belongs to.
func (q *Queue) host(info *Info) uint64 {
	if q.params.HostIsDestination {
		return q.hash.host(info.Dst)
	}
	return q.hash.host(info.Src)
}

// Next returns the flow whose head should leave next, nil if all is empty or parked. full says that since the
// last call every path the packets could take was full: only then may CoDel drop. The same flow comes again until
// Pop, Park or an urgent arrival.
func (q *Queue) Next(now mono.Time, full bool) *Flow {
	for {
		f := q.pick()
		if f == nil {
			return nil
		}
		level := f.level
		q.control(now, f, full)
		if f.head != nil && f.level == level {
			return f
		}
	}
}

// Pop takes f's head, charges it to f's turn and hands it over. f must have a head; it need not be what Next returned.
func (q *Queue) Pop(now mono.Time, f *Flow) *packet.Buf { return q.PopBehind(now, f, nil) }

// PopBehind is Pop for the packet behind prev, which stands in f's queue and is not its last; nil means the head.
func (q *Queue) PopBehind(now mono.Time, f *Flow, prev *packet.Buf) *packet.Buf {
	level := f.level
	b := q.detach(f, prev)
	n := b.Len()
	b.Class = uint8(level)
	f.deficit -= n
	f.burst += n
	f.sent += uint64(n)
	q.counts.Sent++
	q.passed[level] = 0
	for lower := level + 1; lower < classes; lower++ {
		if q.levels[lower].ready.head != nil {
			q.passed[lower] += n
		}
	}
	if f.head == nil {
		f.idleSince = now
	}
	q.settle(f)
	return b
}

// detach removes the packet behind prev, or f's head if prev is nil, from f and from all sums.
func (q *Queue) detach(f *Flow, prev *packet.Buf) *packet.Buf {
	q.unsize(f)
	b := f.take(prev)
	q.resize(f)
	q.packets, q.bytes, q.cost = q.packets-1, q.bytes-b.Len(), q.cost-cost(b)
	return b
}

// dropHead releases f's head and counts it.
func (q *Queue) dropHead(f *Flow, counter *uint64) {
	*counter++
	b := q.detach(f, nil)
	if f.head == nil {
		f.idleSince = f.lastEnqueued
	}
	if q.OnDrop != nil {
		q.OnDrop(b)
	}
	b.Release()
	q.settle(f)
}

// unsize takes f out of its list by backlog.
func (q *Queue) unsize(f *Flow) {
	if f.head == nil {
		q.idle.remove(f)
		return
	}
	q.fat[f.size].remove(f)
}

// resize puts f into the list of its backlog, or among the idle flows.
func (q *Queue) resize(f *Flow) {
	if f.head == nil {
		q.idle.pushBack(f)
		return
	}
	f.size = sizeOf(f.cost)
	q.fat[f.size].pushBack(f)
	q.fattest = max(q.fattest, int(f.size))
}

// sizeOf returns which list of fat a backlog belongs to: logarithmic, in steps of an eighth.
func sizeOf(cost int) uint8 {
	c := uint(cost) / (minCostBytes / 16) // at least 16
	shift := bits.Len(c) - 4
	if shift < 0 {
		shift = 0
	}
	return uint8(min(uint(sizes-1), uint(shift)*8+c>>uint(shift)))
}

// fattestFlow returns a flow whose backlog is within an eighth of the largest. There must be one.
func (q *Queue) fattestFlow() *Flow {
	for q.fat[q.fattest].head == nil {
		q.fattest--
	}
	return q.fat[q.fattest].head
}

// Close releases everything queued and forgets all flows, calling OnForget for each.
func (q *Queue) Close() {
	for q.packets > 0 {
		q.dropHead(q.fattestFlow(), &q.counts.DroppedClose)
	}
	for q.idle.head != nil {
		q.forget(q.idle.head)
	}
}
