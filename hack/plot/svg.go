package main

import (
	"cmp"
	"fmt"
	"html"
	"maps"
	"math"
	"slices"
	"strings"
)

// Sizes in pixels.
const (
	width   = 1200
	left    = 64
	right   = 170
	panel   = 150
	gap     = 34
	heading = 26
)

// colours are those of paths, in order; a path's second series is dashed.
var colours = []string{"#1f6fb4", "#d9681e", "#2a9148", "#b03a8c", "#7a5a1e", "#5b5bd6", "#444444", "#c0392b"}

// canvas is a picture being drawn, from top to bottom.
type canvas struct {
	strings.Builder
	from, to float64
	y        int
}

func (c *canvas) x(at float64) float64 {
	return left + (at-c.from)/(c.to-c.from)*(width-left-right)
}

// svg draws everything.
func (t *told) svg(title string) string {
	c := &canvas{from: t.from, to: t.to, y: heading + 10}
	for i, o := range t.tunnels {
		if i > 0 {
			c.y += gap
		}
		fmt.Fprintf(c, `<text x="8" y="%d" font-size="15" font-weight="bold">%s</text>`+"\n", c.y, html.EscapeString(o.name))
		c.y += 20
		c.lines("sent, Mbit/s (dashed: the estimate)", o.rates)
		c.marks(o.marks)
		c.lines("wait in the path, ms: predicted queue (dashed: measured delay above the floor)", o.delays)
		c.lines("on the way, kB (dashed: window)", o.flights)
		c.lines("longest wait in the tunnel's own queue, ms", o.waits)
		c.lines("backlog of that queue, kB", o.backlog)
		c.held(o.holds)
	}
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+
		`<rect width="100%%" height="100%%" fill="white"/><text x="8" y="18" font-size="13">%s, %.1f to %.1f s</text>`+"\n",
		width, c.y+10, html.EscapeString(title), t.from/1000, t.to/1000)
	return head + c.String() + "</svg>\n"
}

// frame draws a panel's title, box and scale up to most, and moves on.
func (c *canvas) frame(title string, most float64) (y func(v float64) float64) {
	c.y += gap
	top := c.y
	c.y += panel
	fmt.Fprintf(c, `<text x="%d" y="%d">%s</text><rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#bbb"/>`+"\n",
		left, top-6, html.EscapeString(title), left, top, width-left-right, panel)
	for i := range 3 {
		v := most * float64(i) / 2
		fmt.Fprintf(c, `<text x="%d" y="%d" text-anchor="end">%.4g</text>`, left-6, top+panel-i*panel/2+4, v)
	}
	span := (c.to - c.from) / 1000
	step := math.Pow(10, math.Floor(math.Log10(span/2)))
	if span/step > 12 {
		step *= 2
	}
	for s := math.Ceil(c.from/1000/step) * step; s <= c.to/1000; s += step {
		fmt.Fprintf(c, `<path d="M%.1f %dv4" stroke="#888"/><text x="%.1f" y="%d" text-anchor="middle">%.4g</text>`, c.x(s*1000), top+panel, c.x(s*1000), top+panel+15, s)
	}
	c.WriteString("\n")
	return func(v float64) float64 { return float64(top+panel) - min(max(v/most, 0), 1)*panel }
}

// lines draws series over time: a colour for each path. A scale that few points reach is cut, so that one spike does not hide
// the rest.
func (c *canvas) lines(title string, s series) {
	var all []float64
	for _, points := range s {
		for _, p := range points {
			all = append(all, p.v)
		}
	}
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	most := max(min(all[len(all)-1], 1.5*all[len(all)*99/100]), 1e-3)
	y := c.frame(title, most)
	for i, name := range slices.SortedFunc(maps.Keys(s), cmp.Compare[string]) {
		colour, dash := style(name)
		var path strings.Builder
		last := math.Inf(-1)
		for _, p := range s[name] {
			letter := "L"
			if p.at-last > 1000 {
				letter = "M" // nothing was told in between
			}
			last = p.at
			fmt.Fprintf(&path, "%s%.1f %.1f", letter, c.x(p.at), y(p.v))
		}
		fmt.Fprintf(c, `<path d="%s" fill="none" stroke="%s" stroke-width="1.2"%s/>`, path.String(), colour, dash)
		fmt.Fprintf(c, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", width-right+8, c.y-panel+14+13*i, colour, html.EscapeString(name))
	}
}

// style is how a series looks.
func style(name string) (colour, dash string) {
	path := 0
	fmt.Sscanf(name, "path %d", &path)
	if strings.HasSuffix(name, "estimate") || strings.HasSuffix(name, "window") || strings.HasSuffix(name, "delay") {
		dash = ` stroke-dasharray="4 3" opacity="0.7"`
	}
	return colours[path%len(colours)], dash
}

// marks draws what happened at once as ticks under a panel, a row for each kind.
func (c *canvas) marks(marks []marked) {
	if len(marks) == 0 {
		return
	}
	c.y += 18
	for _, kind := range []string{"lost", "repair", "late", "gave_up", "state"} {
		n := 0
		c.y += 13
		for _, m := range marks {
			if m.kind != kind {
				continue
			}
			n++
			fmt.Fprintf(c, `<path d="M%.1f %dv9" stroke="%s"/>`, c.x(m.at), c.y-9, colours[m.path%len(colours)])
			if m.text != "" {
				fmt.Fprintf(c, `<text x="%.1f" y="%d" font-size="9">%s</text>`, c.x(m.at)+2, c.y, html.EscapeString(m.text))
			}
		}
		fmt.Fprintf(c, `<text x="%d" y="%d">%s: %d</text>`+"\n", width-right+8, c.y, kind, n)
	}
}

// held draws how long lanes held packets: time to the right, longer holds further up, darker where more packets were held.
func (c *canvas) held(holds []hold) {
	rows, all := 0, 0.0
	for _, h := range holds {
		rows = max(rows, len(h.counts))
		for _, n := range h.counts {
			all += n
		}
	}
	if all == 0 {
		return
	}
	const columns = 150
	grid := make([][]float64, columns)
	most := 0.0
	for _, h := range holds {
		at := min(int((h.at-c.from)/(c.to-c.from)*columns), columns-1)
		if grid[at] == nil {
			grid[at] = make([]float64, rows)
		}
		for i, n := range h.counts {
			grid[at][i] += n
			most = max(most, grid[at][i])
		}
	}
	y := c.frame(fmt.Sprintf("packets held in lanes, by how long (%.0f in all)", all), float64(rows))
	wide, high := float64(width-left-right)/columns, float64(panel)/float64(rows)
	for at, column := range grid {
		for i, n := range column {
			if n > 0 {
				fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.2f" height="%.2f" fill="#1f6fb4" opacity="%.2f"/>`,
					left+float64(at)*wide, y(float64(i+1)), wide, high, 0.1+0.9*math.Log1p(n)/math.Log1p(most))
			}
		}
	}
	for i := range rows {
		text := fmt.Sprintf("below %g ms", 0.5*math.Pow(2, float64(i)))
		if i == rows-1 {
			text = "longer"
		}
		fmt.Fprintf(c, `<text x="%d" y="%.1f" font-size="9">%s</text>`+"\n", width-right+8, y(float64(i)+0.3), text)
	}
}
