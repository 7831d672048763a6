package lane

// restLanes is how many returned lanes rest before one is used again: late packets of its last flow have then most
// likely come, and a receiver that makes lanes at first use makes few.
const restLanes = 16

// Allocator gives lanes to flows on the sending side. A lane's sequence goes on counting from one flow to the next,
// so no generation is needed on the wire. The zero value is ready.
type Allocator struct {
	// free is a ring of the returned lanes, the one returned first at head.
	free       [MaxLanes]uint16
	next       [MaxLanes]uint32
	used       [MaxLanes]bool
	head, size int
	fresh      int // lanes never used begin here
	inUse      int
}

// NewAllocator returns an Allocator with all lanes free at sequence 0.
func NewAllocator() *Allocator { return new(Allocator) }

// Acquire returns the lane that has been free for longest and the sequence to begin with, or false if all lanes are in use. New
// lanes are begun only while fewer than 16 returned ones rest.
func (a *Allocator) Acquire() (lane uint16, next uint32, ok bool) {
	switch {
	case a.size > restLanes || a.size > 0 && a.fresh == MaxLanes:
		lane = a.free[a.head]
		a.head = (a.head + 1) % MaxLanes
		a.size--
	case a.fresh < MaxLanes:
		lane = uint16(a.fresh)
		a.fresh++
	default:
		return 0, 0, false
	}
	a.used[lane] = true
	a.inUse++
	return lane, a.next[lane], true
}

// Release gives a lane back with the sequence its next packet would have had (24 bits). Call it when all its
// packets are acknowledged or given up. It panics if the lane is not in use: two flows would share it.
func (a *Allocator) Release(lane uint16, next uint32) {
	if lane >= MaxLanes || !a.used[lane] {
		panic("lane: released twice or never acquired")
	}
	a.used[lane] = false
	a.next[lane] = next & seqMask
	a.free[(a.head+a.size)%MaxLanes] = lane
	a.size++
	a.inUse--
}

// InUse returns how many lanes flows have now.
func (a *Allocator) InUse() int { return a.inUse }
