package linksim

import (
	"time"

	"mpproxy/src/engine/mono"
)

// queued is a packet not yet serialised.
type queued struct {
	finish  mono.Time     // end of its serialisation
	deliver mono.Time     // set by reschedule only
	extra   time.Duration // delay and jitter after that
	size    int
}

// ring is a queue that grows and never shrinks; ready as zero value.
type ring struct {
	buf  []queued // a power of two long
	head int
	n    int
}

func (r *ring) at(i int) *queued { return &r.buf[(r.head+i)&(len(r.buf)-1)] }
func (r *ring) front() *queued   { return r.at(0) }
func (r *ring) back() *queued    { return r.at(r.n - 1) }

func (r *ring) push(q queued) {
	if r.n == len(r.buf) {
		grown := make([]queued, max(64, 2*r.n))
		for i := range r.n {
			grown[i] = *r.at(i)
		}
		r.buf, r.head = grown, 0
	}
	r.n++
	*r.back() = q
}

func (r *ring) pop() queued {
	q := *r.front()
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	return q
}

// item is a packet not yet delivered.
type item[T any] struct {
	deliver mono.Time
	sent    mono.Time
	number  uint64 // counts accepted packets
	size    int
	payload T
}

func (i *item[T]) before(j *item[T]) bool {
	return i.deliver < j.deliver || i.deliver == j.deliver && i.number < j.number
}

// heap has the earliest delivery at index 0; among equals the one offered first.
type heap[T any] []item[T]

func (h *heap[T]) push(i item[T]) {
	*h = append(*h, i)
	s := *h
	for k := len(s) - 1; k > 0; {
		up := (k - 1) / 2
		if !s[k].before(&s[up]) {
			return
		}
		s[k], s[up] = s[up], s[k]
		k = up
	}
}

func (h *heap[T]) pop() item[T] {
	s := *h
	top, end := s[0], len(s)-1
	s[0] = s[end]
	s[end] = item[T]{} // drop the reference to the payload
	*h = s[:end]
	h.down(0)
	return top
}

// init makes a heap of items in any order.
func (h *heap[T]) init() {
	for k := len(*h)/2 - 1; k >= 0; k-- {
		h.down(k)
	}
}

func (h *heap[T]) down(k int) {
	s := *h
	for {
		least := k
		for c := 2*k + 1; c <= 2*k+2 && c < len(s); c++ {
			if s[c].before(&s[least]) {
				least = c
			}
		}
		if least == k {
			return
		}
		s[k], s[least] = s[least], s[k]
		k = least
	}
}
