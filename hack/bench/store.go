package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// storeFile holds all that was measured, one record in a line: the tables are made of it, and a later run goes on where an
// earlier one has stopped.
const storeFile = "measured.jsonl"

// record is one measurement: a flow, or a section of rows.
type record struct {
	Key    string          `json:"key"`
	Build  string          `json:"build,omitempty"` // of the program, where ours was measured
	At     time.Time       `json:"at"`
	Burden burden          `json:"burden"`
	Data   json.RawMessage `json:"data"`
}

// store is the file of records and what it held, the newest of each key and build.
type store struct {
	file    *os.File
	records map[string]record
	// older lets what an earlier build gave count where the asked one was not measured; it is marked.
	older bool
}

// openStore reads a folder's records; new ones are added to them. The caller closes it.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, storeFile)
	s := &store{records: map[string]record{}}
	if err := s.read(name); err != nil {
		return nil, err
	}
	var err error
	if s.file, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return nil, err
	}
	_, err = s.file.WriteString("\n") // a line that was cut off does not spoil the next
	return s, err
}

// read takes what is in the file. A last line that was cut off in the middle is left out.
func (s *store) read(name string) error {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r record
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Key != "" {
			s.records[r.id()] = r
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (r record) id() string { return r.Key + "\x00" + r.Build }

// get returns a measurement if there is one.
func (s *store) get(key, build string, into any) (record, bool) {
	if s == nil {
		return record{}, false
	}
	r, ok := s.records[record{Key: key, Build: build}.id()]
	if !ok && s.older && build != "" {
		r, ok = s.newest(key)
		r.Burden.Older = ok
	}
	return r, ok && json.Unmarshal(r.Data, into) == nil
}

// newest returns the last measurement of any build.
func (s *store) newest(key string) (newest record, found bool) {
	for _, r := range s.records {
		if r.Key == key && r.Build != "" && (!found || r.At.After(newest.At)) {
			newest, found = r, true
		}
	}
	return newest, found
}

// put files a measurement.
func (s *store) put(key, build string, u burden, value any) error {
	if s == nil {
		return nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write record of %s: %w", key, err)
	}
	r := record{Key: key, Build: build, At: time.Now().Truncate(time.Second), Burden: u, Data: data}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write record of %s: %w", key, err)
	}
	s.records[r.id()] = r
	_, err = s.file.Write(append(line, '\n'))
	return err
}

// figure is a number that JSON cannot always hold: without end, or none.
type figure float64

// MarshalJSON writes the number as text.
func (f figure) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatFloat(float64(f), 'g', -1, 64)), nil
}

// UnmarshalJSON reads it back.
func (f *figure) UnmarshalJSON(text []byte) error {
	word, err := strconv.Unquote(string(text))
	if err != nil {
		return err
	}
	v, err := strconv.ParseFloat(word, 64)
	*f = figure(v)
	return err
}

func figures(v []float64) (out []figure) {
	for _, one := range v {
		out = append(out, figure(one))
	}
	return out
}

func floats(v []figure) (out []float64) {
	for _, one := range v {
		out = append(out, float64(one))
	}
	return out
}

// savedRow and savedTable are what a record of a section holds of them.
type savedRow struct {
	Section, What, Unit, Note string
	Values, Control           []figure
	Bound                     figure
	Judge                     verdict
	Hidden, Busy              bool
}

type savedTable struct {
	Name, Title, Note string
	Columns, Plots    []string
	Lines             [][]string
}

// savedSection is a whole section.
type savedSection struct {
	Rows    []savedRow
	Tables  []savedTable
	LeftOut []string
}

// busy reports that any of its rows was measured on a busy machine.
func (s savedSection) busy() bool {
	return slices.ContainsFunc(s.Rows, func(r savedRow) bool { return r.Busy })
}

// age tells below its tables that an earlier build was measured.
func (s *savedSection) age(at time.Time) {
	for i := range s.Tables {
		s.Tables[i].Note += fmt.Sprintf(" Measured %s with an earlier build.", at.Format("2006-01-02 15:04"))
	}
}

// saveSection copies what a section has added to the report.
func saveSection(rows []*row, tables []*table, leftOut []string) (s savedSection) {
	for _, r := range rows {
		s.Rows = append(s.Rows, savedRow{r.section, r.what, r.unit, r.note, figures(r.values), figures(r.control), figure(r.bound), r.judge, r.hidden, r.busy})
	}
	for _, t := range tables {
		s.Tables = append(s.Tables, savedTable{t.name, t.title, t.note, slices.Clone(t.columns), slices.Clone(t.plots), slices.Clone(t.lines)})
	}
	s.LeftOut = slices.Clone(leftOut)
	return s
}

// restore puts it back into a report.
func (s savedSection) restore(into *report) {
	for _, r := range s.Rows {
		into.add(&row{section: r.Section, what: r.What, unit: r.Unit, note: r.Note, values: floats(r.Values), control: floats(r.Control),
			bound: float64(r.Bound), judge: r.Judge, hidden: r.Hidden, busy: r.Busy})
	}
	for _, t := range s.Tables {
		into.tables = append(into.tables, &table{name: t.Name, title: t.Title, note: t.Note, columns: t.Columns, plots: t.Plots, lines: t.Lines})
	}
	for _, what := range s.LeftOut {
		if !slices.Contains(into.leftOut, what) {
			into.leftOut = append(into.leftOut, what)
		}
	}
}

// quiet are the values that were not measured on a busy machine; all, if each was.
func quiet[T any](all []T, busy func(T) bool) []T {
	calm := slices.DeleteFunc(slices.Clone(all), busy)
	if len(calm) == 0 {
		return all
	}
	return calm
}
