package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// window is what is drawn, in ms.
type window struct{ from, to, step float64 }

// line has the members of all events that are drawn.
type line struct {
	Time      float64   `json:"time"`
	Tunnel    string    `json:"tunnel"`
	Event     string    `json:"event"`
	Path      int       `json:"path"`
	Rate      float64   `json:"rate"`
	Bandwidth float64   `json:"bandwidth"`
	Window    float64   `json:"window"`
	Flight    float64   `json:"flight"`
	Queue     float64   `json:"queue"`
	Delay     float64   `json:"delay"`
	Sent      float64   `json:"sent"`
	To        string    `json:"to"`
	Backlog   float64   `json:"backlog"`
	Wait      float64   `json:"wait"`
	Holds     []float64 `json:"holds"`
}

// point is a value at a time.
type point struct{ at, v float64 }

// series are points by name.
type series map[string][]point

func (s series) add(name string, at, v float64) { s[name] = append(s[name], point{at, v}) }

// marked is something that happened at once.
type marked struct {
	at   float64
	kind string // lost, repair, gave_up, late, state
	path int
	text string
}

// tunnel is what one end told.
type tunnel struct {
	name                                   string
	rates, delays, flights, waits, backlog series
	holds                                  []hold
	marks                                  []marked
	sent                                   map[int]point // at the beginning of the step
}

// hold is one look at how long lanes held packets.
type hold struct {
	at     float64
	counts []float64
}

// told is a whole trace.
type told struct {
	window
	tunnels []*tunnel
}

// read takes a trace in. What it does not know it leaves out: a newer mpproxy may tell more.
func read(from io.Reader, w window) (*told, error) {
	t := &told{window: w}
	in := bufio.NewScanner(from)
	in.Buffer(nil, 1<<20)
	end := 0.0
	for n := 1; in.Scan(); n++ {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if l.Time < w.from || w.to > 0 && l.Time > w.to {
			continue
		}
		end = max(end, l.Time)
		t.tunnel(l.Tunnel).take(&l, w.step)
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	if end <= w.from {
		return nil, errors.New("nothing is told in that time")
	}
	t.to = end
	return t, nil
}

func (t *told) tunnel(name string) *tunnel {
	if i := slices.IndexFunc(t.tunnels, func(o *tunnel) bool { return o.name == name }); i >= 0 {
		return t.tunnels[i]
	}
	one := &tunnel{name: name, rates: series{}, delays: series{}, flights: series{}, waits: series{}, backlog: series{}, sent: map[int]point{}}
	t.tunnels = append(t.tunnels, one)
	return one
}

func (o *tunnel) take(l *line, step float64) {
	switch l.Event {
	case "path":
		o.path(l, step)
	case "queue":
		o.waits.add("wait", l.Time, l.Wait)
		o.backlog.add("backlog", l.Time, l.Backlog/1000)
	case "lanes":
		o.holds = append(o.holds, hold{l.Time, l.Holds})
	case "lost", "repair", "gave_up", "late":
		o.marks = append(o.marks, marked{l.Time, l.Event, l.Path, ""})
	case "state":
		o.marks = append(o.marks, marked{l.Time, l.Event, l.Path, l.To})
	}
}

func (o *tunnel) path(l *line, step float64) {
	name := fmt.Sprintf("path %d", l.Path)
	before, known := o.sent[l.Path]
	if !known || l.Sent < before.v {
		o.sent[l.Path] = point{l.Time, l.Sent}
	} else if past := l.Time - before.at; past >= step {
		o.rates.add(name, l.Time-past/2, (l.Sent-before.v)*8/past/1000)
		o.sent[l.Path] = point{l.Time, l.Sent}
	}
	o.rates.add(name+" estimate", l.Time, l.Bandwidth)
	o.delays.add(name+" queue", l.Time, l.Queue)
	o.delays.add(name+" delay", l.Time, l.Delay)
	o.flights.add(name+" flight", l.Time, l.Flight/1000)
	o.flights.add(name+" window", l.Time, l.Window/1000)
}
