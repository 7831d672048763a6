package quota

import (
	"fmt"
	"time"
)

// Period is how long a plan's bytes have to last.
type Period int

// The periods.
const (
	Month Period = iota
	Week
	Day
)

// shape names a plan's period, so that another one is noticed.
func (p Plan) shape() string { return fmt.Sprintf("%d/%d", p.Period, p.Day) }

// Since is when the period that holds now began: midnight where now is. A midnight that summer time leaves out is an hour
// later.
func (p Plan) Since(now time.Time) time.Time {
	y, m, d := now.Date()
	switch p.Period {
	case Day:
		return midnight(y, m, d, now.Location())
	case Week:
		back := (int(now.Weekday()) + 6 - (p.Day - 1)) % 7 // Go's week begins on Sunday, 0
		return midnight(y, m, d-back, now.Location())
	}
	if first := dayOf(y, m, p.Day); d >= first {
		return midnight(y, m, first, now.Location())
	}
	m-- // time.Date takes the month before January for December
	return midnight(y, m, dayOf(y, m, p.Day), now.Location())
}

// Ends is when the period that holds now ends and the next one begins.
func (p Plan) Ends(now time.Time) time.Time {
	y, m, d := p.Since(now).Date()
	switch p.Period {
	case Day:
		return midnight(y, m, d+1, now.Location())
	case Week:
		return midnight(y, m, d+7, now.Location())
	}
	m++
	return midnight(y, m, dayOf(y, m, p.Day), now.Location())
}

func midnight(y int, m time.Month, d int, in *time.Location) time.Time {
	return time.Date(y, m, d, 0, 0, 0, 0, in)
}

// dayOf is a day of a month, or its last one.
func dayOf(y int, m time.Month, day int) int {
	return min(day, time.Date(y, m+1, 0, 0, 0, 0, 0, time.UTC).Day())
}
