package config

import "slices"

// nearest returns the word of known that text was most likely meant to be, or "" if none is near: at most a third of
// its letters, and at least one, may differ. Of equally near ones the first in alphabetical order wins.
func nearest(text string, known []string) string {
	best, bestDistance := "", 1+max(1, len(text)/3)
	if len(text) > maxTextBytes {
		return ""
	}
	known = slices.Sorted(slices.Values(known))
	for _, word := range known {
		if n := distance(text, word); n < bestDistance {
			best, bestDistance = word, n
		}
	}
	return best
}

// distance counts the single letters to add, drop, change or swap with a neighbour to make a into b (Damerau's).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
