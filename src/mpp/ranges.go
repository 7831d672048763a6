package mpp

import "slices"

// spans is a set of bytes as sorted spans that do not touch.
type spans []Span

// add puts s into the set; false if that would need more than limit spans.
func (r *spans) add(s Span, limit int) bool {
	i, _ := slices.BinarySearchFunc(*r, s.From, func(have Span, from uint64) int {
		if have.To < from {
			return -1
		}
		return 1
	})
	j := i
	for j < len(*r) && (*r)[j].From <= s.To {
		s.From, s.To = min(s.From, (*r)[j].From), max(s.To, (*r)[j].To)
		j++
	}
	if i == j && len(*r) >= limit {
		return false
	}
	*r = slices.Replace(*r, i, j, s)
	return true
}

// cut drops what is below offset.
func (r *spans) cut(offset uint64) {
	n := 0
	for n < len(*r) && (*r)[n].To <= offset {
		n++
	}
	*r = slices.Delete(*r, 0, n)
	if len(*r) > 0 {
		(*r)[0].From = max((*r)[0].From, offset)
	}
}
