package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// wellFormed fails the test if a drawing is not XML, has a number that is none, or a point outside of the picture.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	var err error
	for d := xml.NewDecoder(strings.NewReader(svg)); err == nil; {
		_, err = d.Token()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("not XML: %v\n%s", err, svg)
	}
	for _, bad := range []string{"NaN", "Inf", `="-`, " -", "%!"} {
		if strings.Contains(svg, bad) {
			t.Errorf("%q in\n%s", bad, svg)
		}
	}
}

func TestLines(t *testing.T) {
	a := Axes{Title: "a <b> & c", X: "s", Y: "Mbit/s", Marks: []Mark{{"sum", 92}}}
	svg := Lines(a, Series{"link 1", []float64{0, 1, 2, 3}, []float64{0, 46, math.NaN(), 92}}, Series{Name: "nothing"})
	wellFormed(t, svg)
	for _, want := range []string{"a &lt;b&gt; &amp; c", ">link 1<", ">sum<", ">nothing<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if n := strings.Count(svg, `fill="none"`); n != 1 {
		t.Errorf("%d lines drawn, want 1", n)
	}
	// The mark is the largest value: 1.05 times it is the axis's end. The first point is the origin.
	f := frame{width: linesWidth, maxX: 3, maxY: 92 * 1.05}
	if f.x(0) != left || f.y(0) != height-bottom || !strings.Contains(svg, `d="M64.0 280.0L`) {
		t.Errorf("origin at %v %v:\n%s", f.x(0), f.y(0), svg)
	}
	if !strings.Contains(svg, "M844.0 ") {
		t.Error("the line is not broken where a value is missing, or does not end at the right")
	}
	wellFormed(t, Lines(Axes{}))
	wellFormed(t, Lines(Axes{}, Series{"zeros", []float64{0, 0}, []float64{0, 0}}))
	cut := Lines(Axes{MaxX: 10}, Series{"long", []float64{5, 10, 1000}, []float64{1, 2, 9e9}})
	wellFormed(t, cut)
	if strings.Count(cut, "L") != 1 {
		t.Errorf("what lies beyond the axis is drawn:\n%s", cut)
	}
}

func TestBars(t *testing.T) {
	svg := Bars(Axes{Title: "shares", Y: "of the sum", Marks: []Mark{{"sum", 1}}}, []string{"cubic", "bbr"}, []Group{
		{"baseline", []float64{0.97, 0.98}, []float64{0.5}},
		{"rtt<40", []float64{math.NaN(), 0.5}, nil},
	})
	wellFormed(t, svg)
	if n := strings.Count(svg, `width="8"`); n != 3 {
		t.Errorf("%d bars, want 3", n)
	}
	// The axis ends at 1.05: a bar of 0.5 is 0.5/1.05 of 234 pixels high.
	if !strings.Contains(svg, `height="111.4"`) || !strings.Contains(svg, "rtt&lt;40") {
		t.Error(svg)
	}
	wellFormed(t, Bars(Axes{}, nil, nil))
}

func TestStep(t *testing.T) {
	for most, want := range map[float64]float64{92: 20, 1: 0.2, 0.05: 0.01, 330: 100, 6: 1, 0: 1, 13: 5} {
		if got := step(most); math.Abs(got-want) > 1e-9 {
			t.Errorf("step for %v is %v, want %v", most, got, want)
		}
	}
}

func TestDistribution(t *testing.T) {
	s := Distribution("delay", []float64{3, 1, 2, 2})
	if len(s.X) != 4 || s.X[0] != 1 || s.Y[0] != 25 || s.X[3] != 3 || s.Y[3] != 100 {
		t.Errorf("%+v", s)
	}
	if s := Distribution("none", nil); len(s.X) != 0 {
		t.Errorf("%+v", s)
	}
	if s := Even("rate", 0.1, []float64{5, 6}); s.X[1] != 0.1 || s.Y[1] != 6 {
		t.Errorf("%+v", s)
	}
}
