package congestion

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// judged is a rate that is inferred from rounds given one by one.
type judged struct {
	t   *testing.T
	i   *Inferred
	now mono.Time
}

// newJudged begins at a megabyte per second, which is delivered.
func newJudged(t *testing.T) *judged {
	j := &judged{t, NewInferred(0, 100*ms), mono.Time(time.Hour)}
	j.i.Resume(1e6)
	return j
}

// round is one of 100 ms in which so many bytes came at rate, and lost were lost; change may add to that.
func (j *judged) round(acked, lost, rate int64, change func(s *Sample)) {
	j.now = j.now.Add(100 * ms)
	s := Sample{Now: j.now, Round: true, Acked: acked, Lost: lost, Rate: rate, RTT: 100 * ms, MinRTT: 100 * ms}
	if change != nil {
		change(&s)
	}
	j.i.OnAck(s)
}

func (j *judged) want(what string, got, want int64) {
	j.t.Helper()
	if d := got - want; d < -2 || d > 2 {
		j.t.Errorf("%s: %d, want %d", what, got, want)
	}
}

func queued(d time.Duration) func(s *Sample) { return func(s *Sample) { s.RoundQueue = d } }

// A queue is trouble: the rate goes to what is delivered, at first not far, and grows again slower than before.
func TestInferredStepByStep(t *testing.T) {
	j := newJudged(t)
	j.round(1e5, 0, 1e6, nil)
	j.want("searching", j.i.PacingRate(), 1.5e6)
	j.round(1e5, 0, 1e6, nil)
	j.want("searching, bound by twice what is delivered", j.i.PacingRate(), 2e6)
	j.round(1e5, 0, 1e6, queued(21*ms))
	j.want("the first time down", j.i.PacingRate(), 1.4e6)
	j.round(1e5, 0, 1e6, queued(21*ms))
	j.want("what was sent before that", j.i.PacingRate(), 1.4e6)
	j.round(1e5, 0, 6e5, queued(21*ms))
	j.want("the second time down", j.i.PacingRate(), 980_000)
	j.want("what is believed then", j.i.Bandwidth(), 6e5)
	j.round(1e5, 0, 6e5, nil)
	j.round(1e5, 0, 9e5, nil)
	j.want("growth", j.i.PacingRate(), 1_078_000)
	j.round(1e5, 0, 9e5, queued(6*ms))
	j.want("growth with a short queue", j.i.PacingRate(), 1_099_560)
	j.round(1e5, 0, 5e5, func(s *Sample) { s.AppLimited = true })
	j.want("with little to send", j.i.PacingRate(), 1_099_560)
	j.round(1e5, 0, 85e4, func(s *Sample) { s.AppLimited = true })
	j.want("with nearly enough to send", j.i.PacingRate(), 1_209_516)
	j.round(1e5, 0, 9e5, func(s *Sample) { s.RoundQueue, s.Deviation = 21*ms, ms })
	j.want("a queue that may be jitter", j.i.PacingRate(), 1_233_706)
	if j.i.Searching() {
		t.Error("still searching")
	}
}

// The first time down leaves four fifths of the best that was delivered of late.
func TestInferredFirstBackOff(t *testing.T) {
	j := newJudged(t)
	j.round(1e5, 0, 1e6, queued(30*ms))
	j.want("where less is delivered just now", j.i.PacingRate(), 950_000)
	j = newJudged(t)
	j.round(1e5, 0, 3e5, queued(30*ms))
	j.want("where much less is delivered just now", j.i.PacingRate(), 8e5)
	j = newJudged(t)
	j.round(0, 0, 0, queued(30*ms))
	j.want("where nothing is known", j.i.PacingRate(), 1e6)
}

// Loss beyond the usual is trouble, and what is usual is learnt; a few packets tell nothing until there are enough.
func TestInferredUsualLoss(t *testing.T) {
	down := func(j *judged, acked, lost int64) bool {
		before := j.i.PacingRate()
		j.round(acked, lost, 1e6, nil)
		return j.i.PacingRate() < before
	}
	if down(newJudged(t), 9.4e5, 6e4) {
		t.Error("down by 6 %")
	}
	if !down(newJudged(t), 9.15e5, 8.5e4) {
		t.Error("not down by 8.5 %")
	}
	if !down(newJudged(t), 8e4, 2e4) || down(newJudged(t), 91_000, 9_000) {
		t.Error("of 100 kB, 20 % are trouble, and 9 % may be chance")
	}
	j := newJudged(t)
	for range 100 {
		if down(j, 9.5e5, 5e4) {
			t.Fatal("down by 5 %")
		}
	}
	if down(j, 9.15e5, 8.5e4) {
		t.Error("down by 8.5 % where 5 % are usual")
	}
	if !down(j, 8.6e5, 1.4e5) {
		t.Error("not down by 14 % where 5 % are usual")
	}
	few := newJudged(t)
	before := few.i.PacingRate()
	for range inferredRounds - 1 {
		few.round(2*MTU, MTU, 1e6, nil)
	}
	few.want("after a few packets", few.i.PacingRate(), before)
	if few.round(2*MTU, MTU, 1e6, nil); few.i.PacingRate() >= before {
		t.Error("a third of few packets lost for four rounds is no trouble")
	}
}
