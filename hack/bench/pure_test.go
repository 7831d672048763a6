package main

import (
	"encoding/csv"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

func TestCells(t *testing.T) {
	all, err := cellsOf(nil)
	if err != nil || len(all) != 23 {
		t.Fatalf("%d cells, %v; want 16 profiles and 7 with jitter a second time", len(all), err)
	}
	apart := 0
	for _, c := range all {
		reorder := c.links[0].Reorder || c.links[1].Reorder
		if strings.HasSuffix(c.name, "_reorder") != reorder {
			t.Errorf("%s: reorder %v", c.name, reorder)
		}
		if c.apart {
			apart++
		}
		if n := len(describe(c.links)); n < 15 {
			t.Errorf("%s: %q", c.name, describe(c.links))
		}
	}
	if apart != 3 {
		t.Errorf("%d cells are far apart, want rtt_320 and both of lte_geo", apart)
	}
	for chosen, want := range map[string]int{"rtt_120": 1, "jit_5": 2, "jit_5_reorder": 1} {
		if cells, err := cellsOf([]string{chosen}); err != nil || len(cells) != want {
			t.Errorf("%s: %d cells, %v", chosen, len(cells), err)
		}
	}
	if _, err := cellsOf([]string{"rtt_12"}); err == nil || !strings.Contains(err.Error(), "rtt_120") {
		t.Errorf("an unknown profile: %v", err)
	}
}

func TestCeilings(t *testing.T) {
	links, err := linksim.ParseLinks("40M/30ms/0.5%,25M/45ms/0.5%")
	if err != nil {
		t.Fatal(err)
	}
	if got := sum(links, tunnelShare) / 1e6; math.Abs(got-59.5) > 0.01 {
		t.Errorf("sum %v", got)
	}
	if got := better(links, tunnelShare) / 1e6; math.Abs(got-36.616) > 0.01 {
		t.Errorf("better %v", got)
	}
	if one := joint(links); one.Rate != 65e6 || one.Delay != 15*time.Millisecond || one.Loss != 0 {
		t.Errorf("control %+v", one)
	}
}

// TestJudgeWay: a flow is missed below the floor or below its share of the sum; what the machine cannot do is not asked; far apart
// only the floor counts.
func TestJudgeWay(t *testing.T) {
	c := cell{name: "x", links: linksOf("50M/20ms,50M/20ms")}
	full := 100e6 * plainShare
	for _, v := range []struct {
		name    string
		rates   [3]float64
		control float64
		apart   bool
		want    string
	}{
		{"all well", [3]float64{90e6, 88e6, 87e6}, full, false, ""},
		{"one below the sum", [3]float64{90e6, 60e6, 87e6}, full, false, "bbr sum 0.65"},
		{"below the better link", [3]float64{90e6, 90e6, 40e6}, full, false, "QUIC better link 0.87, QUIC sum 0.43"},
		{"the machine is too slow", [3]float64{80e6, 80e6, 80e6}, 0.9 * full, false, ""},
		{"far apart", [3]float64{50e6, 46e6, 46e6}, full, true, ""},
		{"no control", [3]float64{50e6, 92e6, 92e6}, notMeasured, false, "cubic sum 0.54"},
	} {
		b := bench{flows: results{}}
		c.apart = v.apart
		for i, kind := range inners {
			b.flows.take(oursName, c.links, lab.Down, kind, outcome{Rate: v.rates[i]})
			if v.control != notMeasured {
				b.flows.take(plainName, []linksim.Params{joint(c.links)}, lab.Down, kind, outcome{Rate: v.control})
			}
		}
		if got := b.judgeWay(c, lab.Down); got != v.want {
			t.Errorf("%s: %q, want %q", v.name, got, v.want)
		}
		if len(b.rows) != 6 {
			t.Errorf("%s: %d rows", v.name, len(b.rows))
		}
	}
}

func TestMediansOfRuns(t *testing.T) {
	r := results{}
	links := linksOf("1M/1ms")
	for _, v := range []float64{3, 1, 2} {
		r.take("a", links, lab.Up, inners[1], outcome{Rate: v, Reached: notMeasured})
	}
	if got := r.each("a", links, lab.Up, rateOf); !slices.Equal(got, []float64{notMeasured, 2, notMeasured}) {
		t.Errorf("%v", got)
	}
	if got := triple(r.each("a", links, lab.Up, reachedOf), nil, seconds); got != "- / never / -" {
		t.Errorf("%q", got)
	}
	if got := triple(over([]float64{46e6, notMeasured}, 92e6), []string{busyMark, busyMark}, share); got != "0.50† / -" {
		t.Errorf("%q", got)
	}
	// A run on a busy machine counts only where there is no other.
	busy := burden{Late: time.Second}
	r.take("a", links, lab.Up, inners[1], outcome{Rate: 100, Burden: busy})
	r.take("a", links, lab.Up, inners[0], outcome{Rate: 100, Burden: busy})
	if got := r.each("a", links, lab.Up, rateOf); !slices.Equal(got, []float64{100, 2, notMeasured}) {
		t.Errorf("%v", got)
	}
	if got := r.marks("a", links, lab.Up); !slices.Equal(got, []string{busyMark, "", ""}) {
		t.Errorf("%q", got)
	}
}

// TestOfAlone: the better link is the one that gives more to that kind of flow, and is scaled to what a tunnel leaves.
func TestOfAlone(t *testing.T) {
	c := cell{name: "x", links: linksOf("50M/20ms,40M/20ms")}
	b := bench{flows: results{}}
	for i, rate := range []float64{10e6 * plainShare, 30e6 * plainShare} {
		b.flows.take(plainName, c.links[i:i+1], lab.Down, inners[0], outcome{Rate: rate})
	}
	got := b.alone(c, lab.Down)
	if math.Abs(got[0]-30e6*tunnelShare) > 1 || got[1] != notMeasured {
		t.Errorf("%v", got)
	}
	if r := ratios([]float64{60e6 * tunnelShare, 1, notMeasured}, got); math.Abs(r[0]-2) > 1e-9 || r[1] != notMeasured || r[2] != notMeasured {
		t.Errorf("%v", r)
	}
}

func TestTable(t *testing.T) {
	tab := table{name: "x", title: "a title", note: "a note", columns: []string{"one", "two"}, plots: []string{"p.svg"}}
	tab.add("1", "2 / 3")
	tab.add("größer", "a, \"b\"")
	if md := tab.markdown(); !strings.Contains(md, "| one | two |\n|---|---|\n| 1 | 2 / 3 |\n") || !strings.Contains(md, "![p.svg](p.svg)") {
		t.Error(md)
	}
	if text := tab.text(); !strings.Contains(text, "  one    two\n  1      2 / 3\n  größer a,") {
		t.Error(text)
	}
	rows, err := csv.NewReader(strings.NewReader(tab.csv())).ReadAll()
	if err != nil || len(rows) != 3 || rows[2][1] != `a, "b"` {
		t.Errorf("%v %q", err, rows)
	}
}

func TestQuantile(t *testing.T) {
	v := []float64{5, 1, 4, 2, 3, 10, 9, 8, 7, 6}
	if quantile(v, 0.5) != 6 || quantile(v, 0.95) != 10 || quantile(v, 0) != 1 || quantile(nil, 0.5) != 0 {
		t.Errorf("%v %v %v", quantile(v, 0.5), quantile(v, 0.95), quantile(v, 0))
	}
}

func TestNumbersForPeople(t *testing.T) {
	for bits, want := range map[float64]string{0: "0.0", 9.94e6: "9.9", 9.96e6: "10", 276.4e6: "276"} {
		if got := mbit(bits); got != want {
			t.Errorf("%v: %q", bits, got)
		}
	}
	if times(2) != "2 x" || times(1.833) != "1.83 x" {
		t.Errorf("%q %q", times(2), times(1.833))
	}
	if got := fileName("20M/40ms/q1s down, 0.5%"); strings.ContainsAny(got, "/ %,") {
		t.Errorf("%q", got)
	}
}

func TestSettled(t *testing.T) {
	var rates []float64
	for i := range 60 { // 40 for 2 s, then 0.3 s of nothing, then 25
		switch {
		case i < 20:
			rates = append(rates, 40)
		case i < 23:
			rates = append(rates, 0)
		default:
			rates = append(rates, 25)
		}
	}
	if got := settled(rates, 2*time.Second, 23, 27); got < 0.2 || got > 0.4 {
		t.Errorf("settled after %v s", got)
	}
	if got := settled(rates, 2*time.Second, 30, 50); got != notMeasured {
		t.Errorf("settled where it never was, after %v s", got)
	}
	if within(notMeasured, 5) || !within(0.5, 1) || within(2, 1) {
		t.Error("within")
	}
}

func TestCounter(t *testing.T) {
	text := "TcpExt: A B\nTcpExt: 1 2\nMPTcpExt: MPCapableSYNRX MPJoinSynAckRx\nMPTcpExt: 1 3\n"
	if n := counter(text, "MPTcpExt:", "MPJoinSynAckRx"); n != 3 {
		t.Errorf("%d joins", n)
	}
	if n := counter(text, "MPTcpExt:", "A"); n != 0 {
		t.Errorf("found another group's: %d", n)
	}
}

func TestChoices(t *testing.T) {
	all := allChoices()
	if len(all) != 13 || !slices.Contains(all, choice{"weighted", "none"}) || slices.Contains(all, choice{"earliest", "none"}) {
		t.Errorf("%v", all)
	}
	if got := indent(all[0].lines()); got != "\toption scheduler 'earliest'\n\toption congestion 'bbr'\n" {
		t.Errorf("%q", got)
	}
}

// TestEveryCriterionIsComplete: each has words, and either a measurement or a reason that the program can give.
func TestEveryCriterionIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range criteria() {
		if c.words == "" || c.how == "" || c.run == nil && c.offers == nil || seen[c.words] {
			t.Errorf("%+v", c.words)
		}
		seen[c.words] = true
	}
}
