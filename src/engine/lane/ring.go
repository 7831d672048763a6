package lane

import (
	"math/bits"
	"unsafe"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
)

// slot is the state of one sequence between a lane's oldest missing and its newest.
type slot struct {
	b *packet.Buf // nil: missing
	// since is when the packet came or, if it is missing, when the first one behind it came.
	since mono.Time
	// passed is, for a missing packet, when all paths had passed it; zero if they have not, or gaveUp.
	passed mono.Time
}

// gaveUp stands in slot.passed for a packet that the sender gave up.
const gaveUp mono.Time = -1

// slotBytes is what a slot counts towards the limit.
const slotBytes = int(unsafe.Sizeof(slot{}))

// rings keeps hold buffers for reuse, by size class.
type rings [ringClasses][][]slot

// classFor returns the smallest class with at least n slots; n is at most window.
func classFor(n uint64) int {
	if n <= minSlots {
		return 0
	}
	return bits.Len64(n-1) - bits.Len64(minSlots-1)
}

func slotsOf(class int) int { return minSlots << class }

// get returns an empty ring of a class.
func (r *rings) get(class int) []slot {
	spare := r[class]
	if len(spare) == 0 {
		return make([]slot, slotsOf(class))
	}
	ring := spare[len(spare)-1]
	r[class] = spare[:len(spare)-1]
	return ring
}

// put takes back a ring whose slots are all empty.
func (r *rings) put(ring []slot) {
	class := classFor(uint64(len(ring)))
	keep := spareSmall
	if len(ring) > 512 {
		keep = spareLarge
	}
	if len(r[class]) < keep {
		r[class] = append(r[class], ring)
	}
}
