package path

import "testing"

// A path that is held carries probes only, and those often; it is usable all the same, and its silence counts from the end.
func TestHold(t *testing.T) {
	for _, metered := range []bool{false, true} {
		r := newRig(t).up()
		r.Metered = metered
		r.Refill(r.now)
		want(t, "not held", r.Open() && r.CanSend() && r.CanUrge(), true)
		until := r.now.Add(150 * ms)
		r.Hold(until)
		want(t, "held", r.Usable() && !r.Open() && !r.CanSend() && !r.CanUrge(), true)
		probes, began := 0, r.now
		for r.now < until {
			if r.Probe(r.now, r.now) {
				r.send(1)
				probes++
			}
			if r.Check(r.now, r.now) {
				t.Fatalf("metered %v: suspect after %v", metered, r.now.Sub(began))
			}
			r.now = r.now.Add(ms)
		}
		if least, most := 14, 16; !metered && (probes < least || probes > most) || metered && probes > 1 {
			t.Errorf("metered %v: %d probes in 150 ms", metered, probes)
		}
		r.Hold(0)
		want(t, "no longer held", r.Open(), true)
		r.send(2)
		if after, _ := r.silent(1000 * ms); r.State() != Suspect || after < 40*ms || after > 250*ms {
			t.Errorf("metered %v: %v %v after the end", metered, r.State(), after)
		}
	}
}

// Gaps learns from what is acknowledged, late, lost or given up.
func TestFatesAreNoted(t *testing.T) {
	r := newRig(t).up()
	for range 4 {
		for range 120 { // 4.8 s
			r.trip()
		}
		r.send(1)
		for range 12 { // 120 ms in which all is lost
			r.now = r.now.Add(10 * ms)
			r.send(1)
		}
		if r.Abandon(r.now).LostBytes == 0 {
			t.Fatal("nothing was given up")
		}
		r.now = r.now.Add(200 * ms)
	}
	for range 60 {
		r.trip()
	}
	if period, long := r.Gaps.Period(); period < 5000*ms || period > 5300*ms || long < 100*ms || long > 180*ms {
		t.Errorf("period %v of %v", period, long)
	}
}
