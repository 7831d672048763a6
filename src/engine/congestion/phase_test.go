package congestion

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

const ms = time.Millisecond

// rounds feeds a BBR one sample for each round trip.
type rounds struct {
	t *testing.T
	b *BBR
	s Sample
}

// cruising returns a BBR that has found a rate.
func cruising(t *testing.T, rate int64, rtt time.Duration) *rounds {
	r := &rounds{t: t, b: NewBBR(mono.Time(time.Hour), rtt, 1)}
	r.s = Sample{Now: mono.Time(time.Hour), Rate: rate, SendRate: rate, Round: true, RTT: rtt, MinRTT: rtt, Flight: rtt}
	r.s.Acked = bytesIn(rate, rtt)
	r.s.Inflight = r.s.Acked
	for range 20 {
		if r.next(); r.b.State() == "cruise" {
			return r
		}
	}
	t.Fatalf("in %s after 20 rounds", r.b.State())
	return nil
}

func (r *rounds) next() {
	r.s.Now = r.s.Now.Add(r.s.RTT)
	r.b.OnAck(r.s)
}

// until takes rounds until the phase is to.
func (r *rounds) until(to string, most time.Duration) (took time.Duration) {
	r.t.Helper()
	for begin := r.s.Now; r.b.State() != to; {
		if took = r.s.Now.Sub(begin); took > most {
			r.t.Fatalf("in %s after %v, want %s", r.b.State(), took, to)
		}
		r.next()
	}
	return took
}

// gain is the pace in percent of the estimate.
func (r *rounds) gain() int64 { return (r.b.PacingRate()*100 + r.b.Bandwidth()/2) / r.b.Bandwidth() }

func (r *rounds) want(what string, got, want any) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// The pace follows how long the queue is, in parts of what is aimed at.
func TestSteering(t *testing.T) {
	for _, tt := range []struct {
		queue time.Duration // of a path whose target is 4 ms
		gain  int64
	}{{0, 103}, {ms, 103}, {3 * ms, 101}, {5 * ms, 100}, {9 * ms, 97}, {17 * ms, 90}, {33 * ms, 75}} {
		r := cruising(t, 5e6, 100*ms)
		r.s.Queue, r.s.Round = tt.queue, false
		r.next()
		r.want("gain with "+tt.queue.String(), r.gain(), tt.gain)
	}
}

// The queue aimed at is a sixteenth of the round trip within bounds, two packets on a slow link, and more where jitter hides it:
// above twice that the pace is below the estimate.
func TestQueueAimedAt(t *testing.T) {
	for _, tt := range []struct {
		rate           int64
		rtt, deviation time.Duration
		target         time.Duration
	}{
		{50e6, 8 * ms, 0, queueTargetMin},
		{50e6, 40 * ms, 0, 2500 * time.Microsecond},
		{50e6, 300 * ms, 0, queueTargetMax},
		{50e6, 300 * ms, 2 * ms, queueTargetMax},
		{50e6, 8 * ms, 10 * ms, 5 * ms},
		{50e6, 8 * ms, 100 * ms, queueTargetNoisy},
		{125_000, 40 * ms, 0, 24 * ms},
	} {
		for _, off := range []time.Duration{-50 * time.Microsecond, 50 * time.Microsecond} {
			r := cruising(t, tt.rate, tt.rtt)
			r.s.Queue, r.s.Deviation, r.s.Round = 2*tt.target+off, tt.deviation, false
			r.next()
			r.want(tt.rtt.String()+" "+tt.deviation.String(), r.gain() < 100, off > 0)
		}
	}
}

