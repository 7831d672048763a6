package main

import (
	"math"
	"strings"
	"testing"
)

func TestReadTrace(t *testing.T) {
	text := `{"time":0,"tunnel":"vps","event":"trace","version":1,"side":"router"}
{"time":20,"tunnel":"vps","event":"lanes","held":3,"holds":[10,0,4,0],"gaps":1}
{"time":25,"tunnel":"vps","event":"lost","path":1,"number":7}
{"time":26,"tunnel":"vps","event":"repair","path":2,"from":1}
{"time":40,"tunnel":"vps","event":"lanes","held":0,"holds":[5,1,2,1],"gaps":2}
`
	s, err := readTrace(strings.NewReader(text))
	if err != nil || s.lost != 1 || s.repairs != 1 || s.gaps != 2 || len(s.holds) != 4 || s.holds[0] != 15 || s.holds[2] != 6 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := readTrace(strings.NewReader("no trace\n")); err == nil {
		t.Error("a line that is no JSON is accepted")
	}
}

func TestHoldAt(t *testing.T) {
	// 100 packets did not wait; of those that did, 60 below 1 ms, 35 below 2, 5 longer than the last class.
	holds := []float64{100, 60, 35, 5}
	for q, want := range map[float64]float64{0.5: 1, 0.9: 2, 0.95: 2} {
		if got := holdAt(holds, q); got != want {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
	if got := holdAt(holds, 0.99); !math.IsInf(got, 1) || endless(got) != "more" {
		t.Errorf("in the last class: %v", got)
	}
	if holdAt(nil, 0.5) != 0 || holdAt([]float64{7}, 0.5) != 0 {
		t.Error("nothing waited")
	}
	if classAbove(30) != 32 || classAbove(32) != 32 || classAbove(0.1) != 0.5 {
		t.Error("classes")
	}
	if got := fastest(linksOf("50M/20ms,50M/120ms")); got != 20 {
		t.Errorf("fastest %v", got)
	}
}
