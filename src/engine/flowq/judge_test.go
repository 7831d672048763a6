package flowq

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// A flow is judged by its first packet, and once; with another judge by the next one; and its key is known without it.
func TestJudge(t *testing.T) {
	b := newBench(t, Params{Seed: 5})
	game, other := shape{host: 1, src: 4000, dst: 3074, size: 200}, shape{host: 1, src: 4001, dst: 443, size: 200}
	asked := 0
	flow := func(s shape) *Flow {
		b.put(s, 1)
		info, _ := ParseIP(s.build())
		f := b.q.Lookup(b.q.KeyOf(&info))
		if f == nil {
			t.Fatal("the key is another")
		}
		return f
	}
	if flow(game).Verdict().Twice {
		t.Error("named by nobody")
	}
	b.q.SetJudge(func(info Info) Verdict { asked++; return Verdict{Twice: info.DstPort == 3074} })
	for range 3 {
		if !flow(game).Verdict().Twice || flow(other).Verdict().Twice {
			t.Error("not as judged")
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times about 2 flows", asked)
	}
	b.q.SetJudge(func(Info) Verdict { return Verdict{} })
	if flow(game).Verdict().Twice {
		t.Error("as the judge before said")
	}
	b.q.SetJudge(nil)
	if flow(other).Verdict().Twice {
		t.Error("judged by nobody")
	}
	b.drain()
}

// The judge's class stands over what packets ask for, but what is in the background stays there unless it is called urgent.
func TestJudgedClass(t *testing.T) {
	for want, classes := range map[Want][3]Class{WantAuto: {Urgent, Bulk, Background}, WantUrgent: {Urgent, Urgent, Urgent}, WantBulk: {Bulk, Bulk, Background}} {
		for i, dscp := range []uint8{dscpEF, 0, dscpCS1} {
			b := newBench(t, Params{Seed: 5})
			b.q.SetJudge(func(Info) Verdict { return Verdict{Class: want} })
			s := shape{host: 1, src: 4000, dst: 443, size: 200, tos: dscp << 2}
			b.put(s, urgentFirst+1)
			info, _ := ParseIP(s.build())
			if got := b.q.Lookup(b.q.KeyOf(&info)).Tail(); got != classes[i] {
				t.Errorf("want %d, DSCP %d: %v, not %v", want, dscp, got, classes[i])
			}
			b.drain()
		}
	}
}

// Flows of a way of their own are held to what is said of that, until it is forgotten, and dropped are only those packets that came before.
func TestWayBounds(t *testing.T) {
	b := newBench(t, Params{Seed: 5, Profile: Latency})
	way := Way{Links: 2, Own: true, Profile: Throughput}
	b.q.SetJudge(func(Info) Verdict { return Verdict{Way: way} })
	s := shape{host: 1, src: 4000, dst: 443, size: 200}
	b.put(s, 2)
	info, _ := ParseIP(s.build())
	f := b.q.Lookup(b.q.KeyOf(&info))
	usual := b.q.boundsOf(f)
	for range 2 {
		b.q.SetWayRTT(way, 200*time.Millisecond, 400*time.Millisecond, 0)
	}
	single := b.q.boundsOf(f)
	f.Binding.HasLane = true
	if spread := b.q.boundsOf(f); usual.target > 5*time.Millisecond || single.target != 100*time.Millisecond || spread.interval <= single.interval || len(b.q.ways) != 1 {
		t.Errorf("%v, %v, %v", usual, single, spread)
	}
	f.Binding.HasLane = false
	b.q.ForgetWay(way)
	if got := b.q.boundsOf(f); got != usual {
		t.Errorf("%v after all", got)
	}
	came := b.now
	b.now = b.now.Add(time.Second)
	b.put(s, 1)
	if b.q.Drop(f, came.Add(1)); b.q.Counts().DroppedNoWay != 2 || f.packets != 1 {
		t.Errorf("%+v, %d packets", b.q.Counts(), f.packets)
	}
	b.q.Full = func(_ mono.Time, w Way) bool { return w != way }
	b.drain()
}
