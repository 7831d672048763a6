package chart

import (
	"fmt"
	"html"
	"math"
)

// Sizes of bars in pixels.
const (
	barWidth = 9
	groupGap = 16
)

// Group is some bars side by side, one for each series; a value that is not a number is left out. Ticks are short lines across the
// group, for what the bars are to be held against.
type Group struct {
	Name   string
	Values []float64
	Ticks  []float64
}

// Bars draws groups of bars; names are those of the series.
func Bars(a Axes, names []string, groups []Group) string {
	f := &frame{width: left + right, maxX: 1}
	for _, g := range groups {
		f.width += barWidth*len(names) + groupGap
		for _, v := range append(append([]float64{}, g.Values...), g.Ticks...) {
			if !math.IsNaN(v) {
				f.maxY = max(f.maxY, v)
			}
		}
	}
	for _, m := range a.Marks {
		f.maxY = max(f.maxY, m.Y)
	}
	f.width, f.maxY = max(f.width, linesWidth), room(f.maxY)
	a.X = "" // the groups' names are there
	f.open(a)
	f.legend(names)
	at := float64(left) + groupGap/2
	for _, g := range groups {
		f.group(at, g)
		at += float64(barWidth*len(names) + groupGap)
	}
	return f.close(a.Marks)
}

func (f *frame) group(at float64, g Group) {
	width := float64(barWidth * len(g.Values))
	for i, v := range g.Values {
		if !math.IsNaN(v) {
			fmt.Fprintf(f, `<rect x="%.1f" y="%.1f" width="%d" height="%.1f" fill="%s"/>`+"\n",
				at+float64(barWidth*i), f.y(v), barWidth-1, f.y(0)-f.y(v), colours[i%len(colours)])
		}
	}
	for _, v := range g.Ticks {
		if !math.IsNaN(v) {
			fmt.Fprintf(f, `<path d="M%.1f %.1fh%.1f" stroke="#222" stroke-width="1.5"/>`+"\n", at-3, f.y(v), width+5)
		}
	}
	x := at + width/2
	fmt.Fprintf(f, `<text x="%.1f" y="%d" text-anchor="end" font-size="11" transform="rotate(-35 %[1]f %[2]d)">%[3]s</text>`+"\n",
		x, height-bottom+14, html.EscapeString(g.Name))
}
