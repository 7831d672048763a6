package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/hack/lab"
)

// TestStoreGoesOn: what was measured is there again, of the same build only, the newest; a line that was cut off is not.
func TestStoreGoesOn(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range []float64{1, 2} {
		if err := s.put("a", "this", burden{Late: time.Duration(i) * time.Second}, outcome{Rate: v, Reached: notMeasured, Links: [][]float64{{1, 2}, {3}}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.file.WriteString(`{"key":"b","build":"this","da`); err != nil {
		t.Fatal(err)
	}
	s.file.Close()
	again, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.file.Close()
	var o outcome
	if r, ok := again.get("a", "this", &o); !ok || o.Rate != 2 || o.Reached != notMeasured || len(o.Links) != 2 || r.Burden.Late != time.Second || !r.Burden.busy() {
		t.Errorf("%v %+v %+v", ok, o, r)
	}
	if _, ok := again.get("a", "other", &o); ok {
		t.Error("another build's figures are taken")
	}
	if _, ok := again.get("b", "this", &o); ok {
		t.Error("half a line is taken")
	}
	if _, _, marked, all := again.span("this"); marked != 1 || all != 1 {
		t.Errorf("%d marked of %d", marked, all)
	}
	if _, _, _, all := again.span("other"); all != 0 {
		t.Errorf("%d records of another build", all)
	}
	again.older = true
	if err := again.put("a", "earlier", burden{}, outcome{Rate: 9}); err != nil {
		t.Fatal(err)
	}
	aged := again.records["a\x00earlier"]
	aged.At = aged.At.Add(-time.Hour)
	again.records["a\x00earlier"] = aged
	if r, ok := again.get("a", "other", &o); !ok || o.Rate != 2 || !r.Burden.Older || r.Burden.mark() != busyMark+olderMark {
		t.Errorf("the newest of an earlier build: %v %+v %+v", ok, o, r.Burden)
	}
	if r, ok := again.get("a", "earlier", &o); !ok || o.Rate != 9 || r.Burden.Older {
		t.Errorf("the build's own: %v %+v %+v", ok, o, r.Burden)
	}
	if _, _, _, all := again.span("other"); all != 1 {
		t.Errorf("%d records of earlier builds count", all)
	}
	if _, _, _, all := again.span("earlier"); all != 1 {
		t.Errorf("%d records count beside a build's own", all)
	}
	if err := again.put("c", "this", burden{}, outcome{Rate: 3}); err != nil {
		t.Fatal(err)
	}
	third, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer third.file.Close()
	if _, ok := third.get("c", "this", &o); !ok || o.Rate != 3 {
		t.Error("what came after a line that was cut off is lost")
	}
}

// TestKnownFlows: what is chosen is measured anew, unless it is to be kept; what is not chosen stays in the tables.
func TestKnownFlows(t *testing.T) {
	for _, c := range []struct {
		chosen     []string
		keep, redo bool
		ours, both int // flows that are known: of ours, and ours and plain
	}{
		{nil, false, false, 0, 0}, {nil, true, false, 2, 3}, {[]string{"controls"}, false, false, 2, 2}, {[]string{"y1"}, false, false, 2, 3},
		{nil, true, true, 1, 2}, {[]string{"controls"}, true, true, 2, 3},
	} {
		b := bench{runs: 1, has: map[string]bool{}, duration: 5 * time.Second, settle: 3 * time.Second, chosen: c.chosen, keep: c.keep, redo: c.redo, build: "this"}
		var err error
		if b.store, err = openStore(t.TempDir()); err != nil {
			t.Fatal(err)
		}
		cells, _ := cellsOf([]string{"baseline"})
		links := cells[0].links
		for i, w := range []wanted{{oursName, links, lab.Up, inners[0], 0}, {oursName, links, lab.Down, inners[0], 0}, {plainName, links[:1], lab.Up, inners[0], 0}} {
			if err := b.store.put(w.key(&b), w.build(&b), burden{Late: time.Duration(i%2) * time.Second}, outcome{Rate: 1}); err != nil {
				t.Fatal(err)
			}
		}
		b.knownFlows(cells, inners)
		ours := len(b.flows[key(oursName, links, lab.Up, inners[0])]) + len(b.flows[key(oursName, links, lab.Down, inners[0])])
		if ours != c.ours || len(b.has) != c.both {
			t.Errorf("%+v: %d of ours, %d in all", c, ours, len(b.has))
		}
		b.store.file.Close()
	}
}

// TestSectionComesBack as it was, numbers without end included.
func TestSectionComesBack(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.file.Close()
	r := &row{section: "S", what: "w", unit: "ms", values: []float64{1, math.Inf(1)}, control: []float64{0.5}, bound: 3, judge: atMost, note: "n", hidden: true, busy: true}
	tab := &table{name: "t", title: "T", columns: []string{"a"}, lines: [][]string{{"1"}}, plots: []string{"p.svg"}}
	if err := s.put("k", "", burden{}, saveSection([]*row{r}, []*table{tab}, []string{"this"})); err != nil {
		t.Fatal(err)
	}
	var saved savedSection
	if _, ok := s.get("k", "", &saved); !ok || !saved.busy() {
		t.Fatalf("%v %+v", ok, saved)
	}
	var back report
	saved.restore(&back)
	got := back.rows[0]
	if got.what != "w" || !math.IsInf(got.values[1], 1) || got.control[0] != 0.5 || got.judge != atMost || !got.hidden || !got.busy || got.note != "n" {
		t.Errorf("%+v", got)
	}
	if g := back.tables[0]; g.title != "T" || g.lines[0][0] != "1" || g.plots[0] != "p.svg" || !slices.Equal(back.leftOut, []string{"this"}) {
		t.Errorf("%+v %v", g, back.leftOut)
	}
}

// TestMarks: only rows with new values are marked, and stay so.
func TestMarks(t *testing.T) {
	var r report
	one, two := &row{section: "S", what: "one", values: []float64{1}}, &row{section: "S", what: "two"}
	r.add(one, two)
	if r.markBusy(burden{}) || one.busy {
		t.Error("marked on a quiet machine")
	}
	two.values = []float64{2}
	if !r.markBusy(burden{Others: 99}) || one.busy || !two.busy {
		t.Errorf("%v %v", one.busy, two.busy)
	}
	if got := two.cells()[1]; got != "2"+busyMark {
		t.Errorf("%q", got)
	}
	if r.markBusy(burden{Others: 99}) {
		t.Error("marked again")
	}
	one.control = []float64{0.5}
	if !r.markBusy(burden{Others: 99}) || !one.busy {
		t.Error("a control of a busy machine is not marked")
	}
}

// TestMeterTellsOthersFromUs: this process's own work is not others'.
func TestMeterTellsOthersFromUs(t *testing.T) {
	const work = 0.06 // seconds of processor time, which may take long while other tests are on the processors
	own := func() float64 {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return seconds64(u)
	}
	m, began := startMeter(), own()
	for own() < began+work {
	}
	now := startMeter()
	if mine := now.mine - m.mine; mine < work {
		t.Errorf("%.2f s of own work are seen as %.3f", work, mine)
	}
	if all := now.used - m.used; all < work/3 { // the kernel counts it in ticks
		t.Errorf("%.2f s of work are seen as %.3f", work, all)
	}
	parents := map[int]int{5: 4, 4: 3, 3: 1, 9: 1}
	if !descends(5, 3, parents) || descends(9, 3, parents) || descends(3, 3, parents) {
		t.Error("descent")
	}
}

// TestReadme: the block has the tables and takes the place of the one before.
func TestReadme(t *testing.T) {
	dir := t.TempDir()
	b := bench{report: report{out: dir}, flows: results{}, runs: 1, drawn: map[string]int{}, profile: "baseline"}
	links := linksOf("50M/20ms,50M/20ms")
	b.flows.take(oursName, links, lab.Down, inners[0], outcome{Rate: 90e6, Burden: burden{Others: 99}})
	b.flows.take(plainName, links[:1], lab.Down, inners[0], outcome{Rate: 48e6})
	b.add(&row{section: "Y1 flows", what: "two links", unit: "share", values: []float64{0.99}, judge: atLeast, bound: 0.97})
	cells, err := cellsOf([]string{"baseline"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.fileCells(cells); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "README.md")
	if err := os.WriteFile(name, []byte("before\n"+readmeBegin+"old\n"+readmeEnd+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := insert(name, filepath.Join(dir, readmeFile)); err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(name)
	text := string(raw)
	for _, want := range []string{"before\n" + readmeBegin, readmeEnd + "after\n", "| Y1 | two links | 0.990 |", "processors",
		"| baseline | 92 | 46 | 90† / - / - | 0.98 / - / - | 48 / - / - | 1.97 / - / - | - / - / - |"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "old") {
		t.Error("the block before is still there")
	}
	if err := os.WriteFile(name, []byte("no place\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := insert(name, filepath.Join(dir, readmeFile)); err == nil {
		t.Error("a README without a place is changed")
	}
}

// TestPlansHoldEverything: 23 cells, both ways, three kinds; plain links are measured once each, and never too many at once.
func TestPlansHoldEverything(t *testing.T) {
	b := bench{runs: 2, has: map[string]bool{}, duration: 5 * time.Second, settle: 3 * time.Second}
	cells, err := cellsOf(nil)
	if err != nil {
		t.Fatal(err)
	}
	ours := b.oursOf(cells, inners)
	if len(ours) != 46 || strings.Contains(ours[15].name, "_reorder") || !strings.Contains(ours[16].name, "_reorder") {
		t.Errorf("%d labs", len(ours))
	}
	if got := ours[0].costs(&b); got != oursCost+6*(8*time.Second+flowCost) {
		t.Errorf("a lab costs %v", got)
	}
	if n := len(b.rivalsOf(cells, inners)); n != 23*6 {
		t.Errorf("%d of others", n)
	}
	seen := map[string]bool{}
	for _, one := range b.plainOf(cells, inners) {
		rate := int64(0)
		for _, w := range one.flows {
			if seen[w.key(&b)] {
				t.Errorf("twice: %s", w.key(&b))
			}
			seen[w.key(&b)] = true
			rate += w.links[0].Rate
		}
		if rate > plainRates && len(one.flows) > 1 {
			t.Errorf("%d Mbit/s at once", rate/1e6)
		}
		if got := one.costs(&b); got != plainCost+8*time.Second+flowCost {
			t.Errorf("side by side costs %v", got)
		}
	}
	if len(seen)%6 != 0 || len(seen) < 6*30 {
		t.Errorf("%d plain flows", len(seen))
	}
}

// TestLeaveKeepsOneLine: the tables say what is missing, not the logs.
func TestLeaveKeepsOneLine(t *testing.T) {
	var b bench
	for range 2 {
		b.leave("this: %s", "failed\nlog of the router:\nmuch")
	}
	if len(b.leftOut) != 1 || b.leftOut[0] != "this: failed" {
		t.Errorf("%q", b.leftOut)
	}
}
