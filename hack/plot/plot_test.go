package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"mpproxy/src/engine/enginetest"
)

// kept is a trace in memory.
type kept struct{ strings.Builder }

func (k *kept) Line(line []byte) { k.Write(append(line, '\n')) }

// A real run's trace becomes a well-formed picture with every panel and the rates of both links.
func TestDraw(t *testing.T) {
	var cell enginetest.Cell
	for _, c := range enginetest.Profiles() {
		if c.Name == "loss_2" {
			cell = c
		}
	}
	var out kept
	cell.Tracer = &out
	cell.Run(1, true)
	trace, err := read(strings.NewReader(out.String()), window{step: 100})
	if err != nil {
		t.Fatal(err)
	}
	server := trace.tunnel("server")
	for _, path := range []string{"path 1", "path 2"} {
		points := server.rates[path]
		if len(points) < 100 || points[len(points)-1].v < 40 || points[len(points)-1].v > 55 {
			t.Errorf("%s: %d points, the last %v", path, len(points), points[max(len(points)-1, 0)])
		}
	}
	svg := trace.svg("a <b>")
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"estimate", "window", "held in lanes", "lost: ", "repair: ", "backlog"} {
		if !strings.Contains(svg, what) {
			t.Errorf("no %q", what)
		}
	}
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Error("numbers that are none")
	}
}

func TestReadRefuses(t *testing.T) {
	for _, text := range []string{"", "{}", "{\"time\":", "{\"time\":5,\"event\":\"path\"}\nx"} {
		if _, err := read(strings.NewReader(text), window{}); err == nil {
			t.Errorf("%q passes", text)
		}
	}
}
