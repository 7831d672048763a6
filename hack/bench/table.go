package main

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// table is a table whose columns belong to one kind of measurement. It is written to files of its own, so that a later run of
// something else leaves it.
type table struct {
	name    string // of its files
	title   string
	note    string // how to read it
	columns []string
	lines   [][]string
	plots   []string // files to show under it
}

func (t *table) add(cells ...string) { t.lines = append(t.lines, cells) }

// markdown is the table for a page.
func (t *table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", t.title)
	if t.note != "" {
		fmt.Fprintf(&b, "%s\n\n", t.note)
	}
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.columns, " | "), strings.Repeat("---|", len(t.columns)))
	for _, line := range t.lines {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
	}
	for _, plot := range t.plots {
		fmt.Fprintf(&b, "\n![%s](%s)\n", plot, plot)
	}
	return b.String()
}

// text is the table for a screen.
func (t *table) text() string {
	widths := make([]int, len(t.columns))
	all := append([][]string{t.columns}, t.lines...)
	for _, line := range all {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", t.title)
	for _, line := range all {
		row := " "
		for i, cell := range line {
			row += " " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		}
		b.WriteString(strings.TrimRight(row, " ") + "\n")
	}
	return b.String()
}

// csv is the table for a program. What holds several numbers ("1 / 2 / 3") stays as it is.
func (t *table) csv() string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.WriteAll(slices.Concat([][]string{t.columns}, t.lines)) // a strings.Builder takes everything
	return b.String()
}

// triple writes what belongs to the inner flows of one cell, in their order, each with its mark, if marks are given.
func triple(values []float64, marks []string, format func(float64) string) string {
	var words []string
	for i, v := range values {
		word := "-"
		if v >= 0 {
			word = format(v)
			if marks != nil {
				word += marks[i]
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, " / ")
}

// notMeasured stands for a value that there is none of.
const notMeasured = -1

// mbit writes bit/s as Mbit/s: with a digit after the point only below ten.
func mbit(bits float64) string {
	if m := bits / 1e6; m < 9.95 {
		return fmt.Sprintf("%.1f", m)
	}
	return fmt.Sprintf("%.0f", bits/1e6)
}

// share writes a ratio.
func share(v float64) string { return fmt.Sprintf("%.2f", v) }
