package enginetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/linksim"
)

// spaceSpan is for how long a cell's links are described: longer than it runs. settleTrips of the longest round trips are what a
// flow needs to find its rate, beside the usual.
const (
	spaceSpan   = settleFor + settleTrips*600*time.Millisecond + measureFor + 5*time.Second
	settleTrips = 10
)

// handoverEvery is how often cellular and satellite links are silent for a moment (Starlink changes satellites on a grid of 15 s).
const handoverEvery = 15 * time.Second

// Space returns n cells drawn from all that links may be: 1 to 4 links, the greatest of 1 to most Mbit/s, the others down to a
// twentieth of it, round trips of 5 to 600 ms, jitter up to 25 ms that keeps the order or does not, random and burst loss up to
// 5 %, policers, queues of 10 to 1000 ms, changes of rate, and traces like those of LTE and Starlink. The same seed gives the same
// cells.
func Space(seed uint64, n int, most float64) []Cell {
	rng := rand.New(rand.NewPCG(seed, 15))
	var cells []Cell
	for i := range n {
		c := Cell{Target: 0.94, Floor: 0.98}
		first := math.Exp(rng.Float64() * math.Log(most))
		var words []string
		least, greatest := time.Hour, time.Duration(0)
		for link := range 1 + rng.IntN(4) {
			rate := first
			if link > 0 {
				rate = max(first/math.Exp(rng.Float64()*math.Log(20)), 0.2)
			}
			p, word := draw(rng, rate)
			least, greatest = min(least, 2*p.Delay), max(greatest, 2*p.Delay)
			c.Links = append(c.Links, Same(p))
			words = append(words, word)
		}
		if greatest-least > 150*time.Millisecond {
			c.Target = 0
		}
		c.Settle = (settleFor + settleTrips*greatest).Round(100 * time.Millisecond)
		c.Name = fmt.Sprintf("%d: %s", i, strings.Join(words, " + "))
		cells = append(cells, c)
	}
	return cells
}

// draw draws one link of so many Mbit/s, and says in short what it is.
func draw(rng *rand.Rand, mbit float64) (p linksim.Params, word string) {
	rtt := 5 * math.Exp(rng.Float64()*math.Log(120))
	queue := 10 * math.Exp(rng.Float64()*math.Log(100))
	p = linksim.Params{
		Rate: int64(mbit * 1e6), Delay: time.Duration(rtt / 2 * 1e6), Queue: time.Duration(queue * 1e6),
	}
	word = fmt.Sprintf("%.3gM %.0fms q%.0f", mbit, rtt, queue)
	if rng.IntN(3) == 0 {
		// The one-way delay cannot vary by more than itself.
		p.Jitter, p.Reorder = min(time.Duration(rng.Float64()*25e6), p.Delay), rng.IntN(2) == 0
		word += fmt.Sprintf(" j%d", p.Jitter.Milliseconds())
		if p.Reorder {
			word += "r"
		}
	}
	switch rng.IntN(8) {
	case 0, 1:
		p.Loss = 0.0005 * math.Exp(rng.Float64()*math.Log(100))
		word += fmt.Sprintf(" l%.2g%%", p.Loss*100)
	case 2:
		p.Burst = linksim.BurstLoss{ToGood: 0.05 + rng.Float64()*0.4, Loss: 0.5}
		p.Burst.ToBad = p.Burst.ToGood * rng.Float64() * 0.1
		word += fmt.Sprintf(" b%.2g%%", meanLoss(p)*100)
	case 3:
		p.Policer = linksim.Policer{Rate: int64(mbit * 1e6 * (0.3 + 0.6*rng.Float64())), Burst: 15000 + int(mbit*1e6/8*0.05)}
		word += fmt.Sprintf(" pol%.3g", float64(p.Policer.Rate)/1e6)
	case 4:
		at := start.Add(settleFor + time.Duration(rng.Float64()*8e9))
		p.Rates = []linksim.RateStep{{At: at, Rate: int64(mbit * 1e6 * (0.3 + 1.4*rng.Float64()))}}
		word += fmt.Sprintf(" >%.3g", float64(p.Rates[0].Rate)/1e6)
	case 5:
		lte(rng, &p)
		word += " lte"
	case 6:
		starlink(rng, &p)
		word += " sky"
	}
	return p, word
}

