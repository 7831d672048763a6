package flowq

import "testing"

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
