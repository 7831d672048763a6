package stats

import "sync/atomic"

// Drops counts drops by reason. The zero value is ready. It belongs to one goroutine.
type Drops [NumReasons]uint64

// Add counts n drops for reason r. A value that is no reason is a programming error and panics.
func (d *Drops) Add(r Reason, n uint64) { d[r] += n }

// Merge adds the counts of other.
func (d *Drops) Merge(other *Drops) {
	for i, n := range other {
		d[i] += n
	}
}

// Total returns the drops of all reasons together.
func (d *Drops) Total() uint64 {
	var sum uint64
	for _, n := range d {
		sum += n
	}
	return sum
}

// Map returns the counts above zero by name, as Status carries them; nil if there is none.
func (d *Drops) Map() map[string]uint64 {
	var m map[string]uint64
	for i, n := range d {
		if n == 0 {
			continue
		}
		if m == nil {
			m = make(map[string]uint64)
		}
		m[Reason(i).String()] = n
	}
	return m
}

// AtomicDrops counts drops by reason for several goroutines (socket readers, senders). The zero value is ready; it must
// not be copied after first use.
type AtomicDrops struct{ counts [NumReasons]atomic.Uint64 }

// Add counts n drops for reason r. A value that is no reason is a programming error and panics.
func (d *AtomicDrops) Add(r Reason, n uint64) { d.counts[r].Add(n) }

// Load returns the count of reason r.
func (d *AtomicDrops) Load(r Reason) uint64 { return d.counts[r].Load() }

// Snapshot returns the counts of this moment. Each is exact, all together need not be of one instant.
func (d *AtomicDrops) Snapshot() Drops {
	var out Drops
	for i := range d.counts {
		out[i] = d.counts[i].Load()
	}
	return out
}
