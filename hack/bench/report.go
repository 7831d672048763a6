package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// row is one measured thing: a value for each run.
type row struct {
	section string
	what    string
	unit    string
	values  []float64
	control []float64 // of the same unit: what the machine can do without us, or another program; may be empty
	bound   float64   // the target, if judged
	judge   verdict
	note    string
	hidden  bool // only in the CSV: a table shows it in another form
	busy    bool // one of the values was measured on a busy machine
	older   bool // they are an earlier build's
	told    int  // values, with the control's, that a progress line has told
}

// verdict says how the median is held against the target.
type verdict int

const (
	unjudged verdict = iota
	atLeast          // the bound; where the control stays below it, the control counts instead
	atMost
)

// enoughControl is the control ratio from which on the machine is not to blame.
const enoughControl = 0.97

// wanted is what the median is held against.
func (r *row) wanted() float64 {
	if c := median(r.control); r.judge == atLeast && len(r.control) > 0 && c < enoughControl {
		return r.bound * c
	}
	return r.bound
}

func (r *row) ok() bool {
	switch r.judge {
	case atLeast:
		return median(r.values) >= r.wanted()
	case atMost:
		return median(r.values) <= r.wanted()
	}
	return true
}

func (r *row) target() string {
	switch r.judge {
	case atLeast:
		return ">= " + number(r.wanted())
	case atMost:
		return "<= " + number(r.wanted())
	}
	return ""
}

// The verdicts on a row that missed its target, and on one that has no figures (yet).
const (
	missed   = "MISSED"
	unvalued = "not measured"
)

func (r *row) verdict() string {
	switch {
	case len(r.values) == 0 && r.note == "":
		return unvalued
	case r.judge == unjudged:
		return ""
	case len(r.values) > 0 && r.ok():
		return "ok"
	}
	return missed
}

// cells are the row's columns as text.
func (r *row) cells() []string {
	spread := ""
	if len(r.values) > 1 {
		spread = number(slices.Min(r.values)) + " .. " + number(slices.Max(r.values))
	}
	control := ""
	if len(r.control) > 0 {
		control = number(median(r.control))
	}
	middle := number(median(r.values))
	if len(r.values) == 0 {
		middle = ""
	}
	middle += marked(r.busy) + markedOlder(r.older)
	return []string{r.what, middle, r.unit, spread, control, r.target(), r.verdict(), r.note}
}

var columns = []string{"what", "median", "unit", "range", "control", "target", "verdict", "note"}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(v))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// quantile returns the value that a share q (0 to below 1) of the values does not exceed; 0 if there are none.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(v))[int(q*float64(len(v)))]
}

// number writes three digits or more.
func number(f float64) string {
	switch a := max(f, -f); {
	case a >= 100 || f == float64(int64(f)):
		return strconv.FormatFloat(f, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
	return strconv.FormatFloat(f, 'f', 3, 64)
}

// report collects rows, tables and plots.
type report struct {
	rows    []*row
	tables  []*table
	leftOut []string // what could not be measured, and why
	out     string   // folder for all of it
}

func (r *report) add(rows ...*row) {
	r.rows = append(r.rows, rows...)
}

// count counts the rows with a verdict.
func (r *report) count(verdict string) (n int) {
	for _, one := range r.rows {
		if one.verdict() == verdict {
			n++
		}
	}
	return n
}

// markBusy marks the rows that got values since the last call, if they were measured on a busy machine, and reports whether any was.
func (r *report) markBusy(u burden) (marked bool) {
	for _, one := range r.rows {
		n := len(one.values) + len(one.control)
		if n > one.told && u.busy() {
			one.busy, marked = true, true
		}
		one.told = n
	}
	return marked
}

// print writes all tables for people.
func (r *report) print(w io.Writer) {
	section := ""
	for _, one := range r.rows {
		if one.hidden {
			continue
		}
		if one.section != section {
			section = one.section
			fmt.Fprintf(w, "\n%s\n", section)
		}
		c := one.cells()
		fmt.Fprintf(w, "  %-46s %9s %-9s %-18s %9s %-10s %-7s %s\n", c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7])
	}
	for _, t := range r.tables {
		fmt.Fprintf(w, "\n%s", t.text())
	}
	for _, what := range r.leftOut {
		fmt.Fprintf(w, "\nnot measured: %s", what)
	}
}

// save writes one file of the report, at once: a long run may be interrupted.
func (r *report) save(name, text string) error {
	file := filepath.Join(r.out, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// write leaves the tables as Markdown and CSV, and a plot of each section of rows.
func (r *report) write(head string) error {
	var md strings.Builder
	fmt.Fprintf(&md, "# Measurements\n\n%s\n", head)
	bySection := map[string][]*row{}
	var order []string
	for _, one := range r.rows {
		if one.hidden {
			continue
		}
		if bySection[one.section] == nil {
			order = append(order, one.section)
		}
		bySection[one.section] = append(bySection[one.section], one)
	}
	var all []*table
	for _, section := range order {
		t := &table{name: name(section), title: section, columns: columns, plots: []string{name(section) + ".svg"}}
		for _, one := range bySection[section] {
			t.add(one.cells()...)
		}
		all = append(all, t)
		if err := r.save(t.plots[0], bars(section, bySection[section])); err != nil {
			return err
		}
	}
	for _, t := range append(all, r.tables...) {
		md.WriteString("\n" + t.markdown())
		if err := errors.Join(r.save(t.name+".md", "# Measurements\n\n"+head+"\n\n"+t.markdown()), r.save(t.name+".csv", t.csv())); err != nil {
			return err
		}
	}
	if len(r.leftOut) > 0 {
		md.WriteString("\n## Not measured\n\n- " + strings.Join(r.leftOut, "\n- ") + "\n")
	}
	return errors.Join(r.save("bench.md", md.String()), r.writeCSV(filepath.Join(r.out, "bench.csv")))
}

func (r *report) writeCSV(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	_ = w.Write([]string{"section", "what", "unit", "median", "control", "target", "verdict", "runs"}) // Flush reports it
	for _, one := range r.rows {
		var runs []string
		for _, v := range one.values {
			runs = append(runs, strconv.FormatFloat(v, 'g', 6, 64))
		}
		control := ""
		if len(one.control) > 0 {
			control = strconv.FormatFloat(median(one.control), 'g', 6, 64)
		}
		_ = w.Write([]string{one.section, one.what, one.unit, strconv.FormatFloat(median(one.values), 'g', 6, 64),
			control, one.target(), one.verdict(), strings.Join(runs, " ")})
	}
	w.Flush()
	if err := w.Error(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// name makes a file name of a section's heading: its first word.
func name(section string) string {
	word, _, _ := strings.Cut(strings.ToLower(section), " ")
	return strings.Trim(word, ":")
}
