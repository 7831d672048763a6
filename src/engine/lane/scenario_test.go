package lane

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// link is one path of the scenario.
type link struct {
	oneWay, jitter time.Duration
	loss           float64
}

// arrival is one datagram that reaches the receiver.
type arrival struct {
	at     mono.Time
	seq    uint32
	path   uint32
	repair bool
}

// traffic lays out one flow spread over two links for n packets, one per 250 µs: what arrives when. A loss is seen
// when the next packet of its link arrives, and repaired over the fastest link one way back and one way forward
// later, again and again until a repair comes through. With ahead the slower link is given its packets so much
// earlier that both links' arrive in order, as the scheduler does it.
func traffic(rng *rand.Rand, links [2]link, n int, ahead bool) []arrival {
	var all []arrival
	start := mono.Time(time.Second)
	var last [2]mono.Time
	var missing [2][]uint32
	fastest := uint32(0)
	if links[1].oneWay < links[0].oneWay {
		fastest = 1
	}
	for seq := range uint32(n) {
		i := seq % 2
		sent := start.Add(time.Duration(seq) * 250 * time.Microsecond)
		if ahead {
			sent = sent.Add(links[fastest].oneWay - links[i].oneWay)
		}
		if rng.Float64() < links[i].loss {
			missing[i] = append(missing[i], seq)
			continue
		}
		delay := links[i].oneWay + time.Duration(rng.NormFloat64()*float64(links[i].jitter))
		last[i] = mono.Max(last[i], sent.Add(max(delay, ms)))
		all = append(all, arrival{at: last[i], seq: seq, path: i})
		for _, lost := range missing[i] {
			at := last[i].Add(2 * links[fastest].oneWay)
			for rng.Float64() < links[fastest].loss {
				at = at.Add(2*links[fastest].oneWay + ms)
			}
			all = append(all, arrival{at: at, seq: lost, path: fastest, repair: true})
		}
		missing[i] = missing[i][:0]
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return int(a.at - b.at) })
	return all
}

// play runs the traffic through a Receiver; it returns how long each held packet was held, sorted, and how many came out behind a
// later one.
func play(t *testing.T, g *rig, all []arrival) (holds []time.Duration, disorder int) {
	came := map[uint32]mono.Time{}
	newest := int64(-1)
	take := func() {
		g.collect()
		for _, seq := range g.got {
			if held := g.now.Sub(came[seq]); held > 0 {
				holds = append(holds, held)
			}
			if int64(seq) < newest {
				disorder++
			}
			newest = max(newest, int64(seq))
		}
		g.got = g.got[:0]
	}
	for _, a := range all {
		for g.r.NextTimeout() <= a.at {
			g.now = mono.Max(g.now, g.r.NextTimeout())
			g.out = g.r.OnTimeout(g.now, g.out)
			take()
		}
		g.now, came[a.seq] = a.at, a.at
		g.out = g.r.Push(g.now, 0, a.seq, a.path, a.repair, g.buf(a.seq, 1400), g.out)
		take()
	}
	g.fire(g.now.Sub(mono.Time(time.Second)) + time.Second)
	take()
	slices.Sort(holds)
	return holds, disorder
}

// TestTwoPaths: a flow over two links with losses and repairs comes out in order, and is held for little more than
// the fastest round trip; where the sender does not send ahead, also for the difference between the links.
func TestTwoPaths(t *testing.T) {
	const packets = 20000
	for name, links := range map[string][2]link{
		"equal":        {{10 * ms, 0, 0.005}, {10 * ms, 0, 0.005}},
		"equal, lossy": {{10 * ms, ms, 0.02}, {10 * ms, ms, 0.02}},
		"unequal":      {{10 * ms, ms, 0.01}, {25 * ms, 2 * ms, 0.01}},
		"swapped":      {{60 * ms, 2 * ms, 0.01}, {35 * ms, ms, 0.01}},
		"far":          {{17 * ms, ms, 0}, {160 * ms, 5 * ms, 0.005}},
	} {
		for _, ahead := range []bool{true, false} {
			g := newRig(t, 0)
			fastest := min(links[0].oneWay, links[1].oneWay)
			for i, l := range links {
				g.r.SetPath(uint32(i), PathInfo{Up: true, Relative: l.oneWay - fastest, Deviation: l.jitter * 4 / 5})
			}
			g.r.SetRepairWait(2 * fastest)
			holds, disorder := play(t, g, traffic(rand.New(rand.NewPCG(1, 2)), links, packets, ahead))
			s, rtt := g.r.Stats(), 2*fastest
			p95, bound := holds[len(holds)*95/100], rtt*3/2
			t.Logf("%s, ahead %v: held %d of %d, p50 %v, p95 %v, longest %v; %d gaps released, %d out of order",
				name, ahead, s.Held, packets, holds[len(holds)/2], p95, s.LongestHold, s.Gaps, disorder)
			if !ahead {
				bound += max(links[0].oneWay, links[1].oneWay) - fastest
			}
			if p95 > bound || s.LongestHold > 3*bound || s.LongestHold > capMax {
				t.Errorf("%s, ahead %v: held up to %v, p95 %v, round trip %v", name, ahead, s.LongestHold, p95, rtt)
			}
			if s.Delivered < packets-10 || disorder > 10 || s.Duplicates != 0 {
				t.Errorf("%s, ahead %v: %d out of order, %+v", name, ahead, disorder, s)
			}
			g.done()
		}
	}
}
