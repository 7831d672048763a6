package gaps

import (
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

const second = time.Second

// span is a silence: what is sent within it goes badly.
type span struct{ from, long time.Duration }

// spoilt makes a fate of silences.
func spoilt(spans ...span) func(time.Duration) bool {
	return func(at time.Duration) bool {
		return !slices.ContainsFunc(spans, func(s span) bool { return at >= s.from && at < s.from+s.long })
	}
}

// TestGapsBounds: a gap is as long as what is known to be bad, and goes to the next good packet, but no more than two slots further.
func TestGapsBounds(t *testing.T) {
	for name, c := range map[string]struct {
		every  time.Duration
		silent []span
		idle   span // nothing is sent
		want   []span
	}{
		"every slot used":     {10 * ms, []span{{0, 100 * ms}}, span{}, []span{{0, 100 * ms}}},
		"every second":        {20 * ms, []span{{0, 100 * ms}}, span{}, []span{{-10 * ms, 110 * ms}}},
		"every sixth":         {60 * ms, []span{{0, 200 * ms}}, span{}, []span{{-20 * ms, 230 * ms}}},
		"three slots":         {10 * ms, []span{{0, 30 * ms}}, span{}, nil},
		"four":                {10 * ms, []span{{0, 40 * ms}}, span{}, []span{{0, 40 * ms}}},
		"two bad ones in six": {50 * ms, []span{{0, 60 * ms}}, span{}, nil},
		"600 ms":              {10 * ms, []span{{0, 600 * ms}}, span{}, []span{{0, 600 * ms}}},
		"610 ms":              {10 * ms, []span{{0, 610 * ms}}, span{}, nil},
		"idle for 250 ms":     {10 * ms, []span{{0, 400 * ms}}, span{50 * ms, 250 * ms}, []span{{0, 400 * ms}}},
		"idle for 260 ms":     {10 * ms, []span{{0, 400 * ms}}, span{50 * ms, 260 * ms}, []span{{0, 70 * ms}, {290 * ms, 110 * ms}}},
		"idle for ever":       {10 * ms, []span{{0, 50 * ms}}, span{50 * ms, hour}, []span{{0, 70 * ms}}},
		"idle for the ring":   {10 * ms, []span{{0, 50 * ms}, {2560 * ms, 50 * ms}}, span{50 * ms, 2510 * ms}, []span{{0, 70 * ms}, {2540 * ms, 70 * ms}}},
	} {
		var l Learner
		for at := -second / 5 * 3; at < 5*second; at += c.every {
			if at < c.idle.from || at >= c.idle.from+c.idle.long {
				l.Note(mono.Time(hour+at), spoilt(c.silent...)(at))
			}
		}
		l.Note(mono.Time(3*hour), true)
		var got []span
		for _, g := range l.ring[:l.count] {
			got = append(got, span{time.Duration(g.from) - hour, g.to.Sub(g.from)})
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: gaps %v, want %v", name, got, c.want)
		}
	}
}

// pulse is a link with gaps of 100 ms every 15 s, from an hour on, which carries a packet every slot.
type pulse struct {
	Learner
	at time.Duration
}

// regular are the gaps from number one to another, not included.
func regular(from, to int) (list []span) {
	for ; from < to; from++ {
		list = append(list, span{hour + time.Duration(from)*15*second, 100 * ms})
	}
	return list
}

// until goes on to periods after the first gap, and an offset.
func (p *pulse) until(periods int, offset time.Duration, silent ...span) {
	to := hour + time.Duration(periods)*15*second + offset
	feed(&p.Learner, p.at, to, 10*ms, spoilt(silent...))
	p.at = to
}

// learned has seen gaps 0 to 2.
func learned() *pulse {
	p := &pulse{at: hour - second}
	p.until(2, 5*second, regular(0, 3)...)
	return p
}

// TestExpectedFor: a gap is expected a slot before and after it, and then no more.
func TestExpectedFor(t *testing.T) {
	p := learned()
	next := mono.Time(hour + 45*second)
	end := next.Add(110 * ms)
	for at, want := range map[time.Duration]mono.Time{-10*ms - 1: 0, -10 * ms: end, 0: end, 110*ms - 1: end, 110 * ms: 0, -15 * second: 0} {
		if got := p.Until(next.Add(at)); got != want {
			t.Errorf("%v from the gap: silent until %v, want %v", at, got.Sub(next), want.Sub(next))
		}
	}
}

// TestForgottenInTime: three gaps that did not come end a period, as soon as all is known of the third; fewer do not, however often.
func TestForgottenInTime(t *testing.T) {
	const known = 110*ms + longest*slot + judged*slot // after a gap should have begun
	for name, p := range map[string]*pulse{"just learned": learned(), "kept": learned(), "after a pause": learned()} {
		last := 2
		switch name {
		case "after a pause":
			last, p.at = 7, hour+7*15*second-second
			p.until(last, 3*second, regular(last, last+1)...)
		case "kept":
			for last = 5; last < 40; last += 3 { // two are left out, one comes
				if p.until(last, 3*second, regular(last, last+1)...); p.period == 0 {
					t.Fatalf("forgotten before gap %d", last)
				}
			}
			last -= 3
		}
		if p.until(last+3, known-20*ms); p.period != 15*second {
			t.Errorf("%s: period %v after two and a half", name, p.period)
		}
		if p.until(last+3, known+30*ms); p.period != 0 {
			t.Errorf("%s: period %v after three", name, p.period)
		}
	}
}

// TestUnusedIsNotMissed: only a time in which packets were sent shows that a gap did not come.
func TestUnusedIsNotMissed(t *testing.T) {
	for name, c := range map[string]struct {
		every time.Duration // in each gap that should come
		used  int           // of them
		known bool
	}{"one of four": {10 * ms, 1, true}, "two of four": {10 * ms, 2, true}, "all": {10 * ms, 4, false}, "three packets each": {40 * ms, 4, false}, "two packets each": {60 * ms, 4, true}} {
		p := learned()
		for n := 3; n < 7; n++ {
			at := hour + time.Duration(n)*15*second
			if n-3 < c.used {
				feed(&p.Learner, at-10*ms, at+110*ms, c.every, spoilt())
			}
			p.Note(mono.Time(at+7*second), true)
		}
		if known := p.period != 0; known != c.known {
			t.Errorf("%s: known %v", name, known)
		}
	}
}

// TestOthersDoNotCount: gaps between those of a period change nothing, not even if they are a period themselves.
func TestOthersDoNotCount(t *testing.T) {
	p := learned()
	silent := regular(3, 12)
	for at := hour + 36*second; at < hour+170*second; at += 20 * second {
		silent = append(silent, span{at, 200 * ms})
	}
	silent = append(silent, span{hour + 45*second + 200*ms, 50 * ms}) // right after one
	for n := 3; n < 11; n++ {
		for _, at := range []time.Duration{4, 9, 14} {
			p.until(n, at*second, silent...)
			if period, long := p.Period(); period != 15*second || long != 100*ms {
				t.Errorf("gap %d, %d s: period %v, length %v", n, at, period, long)
			}
		}
	}
}

// TestOff is how far gaps may be from where they should.
func TestOff(t *testing.T) {
	for off, same := range map[time.Duration]bool{-90 * ms: false, -80 * ms: true, 80 * ms: true, 90 * ms: false} {
		var l Learner
		gaps := regular(0, 3)
		gaps[2].from += off
		if feed(&l, hour-second, hour+40*second, 10*ms, spoilt(gaps...)); l.period != 0 != same {
			t.Errorf("the third is off by %v: period %v", off, l.period)
		}
		p := learned()
		gap := regular(3, 4)[0]
		gap.from += off
		want := 15 * second
		if same {
			want += off / weight
		}
		if p.until(3, 5*second, gap); p.period != want {
			t.Errorf("the fourth is off by %v: period %v, want %v", off, p.period, want)
		}
	}
}

// TestLengthOfGaps: the longest of those that make a period known, and shorter bit by bit, longer at once.
func TestLengthOfGaps(t *testing.T) {
	for n, lengths := range [][3]time.Duration{{60 * ms, 100 * ms, 200 * ms}, {200 * ms, 100 * ms, 60 * ms}, {100 * ms, 200 * ms, 60 * ms}} {
		p := &pulse{at: hour - second}
		gaps := regular(0, 5)
		for i, long := range lengths {
			gaps[i].long = long
		}
		gaps[3].long, gaps[4].long = 80*ms, 300*ms
		for i, want := range []time.Duration{200 * ms, 175 * ms, 300 * ms} {
			p.until(i+2, 5*second, gaps...)
			if _, long := p.Period(); long != want {
				t.Errorf("row %d, gap %d: length %v, want %v", n, i+2, long, want)
			}
		}
	}
}
