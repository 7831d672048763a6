package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Place is where in the configuration something stands. Zero fields are not known.
type Place struct {
	File    string
	Line    int    // from 1
	Section string // "link 'dsl'"
	Option  string
	Value   string // as written; empty for secrets
}

// String returns "file:line: section, option name 'value'", as far as known.
func (p Place) String() string {
	var parts []string
	if p.Section != "" {
		parts = append(parts, p.Section)
	}
	if p.Option != "" {
		option := "option " + p.Option
		if p.Value != "" {
			option += " '" + shorten(p.Value) + "'"
		}
		parts = append(parts, option)
	}
	out := p.File
	if p.Line > 0 {
		out = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	if len(parts) == 0 {
		return out
	}
	return out + ": " + strings.Join(parts, ", ")
}

// An Error is one thing that is wrong in a configuration, and what would be right.
type Error struct {
	Place
	Text  string
	cause error
}

// Error returns place and text.
func (e *Error) Error() string { return e.Place.String() + ": " + e.Text }

// Unwrap returns the system's error if one is behind it.
func (e *Error) Unwrap() error { return e.cause }

// Errors is all that is wrong in a configuration, in the order of the files. It is never empty.
type Errors []*Error

// Error returns one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors one by one.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// A Warning is something that works, but probably not as meant.
type Warning struct {
	Place
	Text string
}

// String returns place and text.
func (w Warning) String() string { return w.Place.String() + ": " + w.Text }

// problems collects errors and warnings while a configuration is read.
type problems struct {
	errors   Errors
	warnings []Warning
}

func (p *problems) fail(at Place, format string, args ...any) {
	p.errors = append(p.errors, &Error{Place: at, Text: fmt.Sprintf(format, args...)})
}

func (p *problems) warn(at Place, format string, args ...any) {
	p.warnings = append(p.warnings, Warning{Place: at, Text: fmt.Sprintf(format, args...)})
}

// sort brings what was found into the order of the files' lines; the files keep their order, the main file is first.
func (p *problems) sort(files []*sourceFile) {
	rank := map[string]int{}
	for i, file := range files {
		rank[file.path] = i
	}
	rankOf := func(file string) int {
		if n, ok := rank[file]; ok {
			return n
		}
		return len(files) // secrets, and what could not be read
	}
	order := func(a, b Place) int {
		return cmp.Or(cmp.Compare(rankOf(a.File), rankOf(b.File)), cmp.Compare(a.Line, b.Line))
	}
	slices.SortStableFunc(p.errors, func(a, b *Error) int { return order(a.Place, b.Place) })
	slices.SortStableFunc(p.warnings, func(a, b Warning) int { return order(a.Place, b.Place) })
}

// err returns the errors, or nil without a typed nil inside.
func (p *problems) err() error {
	if len(p.errors) == 0 {
		return nil
	}
	return p.errors
}

// maxShownBytes keeps messages to a line.
const maxShownBytes = 60

// shorten makes text fit for a message: no control characters, not long.
func shorten(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
	if len(clean) > maxShownBytes {
		clean = strings.ToValidUTF8(clean[:maxShownBytes], "") + "…"
	}
	return clean
}