// lte makes a link's rate wander as that of a cell shared with others, every 200 ms, with a handover now and then.
func lte(rng *rand.Rand, p *linksim.Params) {
	x := 0.0
	for at := time.Duration(0); at < spaceSpan; at += 200 * time.Millisecond {
		x = 0.92*x + 0.15*rng.NormFloat64()
		p.Rates = append(p.Rates, linksim.RateStep{At: start.Add(at), Rate: int64(float64(p.Rate) * min(max(math.Exp(x), 0.3), 1.8))})
	}
	gaps(rng, p, 40*time.Millisecond, 120*time.Millisecond)
}

// starlink gives a link another rate and a gap every 15 s, and a little wandering in between.
func starlink(rng *rand.Rand, p *linksim.Params) {
	phase, level := gaps(rng, p, 80*time.Millisecond, 250*time.Millisecond), 1.0
	for at := time.Duration(0); at < spaceSpan; at += time.Second {
		if (at-phase)%handoverEvery < time.Second {
			level = 0.6 + 0.8*rng.Float64()
		}
		p.Rates = append(p.Rates, linksim.RateStep{At: start.Add(at), Rate: int64(float64(p.Rate) * level * (0.9 + 0.2*rng.Float64()))})
	}
}

// gaps makes a link silent every 15 s, from a phase drawn, for least to most.
func gaps(rng *rand.Rand, p *linksim.Params, least, most time.Duration) (phase time.Duration) {
	phase = time.Duration(rng.Int64N(int64(handoverEvery)))
	for at := phase; at < spaceSpan; at += handoverEvery {
		long := least + time.Duration(rng.Int64N(int64(most-least)))
		p.Outages = append(p.Outages, linksim.Window{From: start.Add(at), To: start.Add(at + long)})
	}
	return phase
}

// meanLoss is the share of packets that a link loses by chance.
func meanLoss(p linksim.Params) float64 {
	burst := 0.0
	if b := p.Burst; b.ToBad > 0 {
		burst = b.Loss * b.ToBad / (b.ToBad + b.ToGood)
	}
	return 1 - (1-p.Loss)*(1-burst)
}

// Alone is the cell with only the best of its links: what any use of several is to be held against.
func (c Cell) Alone(down bool) Cell {
	best, most := c.Links[0], 0.0
	for _, l := range c.Links {
		p := l.Up
		if down {
			p = l.Down
		}
		if got := Capacity(p, max(c.Settle, settleFor), max(c.Measure, measureFor)); got > most {
			best, most = l, got
		}
	}
	c.Links = []Link{best}
	return c
}

// Capacity is the ceiling of a link while a cell is measured, after settle: its rate in the mean, less what is lost.
func Capacity(p linksim.Params, settle, measure time.Duration) float64 {
	const step = 10 * time.Millisecond
	sum := 0.0
	for at := settle; at < settle+measure; at += step {
		sum += rateAt(p, start.Add(at))
	}
	mean := sum / float64(measure/step)
	return Ceiling(int64(mean), meanLoss(p), innerMTU)
}

// rateAt is what a link lets through at some time, in bit/s.
func rateAt(p linksim.Params, at mono.Time) float64 {
	for _, o := range p.Outages {
		if at >= o.From && at < o.To {
			return 0
		}
	}
	rate := p.Rate
	for _, r := range p.Rates {
		if r.At <= at {
			rate = r.Rate
		}
	}
	if p.Policer.Rate > 0 {
		rate = min(rate, p.Policer.Rate)
	}
	return float64(rate)
}
