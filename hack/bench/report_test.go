package main

import (
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for want, v := range map[float64][]float64{0: nil, 3: {3}, 2.5: {9, 1, 2, 3}, 5: {7, 5, 1}} {
		if got := median(v); got != want {
			t.Errorf("median of %v is %v, want %v", v, got, want)
		}
	}
}

// TestVerdictFollowsTheControl: what the machine cannot do without us is not asked of us.
func TestVerdictFollowsTheControl(t *testing.T) {
	for _, c := range []struct {
		name string
		row  row
		want string
	}{
		{"well", row{values: []float64{0.98}, control: []float64{1}, judge: atLeast, bound: 0.97}, "ok"},
		{"too little", row{values: []float64{0.96}, control: []float64{1}, judge: atLeast, bound: 0.97}, "MISSED"},
		{"machine too slow", row{values: []float64{0.80}, control: []float64{0.8}, judge: atLeast, bound: 0.97}, "ok"},
		{"too little even so", row{values: []float64{0.70}, control: []float64{0.8}, judge: atLeast, bound: 0.97}, "MISSED"},
		{"below", row{values: []float64{12}, judge: atMost, bound: 20}, "ok"},
		{"above", row{values: []float64{21}, judge: atMost, bound: 20}, "MISSED"},
		{"nothing measured", row{judge: atMost, bound: 20}, "not measured"},
		{"only told", row{values: []float64{1}}, ""},
	} {
		if got := c.row.verdict(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestFilesAreWellFormed reads back what is written.
func TestFilesAreWellFormed(t *testing.T) {
	dir := t.TempDir()
	r := report{out: dir, leftOut: []string{"this, for want of that"}}
	r.add(&row{section: "Y1 flows & more", what: "a <b>", unit: "share", values: []float64{0.9, 1.0, 0.95}, control: []float64{1}, judge: atLeast, bound: 0.97},
		&row{section: "Y1 flows & more", what: "nothing", unit: "ms"})
	if err := r.write("head"); err != nil {
		t.Fatal(err)
	}
	plot, err := os.Open(filepath.Join(dir, "y1.svg"))
	if err != nil {
		t.Fatal(err)
	}
	defer plot.Close()
	for d := xml.NewDecoder(plot); err == nil; {
		_, err = d.Token()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("plot: %v", err)
	}
	table, err := os.ReadFile(filepath.Join(dir, "bench.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if page, err := os.ReadFile(filepath.Join(dir, "y1.md")); err != nil || !strings.Contains(string(page), "| a <b> | 0.950 | share |") {
		t.Errorf("page of a section: %v %s", err, page)
	}
	rows, err := csv.NewReader(strings.NewReader(string(table))).ReadAll()
	if err != nil || len(rows) != 3 || rows[1][3] != "0.95" {
		t.Errorf("table: %v %q", err, rows)
	}
}
