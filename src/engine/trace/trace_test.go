package trace

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestLineIsJSON(t *testing.T) {
	var l Line
	l.Begin(1234567*time.Microsecond, "a \"name\"\n\x1b\\", "path")
	l.Int("int", -5)
	l.Millis("ms", 1500*time.Microsecond)
	l.Millis("less", -20*time.Microsecond)
	l.Rate("rate", 1_250_000)
	l.Percent("loss", 6554)
	l.Counts("counts", []uint64{1, 0, 18446744073709551615})
	l.Counts("none", nil)
	const want = `{"time":1234.567,"tunnel":"a ?name????","event":"path","int":-5,"ms":1.500,"less":-0.020,"rate":10.000,` +
		`"loss":10.000,"counts":[1,0,18446744073709551615],"none":[]}`
	got := string(l.End())
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("not JSON")
	}
}

func FuzzLine(f *testing.F) {
	f.Add(int64(1), int64(-1), "x")
	f.Add(int64(-1)<<63, int64(1)<<62, "\x00\xff\u2028\"")
	f.Fuzz(func(t *testing.T, a, b int64, text string) {
		var l Line
		l.Begin(time.Duration(a), text, "e")
		l.Millis("d", time.Duration(b))
		l.Int("i", a)
		if got := l.End(); !json.Valid(got) {
			t.Errorf("not JSON: %q", got)
		}
	})
}

func TestRing(t *testing.T) {
	r := NewRing(64)
	for i := range 5 {
		r.Line([]byte(fmt.Sprintf("line %d", i)))
	}
	text, next, missed := r.Since(nil, 2, 1000)
	if string(text) != "line 2\nline 3\nline 4\n" || next != 5 || missed != 0 {
		t.Errorf("%q %d %d", text, next, missed)
	}
	if text, next, _ = r.Since(nil, 2, 15); string(text) != "line 2\nline 3\n" || next != 4 {
		t.Errorf("with a limit: %q %d", text, next)
	}
	if text, next, missed = r.Since(nil, 99, 15); len(text) != 0 || next != 5 || missed != 0 {
		t.Errorf("beyond the end: %q %d %d", text, next, missed)
	}
}

// What is read is always a run of whole lines in order, and what is not there was counted as missed.
func TestRingLosesOldest(t *testing.T) {
	r := NewRing(100)
	var from, missedAll, seen uint64
	for i := range 1000 {
		r.Line([]byte(fmt.Sprintf("%d%s", i, strings.Repeat(".", i%37))))
		if i%7 != 0 {
			continue
		}
		text, next, missed := r.Since(nil, from, 60)
		missedAll += missed
		for n, line := range strings.SplitAfter(string(text), "\n") {
			if line == "" {
				continue
			}
			want := fmt.Sprintf("%d%s\n", from+missed+uint64(n), strings.Repeat(".", int(from+missed+uint64(n))%37))
			if line != want {
				t.Fatalf("got %q, want %q", line, want)
			}
			seen++
		}
		from = next
	}
	if missedAll == 0 || seen == 0 || seen+missedAll != from {
		t.Errorf("seen %d, missed %d of %d", seen, missedAll, from)
	}
}

func TestRingRefusesGiants(t *testing.T) {
	r := NewRing(16)
	r.Line([]byte("ab"))
	r.Line(make([]byte, 16))
	r.Line([]byte("cd"))
	text, next, missed := r.Since(nil, 0, 100)
	if string(text) != "cd\n" || next != 3 || missed != 2 {
		t.Errorf("%q %d %d", text, next, missed)
	}
}
