package main

import (
	"errors"
	"fmt"
	"time"

	"mpproxy/hack/bench/chart"
	"mpproxy/hack/lab"
	"mpproxy/src/engine/mono"
	"mpproxy/src/linksim"
)

// Links and lengths of the criteria, and what is asked for.
const (
	criteriaLinks  = "20M/10ms,20M/25ms"
	eventAfter     = 4 * time.Second // of a flow: it has settled
	leastLeft      = 0.85            // of the link that is left, or of the sum that should be there
	leastGain      = 1.8             // two equal links over one
	leastFour      = 1.25            // four links over three (4/3)
	mostFall       = 1.0             // s
	mostRise       = 8.0             // s, with one cubic flow
	mostReserve    = 0.02            // of the bytes, on a link with a higher metric
	leastBoth      = 0.3             // of the bytes, on either of two like links
	eventTolerance = 0.1             // of a new sum
)

// survives cuts a link under a download, over two links and, as control, over one.
func (b *bench) survives() (f finding, err error) {
	var left [2]float64
	for i, links := range []string{criteriaLinks, "20M/10ms"} {
		err := b.withPortals(linksOf(links), 0, func(l *lab.Lab) error {
			length := eventAfter + b.duration
			load, err := l.StartBulk(lab.Down, length)
			if err != nil {
				return err
			}
			time.Sleep(eventAfter)
			cut := lab.Now()
			l.Links[0].Cut(lab.Up, lab.Down)
			_ = load.Wait() // the control's may break
			left[i] = load.Rate(cut.Add(time.Second), load.Started.Add(length)) / sum(linksOf(criteriaLinks)[1:], tunnelShare)
			return nil
		})
		if err != nil {
			return f, err
		}
	}
	return finding{fmt.Sprintf("%.2f of the link that is left", left[0]), fmt.Sprintf("with one link: %.2f", left[1]), fmt.Sprintf(">= %.2f", leastLeft),
		left[0] >= leastLeft && left[1] < 0.05}, nil
}

func (b *bench) bothDirections() (f finding, err error) {
	links := linksOf(criteriaLinks)
	var gain [2]float64
	err = b.withPortals(links, 0, func(l *lab.Lab) error {
		for i, way := range ways {
			o, err := b.run(l, b.flowOf(inners[0], way), 1)
			if err != nil {
				return err
			}
			gain[i] = o.Rate / better(links, tunnelShare)
		}
		return nil
	})
	return finding{fmt.Sprintf("down %s, up %s of one link's ceiling", times(gain[0]), times(gain[1])), "one link: at most 1 x", ">= " + times(leastGain),
		gain[0] >= leastGain && gain[1] >= leastGain}, err
}

// gain compares one flow over all links with one over the first few.
func (b *bench) gain(links string, few int, least float64) (f finding, err error) {
	o := lab.Options{Links: linksOf(links)}
	all, err := b.rateOver(o, len(o.Links), lab.Down)
	if err != nil {
		return f, err
	}
	some, err := b.rateOver(o, few, lab.Down)
	return finding{mbit(all) + " Mbit/s = " + times(all/max(some, 1)), fmt.Sprintf("%d of them: %s Mbit/s", few, mbit(some)), ">= " + times(least), all >= least*some}, err
}

func (b *bench) twoOverOne() (finding, error) { return b.gain("20M/20ms,20M/20ms", 1, leastGain) }

func (b *bench) fourOverThree() (finding, error) {
	return b.gain("15M/20ms,15M/20ms,15M/20ms,15M/20ms", 3, leastFour)
}

// unequal compares with twice what the smaller link carries alone.
func (b *bench) unequal() (f finding, err error) {
	both, err := b.rateOver(lab.Options{Links: linksOf("12M/20ms,40M/20ms")}, 2, lab.Down)
	if err != nil {
		return f, err
	}
	small, err := b.rateOver(lab.Options{Links: linksOf("12M/20ms,40M/20ms")}, 1, lab.Down)
	return finding{mbit(both) + " Mbit/s", "the smaller alone: " + mbit(small) + " Mbit/s", "> " + mbit(2*small) + " Mbit/s", both > 2*small}, err
}

// settled returns how many seconds after from a flow's rate came within tolerance of a target and stayed there for half a second;
// notMeasured if never.
func settled(rates []float64, from time.Duration, least, most float64) float64 {
	const window = 5
	for i := int(from / samplePeriod); i+window <= len(rates); i++ {
		mean := 0.0
		for _, r := range rates[i : i+window] {
			mean += r / window
		}
		if mean >= least && mean <= most {
			return max(0, time.Duration(i)*samplePeriod-from).Seconds()
		}
	}
	return notMeasured
}

// followsRate makes one link slow under a download, and fast again; the control is TCP over one plain link of the same sums.
func (b *bench) followsRate() (f finding, err error) {
	links := linksOf(criteriaLinks)
	slow := links[0]
	slow.Rate /= 4
	one := joint(links)
	less := one
	less.Rate = slow.Rate + links[1].Rate
	var ours, plain change
	err = b.withPortals(links, 0, func(l *lab.Lab) error {
		ours, err = b.follow(l, slow, sum(links, tunnelShare), sum([]linksim.Params{slow, links[1]}, tunnelShare), "a link's rate falls and rises")
		return err
	})
	if err != nil {
		return f, err
	}
	l, err := lab.New(lab.Options{Links: []linksim.Params{one}, Seed: 1})
	if err != nil {
		return f, err
	}
	plain, err = b.follow(l, less, sum([]linksim.Params{one}, plainShare), sum([]linksim.Params{less}, plainShare), "a plain link's rate falls and rises")
	return finding{ours.String(), "one plain link of the sums: " + plain.String(), fmt.Sprintf("<= %.0f s down, %.0f s up", mostFall, mostRise),
		within(ours.fall, mostFall) && within(ours.rise, mostRise)}, errors.Join(err, l.Close())
}

