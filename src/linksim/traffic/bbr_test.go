package traffic

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// bbrSender is a connection under BBR that has sent nothing, with a model of a path of 1000 segments per second and 100 ms.
func bbrSender() *Sender {
	s, _, _ := tcp(0, func(cfg *Config) { cfg.Control = BBR })
	s.bbr.bandwidth[0], s.bbr.minRTT, s.bbr.minAt, s.bbr.filled, s.bbr.mode = 1000, 100*time.Millisecond, second, true, bbrProbeBW
	s.state, s.cwnd = caOpen, 200
	return s
}

// flying puts n segments on the way.
func flying(s *Sender, n int) {
	for range n {
		s.board.add(span{s.nxt, s.nxt + uint64(s.mss)}, second, mark{})
		s.nxt += uint64(s.mss)
	}
}

// TestBBRConserves holds the first round of a recovery to what arrives (Linux bbr_set_cwnd_to_recover_or_restore).
func TestBBRConserves(t *testing.T) {
	s := bbrSender()
	b := &s.bbr
	flying(s, 60)
	check := func(what string, acked, lost int, state caState, conserves bool, window int) {
		t.Helper()
		s.state = state
		e := &ackEvent{now: 2 * second, losses: s.board.losses}
		s.board.losses += lost
		if got := b.recovers(s, e, acked); got != conserves || s.cwnd != window {
			t.Errorf("%s: conserves %v, window %d; want %v, %d", what, got, s.cwnd, conserves, window)
		}
	}
	b.saveWindow(s)
	check("nothing lost", 5, 0, caOpen, false, 200)
	check("lost, not yet in recovery", 5, 3, caDisorder, false, 197)
	s.delivered = 777
	check("recovery begins", 5, 3, caRecovery, true, 65)
	if b.roundEnd != 777 {
		t.Errorf("the round of conservation ends at %d", b.roundEnd)
	}
	check("more is lost", 5, 10, caRecovery, true, 65)
	check("more arrives", 8, 0, caRecovery, true, 68)
	b.conserve = false // a round later
	check("a round later", 5, 3, caRecovery, false, 65)
	check("recovery ends", 5, 0, caOpen, false, 200)
	check("afterwards", 5, 0, caOpen, false, 200)
	check("again", 5, 3, caRecovery, true, 65)
	check("ended within a round", 5, 0, caOpen, false, 200)
	s.cwnd = 2
	check("more lost than there is", 1, 9, caOpen, false, 1)
}

// TestBBRConservesForARound: the round is over when something sent after its begin arrives.
func TestBBRConservesForARound(t *testing.T) {
	s := bbrSender()
	b := &s.bbr
	b.conserve, b.roundEnd, s.delivered = true, 500, 600
	e := &ackEvent{now: 2 * second, rate: rateSample{priorDelivered: 499, priorAt: second, valid: true}}
	if b.measure(s, e); !b.conserve || b.roundStart {
		t.Error("over by what was sent before")
	}
	e.rate.priorDelivered = 500
	if b.measure(s, e); b.conserve || !b.roundStart || b.roundEnd != 600 {
		t.Error("not over by what was sent since")
	}
}

// TestBBRWindowGrowsByWhatArrives up to its target and never below four.
func TestBBRWindowGrowsByWhatArrives(t *testing.T) {
	s := bbrSender()
	b := &s.bbr
	b.cycle = 3
	target := b.inflight(s, 2)
	if target < 200 || target > 220 {
		t.Fatalf("a target of %d for 200 segments", target)
	}
	for _, tt := range []struct{ before, acked, after int }{{50, 10, 60}, {target - 3, 10, target}, {400, 1, target}, {1, 1, bbrMinWindow}} {
		s.cwnd = tt.before
		if b.window(s, &ackEvent{now: 2 * second}, tt.acked); s.cwnd != tt.after {
			t.Errorf("%d, and %d arrived: %d, want %d", tt.before, tt.acked, s.cwnd, tt.after)
		}
	}
	b.extra = [2]int{7, 30}
	s.cwnd = target
	if b.window(s, &ackEvent{now: 2 * second}, 40); s.cwnd != target+30 {
		t.Errorf("%d where acknowledgements come in lumps of 30 more than %d", s.cwnd, target)
	}
	b.extra[0] = 5000 // 100 ms' worth counts at most
	if b.window(s, &ackEvent{now: 2 * second}, 4000); s.cwnd != target+100 {
		t.Errorf("%d where acknowledgements come in great lumps, want %d", s.cwnd, target+100)
	}
	b.mode = bbrProbeRTTMode
	if b.window(s, &ackEvent{now: 2 * second}, 4); s.cwnd != bbrMinWindow {
		t.Errorf("%d while the round trip is probed", s.cwnd)
	}
}

