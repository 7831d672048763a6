package enginetest

import (
	"fmt"
	"slices"
	"testing"
)

// A fixed sample of all that links may be, each cell beside the best of its links alone. The thresholds are what is reached today
// less some room for changes of no meaning: they keep what has been won, the targets of the yardsticks are higher.
func TestSpaceSample(t *testing.T) {
	const (
		cells     = 24
		leastMean = 0.60 // of the sums
		leastMid  = 0.95 // of the best link alone, in the middle cell
		leastAny  = 0.25 // of that, in the worst
	)
	var shares []float64
	mean := 0.0
	for _, c := range Space(1, cells, 30) {
		r, alone := c.Run(1, true), c.Alone(true).Run(1, true)
		share := r.Rate / max(alone.Rate, 1)
		shares = append(shares, share)
		mean += r.Ratio / cells
		t.Logf("%.3f of the sum, %.2f of the best link alone, %.3f of its ceiling: %s", r.Ratio, share, r.Best, r.Name)
	}
	slices.Sort(shares)
	t.Logf("mean %.3f of the sums; of the best link alone: worst %.2f, middle %.2f, below 0.98 in %d of %d", mean, shares[0], shares[cells/2],
		len(shares)-len(slices.DeleteFunc(slices.Clone(shares), func(s float64) bool { return s < 0.98 })), cells)
	if mean < leastMean || shares[cells/2] < leastMid || shares[0] < leastAny {
		t.Error("worse than it was")
	}
}

// The same seed gives the same cells, another others, and all that is to be in them is.
func TestSpaceIsDrawnTheSame(t *testing.T) {
	same, again, other := fmt.Sprint(Space(5, 300, 300)), fmt.Sprint(Space(5, 300, 300)), fmt.Sprint(Space(6, 300, 300))
	if same != again || same == other {
		t.Error("the cells do not follow the seed")
	}
	var links [5]int
	kinds := map[string]int{}
	for _, c := range Space(5, 300, 300) {
		links[len(c.Links)]++
		for _, l := range c.Links {
			p := l.Down
			for kind, is := range map[string]bool{
				"jitter": p.Jitter > 0, "reorder": p.Reorder, "loss": p.Loss > 0, "burst": p.Burst.ToBad > 0, "policer": p.Policer.Rate > 0,
				"change": len(p.Rates) == 1, "trace": len(p.Rates) > 1 && len(p.Outages) > 0,
			} {
				if is {
					kinds[kind]++
				}
			}
			if meanLoss(p) > 0.051 || p.Rate < 200_000 || p.Rate > 300e6 || p.Queue.Milliseconds() < 10 || p.Queue.Milliseconds() > 1000 ||
				p.Delay.Microseconds() < 2500 || p.Delay.Milliseconds() > 300 || p.Jitter.Milliseconds() > 25 {
				t.Errorf("outside of the space: %+v", p)
			}
		}
	}
	if slices.Min(links[1:]) < 40 || len(kinds) != 7 || kinds["trace"] < 50 || kinds["policer"] < 30 {
		t.Errorf("cells by number of links %v, links by kind %v", links, kinds)
	}
}
