// Package chart draws lines and groups of bars as SVG, so that measurements can be looked at in any browser without a
// plotting program. It is pure: numbers in, text out, the same text for the same numbers.
package chart

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Sizes in pixels.
const (
	height     = 360
	top        = 46 // title and legend
	bottom     = 80 // ticks or names of groups, and the name of the horizontal axis
	left       = 64
	right      = 16
	linesWidth = 860
	ticks      = 6 // about so many on an axis
)

// Colours of series, in their order; distinct also for most who cannot tell red from green.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999"}

// Series is one line: its points in order. A value that is not a number breaks the line.
type Series struct {
	Name string
	X, Y []float64
}

// Mark is a horizontal line with a name.
type Mark struct {
	Name string
	Y    float64
}

// Axes says what is drawn.
type Axes struct {
	Title, X, Y string // names, with units
	Marks       []Mark
	MaxX        float64 // end of the horizontal axis; 0: as far as the data go
}

// frame is a drawing area with its scales.
type frame struct {
	strings.Builder
	width      int
	maxX, maxY float64
}

func (f *frame) x(v float64) float64 {
	return left + v/f.maxX*float64(f.width-left-right)
}

func (f *frame) y(v float64) float64 {
	return height - bottom - v/f.maxY*(height-bottom-top)
}

// open writes the head, the title and the axis names.
func (f *frame) open(a Axes) {
	fmt.Fprintf(f, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", f.width, height)
	fmt.Fprintf(f, `<rect width="100%%" height="100%%" fill="white"/><text x="8" y="18" font-size="14">%s</text>`+"\n", html.EscapeString(a.Title))
	fmt.Fprintf(f, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+f.width-right)/2, height-bottom+36, html.EscapeString(a.X))
	fmt.Fprintf(f, `<text x="14" y="%d" text-anchor="middle" transform="rotate(-90 14 %[1]d)">%s</text>`+"\n", (top+height-bottom)/2, html.EscapeString(a.Y))
	for v := 0.0; v <= f.maxY*1.0001; v += step(f.maxY) {
		fmt.Fprintf(f, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, f.y(v), f.width-right, left-5, f.y(v)+4, number(v))
	}
}

// close draws marks above all else, and ends the drawing.
func (f *frame) close(marks []Mark) string {
	for _, m := range marks {
		fmt.Fprintf(f, `<path d="M%d %.1fH%d" stroke="#555" stroke-dasharray="5 4"/><text x="%d" y="%.1f" text-anchor="end" fill="#555">%s</text>`+"\n",
			left, f.y(m.Y), f.width-right, f.width-right-4, f.y(m.Y)-4, html.EscapeString(m.Name))
	}
	f.WriteString("</svg>\n")
	return f.String()
}

// legend names the colours.
func (f *frame) legend(names []string) {
	at := left
	for i, name := range names {
		fmt.Fprintf(f, `<rect x="%d" y="28" width="12" height="10" fill="%s"/><text x="%d" y="37">%s</text>`+"\n",
			at, colours[i%len(colours)], at+16, html.EscapeString(name))
		at += 30 + 7*len([]rune(name))
	}
}

// step is the distance of ticks: 1, 2 or 5 times a power of ten.
func step(most float64) float64 {
	if !(most > 0) {
		return 1
	}
	raw := most / ticks
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, f := range []float64{1, 2, 5} {
		if raw <= f*power {
			return f * power
		}
	}
	return 10 * power
}

func number(v float64) string { return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64) }

// room is the end of an axis that shows all values: at least something, and a little more than the largest.
func room(most float64) float64 {
	if !(most > 0) || math.IsInf(most, 0) {
		return 1
	}
	return most * 1.05
}
