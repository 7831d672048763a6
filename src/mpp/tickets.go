package mpp

import "sync"

// ticketWindow is how many numbers below the greatest are told apart: several seconds of the busiest router, while a
// slow relay holds a hello up.
const ticketWindow = 1 << 16

// Tickets accepts every number once: hellos under one secret, or the MIDs of one router. Numbers far below the
// greatest are refused. Safe for concurrent use; make it with NewTickets.
type Tickets struct {
	mu   sync.Mutex
	next uint64 // above the greatest that was used
	bits []uint64
}

// NewTickets returns a window in which nothing was used.
func NewTickets() *Tickets { return &Tickets{bits: make([]uint64, ticketWindow/64)} }

// Fresh reports whether a number could be used.
func (t *Tickets) Fresh(n uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fresh(n)
}

func (t *Tickets) fresh(n uint64) bool {
	if n >= t.next {
		return n < ^uint64(0)
	}
	return t.next-n <= ticketWindow && t.bits[n%ticketWindow/64]&(1<<(n%64)) == 0
}

// Use marks a number as used; false if it was used before, or is too old to tell. Call it for authentic numbers only.
func (t *Tickets) Use(n uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.fresh(n) {
		return false
	}
	if n >= t.next {
		if n-t.next >= ticketWindow {
			clear(t.bits)
		} else {
			for i := t.next; i < n; i++ {
				t.bits[i%ticketWindow/64] &^= 1 << (i % 64)
			}
		}
		t.next = n + 1
	}
	t.bits[n%ticketWindow/64] |= 1 << (n % 64)
	return true
}
