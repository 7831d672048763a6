package stats

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func paren(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func upperFirst(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// duration says seconds in the two largest units.
func duration(seconds float64) string {
	n := int64(max(0, seconds))
	switch {
	case n < 60:
		return fmt.Sprintf("%d s", n)
	case n < 3600:
		return fmt.Sprintf("%d min %d s", n/60, n%60)
	case n < 86400:
		return fmt.Sprintf("%d h %d min", n/3600, n%3600/60)
	}
	return fmt.Sprintf("%d d %d h", n/86400, n%86400/3600)
}

// bits says a rate in three digits.
func bits(perSecond uint64) string {
	return scaled(perSecond, "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s")
}

// amount says bytes in three digits, in powers of 1000 as data caps count.
func amount(n uint64) string { return scaled(n, "B", "kB", "MB", "GB", "TB") }

// shareOf says how much of a whole, both in the unit of the whole: "12.4 of 50 GB".
func shareOf(part, whole uint64) string {
	unit, size := "B", 1.0
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		if float64(whole) < size*1000 {
			break
		}
		unit, size = u, size*1000
	}
	say := func(n uint64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/size), ".0") }
	return say(part) + " of " + say(whole) + " " + unit
}

func scaled(n uint64, units ...string) string {
	if n == 0 {
		return "0"
	}
	v, i := float64(n), 0
	for v >= 999.5 && i < len(units)-1 {
		v, i = v/1000, i+1
	}
	switch {
	case i == 0 || v >= 99.95:
		return fmt.Sprintf("%.0f %s", v, units[i])
	default:
		return fmt.Sprintf("%.1f %s", v, units[i])
	}
}

func percent(ratio float64) string {
	switch {
	case ratio <= 0:
		return "0 %"
	case ratio < 0.0005:
		return "<0.1 %"
	}
	return fmt.Sprintf("%.1f %%", 100*ratio)
}

// align writes rows as columns: the first left ones flush left, the others flush right.
func align(out *strings.Builder, rows [][]string, left int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				line.WriteString("  ")
			}
			if i < left {
				line.WriteString(cell + gap)
			} else {
				line.WriteString(gap + cell)
			}
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
