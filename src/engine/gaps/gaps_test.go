package gaps

import (
	"math/rand/v2"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

const ms = time.Millisecond

// feed notes a packet every so often from one time to another; fate says
// whether it goes well.
func feed(l *Learner, from, to, every time.Duration, fate func(at time.Duration) bool) {
	for at := from; at < to; at += every {
		l.Note(mono.Time(at), fate(at))
	}
}

// gapsEvery makes fates of gaps of some length at first, first + period, ...
func gapsEvery(first, period, long time.Duration) func(time.Duration) bool {
	return func(at time.Duration) bool { return at < first || (at-first)%period >= long }
}

const hour = time.Hour

// covered is the share of [from, to) in which a silence is expected.
func covered(l *Learner, from, to time.Duration) float64 {
	soon := 0
	for at := from; at < to; at += ms {
		if l.Until(mono.Time(at)) != 0 {
			soon++
		}
	}
	return float64(soon) / float64((to-from)/ms)
}

// Three gaps make the fourth known, be the path busy or with a call only, and whatever period and length.
func TestThreeGapsAreAPeriod(t *testing.T) {
	for _, every := range []time.Duration{200 * time.Microsecond, 5 * ms, 20 * ms} {
		for _, period := range []time.Duration{6 * time.Second, 15 * time.Second, 15111 * ms, 60 * time.Second} {
			for _, long := range []time.Duration{70 * ms, 130 * ms, 300 * ms} {
				var l Learner
				first := hour + 3333*ms
				feed(&l, hour, first+2*period, every, gapsEvery(first, period, long))
				if l.Until(mono.Time(first+2*period)) != 0 {
					t.Errorf("%v %v %v: known after two", every, period, long)
				}
				feed(&l, first+2*period, first+3*period-100*ms, every, gapsEvery(first, period, long))
				next := first + 3*period
				if got, all := l.Period(); (got-period).Abs() > 25*ms || (all-long).Abs() > 40*ms {
					t.Errorf("every %v: period %v for %v, length %v for %v", every, got, period, all, long)
				}
				if c := covered(&l, next, next+long); c < 1 {
					t.Errorf("every %v, period %v, length %v: %.2f of the next is covered", every, period, long, c)
				}
				if c := covered(&l, next-period/2, next+period/2); c > float64(long+140*ms)/float64(period) {
					t.Errorf("every %v, period %v, length %v: %.3f of the time counts as close", every, period, long, c)
				}
			}
		}
	}
}

// What a period is, follows what comes: another phase bit by bit, and gaps that vary in length.
func TestPeriodFollows(t *testing.T) {
	var l Learner
	rng := rand.New(rand.NewPCG(1, 2))
	at, hit := hour, 0
	for n := range 40 {
		long := 60*ms + time.Duration(rng.Int64N(int64(100*ms)))
		next := at + 15003*ms + time.Duration(rng.Int64N(int64(30*ms)))
		if c := covered(&l, at, at+long); c >= 1 {
			hit++
		} else if n > 4 && c < 0.5 {
			t.Errorf("gap %d: %.2f covered", n, c)
		}
		feed(&l, at, next, 20*ms, gapsEvery(at, hour, long))
		at = next
	}
	if hit < 20 {
		t.Errorf("%d of 40 covered", hit)
	}
}

// Losses by chance, single late packets, outages and gaps without a period are none.
func TestNoPeriod(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var at []time.Duration
	for next := hour; next < 2*hour; next += time.Duration(rng.ExpFloat64() * float64(20*time.Second)) {
		at = append(at, next)
	}
	irregular := func(now time.Duration) bool {
		for len(at) > 0 && now > at[0]+100*ms {
			at = at[1:]
		}
		return len(at) == 0 || now < at[0]
	}
	for name, fate := range map[string]func(time.Duration) bool{
		"loss":    func(time.Duration) bool { return rng.Float64() > 0.05 },
		"two":     gapsEvery(hour, 15*time.Second, 25*ms),
		"outages": gapsEvery(hour, 15*time.Second, 800*ms),
		"often":   gapsEvery(hour, time.Second, 100*ms),
		"seldom":  gapsEvery(hour, 90*time.Second, 100*ms),
	} {
		var l Learner
		for from := hour; from < 2*hour; from += time.Minute {
			feed(&l, from, from+time.Minute, 20*ms, fate)
			if p, _ := l.Period(); p != 0 {
				t.Errorf("%s: a period of %v", name, p)
				break
			}
		}
	}
	offsets := [...]time.Duration{0, 400 * ms, 0, 0, 300 * ms} // no three of which are as far from each other
	wander := func(now time.Duration) bool {
		n := int((now - hour) / (15 * time.Second))
		at := now - hour - time.Duration(n)*15*time.Second - time.Second - offsets[n%len(offsets)]
		return at < 0 || at >= 100*ms
	}
	for name, c := range map[string]struct {
		every time.Duration
		fate  func(time.Duration) bool
	}{
		"two packets": {40 * ms, gapsEvery(hour, 15*time.Second, 70*ms)},
		"30 ms":       {time.Millisecond, gapsEvery(hour, 15*time.Second, 30*ms)},
		"wandering":   {20 * ms, wander},
	} {
		var l Learner
		if feed(&l, hour, hour+75*time.Second, c.every, c.fate); l.period != 0 {
			t.Errorf("%s: a period of %v", name, l.period)
		}
	}
	var l Learner
	close, looks := 0, 0
	for from := hour; from < 2*hour; from += time.Second {
		feed(&l, from, from+time.Second, 20*ms, irregular)
		if looks++; l.Until(mono.Time(from)) != 0 {
			close++
		}
	}
	if close*20 > looks {
		t.Errorf("gaps without a period: close %d of %d times", close, looks)
	}
}

// A period whose gaps do not come is forgotten after three, one of which nothing is seen after ten.
func TestPeriodEnds(t *testing.T) {
	const period = 15 * time.Second
	learned := func() *Learner {
		var l Learner
		feed(&l, hour, hour+2*period+5*time.Second, 20*ms, gapsEvery(hour+time.Second, period, 100*ms))
		if p, _ := l.Period(); p == 0 {
			t.Fatal("not learned")
		}
		return &l
	}
	well := func(time.Duration) bool { return true }
	for _, c := range []struct {
		every   time.Duration
		periods int
		known   bool
	}{{20 * ms, 2, true}, {20 * ms, 4, false}, {4 * time.Second, 6, true}, {4 * time.Second, 13, false}} {
		l := learned()
		from := hour + 2*period + 5*time.Second
		feed(l, from, from+time.Duration(c.periods)*period, c.every, well)
		if p, _ := l.Period(); (p != 0) != c.known {
			t.Errorf("a packet every %v for %d periods: period %v", c.every, c.periods, p)
		}
	}
	// Unseen ones in between do no harm.
	l := learned()
	at := hour + 7*period + time.Second
	feed(l, at-2*time.Second, at+5*time.Second, 20*ms, gapsEvery(at, period, 100*ms))
	if c := covered(l, at+period, at+period+100*ms); c < 1 {
		t.Errorf("after five unseen %.2f of the next covered", c)
	}
}

// Fates come late, in any order, and after any pause.
func TestOrderDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	fate := gapsEvery(hour+time.Second, 15*time.Second, 100*ms)
	var straight, mixed Learner
	var batch []time.Duration
	for at := hour; at < hour+50*time.Second; at += 10 * ms {
		straight.Note(mono.Time(at), fate(at))
		if batch = append(batch, at); len(batch) == 60 {
			rng.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
			for _, b := range batch {
				mixed.Note(mono.Time(b), fate(b))
			}
			batch = batch[:0]
		}
	}
	one, long := straight.Period()
	other, all := mixed.Period()
	if one == 0 || one != other || long != all {
		t.Errorf("period %v of %v, mixed %v of %v", one, long, other, all)
	}
	mixed.Note(mono.Time(100*hour), true)
	mixed.Note(mono.Time(hour), false) // far too late
	mixed.Note(mono.Time(1000*hour), true)
	if p, _ := mixed.Period(); p != 0 {
		t.Errorf("period %v after weeks", p)
	}
	if n := testing.AllocsPerRun(1000, func() { straight.Note(mono.Time(hour+50*time.Second), true) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
