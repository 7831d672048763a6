package recovery

import (
	"time"

	"mpproxy/src/engine/mono"
)

// windowMin is the smallest value of the last floorBuckets * floorBucket, in steps of a bucket. The zero value is ready.
type windowMin struct {
	values [floorBuckets]time.Duration
	used   [floorBuckets]bool
	now    int
	end    mono.Time
	least  time.Duration
}

// update takes a value.
func (w *windowMin) update(now mono.Time, v time.Duration) {
	if w.end == 0 || now.Sub(w.end) > floorBuckets*floorBucket {
		w.used = [floorBuckets]bool{}
		w.end = now.Add(floorBucket)
	}
	for now >= w.end {
		w.now = (w.now + 1) % floorBuckets
		w.used[w.now] = false
		w.end = w.end.Add(floorBucket)
	}
	if !w.used[w.now] || v < w.values[w.now] {
		w.used[w.now], w.values[w.now] = true, v
	}
	first := true
	for i, v := range w.values {
		if w.used[i] && (first || v < w.least) {
			w.least, first = v, false
		}
	}
}

// reset forgets everything but v.
func (w *windowMin) reset(v time.Duration) {
	w.used = [floorBuckets]bool{}
	w.used[w.now], w.values[w.now], w.least = true, v, v
}
