package main

import (
	"fmt"
	"html"
	"strings"
)

// Sizes of a plot in pixels.
const (
	plotWidth = 860
	plotText  = 330
	plotBar   = 16
	plotRow   = 24
)

// bars draws a section's medians as bars, each scaled with the others of its unit; a line marks the target, a thin bar the
// control. Values of every run are dots.
func bars(title string, rows []*row) string {
	most := map[string]float64{}
	for _, r := range rows {
		for _, v := range append(append([]float64{r.bound}, r.values...), r.control...) {
			most[r.unit] = max(most[r.unit], v)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		plotWidth, 40+plotRow*len(rows))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="8" y="20" font-size="14">%s</text>`+"\n", html.EscapeString(title))
	for i, r := range rows {
		y := 34 + i*plotRow
		at := func(v float64) float64 {
			if most[r.unit] == 0 {
				return plotText
			}
			return plotText + v/most[r.unit]*(plotWidth-plotText-110)
		}
		colour := "#4a7ab5"
		if r.verdict() == missed {
			colour = "#c0504d"
		}
		m := median(r.values)
		fmt.Fprintf(&b, `<text x="8" y="%d">%s</text>`, y+12, html.EscapeString(r.what))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, plotText, y, at(m)-plotText, plotBar, colour)
		if len(r.control) > 0 {
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="4" fill="#999"/>`, plotText, y+plotBar, at(median(r.control))-plotText)
		}
		for _, v := range r.values {
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%d" r="2.5" fill="#222"/>`, at(v), y+plotBar/2)
		}
		if r.judge != unjudged {
			fmt.Fprintf(&b, `<path d="M%.1f %dv%d" stroke="#080" stroke-width="2"/>`, at(r.wanted()), y-2, plotBar+4)
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s %s</text>`+"\n", plotWidth-100, y+12, number(m), html.EscapeString(r.unit))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
