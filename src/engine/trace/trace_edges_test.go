package trace

import (
	"testing"
	"time"
)

// A reader's limit counts what is added, to the byte, whatever stood in its buffer before.
func TestRingLimitIsExact(t *testing.T) {
	r := NewRing(64)
	for _, line := range []string{"aaaa", "bb", "cccccc"} {
		r.Line([]byte(line))
	}
	for _, c := range []struct {
		before string
		limit  int
		want   string
		next   uint64
	}{
		{"", 4, "", 0}, {"", 5, "aaaa\n", 1}, {"", 7, "aaaa\n", 1}, {"", 8, "aaaa\nbb\n", 2}, {"", 15, "aaaa\nbb\ncccccc\n", 3},
		{"long before\n", 5, "aaaa\n", 1}, {"long before\n", 8, "aaaa\nbb\n", 2}, {"long before\n", 4, "", 0},
	} {
		text, next, missed := r.Since([]byte(c.before), 0, c.limit)
		if string(text) != c.before+c.want || next != c.next || missed != 0 {
			t.Errorf("%+v: %q, next %d, missed %d", c, text, next, missed)
		}
	}
	if r.Lines() != 3 {
		t.Errorf("%d lines", r.Lines())
	}
}

// Zero and what is smaller than the last digit have no odd sign, and digits are not lost behind the point.
func TestSmallNumbers(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0.000", time.Microsecond: "0.001", -time.Microsecond: "-0.001", 10 * time.Millisecond: "10.000", -1001 * time.Microsecond: "-1.001"} {
		var l Line
		l.Begin(0, "t", "e")
		l.Millis("d", d)
		if got := string(l.End()); got != `{"time":0.000,"tunnel":"t","event":"e","d":`+want+`}` {
			t.Errorf("%v: %s", d, got)
		}
	}
}