// change is how a flow followed a fall and a rise: seconds until it was within tolerance for half a second, and what it had in the
// last second of each phase, of what it could have.
type change struct{ fall, rise, low, high float64 }

func (c change) String() string {
	return fmt.Sprintf("at the new sum after %s s down (then %.2f of it), %s s up (%.2f)", orNever(c.fall), c.low, orNever(c.rise), c.high)
}

// follow changes the lab's first link under a download and back.
func (b *bench) follow(l *lab.Lab, slow linksim.Params, full, less float64, name string) (c change, err error) {
	load, err := l.StartBulk(lab.Down, 2*eventAfter+10*time.Second)
	if err != nil {
		return c, err
	}
	fast := l.Links[0].Params(lab.Down)
	set := func(p linksim.Params) time.Duration {
		for _, way := range ways {
			l.Links[0].Set(way, p)
		}
		return lab.Now().Sub(load.Started)
	}
	time.Sleep(eventAfter)
	down := set(slow)
	time.Sleep(eventAfter)
	up := set(fast)
	if err := load.Wait(); err != nil {
		return c, err
	}
	rates := load.Rates()
	if err := b.drawEvent(name, rates, full); err != nil {
		return c, err
	}
	before := rates[:min(len(rates), int(up/samplePeriod))]
	return change{
		fall: settled(before, down, (1-eventTolerance)*less, (1+eventTolerance)*less),
		rise: settled(rates, up, (1-eventTolerance)*full, 2*full),
		low:  mean(last(before, time.Second)) / less,
		high: mean(last(rates, time.Second)) / full,
	}, nil
}

// last are the samples of the last part of a flow.
func last(rates []float64, length time.Duration) []float64 {
	return rates[max(0, len(rates)-int(length/samplePeriod)):]
}

// mean is the average; 0 of nothing.
func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}

// drawEvent draws a flow that something happened to.
func (b *bench) drawEvent(what string, rates []float64, full float64) error {
	axes := chart.Axes{Title: what + ", under one flow down", X: "s", Y: "Mbit/s", Marks: []chart.Mark{{Name: "sum", Y: full / 1e6}}}
	return b.save("criteria/"+fileName(what)+".svg", chart.Lines(axes, chart.Even("flow", samplePeriod.Seconds(), millions(rates))))
}

func within(v, most float64) bool { return v != notMeasured && v <= most }

func orNever(v float64) string {
	if v == notMeasured {
		return "never"
	}
	return fmt.Sprintf("%.1f", v)
}

// regains cuts a link for three seconds.
func (b *bench) regains() (f finding, err error) {
	links := linksOf(criteriaLinks)
	var back float64
	var carried uint64
	err = b.withPortals(links, 0, func(l *lab.Lab) error {
		load, err := l.StartBulk(lab.Down, eventAfter+13*time.Second)
		if err != nil {
			return err
		}
		time.Sleep(eventAfter)
		l.Links[0].Cut(lab.Up, lab.Down)
		time.Sleep(3 * time.Second)
		l.Links[0].Restore()
		at := lab.Now().Sub(load.Started)
		before := l.Links[0].Stats(lab.Down).DeliveredBytes
		if err := load.Wait(); err != nil {
			return err
		}
		if err := b.drawEvent("a link is lost for three seconds", load.Rates(), sum(links, tunnelShare)); err != nil {
			return err
		}
		carried = l.Links[0].Stats(lab.Down).DeliveredBytes - before
		back = settled(load.Rates(), at, (1-eventTolerance)*sum(links, tunnelShare), 2*sum(links, tunnelShare))
		return nil
	})
	return finding{fmt.Sprintf("at the sum after %s s", orNever(back)), fmt.Sprintf("the link carried %.0f MB since", float64(carried)/1e6),
		fmt.Sprintf("<= %.0f s", mostRise), within(back, mostRise)}, err
}

// metrics looks at who carries what, with metrics and, as control, without.
func (b *bench) metrics() (f finding, err error) {
	var reserve, alike, left float64
	for _, metric := range []string{"10", "0"} {
		o := lab.Options{Links: linksOf(criteriaLinks), LinkOptions: map[string][]string{"link2": {"option metric '" + metric + "'"}}}
		err := b.withLab(b.with(o), func(l *lab.Lab) error {
			load, err := l.StartBulk(lab.Down, eventAfter+b.duration)
			if err != nil {
				return err
			}
			time.Sleep(eventAfter)
			first, second := float64(l.Links[0].Stats(lab.Down).DeliveredBytes), float64(l.Links[1].Stats(lab.Down).DeliveredBytes)
			if metric == "0" {
				alike = second / max(first+second, 1)
				return load.Wait()
			}
			reserve = second / max(first+second, 1)
			l.Links[0].Cut(lab.Up, lab.Down)
			cut := lab.Now()
			if err := load.Wait(); err != nil {
				return err
			}
			left = load.Rate(cut.Add(time.Second), mono.Never) / sum(linksOf(criteriaLinks)[1:], tunnelShare)
			return nil
		})
		if err != nil {
			return f, errors.Join(err)
		}
	}
	return finding{fmt.Sprintf("%.1f %% on it; then %.2f of it", 100*reserve, left), fmt.Sprintf("equal metrics: %.0f %% on it", 100*alike),
		fmt.Sprintf("<= %.0f %%; then >= %.2f", 100*mostReserve, leastLeft), reserve <= mostReserve && left >= leastLeft && alike >= leastBoth}, nil
}
