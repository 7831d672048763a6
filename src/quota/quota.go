// Package quota holds what a connection carries against its data cap: periods of a calendar, a clock that may be wrong, a
// count that survives restarts, and counters of devices that begin anew. It reads no clock and writes nothing.
package quota

import "time"

// Plan is a data cap.
type Plan struct {
	// Bytes are allowed in each period; more than 0.
	Bytes uint64
	// Down and Up say which bytes count.
	Down, Up bool
	Period   Period
	// Day begins the period: of the month, 1..31 (its last day where there is no such day), or of the week, 1 (Monday)..7.
	Day int
	// WarnPercent of Bytes is from where on the owner should know, 1..100.
	WarnPercent int
}

// Level says how much of a plan is used.
type Level int

// The levels, in rising order.
const (
	Below   Level = iota // of the warning
	Warn                 // the warning is due
	Reached              // all is used
)

// State is what has to be kept to go on counting after a restart. Its zero value is that of a plan never counted before.
type State struct {
	// Shape is the plan's period, Since the day on which the present one began ("2026-05-01", by the calendar here); empty:
	// no clock has told yet.
	Shape string `json:"shape,omitempty"`
	Since string `json:"since,omitempty"`
	// Down and Up were counted in it, Typed was said by the owner to come on top.
	Down  uint64 `json:"down"`
	Up    uint64 `json:"up"`
	Typed uint64 `json:"typed,omitempty"`
	// Correction names the owner's word that was taken last.
	Correction string `json:"correction,omitempty"`
	// Seen is the latest time that was believed, seconds since 1970.
	Seen int64 `json:"seen,omitempty"`
	// Before is the period before, for a clock that ran ahead.
	Before *Past `json:"before,omitempty"`
}

// Past is what was used in a period that has ended.
type Past struct {
	Since string `json:"since"`
	Down  uint64 `json:"down"`
	Up    uint64 `json:"up"`
	Typed uint64 `json:"typed,omitempty"`
}

// Clock is the time as this machine has it.
type Clock struct {
	// Now is in the owner's time zone.
	Now time.Time
	// Sure says that somebody set the clock, so that it is believed also where it goes back.
	Sure bool
}

// oldest is before every time at which this could run: a clock that says less was never set.
const oldest = 1_735_689_600 // 2025-01-01

// believable reports whether a clock can be used after what was seen before: one that nobody set since the start may show
// the time of the last shutdown, or of the factory.
func (c Clock) believable(seen int64) bool {
	at := c.Now.Unix()
	return at >= oldest && (at >= seen || c.Sure)
}

// Known reports that the present period is known, so that its end is too.
func (s *State) Known(c Clock) bool { return s.Since != "" && c.believable(s.Seen) }

// Turn goes to the period of now. It reports whether one has ended, so that what is used begins at 0. A clock that is not to
// be believed ends none. Call it before Add.
func (s *State) Turn(p Plan, c Clock) (ended bool) {
	if !c.believable(s.Seen) {
		return false
	}
	s.Seen = c.Now.Unix()
	since, shape := p.Since(c.Now).Format(time.DateOnly), p.shape()
	old, reshaped := s.Since, s.Shape != shape
	s.Since, s.Shape = since, shape
	switch {
	case old == "" || old == since:
		return false
	case reshaped: // nobody knows which part of what was counted lies in the new one
		s.Before = nil
		return false
	case since > old:
		s.Before = &Past{Since: old, Down: s.Down, Up: s.Up, Typed: s.Typed}
		s.Down, s.Up, s.Typed = 0, 0, 0
		return true
	}
	if b := s.Before; b != nil && b.Since == since { // the clock had run ahead: that period has not ended
		s.Down, s.Up, s.Typed = s.Down+b.Down, s.Up+b.Up, s.Typed+b.Typed
	}
	s.Before = nil
	return false
}

// Add counts bytes.
func (s *State) Add(down, up uint64) { s.Down, s.Up = s.Down+down, s.Up+up }

// Correct takes the owner's word for what has been used so far; the name tells one such word from another, and each is taken
// once. An empty name takes nothing. It reports whether it was taken.
func (s *State) Correct(name string, used uint64) bool {
	if name == s.Correction {
		return false
	}
	s.Correction = name
	if name == "" {
		return false
	}
	s.Down, s.Up, s.Typed = 0, 0, used
	return true
}

// Used is what of the plan is used.
func (s *State) Used(p Plan) uint64 {
	used := s.Typed
	if p.Down {
		used += s.Down
	}
	if p.Up {
		used += s.Up
	}
	return used
}

// Percent is Used of the plan, 0..100.
func (s *State) Percent(p Plan) int {
	if used := s.Used(p); used < p.Bytes {
		return int(float64(used) / float64(p.Bytes) * 100)
	}
	return 100
}

// Level says how far the plan is used.
func (s *State) Level(p Plan) Level {
	switch {
	case s.Used(p) >= p.Bytes:
		return Reached
	case s.Percent(p) >= p.WarnPercent:
		return Warn
	}
	return Below
}