// A path is probed every eight round trips, within half a second and two, a quarter more or less, and a little more gently where the
// round trip is long.
func TestProbes(t *testing.T) {
	for _, tt := range []struct{ rtt, least, most time.Duration }{
		{20 * ms, 375 * ms, 625 * ms}, {100 * ms, 600 * ms, 1000 * ms}, {400 * ms, 1500 * ms, 2500 * ms},
	} {
		r := cruising(t, 5e6, tt.rtt)
		r.s.RoundQueue = 3 * ms // what is aimed at, nearly: nothing says that there is more
		if tt.rtt < 50*ms {
			r.s.RoundQueue = 1500 * time.Microsecond
		}
		r.until("probe", 3*time.Second)
		for range 4 {
			r.until("cruise", 10*tt.rtt)
			if took := r.until("probe", 3*time.Second); took < tt.least-tt.rtt || took > tt.most+tt.rtt {
				t.Errorf("round trip %v: a probe after %v", tt.rtt, took)
			}
			want := int64(probeGain)
			if tt.rtt > 160*ms {
				want = probeGainLong
			}
			r.want("gain", r.gain(), want)
		}
	}
}

// While there is not enough to send, or a queue stands, there is nothing to be learned.
func TestNoProbeInVain(t *testing.T) {
	for what, change := range map[string]func(s *Sample){
		"limited": func(s *Sample) { s.AppLimited = true }, "queue": func(s *Sample) { s.Queue, s.RoundQueue = 9*ms, 9*ms },
		"no rate": func(s *Sample) { s.Rate = 0 }, "no round": func(s *Sample) { s.Round = false },
	} {
		r := cruising(t, 5e6, 100*ms)
		change(&r.s)
		for range 80 {
			if r.next(); r.b.State() != "cruise" {
				t.Fatalf("%s: %s", what, r.b.State())
			}
		}
	}
}

// Rounds at full rate that leave the queue empty say that there is more: no probe's time is waited for.
func TestProbesAtOnceWhereTheQueueIsEmpty(t *testing.T) {
	r := cruising(t, 5e6, 100*ms)
	if took := r.until("probe", time.Second); took > emptyRounds*100*ms {
		t.Errorf("a probe after %v", took)
	}
}

// A probe goes on, faster, while it brings more, and ends when it does not, or at once by a queue.
func TestProbe(t *testing.T) {
	r := cruising(t, 5e6, 100*ms)
	r.until("probe", time.Second)
	r.next() // the first round shows what was sent before
	r.want("phase", r.b.State(), "probe")
	for _, gain := range []int64{150, 175, 200, 200} {
		r.s.Rate = r.s.Rate * 110 / 100
		r.next()
		r.want("phase while it grows", r.b.State(), "probe")
		r.want("gain while it grows", r.gain(), gain)
	}
	r.want("estimate", r.b.Bandwidth(), r.s.Rate)
	r.next()
	r.want("phase without growth", r.b.State(), "down")
	r.want("gain", r.gain(), int64(downGain))
	r.s.Queue = 5 * ms
	for range 3 {
		r.next()
		r.want("phase while its queue stands", r.b.State(), "down")
	}
	r.next() // that is not this probe's queue
	r.want("phase after some rounds", r.b.State(), "cruise")

	r.s.Queue = 0
	r.until("probe", 2*time.Second)
	r.s.Queue, r.s.Round = 30*ms, false // a quarter of the round trip is what the probe itself makes
	r.next()
	r.want("phase with a queue", r.b.State(), "down")
	r.s.Queue = 0
	r.next()
	r.want("phase without it", r.b.State(), "cruise")
}

// A probe that brings loss and no more met a policer: the pauses become longer, until one brings none.
func TestProbesOfAPolicer(t *testing.T) {
	r := cruising(t, 5e6, 20*ms)
	r.s.RoundQueue = 1500 * time.Microsecond
	r.until("probe", 2*time.Second)
	for _, longer := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
		r.s.Lost = r.s.Acked / 8
		r.until("down", time.Second)
		r.s.Lost = 0
		r.until("cruise", time.Second)
		if took := r.until("probe", 10*time.Second); took < longer+350*ms || took > longer+650*ms {
			t.Errorf("a probe after %v, want %v and half a second", took, longer)
		}
	}
	r.until("cruise", time.Second)
	if took := r.until("probe", 10*time.Second); took > 650*ms {
		t.Errorf("after one without loss a probe after %v", took)
	}
}

