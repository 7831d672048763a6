package trace

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Line is one line while it is written: names and values in the order of the calls. The names are constants of the caller
// and need no escaping. Its buffer is used again for the next one, so that a trace allocates nothing.
type Line struct{ b []byte }

// Begin starts a line, at a time since the trace began; tunnel is the end it is of.
func (l *Line) Begin(at time.Duration, tunnel, event string) {
	l.b = append(l.b[:0], `{"time":`...)
	l.fixed(int64(at/time.Microsecond), 3)
	l.Text("tunnel", tunnel)
	l.Text("event", event)
}

// End closes the line and returns it, without a line end. It is valid until the next Begin.
func (l *Line) End() []byte {
	l.b = append(l.b, '}')
	return l.b
}

func (l *Line) name(name string) {
	l.b = append(l.b, `,"`...)
	l.b = append(l.b, name...)
	l.b = append(l.b, `":`...)
}

// Int writes a whole number.
func (l *Line) Int(name string, v int64) {
	l.name(name)
	l.b = strconv.AppendInt(l.b, v, 10)
}

// Millis writes a duration in ms, to a microsecond.
func (l *Line) Millis(name string, d time.Duration) {
	l.name(name)
	l.fixed(int64(d/time.Microsecond), 3)
}

// Rate writes bytes per second as Mbit/s, to a kbit/s.
func (l *Line) Rate(name string, bytesPerSecond int64) {
	l.name(name)
	l.fixed(bytesPerSecond/125, 3)
}

// Percent writes a share in 1/65536 as a percentage.
func (l *Line) Percent(name string, share int64) {
	l.name(name)
	l.fixed(share*100_000/65536, 3)
}

// Text writes a text; what JSON or a terminal would not take becomes a question mark.
func (l *Line) Text(name, v string) {
	l.name(name)
	l.b = append(l.b, '"')
	for _, r := range v {
		if r < ' ' || r == '"' || r == '\\' || r == 0x7f || r == '\uFFFD' {
			r = '?'
		}
		l.b = utf8.AppendRune(l.b, r)
	}
	l.b = append(l.b, '"')
}

// Counts writes a list of numbers.
func (l *Line) Counts(name string, v []uint64) {
	l.name(name)
	l.b = append(l.b, '[')
	for i, n := range v {
		if i > 0 {
			l.b = append(l.b, ',')
		}
		l.b = strconv.AppendUint(l.b, n, 10)
	}
	l.b = append(l.b, ']')
}

// fixed writes v / 10^digits.
func (l *Line) fixed(v int64, digits int) {
	if v < 0 {
		l.b = append(l.b, '-')
		v = -v
	}
	unit := int64(1)
	for range digits {
		unit *= 10
	}
	l.b = strconv.AppendInt(l.b, v/unit, 10)
	l.b = append(l.b, '.')
	for rest := v % unit; digits > 0; digits-- {
		unit /= 10
		l.b = append(l.b, byte('0'+rest/unit))
		rest %= unit
	}
}
