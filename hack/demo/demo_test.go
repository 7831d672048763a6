package main

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	o, err := parse("", "")
	if err != nil || len(o.links) != 2 || o.duration != defaultDuration {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	if o, err = parse("50M/10ms,12M/40ms/0.5%,5M/60ms", "10s"); err != nil || len(o.links) != 3 || o.duration != 10*time.Second {
		t.Errorf("own: %+v, %v", o, err)
	}
	for _, bad := range [][2]string{{"fast", ""}, {"", "long"}, {"", "1s"}, {"", "1h"}} {
		if _, err := parse(bad[0], bad[1]); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestBar(t *testing.T) {
	for want, parts := range map[string][]float64{
		strings.Repeat("·", barWidth):                                     {0, 0},
		strings.Repeat("█", barWidth/2) + strings.Repeat("▓", barWidth/2): {20, 20},
		strings.Repeat("█", barWidth):                                     {50, 10}, // more than the whole does not overflow
	} {
		if got := bar(parts, 40); got != want {
			t.Errorf("%v: %s", parts, got)
		}
	}
}

func TestTableFailsOnOneBadLine(t *testing.T) {
	s := &show{began: time.Now()}
	s.add(line{what: "a", ok: true})
	s.add(line{what: "b", info: true})
	if !s.table() {
		t.Error("all well, and the verdict is not")
	}
	s.add(line{what: "c"})
	if s.table() {
		t.Error("a failed line, and the verdict is well")
	}
}
