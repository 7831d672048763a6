package linksim

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"mpproxy/src/engine/mono"
)

// Link is one direction of a link that carries packets with a payload T. Make it with New.
type Link[T any] struct {
	// Dropped, if set, gets the payload of each packet that is lost after Send accepted it (outage, Cut),
	// so that its buffer can be given back.
	Dropped func(T)

	p        Params
	rng      *rand.Rand
	rates    schedule
	lose     []uint64 // ascending, what is still to come
	queue    ring     // accepted, not yet serialised
	flight   heap[T]  // accepted, not yet delivered
	last     mono.Time
	accepted uint64
	bad      bool // burst state
	cut      bool
	tokens   float64 // policer, bytes
	filled   mono.Time
	stats    Stats
}

// New returns a link. The generator becomes the Link's own.
func New[T any](p Params, rng *rand.Rand) *Link[T] {
	l := &Link[T]{rng: rng}
	l.take(p)
	l.tokens = float64(p.Policer.Burst)
	return l
}

// take makes p the parameters.
func (l *Link[T]) take(p Params) {
	l.p, l.rates = p, newSchedule(p)
	l.lose = slices.Clone(p.LoseList)
	slices.Sort(l.lose)
	l.tokens = min(l.tokens, float64(p.Policer.Burst))
}

// Send offers a packet of size IP bytes. It returns false if the packet is lost at once, for whatever reason: then
// the payload is still the caller's, and the sending side under test must not be told.
func (l *Link[T]) Send(now mono.Time, size int, payload T) bool {
	l.drain(now)
	number := l.stats.Offered
	l.stats.Offered++
	l.stats.OfferedBytes += uint64(size)
	if drop := l.entry(now, number, size); drop != nil {
		*drop++
		return false
	}
	start := now
	if l.queue.n > 0 {
		start = l.queue.back().finish
	}
	q := queued{finish: l.rates.finish(start, float64(size)*8), size: size, extra: l.delay()}
	deliver := l.deliveryOf(q)
	if q.finish > now {
		l.queue.push(q)
		l.stats.QueuedBytes += size
		l.stats.MaxQueuedBytes = max(l.stats.MaxQueuedBytes, l.stats.QueuedBytes)
	}
	l.flight.push(item[T]{deliver: deliver, sent: now, number: l.accepted, size: size, payload: payload})
	l.accepted++
	return true
}

// entry decides whether a packet gets into the queue: nil, or the counter of the reason why not.
func (l *Link[T]) entry(now mono.Time, number uint64, size int) *uint64 {
	for len(l.lose) > 0 && l.lose[0] < number {
		l.lose = l.lose[1:]
	}
	switch {
	case l.p.StopAfter > 0 && number >= l.p.StopAfter, len(l.lose) > 0 && l.lose[0] == number:
		return &l.stats.Listed
	case l.cut || l.dead(now, now):
		return &l.stats.Outage
	case l.unlucky():
		return &l.stats.Random
	case !l.police(now, size):
		return &l.stats.Policed
	case l.stats.QueuedBytes > 0 && l.stats.QueuedBytes+size > l.limit(now):
		return &l.stats.Overflow
	}
	return nil
}

// unlucky draws the random losses.
func (l *Link[T]) unlucky() bool {
	lost := l.p.Loss > 0 && l.rng.Float64() < l.p.Loss
	if b := l.p.Burst; b != (BurstLoss{}) {
		change := b.ToBad
		if l.bad {
			change = b.ToGood
		}
		l.bad = l.bad != (l.rng.Float64() < change)
		lost = l.bad && l.rng.Float64() < b.Loss || lost
	}
	return lost
}

// police takes a packet's tokens, or reports that there are not enough.
func (l *Link[T]) police(now mono.Time, size int) bool {
	p := l.p.Policer
	if p.Rate <= 0 {
		return true
	}
	l.tokens = min(float64(p.Burst), l.tokens+now.Sub(l.filled).Seconds()*float64(p.Rate)/8)
	l.filled = now
	if l.tokens < float64(size) {
		return false
	}
	l.tokens -= float64(size)
	return true
}

// limit returns the queue's bytes. A packet always fits into an empty queue.
func (l *Link[T]) limit(now mono.Time) int {
	if l.p.QueueBytes > 0 {
		return l.p.QueueBytes
	}
	queue := l.p.Queue
	if queue == 0 {
		queue = DefaultQueue
	}
	rate, _ := l.rates.at(now)
	if rate <= 0 {
		return math.MaxInt
	}
	return int(float64(rate) / 8 * queue.Seconds())
}

// delay draws a packet's time after serialisation.
func (l *Link[T]) delay() time.Duration {
	if l.p.Jitter <= 0 {
		return l.p.Delay
	}
	return max(0, l.p.Delay+time.Duration(l.rng.NormFloat64()*float64(l.p.Jitter)))
}

// deliveryOf returns when a packet arrives; packets are asked for in the order in which they are serialised.
func (l *Link[T]) deliveryOf(q queued) mono.Time {
	at := q.finish.Add(q.extra)
	if !l.p.Reorder {
		at = mono.Max(at, l.last)
	}
	l.last = mono.Max(l.last, at)
	return at
}

// drain takes out of the queue what has been serialised.
func (l *Link[T]) drain(now mono.Time) {
	for l.queue.n > 0 && l.queue.front().finish <= now {
		l.stats.QueuedBytes -= l.queue.pop().size
	}
}

// dead reports whether the link is dead at some moment of [from, to].
func (l *Link[T]) dead(from, to mono.Time) bool {
	for _, w := range l.p.Outages {
		if w.From <= to && from < w.To {
			return true
		}
	}
	return false
}
