package engine

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
)

// jointTrial ends a trial of paths that had these delays when it began; of those that are told to be silent no round came since,
// of the others one without any delay.
func jointTrial(delays []time.Duration, silent ...int) (shared []bool, j joint) {
	now := mono.Time(time.Hour)
	for _, d := range delays {
		j.suspects = append(j.suspects, suspect{path.New(now, path.Config{}), d})
	}
	for _, i := range silent {
		j.suspects[i].path.LetGo(now)
	}
	suspects := j.suspects
	j.judge(now)
	for _, s := range suspects {
		shared = append(shared, s.path.Shared(now.Add(time.Second)))
	}
	return shared, j
}

// Paths share something if the delays of several fell; one alone shares nothing, and one of which nothing was heard tells nothing,
// also where its delay is below the zero of the common scale.
func TestJointJudges(t *testing.T) {
	const ms = time.Millisecond
	for _, k := range []struct {
		name   string
		delays []time.Duration
		silent []int
		want   []bool
		pause  time.Duration
	}{
		{"both fell", []time.Duration{50 * ms, 20 * ms}, nil, []bool{true, true}, jointAgain},
		{"one fell", []time.Duration{50 * ms, 4 * ms}, nil, []bool{false, false}, jointPause},
		{"two of three", []time.Duration{50 * ms, 4 * ms, 50 * ms}, nil, []bool{true, false, true}, jointAgain},
		{"nothing heard", []time.Duration{50 * ms, 50 * ms}, []int{0, 1}, []bool{false, false}, jointPause},
		{"nothing heard, below zero", []time.Duration{-5 * ms, -5 * ms}, []int{0, 1}, []bool{false, false}, jointPause},
	} {
		shared, j := jointTrial(k.delays, k.silent...)
		for i, want := range k.want {
			if shared[i] != want {
				t.Errorf("%s: path %d shared %v, want %v", k.name, i, shared[i], want)
			}
		}
		if j.pause != k.pause || len(j.suspects) != 0 {
			t.Errorf("%s: next after %v, want %v; %d suspects left", k.name, j.pause, k.pause, len(j.suspects))
		}
	}
}
