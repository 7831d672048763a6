package lane

import (
	"time"

	"mpproxy/src/engine/mono"
)

// lane is the receiving state of one lane. All sequences are unwrapped. Everything below expected was returned or
// released; ring has the slots of [expected, end) while there are any.
type lane struct {
	expected uint64 // next to return
	end      uint64 // one above the newest seen
	frontier uint64 // all missing ones below it have slot.passed set
	ring     []slot
	prev     *lane // list of lanes that hold something
	next     *lane
	deadline mono.Time // when the oldest missing one must be looked at again

	wake     mono.Time     // from sweep: next silence of a path
	reorder  time.Duration // from sweep: largest Reorder of the paths that carry the lane
	relative time.Duration // from sweep: largest Relative of those

	activeSince mono.Time // first packet after a time of silence
	lastHeard   mono.Time
	delay       time.Duration // recent hold of packets that did come

	marks   []mark
	span    uint64 // most slots needed since the ring was got
	cost    int    // of held packets
	packets int
	hint    uint8 // ring class to begin with
	seen    [window / 64]uint64
}

func newLane() *lane { return &lane{expected: firstSeq, end: firstSeq, frontier: firstSeq} }

// unwrap returns the number nearest to the newest one that has the given low bits.
func (l *lane) unwrap(seq uint32) uint64 {
	const shift = 32 - SeqBits
	distance := int32((seq-uint32(l.end))<<shift) >> shift
	return l.end + uint64(int64(distance))
}

// touch notes activity; after a silence the lane counts as newly used.
func (l *lane) touch(now mono.Time) {
	if l.lastHeard.IsZero() || now.Sub(l.lastHeard) > idleLane {
		l.activeSince = now
	}
	l.lastHeard = now
}

func (l *lane) slot(s uint64) *slot { return &l.ring[s&uint64(len(l.ring)-1)] }

// wasSeen reports whether s came before; s is less than window below end. What is at or above end was not.
func (l *lane) wasSeen(s uint64) bool {
	return s < l.end && l.seen[s%window/64]&(1<<(s%64)) != 0
}

func (l *lane) setSeen(s uint64) { l.seen[s%window/64] |= 1 << (s % 64) }

// extend moves end up to s+1 and forgets what the bitmap had there before. s is at least end.
func (l *lane) extend(s uint64) {
	if s-l.end >= window {
		clear(l.seen[:])
		l.end = s + 1
		return
	}
	for ; l.end <= s; l.end++ {
		if l.end%64 == 0 && s-l.end >= 63 {
			l.seen[l.end%window/64] = 0
			l.end += 63
			continue
		}
		l.seen[l.end%window/64] &^= 1 << (l.end % 64)
	}
}

// blended moves the lane's recent delay: up at once, down slowly.
func (l *lane) blended(hold time.Duration) {
	if hold >= l.delay {
		l.delay = hold
		return
	}
	l.delay -= (l.delay - hold) / delayDecay
}
