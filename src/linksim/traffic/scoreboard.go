package traffic

import (
	"sort"

	"mpproxy/src/engine/mono"
)

// sent is a segment that is not acknowledged cumulatively.
type sent struct {
	span
	at mono.Time // sent last
	mark
	prev, next int64 // in the list by time of sending
	listed     bool
	sacked     bool
	lost       bool
	retrans    bool // a retransmission is under way
	ever       bool // was retransmitted at some time
}

// mark says what had arrived when a segment was sent (Linux tcp_rate.c).
type mark struct {
	delivered   int       // segments
	deliveredAt mono.Time // when the last of them did
	firstAt     mono.Time // when the last of them had been sent
}

const none = int64(-1)

// scoreboard has the segments sent, by a number that counts them, and a list of those neither SACKed nor lost by time
// of sending (as Linux's tsorted_sent_queue). Counters are in segments.
type scoreboard struct {
	ring        []sent // a power of two long
	head, tail  int64  // numbers [head, tail) are there
	first, last int64  // list
	hint        int64  // no segment below it is to be retransmitted

	sackedOut, lostOut, retransOut int
	losses                         int // ever marked
}

func newScoreboard() scoreboard {
	return scoreboard{ring: make([]sent, 256), first: none, last: none}
}

func (b *scoreboard) get(n int64) *sent { return &b.ring[n&int64(len(b.ring)-1)] }
func (b *scoreboard) out() int          { return int(b.tail - b.head) }

// inFlight is what the sender believes to be on the way.
func (b *scoreboard) inFlight() int { return b.out() - b.sackedOut - b.lostOut + b.retransOut }

// anyRetrans reports whether a retransmission is under way or has made up the head.
func (b *scoreboard) anyRetrans() bool { return b.retransOut > 0 || b.out() > 0 && b.get(b.head).ever }

// add appends a segment sent now.
func (b *scoreboard) add(k span, now mono.Time, m mark) {
	if b.out() == len(b.ring) {
		grown := make([]sent, 2*len(b.ring))
		for n := b.head; n < b.tail; n++ {
			grown[n&int64(len(grown)-1)] = *b.get(n)
		}
		b.ring = grown
	}
	n := b.tail
	b.tail++
	*b.get(n) = sent{span: k, at: now, mark: m}
	b.link(n)
}

// search returns the number of the first segment that ends behind an offset.
func (b *scoreboard) search(offset uint64) int64 {
	return b.head + int64(sort.Search(b.out(), func(i int) bool { return b.get(b.head+int64(i)).to > offset }))
}

// link puts a segment at the end of the list.
func (b *scoreboard) link(n int64) {
	b.unlink(n)
	s := b.get(n)
	s.prev, s.next, s.listed = b.last, none, true
	if b.last == none {
		b.first = n
	} else {
		b.get(b.last).next = n
	}
	b.last = n
}

// linkByTime puts a segment where its time of sending belongs.
func (b *scoreboard) linkByTime(n int64) {
	s, after := b.get(n), b.last
	for after != none && b.get(after).at > s.at {
		after = b.get(after).prev
	}
	s.prev, s.next, s.listed = after, b.first, true
	if after == none {
		b.first = n
	} else {
		s.next = b.get(after).next
		b.get(after).next = n
	}
	if s.next == none {
		b.last = n
	} else {
		b.get(s.next).prev = n
	}
}

func (b *scoreboard) unlink(n int64) {
	s := b.get(n)
	if !s.listed {
		return
	}
	s.listed = false
	if s.prev == none {
		b.first = s.next
	} else {
		b.get(s.prev).next = s.next
	}
	if s.next == none {
		b.last = s.prev
	} else {
		b.get(s.next).prev = s.prev
	}
}

// clearMarks takes a segment's loss and retransmission out of the counters.
func (b *scoreboard) clearMarks(s *sent) {
	if s.lost {
		s.lost = false
		b.lostOut--
	}
	if s.retrans {
		s.retrans = false
		b.retransOut--
	}
}

func (b *scoreboard) markSacked(n int64) {
	s := b.get(n)
	b.clearMarks(s)
	b.unlink(n)
	s.sacked = true
	b.sackedOut++
}

// markLost marks a segment for (another) retransmission.
func (b *scoreboard) markLost(n int64) {
	s := b.get(n)
	if s.sacked {
		return
	}
	b.clearMarks(s)
	b.unlink(n)
	s.lost = true
	b.lostOut++
	b.losses++
	b.hint = min(b.hint, n)
}

// markSent books a retransmission.
func (b *scoreboard) markSent(n int64, now mono.Time, m mark) {
	s := b.get(n)
	if !s.retrans {
		s.retrans = true
		b.retransOut++
	}
	s.at, s.ever, s.mark = now, true, m
	b.link(n)
}

// pop takes the first segment off.
func (b *scoreboard) pop() sent {
	s := *b.get(b.head)
	b.clearMarks(b.get(b.head))
	b.unlink(b.head)
	if s.sacked {
		b.sackedOut--
	}
	b.head++
	b.hint = max(b.hint, b.head)
	return s
}

// nextLost returns the first segment that waits for retransmission, or none.
func (b *scoreboard) nextLost() int64 {
	for b.lostOut > 0 && b.hint < b.tail {
		if s := b.get(b.hint); s.lost && !s.retrans {
			return b.hint
		}
		b.hint++
	}
	return none
}

// forgive takes back all loss marks, when the losses turn out not to have been any.
func (b *scoreboard) forgive() {
	for n := b.head; n < b.tail; n++ {
		if s := b.get(n); s.lost {
			s.lost = false
			b.lostOut--
			if !s.listed {
				b.linkByTime(n)
			}
		}
	}
}
