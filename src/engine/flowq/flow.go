package flowq

import (
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
)

// Binding is what the engine remembers of a flow: where it goes and in which lane. This package only reads HasLane.
type Binding struct {
	LastSent  mono.Time
	LaneUntil mono.Time
	RuleTold  mono.Time
	Moved     mono.Time
	Aux       [4]int64
	Path      uint32
	NextSeq   uint32
	Lane      uint16
	HasPath   bool
	HasLane   bool
}

// Flow is one inner flow and its queue. A *Flow is valid until OnForget names it; then it is reused for another.
type Flow struct {
	// Binding belongs to the engine and is zero for a new flow.
	Binding Binding

	key        uint64
	head, tail *packet.Buf
	packets    int
	bytes      int
	cost       int // bytes, counted as the limit counts them
	deficit    int // bytes it may send before its turn is over
	burst      int // bytes sent since it was last out of all lists

	level  Class // the list it stands in, while listed
	listed bool
	parked bool
	seen   uint8 // packets so far, up to urgentFirst
	size   uint8 // its list among queue.fat, while it has packets

	links [2]link

	codel        codel
	steady       steadiness
	lastEnqueued mono.Time
	idleSince    mono.Time
	windowStart  mono.Time
	windowBytes  int
	rate         float64 // bits per second
	sent         uint64
	verdict      Verdict
	judged       uint32 // the judge that it is of
}

// Key returns the keyed hash of the flow's addresses; it is also in Buf.Flow of its packets.
func (f *Flow) Key() uint64 { return f.key }

// Class returns how the flow's head is served now.
func (f *Flow) Class() Class { return f.level }

// Tail returns the class of the packet that came last; the flow must have one.
func (f *Flow) Tail() Class { return Class(f.tail.Class) }

// Head returns the packet that leaves next, nil if none. It stays the queue's.
func (f *Flow) Head() *packet.Buf { return f.head }

// Backlog returns what is queued.
func (f *Flow) Backlog() (packets, bytes int) { return f.packets, f.bytes }

// BacklogBytes returns the bytes queued.
func (f *Flow) BacklogBytes() int { return f.bytes }

// LastEnqueued returns when the last packet came.
func (f *Flow) LastEnqueued() mono.Time { return f.lastEnqueued }

// SentBytes returns the bytes taken by Pop since the flow was new.
func (f *Flow) SentBytes() uint64 { return f.sent }

// PureAck reports whether the head is a TCP acknowledgement without data.
func (f *Flow) PureAck() bool {
	if f.head == nil {
		return false
	}
	info, _ := ParseIP(f.head.Bytes())
	return info.PureAck
}

// Verdict is what the judge said of the flow.
func (f *Flow) Verdict() Verdict { return f.verdict }

// Rate returns the recent arrival rate in bits per second.
func (f *Flow) Rate(now mono.Time) float64 {
	elapsed := now.Sub(f.windowStart)
	if elapsed < rateWindow {
		return f.rate
	}
	return blend(f.rate, f.windowBytes, elapsed)
}

// arrived counts n bytes towards the rate.
func (f *Flow) arrived(now mono.Time, n int) {
	if elapsed := now.Sub(f.windowStart); elapsed >= rateWindow {
		if !f.windowStart.IsZero() {
			f.rate = blend(f.rate, f.windowBytes, elapsed)
		}
		f.windowStart, f.windowBytes = now, 0
	}
	f.windowBytes += n
	f.lastEnqueued = now
}

// blend weighs a measurement by how much of rateMemory it covers.
func blend(old float64, bytes int, elapsed time.Duration) float64 {
	fresh := float64(bytes) * 8 / elapsed.Seconds()
	weight := min(1, elapsed.Seconds()/rateMemory.Seconds())
	return old + weight*(fresh-old)
}

// append puts b at the end of the flow's queue.
func (f *Flow) append(b *packet.Buf) {
	b.Next = nil
	if f.tail == nil {
		f.head = b
	} else {
		f.tail.Next = b
	}
	f.tail = b
	f.packets++
	f.bytes += b.Len()
	f.cost += cost(b)
}

// Each calls fn with each queued packet, the head first, until it returns false. The packets stay the queue's.
func (f *Flow) Each(fn func(*packet.Buf) bool) {
	for b := f.head; b != nil && fn(b); b = b.Next {
	}
}

// take removes the packet behind prev, or the head if prev is nil.
func (f *Flow) take(prev *packet.Buf) *packet.Buf {
	b := f.head
	if prev == nil {
		f.head = b.Next
	} else {
		b = prev.Next
		prev.Next = b.Next
	}
	if f.tail == b {
		f.tail = prev
	}
	b.Next = nil
	f.packets--
	f.bytes -= b.Len()
	f.cost -= cost(b)
	return b
}

// cost is what a packet counts towards the limit.
func cost(b *packet.Buf) int { return max(b.Len(), minCostBytes) }
