package chart

import (
	"fmt"
	"math"
	"slices"
)

// Lines draws series over a common axis; both axes begin at 0.
func Lines(a Axes, list ...Series) string {
	f := &frame{width: linesWidth, maxX: a.MaxX}
	mostX := 0.0
	for _, m := range a.Marks {
		f.maxY = max(f.maxY, m.Y)
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
		for i, y := range s.Y {
			if !math.IsNaN(y) && (a.MaxX == 0 || s.X[i] <= a.MaxX) {
				f.maxY, mostX = max(f.maxY, y), max(mostX, s.X[i])
			}
		}
	}
	f.maxY = room(f.maxY)
	if f.maxX == 0 {
		f.maxX = max(mostX, math.SmallestNonzeroFloat32)
	}
	f.open(a)
	f.legend(names)
	for v := 0.0; v <= f.maxX*1.0001; v += step(f.maxX) {
		fmt.Fprintf(f, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", f.x(v), height-bottom+16, number(v))
	}
	for i, s := range list {
		f.line(s, colours[i%len(colours)])
	}
	return f.close(a.Marks)
}

// line draws one series as far as the horizontal axis goes.
func (f *frame) line(s Series, colour string) {
	path, broken := "", true
	for i, y := range s.Y {
		if math.IsNaN(y) || s.X[i] > f.maxX {
			broken = true
			continue
		}
		letter := "L"
		if broken {
			letter, broken = "M", false
		}
		path += fmt.Sprintf("%s%.1f %.1f", letter, f.x(s.X[i]), f.y(y))
	}
	if path != "" {
		fmt.Fprintf(f, `<path d="%s" fill="none" stroke="%s" stroke-width="1.6" stroke-linejoin="round"/>`+"\n", path, colour)
	}
}

// Distribution makes a series of the share of values that are at most x, in percent.
func Distribution(name string, values []float64) Series {
	s := Series{Name: name}
	sorted := slices.Sorted(slices.Values(values))
	for i, v := range sorted {
		s.X, s.Y = append(s.X, v), append(s.Y, 100*float64(i+1)/float64(len(sorted)))
	}
	return s
}

// Even makes a series of values at even distances, the first at 0.
func Even(name string, distance float64, values []float64) Series {
	s := Series{Name: name, Y: values}
	for i := range values {
		s.X = append(s.X, float64(i)*distance)
	}
	return s
}
