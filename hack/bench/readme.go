package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

// readmeFile is the block of tables for the project's README, and the marks between which it stands there.
const (
	readmeFile  = "readme.md"
	readmeBegin = "<!-- measured by make bench -->\n"
	readmeEnd   = "<!-- end of what make bench measured -->\n"
)

// readmeTables are the tables that the README shows as they are, beside those of the profiles and the yardsticks.
var readmeTables = []string{"criteria", "fairness", "modes", "choices"}

// write leaves all files of the run as far as it has come.
func (b *bench) write(head string) error {
	return errors.Join(b.report.write(head), b.save(readmeFile, b.readme()))
}

// readme is the block: when and where, the profiles in short, the yardsticks, and some tables as they are.
func (b *bench) readme() string {
	var md strings.Builder
	fmt.Fprintf(&md, "%s%s\n", readmeBegin, b.circumstances())
	for _, way := range ways {
		if t := b.shortProfiles(way); len(t.lines) > 0 {
			md.WriteString("\n" + small(t))
		}
	}
	if t := b.yardsticks(); len(t.lines) > 0 {
		md.WriteString("\n" + small(t))
	}
	for _, name := range readmeTables {
		for _, t := range b.tables {
			if t.name == name && len(t.lines) > 0 {
				md.WriteString("\n" + small(t))
			}
		}
	}
	if len(b.leftOut) > 0 {
		md.WriteString("\nNot measured: " + strings.Join(b.leftOut, "; ") + ".\n")
	}
	return md.String() + readmeEnd
}

// small is a table as it stands in the README: a smaller heading, no plots.
func small(t *table) string {
	plain := *t
	plain.plots = nil
	return "#" + plain.markdown()
}

// circumstances are the date, the machine, and how busy it was.
func (b *bench) circumstances() string {
	first, last, marked, all := b.store.span(b.build)
	older := ""
	if b.store != nil && b.store.older {
		older = fmt.Sprintf(" With %s: measured with an earlier build.", olderMark)
	}
	when := "Nothing measured yet"
	if all > 0 {
		when = fmt.Sprintf("Measured %s to %s", first.Format("2006-01-02 15:04"), last.Format("15:04"))
		if first.Format(time.DateOnly) != last.Format(time.DateOnly) {
			when = fmt.Sprintf("Measured %s to %s", first.Format("2006-01-02 15:04"), last.Format("2006-01-02 15:04"))
		}
	}
	return fmt.Sprintf("%s by `make bench` on %s at the end; %d run(s), flows %v after %v, medians. The links are emulated on the same machine. %d of %d "+
		"measurements are marked %s: other programs used more than %.1f processors meanwhile, or the emulator was late by more than %v.%s\n",
		when, machine(), b.runs, b.duration, b.settle, marked, all, busyMark, mostOthers*float64(runtime.NumCPU()), lateEnough, older)
}

// span tells when a folder's records that count were made, and how many of them on a busy machine.
func (s *store) span(build string) (first, last time.Time, marked, all int) {
	if s == nil {
		return
	}
	for _, r := range s.records {
		if r.Build != "" && r.Build != build && !s.stands(r, build) {
			continue
		}
		all++
		if r.Burden.busy() {
			marked++
		}
		if first.IsZero() || r.At.Before(first) {
			first = r.At
		}
		if r.At.After(last) {
			last = r.At
		}
	}
	return first, last, marked, all
}

// stands reports that an earlier build's record counts.
func (s *store) stands(r record, build string) bool {
	if !s.older {
		return false
	}
	if _, ok := s.records[record{Key: r.Key, Build: build}.id()]; ok {
		return false
	}
	newest, _ := s.newest(r.Key)
	return newest.Build == r.Build
}

// shortProfiles is the profiles' table without what only whoever works on them needs.
func (b *bench) shortProfiles(way lab.Direction) *table {
	t := &table{title: fmt.Sprintf("One flow %v over the sixteen profiles", way),
		note: "Mbit/s of payload, cubic / bbr / QUIC (quic-go, Reno) inside. Sum and better: what the links leave for payload inside the tunnel. Alone: the same kind of " +
			"flow over the better link without a tunnel, and ours as a multiple of that, less the headers' share.",
		columns: []string{"profile", "sum", "better", oursName, "of the sum", "alone", "of alone", mptcpName}}
	cells, err := cellsOf(chosen(b.profile))
	if err != nil {
		return t
	}
	for _, c := range cells {
		ours := b.flows.each(oursName, c.links, way, rateOf)
		if slices.Max(ours) == notMeasured {
			continue
		}
		total := sum(c.links, tunnelShare)
		alone := b.alone(c, way)
		plain := make([]float64, len(alone))
		for i, v := range alone {
			if plain[i] = v; v != notMeasured {
				plain[i] = v * plainShare / tunnelShare
			}
		}
		t.add(c.name, mbit(total), mbit(better(c.links, tunnelShare)), triple(ours, b.flows.marks(oursName, c.links, way), mbit), triple(over(ours, total), nil, share),
			triple(plain, b.aloneMarks(c, way), mbit), triple(ratios(ours, alone), nil, share),
			triple(b.flows.each(mptcpName, c.links, way, rateOf), b.flows.marks(mptcpName, c.links, way), mbit))
	}
	return t
}

// aloneMarks are those of the better link alone, for each kind of flow: of either link, as either may be the better.
func (b *bench) aloneMarks(c cell, way lab.Direction) []string {
	marks := b.flows.marks(plainName, []linksim.Params{c.links[0]}, way)
	for i, mark := range b.flows.marks(plainName, []linksim.Params{c.links[1]}, way) {
		marks[i] = max(marks[i], mark)
	}
	return marks
}

// yardsticks are the rows that have a target, of all sections but those that have tables of their own.
func (b *bench) yardsticks() *table {
	t := &table{title: "The yardsticks", columns: []string{"", "what", "measured", "control", "target", "verdict"}}
	for _, r := range b.rows {
		if r.hidden || r.judge == unjudged || len(r.values) == 0 {
			continue
		}
		c := r.cells()
		unit := r.unit
		if unit == "share" || unit == "ratio" {
			unit = ""
		}
		t.add(strings.TrimSuffix(strings.Fields(r.section)[0], ":"), c[0], strings.TrimSpace(c[1]+" "+unit), c[4], c[5], c[6])
	}
	return t
}

// insert puts a block into a README in place of the one that stands there.
func insert(readme, block string) error {
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	fresh, err := os.ReadFile(filepath.Clean(block))
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), readmeBegin)
	_, after, closed := strings.Cut(rest, readmeEnd)
	if !found || !closed {
		return fmt.Errorf("%s has no place for the tables: it needs the lines %q and %q", readme, strings.TrimSpace(readmeBegin), strings.TrimSpace(readmeEnd))
	}
	return os.WriteFile(readme, []byte(before+string(fresh)+after), 0o644)
}
