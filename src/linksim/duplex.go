package linksim

import (
	"math/rand/v2"

	"mpproxy/src/engine/mono"
)

// Duplex is a link in both directions; each has its own queue, losses and outages.
type Duplex[T any] struct{ Up, Down *Link[T] }

// NewDuplex returns both directions. Each gets a generator of its own drawn from rng, so that the traffic of one
// does not change the fate of the other's.
func NewDuplex[T any](up, down Params, rng *rand.Rand) Duplex[T] {
	return Duplex[T]{Up: New[T](up, fork(rng)), Down: New[T](down, fork(rng))}
}

// Next returns when something arrives next at either end, or mono.Never.
func (d Duplex[T]) Next() mono.Time { return mono.Min(d.Up.Next(), d.Down.Next()) }

// Cut makes both directions silently dead.
func (d Duplex[T]) Cut(now mono.Time) {
	d.Up.Cut(now)
	d.Down.Cut(now)
}

// Restore ends Cut in both directions.
func (d Duplex[T]) Restore(now mono.Time) {
	d.Up.Restore(now)
	d.Down.Restore(now)
}

func fork(rng *rand.Rand) *rand.Rand { return rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64())) }
