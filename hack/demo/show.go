package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/engine/mono"
)

// show plays the scenes over one lab.
type show struct {
	ctx      context.Context
	lab      *lab.Lab
	duration time.Duration
	screen   *screen
	began    time.Time
	alone    float64 // what the best link alone gave, bit/s
	lines    []line
}

// startUp is left out of every rate: TCP has to find the rate first.
const startUp = 2 * time.Second

// play runs every scene in turn.
func (s *show) play() error {
	s.began = time.Now()
	s.screen.say("client - router =%d links= Internet - remote portal; server beyond. All in network namespaces.", len(s.lab.Links))
	for _, link := range s.lab.Links {
		s.screen.say("  %s: %s, round trip %v", link.Name, link.Params(lab.Down), 2*link.Params(lab.Down).Delay)
	}
	scenes := []func() error{s.alones, s.startPortals, s.download, s.upload}
	if len(s.lab.Links) > 1 {
		scenes = append(scenes, s.linkDies, s.controlBreaks, s.linkReturns)
	}
	scenes = append(scenes, s.stopPortals)
	for _, scene := range scenes {
		if err := scene(); err != nil {
			return err
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
	}
	s.honesty()
	return nil
}

// sum is what all given links can carry together inside the tunnel.
func sum(links []*lab.Link, d lab.Direction) float64 {
	var total float64
	for _, link := range links {
		total += ceiling(link.Params(d))
	}
	return total
}

// honesty says whether the machine kept up with the emulation.
func (s *show) honesty() {
	var refused uint64
	var late time.Duration
	for _, link := range s.lab.Links {
		refused += link.Refused()
		late = max(late, link.Lateness())
	}
	s.add(line{what: "emulator: packets lost by this machine itself", value: fmt.Sprint(refused), wanted: "0", ok: refused == 0})
	s.add(line{what: "emulator: latest delivery behind its time", value: fmt.Sprintf("%.1f ms", late.Seconds()*1e3), info: true})
}

const (
	drawEvery  = 250 * time.Millisecond // on a terminal
	printEvery = time.Second            // elsewhere
)

// watch shows what the links carry in one direction until a time, doing the actions at their times.
func (s *show) watch(d lab.Direction, b *lab.Bulk, until mono.Time, actions ...action) error {
	every := printEvery
	if s.screen.terminal {
		every = drawEvery
	}
	began := lab.Now()
	last, carried := began, s.carried(d)
	for lab.Now().Before(until) {
		next := lab.Now().Add(every)
		if len(actions) > 0 && actions[0].at.Before(next) {
			next = actions[0].at
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-time.After(mono.Min(next, until).Sub(lab.Now())):
		}
		now := lab.Now()
		if now.Sub(last) > every/2 {
			bytes := s.carried(d)
			s.screen.live(s.status(now.Sub(began), now.Sub(last), carried, bytes, b))
			last, carried = now, bytes
		}
		if len(actions) > 0 && !now.Before(actions[0].at) {
			s.screen.say("  %s", actions[0].text)
			if err := actions[0].do(); err != nil {
				return err
			}
			actions = actions[1:]
		}
	}
	s.screen.endLine()
	return nil
}

// action is something that happens during a scene.
type action struct {
	at   mono.Time
	text string
	do   func() error
}

func (s *show) carried(d lab.Direction) []uint64 {
	var bytes []uint64
	for _, link := range s.lab.Links {
		bytes = append(bytes, link.Stats(d).DeliveredBytes)
	}
	return bytes
}

// status is one live line: what each link carried in the last step, the sum, and TCP's payload in the last second.
func (s *show) status(at, step time.Duration, before, after []uint64, b *lab.Bulk) string {
	var text strings.Builder
	var rates []float64
	var total, whole float64
	fmt.Fprintf(&text, "  %4.1f s ", at.Seconds())
	for i, link := range s.lab.Links {
		rate := float64(after[i]-before[i]) * 8 / step.Seconds()
		rates = append(rates, rate)
		total += rate
		whole += float64(link.Params(lab.Down).Rate)
		fmt.Fprintf(&text, " %s %5.1f", link.Name, rate/1e6)
	}
	fmt.Fprintf(&text, "  sum %5.1f", total/1e6)
	if s.screen.terminal {
		fmt.Fprintf(&text, " %s", bar(rates, whole))
	}
	if b != nil {
		fmt.Fprintf(&text, "  tcp %5.1f", b.Rate(lab.Now().Add(-time.Second-100*time.Millisecond), lab.Now())/1e6)
	}
	if s.alone > 0 {
		fmt.Fprintf(&text, "  (one link alone %.1f)", s.alone/1e6)
	}
	return text.String()
}