// A queue that never empties hides how short the path is: after ten seconds hardly anything is sent for a round.
func TestFloor(t *testing.T) {
	r := cruising(t, 5e6, 100*ms)
	r.s.Queue, r.s.RoundQueue = 9*ms, 9*ms
	if took := r.until("floor", 12*time.Second); took < 9800*ms || took > 10500*ms {
		t.Errorf("after %v", took)
	}
	r.want("window", r.b.Window(), r.b.bdp()/2)
	r.want("gain", r.gain(), int64(100))
	r.next()
	r.want("phase a round later", r.b.State(), "cruise")
	if took := r.until("floor", 12*time.Second); took < 9800*ms {
		t.Errorf("again after %v", took)
	}
	r.b.OnSilence(r.s.Now)
	r.want("phase after silence", r.b.State(), "cruise")

	for what, change := range map[string]func(s *Sample){"empty": func(s *Sample) { s.Queue = 0 }, "limited": func(s *Sample) { s.AppLimited = true }} {
		r := cruising(t, 5e6, 100*ms)
		for i := range 300 {
			r.s.Queue, r.s.RoundQueue, r.s.AppLimited = 9*ms, 9*ms, false
			if i%50 == 0 {
				change(&r.s)
			}
			if r.next(); r.b.State() == "floor" {
				t.Fatalf("%s now and then, and yet the floor is looked for", what)
			}
		}
	}
}

// After a pause the first round is sent a little slower; a short one is none.
func TestPaceAfterIdle(t *testing.T) {
	r := cruising(t, 5e6, 100*ms)
	r.b.OnIdle(r.s.Now, 250*ms)
	r.want("gain after a moment", r.gain(), int64(100))
	r.b.OnIdle(r.s.Now, 350*ms)
	r.want("gain after a pause", r.gain(), int64(75))
	r.s.Round, r.s.Queue = false, 5*ms
	r.next()
	r.want("gain within the round", r.gain(), int64(75))
	r.s.Round = true
	r.next()
	r.want("gain a round later", r.gain(), int64(100))
}

// What may be on the way while cruising: two round trips, and what acknowledgements lag behind.
func TestWindowOfCruising(t *testing.T) {
	r := cruising(t, 5e6, 100*ms)
	r.want("window", r.b.Window(), int64(2*500_000+5e6*12/1000))
	r.s.Busy = 162 * ms
	r.next()
	r.want("window of a path that jitters", r.b.Window(), int64(2*750_000+5e6*12/1000))
	slow := cruising(t, 20_000, 20*ms)
	slow.want("least window", slow.b.Window(), int64(MinWindowSlow))
}

// LetGo leaves a quarter of what a round trip holds, whatever is taken for the floor of the delay, for a round; start-up goes on.
func TestLetGo(t *testing.T) {
	const rate = 1_250_000
	b := NewBBR(1, 40*time.Millisecond, 1)
	if b.LetGo(1); !b.Searching() {
		t.Error("start-up was given up")
	}
	b.bandwidth.set(rate)
	b.enter(1, cruise)
	s := Sample{Now: 2, Acked: 50_000, Rate: rate, SendRate: rate, RTT: 200 * time.Millisecond, MinRTT: 190 * time.Millisecond, Flight: 200 * time.Millisecond}
	b.OnAck(s)
	b.LetGo(s.Now)
	if got, want := b.Window(), int64(rate/5/4); got != want || b.State() != "floor" {
		t.Errorf("%s, window %d, want %d", b.State(), got, want)
	}
	s.Now, s.Round = s.Now.Add(200*time.Millisecond), true
	if b.OnAck(s); b.State() == "floor" || b.Window() < rate/5 {
		t.Errorf("a round later: %s, window %d", b.State(), b.Window())
	}
	b.enter(s.Now, floor)
	if got := b.Window(); got <= rate/5/4 {
		t.Errorf("the floor that is not asked for has a window of %d", got)
	}
}
