package linksim

import "mpproxy/src/engine/mono"

// Joint is one direction of links that lead into one more: what each of Own delivers is offered to Common at that moment, at its
// size, and has arrived when Common delivers it. So several links share a bottleneck, each behind its own rate, queue and delay.
// Send is done on the member of Own; whatever is to be known of either stage is asked of its Link.
type Joint[T any] struct {
	Common *Link[T]
	Own    []*Link[T]
}

// Next returns when something arrives next at either stage, or mono.Never.
func (j *Joint[T]) Next() mono.Time {
	at := j.Common.Next()
	for _, l := range j.Own {
		at = mono.Min(at, l.Next())
	}
	return at
}

// Receive hands on what has come through the first stage by now, and takes the next packet that has come through the second;
// false if there is none. A packet that Common does not take is lost: Common.Dropped, if set, gets its payload.
func (j *Joint[T]) Receive(now mono.Time) (T, bool) {
	for {
		var first *Link[T]
		at := mono.Never
		for _, l := range j.Own {
			if next := l.Next(); next < at {
				first, at = l, next
			}
		}
		if first == nil || at > now {
			return j.Common.Receive(now)
		}
		got := first.arrive()
		if !j.Common.Send(at, got.size, got.payload) && j.Common.Dropped != nil {
			j.Common.Dropped(got.payload)
		}
	}
}