// TestBBRCycle goes on after a round trip; from probing up only when the flight has grown or something was lost, from draining as
// soon as the flight is back.
func TestBBRCycle(t *testing.T) {
	s := bbrSender()
	b := &s.bbr
	up := b.inflight(s, 1.25)
	b.cycle = 1
	level := b.inflight(s, 1)
	for _, tt := range []struct {
		what                string
		cycle, flight, lost int
		after               time.Duration
		on                  bool
	}{
		{"cruising", 4, 0, 0, 99, false}, {"cruising for a round trip", 4, 0, 0, 101, true},
		{"probing", 0, up - 1, 0, 200, false}, {"probing, full", 0, up, 0, 200, true}, {"probing, full too soon", 0, up, 0, 99, false},
		{"probing with loss", 0, 0, 1, 200, true}, {"draining", 1, level + 1, 0, 50, false}, {"drained", 1, level, 0, 50, true},
		{"draining for a round trip", 1, level + 1, 0, 101, true},
	} {
		b.cycle, b.cycleAt = tt.cycle, second
		e := &ackEvent{now: second.Add(tt.after * time.Millisecond), flight: tt.flight, losses: s.board.losses - tt.lost}
		if b.turn(s, e); (b.cycle != tt.cycle) != tt.on {
			t.Errorf("%s: from %d to %d", tt.what, tt.cycle, b.cycle)
		}
	}
}

// TestBBRIsFull after three rounds without a quarter more, and not for those that are none.
func TestBBRIsFull(t *testing.T) {
	s := bbrSender()
	b := &s.bbr
	b.filled, b.mode = false, bbrStartup
	for i, tt := range []struct {
		bandwidth float64
		round     bool
		full      bool
	}{
		{1000, true, false}, {1250, true, false}, {1300, true, false}, {1300, false, false}, {1550, true, false}, {1563, true, false},
		{1600, true, false}, {1600, true, false}, {1600, true, true},
	} {
		b.bandwidth[0], b.roundStart = tt.bandwidth, tt.round
		if b.looksFull(); b.filled != tt.full {
			t.Fatalf("step %d: full %v", i, b.filled)
		}
	}
}

// TestBBRPace only rises until the path is full.
func TestBBRPace(t *testing.T) {
	s := bbrSender()
	b := &s.bbr
	size := float64(s.mss + tcpBytes + stampBytes)
	for _, tt := range []struct {
		mode      bbrMode
		cycle     int
		filled    bool
		bandwidth float64
		rate      float64
	}{
		{bbrStartup, 0, false, 1000, 1000 * bbrHighGain}, {bbrStartup, 0, false, 500, 1000 * bbrHighGain}, {bbrDrain, 0, true, 1000, 1000 / bbrHighGain},
		{bbrProbeBW, 0, true, 1000, 1250}, {bbrProbeBW, 1, true, 1000, 750}, {bbrProbeBW, 5, true, 1000, 1000}, {bbrProbeRTTMode, 0, true, 1000, 1000},
	} {
		b.mode, b.cycle, b.filled, b.bandwidth[0] = tt.mode, tt.cycle, tt.filled, tt.bandwidth
		if b.pace(s); b.rate/size < tt.rate*0.989 || b.rate/size > tt.rate*0.991 {
			t.Errorf("%+v: %.0f", tt, b.rate/size)
		}
	}
}

// TestBBRLumps counts what comes beyond the bandwidth for five to ten rounds.
func TestBBRLumps(t *testing.T) {
	s := bbrSender()
	b := &s.bbr
	at := 2 * second
	ack := func(n int, after mono.Time, round bool) {
		at += after
		b.roundStart = round
		b.aggregate(s, &ackEvent{now: at}, n)
	}
	ack(1, 0, false)
	for range 20 {
		ack(10, 10*ms, false)
	}
	if b.extra[0] > 11 {
		t.Errorf("%d extra where all comes at its rate", b.extra[0])
	}
	for range 5 {
		ack(20, 0, false)
	}
	if got := b.extra[0]; got < 100 || got > 111 {
		t.Errorf("%d extra in a lump of 100", got)
	}
	for range 6 {
		ack(10, 200*ms, true)
	}
	if most := max(b.extra[0], b.extra[1]); most < 100 {
		t.Errorf("%d extra are remembered after six rounds", most)
	}
	for range 4 {
		ack(10, 200*ms, true)
	}
	if most := max(b.extra[0], b.extra[1]); most > 11 {
		t.Errorf("%d extra are remembered after ten rounds", most)
	}
}
