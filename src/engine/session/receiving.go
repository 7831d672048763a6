package session

import (
	"slices"
	"sync/atomic"
	"time"

	"mpproxy/src/engine/mono"
)

// Receiving is the key ring of the direction that we receive in. Any number of goroutines may open with it at a
// time, and all its methods may be called meanwhile; ExpirePrevious by one goroutine only.
type Receiving struct {
	ring     atomic.Pointer[receiveRing]
	failures atomic.Uint64
	limit    uint64

	// For ExpirePrevious: the previous keys it saw last, and when first.
	expiring *Keys
	since    mono.Time
}

// receiveRing is immutable; changes are made by putting another in its place.
type receiveRing struct {
	epoch         uint8
	previousEpoch uint8
	root          *Keys
	current       *Keys
	previous      *Keys
	next          *Keys
	pending       []*Keys // oldest first
}

// NewReceiving returns a ring that begins with keys at epoch 0.
func NewReceiving(keys *Keys) *Receiving {
	r := &Receiving{limit: MaxFailures}
	r.ring.Store(&receiveRing{root: keys, current: keys, next: keys.Next()})
	return r
}

// AddPending offers the keys of a new handshake. The first datagram that they open makes them current. Of more
// than MaxPending the oldest is dropped.
func (r *Receiving) AddPending(keys *Keys) {
	for {
		old := r.ring.Load()
		ring := *old
		ring.pending = append(slices.Clone(old.pending), keys)
		if extra := len(ring.pending) - MaxPending; extra > 0 {
			ring.pending = ring.pending[extra:]
		}
		if r.ring.CompareAndSwap(old, &ring) {
			return
		}
	}
}

// Root returns the handshake keys that the current ones are or derive from. Once it returns keys that were
// pending, the other side has proved that it has them.
func (r *Receiving) Root() *Keys { return r.ring.Load().root }

// Epoch returns the current epoch modulo 4.
func (r *Receiving) Epoch() uint8 { return r.ring.Load().epoch }

// Failures returns how many datagrams were not authentic since the last handshake's keys came into force.
func (r *Receiving) Failures() uint64 { return r.failures.Load() }

// ExpirePrevious forgets the keys of the previous epoch once they have been previous for lifetime (3 times the
// greatest round trip of the paths). It returns when to call again, or mono.Never; call it also now and then
// while packets come, because any of them may change the keys.
func (r *Receiving) ExpirePrevious(now mono.Time, lifetime time.Duration) mono.Time {
	for {
		old := r.ring.Load()
		if old.previous == nil {
			r.expiring = nil
			return mono.Never
		}
		if r.expiring != old.previous {
			r.expiring, r.since = old.previous, now
		}
		if end := r.since.Add(lifetime); now.Before(end) {
			return end
		}
		ring := *old
		ring.previous = nil
		if r.ring.CompareAndSwap(old, &ring) {
			r.expiring = nil
			return mono.Never
		}
	}
}

// candidates appends the keys that a datagram of that epoch may have been protected with, likely ones first.
// A pending key may come with any epoch: the sender may have moved on more than once before we heard of it.
func (r *Receiving) candidates(epoch uint8, dst []attempt, entry *Entry) []attempt {
	ring := r.ring.Load()
	if r.failures.Load() < r.limit {
		if epoch == ring.epoch {
			dst = append(dst, attempt{entry, ring.current})
		}
		if epoch == ring.previousEpoch && ring.previous != nil {
			dst = append(dst, attempt{entry, ring.previous})
		}
		if epoch == (ring.epoch+1)&(epochs-1) {
			dst = append(dst, attempt{entry, ring.next})
		}
	}
	for i := len(ring.pending) - 1; i >= 0; i-- {
		dst = append(dst, attempt{entry, ring.pending[i]})
	}
	return dst
}

// opened notes that keys have opened a datagram of that epoch: next or pending ones become current.
func (r *Receiving) opened(keys *Keys, epoch uint8) {
	for {
		old := r.ring.Load()
		if keys == old.current || keys == old.previous {
			return
		}
		ring := receiveRing{
			epoch: epoch, current: keys, previous: old.current, previousEpoch: old.epoch,
			root: old.root, pending: old.pending,
		}
		if i := slices.Index(old.pending, keys); i >= 0 {
			ring.root, ring.pending = keys, old.pending[i+1:]
		} else if keys != old.next {
			return // not ours to promote any more: another goroutine was faster
		}
		ring.next = keys.Next()
		if r.ring.CompareAndSwap(old, &ring) {
			if ring.root != old.root {
				r.failures.Store(0)
			}
			return
		}
	}
}
