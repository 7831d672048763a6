package linksim

import (
	"cmp"
	"math"
	"slices"
	"time"

	"mpproxy/src/engine/mono"
)

// schedule is a link's rate over time.
type schedule struct {
	base  int64
	steps []RateStep // ascending
}

func newSchedule(p Params) schedule {
	steps := slices.Clone(p.Rates)
	slices.SortStableFunc(steps, func(a, b RateStep) int { return cmp.Compare(a.At, b.At) })
	return schedule{base: p.Rate, steps: steps}
}

// at returns the rate at an instant and until when it holds.
func (s *schedule) at(t mono.Time) (rate int64, until mono.Time) {
	rate = s.base
	for _, step := range s.steps {
		if step.At > t {
			return rate, step.At
		}
		rate = step.Rate
	}
	return rate, mono.Never
}

// finish returns when so many bits are through if their serialisation starts at an instant.
func (s *schedule) finish(start mono.Time, bits float64) mono.Time {
	for t := start; ; {
		rate, until := s.at(t)
		if rate <= 0 {
			return t
		}
		end := t.Add(time.Duration(math.Round(bits * 1e9 / float64(rate))))
		if end <= until {
			return end
		}
		bits -= float64(until-t) * float64(rate) / 1e9
		t = until
	}
}

// bits returns how many bits go through in [from, to).
func (s *schedule) bits(from, to mono.Time) float64 {
	var sum float64
	for t := from; t < to; {
		rate, until := s.at(t)
		end := mono.Min(until, to)
		sum += float64(end-t) * float64(rate) / 1e9
		t = end
	}
	return sum
}
