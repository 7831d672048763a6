package path

import (
	"math/rand/v2"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// Against a set: runs, what is below, and what is forgotten, over jumps of any size.
func TestArrivalsModel(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var a arrivals
		came := map[uint64]bool{}
		next, now := uint64(rng.IntN(10000)), mono.Time(1e9)
		for range 1500 {
			now = now.Add(ms / 4)
			n := next
			switch rng.IntN(12) {
			case 0:
				next += rng.Uint64N(200)
			case 1:
				if rng.IntN(20) == 0 {
					next += rng.Uint64N(3 * seenWindow)
				}
			case 2, 3, 4:
				n = next - min(next, rng.Uint64N(700))
			default:
				next++
			}
			if came[n] {
				continue
			}
			came[n] = true
			a.add(now, n)
			next = max(next, n)
		}
		least := a.floor(now, 1<<40)
		for range 200 {
			n := least + rng.Uint64N(a.end-least)
			want(t, "has", a.has(n), came[n])
			below, ok := a.below(n, least)
			wanted, there := n, came[n]
			for !there && wanted > least {
				wanted--
				there = came[wanted]
			}
			want(t, "any below", ok, there)
			if ok {
				want(t, "below", below, wanted)
				first, last := a.run(below, least)
				for m := first; m <= last; m++ {
					want(t, "in the run", came[m], true)
				}
				want(t, "before the run", first > least && came[first-1], false)
				want(t, "behind the run", came[last+1], false)
			}
		}
	}
}

// A path of 100 Mbit/s on which packets overtake each other by up to 75 ms: every arrival is told at once, and in three
// acknowledgements, though hundreds of holes are open all the time.
func TestEachArrivalIsTold(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var r Received
	due := map[int64][]uint64{} // numbers by the eighth of a millisecond in which they come
	for n := range int64(6000) {
		at := n + rng.Int64N(75*8)
		due[at] = append(due[at], uint64(n))
	}
	told := map[uint64]int{}
	for step := range int64(6000) {
		now := begin.Add(ms / 8 * time.Duration(step))
		for _, n := range due[step] {
			on(&r, now, n)
			told[n] = 0
		}
		if step%8 != 7 || !r.Pending() {
			continue
		}
		f := fill(t, &r, now)
		for n := range told {
			if covers(f, n) {
				told[n]++
			} else if told[n] == 0 {
				t.Fatalf("%d came and is not told", n)
			}
			if told[n] >= ackRepeats {
				delete(told, n)
			}
		}
		r.Acked(now)
	}
	// What is left is what came in the last acknowledgements.
	if len(told) > 8*ackRepeats+8 {
		t.Errorf("%d numbers were told less than %d times", len(told), ackRepeats)
	}
}
