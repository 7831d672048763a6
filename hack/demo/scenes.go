package main

import (
	"fmt"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/engine/mono"
)

// Lengths of the scenes.
const (
	aloneLength   = 4 * time.Second
	maxAlone      = 3 // links measured alone; more would make the demo long
	beforeCut     = 3 * time.Second
	afterCut      = 4 * time.Second
	controlBefore = 1500 * time.Millisecond
	controlCut    = 2500 * time.Millisecond
	controlAfter  = 1 * time.Second
	beforeReturn  = 3 * time.Second
)

// alones measures what each link gives by itself, without the tunnel.
func (s *show) alones() error {
	s.screen.say("\n1. One link alone, without the tunnel: download over one TCP connection")
	for i, link := range s.lab.Links {
		if i == maxAlone {
			break
		}
		undo, err := s.lab.Prefer(link)
		if err != nil {
			return err
		}
		rate, err := s.transfer(lab.Down, aloneLength, time.Second)
		if err != nil {
			return err
		}
		if err := undo(); err != nil {
			return err
		}
		s.alone = max(s.alone, rate)
		limit := float64(link.Params(lab.Down).Rate) * plainShare
		s.add(line{what: link.Name + " alone, no tunnel", value: mbit(rate), wanted: "can give " + mbit(limit), info: true})
	}
	return nil
}

// transfer runs one TCP transfer and returns its rate without the start.
func (s *show) transfer(d lab.Direction, length, skip time.Duration) (float64, error) {
	b, err := s.lab.StartBulk(d, length)
	if err != nil {
		return 0, err
	}
	end := b.Started.Add(length)
	if err := s.watch(d, b, end); err != nil {
		return 0, err
	}
	if err := b.Wait(); err != nil {
		return 0, err
	}
	return b.Rate(b.Started.Add(skip), end), nil
}

func (s *show) startPortals() error {
	began := time.Now()
	if err := s.lab.StartPortals(); err != nil {
		return err
	}
	s.screen.say("\n   both portals started; session up after %.1f s", time.Since(began).Seconds())
	return nil
}

func (s *show) stopPortals() error { return s.lab.StopPortals() }

func (s *show) download() error {
	s.screen.say("\n2. Download over the tunnel: one TCP connection, all links")
	return s.bonded(lab.Down, "download", thresholds.download)
}

func (s *show) upload() error {
	s.screen.say("\n3. Upload over the tunnel: one TCP connection, all links")
	return s.bonded(lab.Up, "upload", thresholds.upload)
}

// bonded is a transfer over all links, judged against the sum of their ceilings and each link's own counter.
func (s *show) bonded(d lab.Direction, what string, share float64) error {
	before := s.carried(d)
	rate, err := s.transfer(d, s.duration, startUp)
	if err != nil {
		return err
	}
	want := sum(s.lab.Links, d)
	s.add(line{
		what:   fmt.Sprintf("%s, one TCP flow, %d links", what, len(s.lab.Links)),
		value:  fmt.Sprintf("%s = %.2f of the sum %.1f", mbit(rate), rate/want, want/1e6),
		wanted: fmt.Sprintf(">= %.2f", share), ok: rate >= share*want,
	})
	s.add(line{what: "  gain over the best link alone", value: fmt.Sprintf("x %.2f", rate/s.alone), info: true})
	after := s.carried(d)
	for i, link := range s.lab.Links {
		carried := float64(after[i] - before[i])
		least := thresholds.used * float64(link.Params(d).Rate) / 8 * (s.duration - startUp).Seconds()
		s.add(line{what: "  carried by " + link.Name + ", by its own counter", value: fmt.Sprintf("%.1f MB", carried/1e6),
			wanted: fmt.Sprintf(">= %.1f MB", least/1e6), ok: carried >= least})
	}
	return nil
}

// linkDies cuts the first link in silence under a download and a call.
func (s *show) linkDies() error {
	s.screen.say("\n4. A download and a call (50 packets/s each way); then %s is cut in silence", s.lab.Links[0].Name)
	length := beforeCut + afterCut
	b, err := s.lab.StartBulk(lab.Down, length)
	if err != nil {
		return err
	}
	call, err := s.lab.StartCall(length)
	if err != nil {
		return err
	}
	var cut mono.Time
	var resent uint64
	err = s.watch(lab.Down, b, b.Started.Add(length), action{
		at: b.Started.Add(beforeCut), text: "---- " + s.lab.Links[0].Name + " is cut, both ways; nobody is told ----",
		do: func() (err error) {
			resent, err = s.lab.Retransmits("server")
			s.lab.Links[0].Cut(lab.Up, lab.Down)
			cut = lab.Now()
			return err
		},
	})
	if err != nil {
		return err
	}
	end := lab.Now()
	now, err := s.lab.Retransmits("server")
	if err != nil {
		return err
	}
	for _, wait := range []func() error{b.Wait, call.Wait} {
		if err := wait(); err != nil {
			return err
		}
	}
	s.judgeCut(b, call, cut, end, now-resent)
	return nil
}

// callMargin keeps packets that were still under way at the end out of a call's statistics.
const callMargin = 200 * time.Millisecond

func (s *show) judgeCut(b *lab.Bulk, call *lab.Call, cut, end mono.Time, resent uint64) {
	for _, d := range []lab.Direction{lab.Down, lab.Up} {
		c := call.Stats(d, cut.Add(-time.Second), end.Add(-callMargin))
		s.add(line{
			what:   fmt.Sprintf("link cut in silence: call %v, longest silence", d),
			value:  fmt.Sprintf("%d ms, %d of %d packets lost", c.Silence.Milliseconds(), c.Lost, c.Sent),
			wanted: fmt.Sprintf("<= %d ms", thresholds.silence.Milliseconds()), ok: c.Sent > 0 && c.Silence <= thresholds.silence,
		})
	}
	s.add(line{what: "link cut in silence: TCP segments sent again", value: fmt.Sprint(resent),
		wanted: fmt.Sprintf("<= %d", thresholds.resent), ok: resent <= thresholds.resent})
	rate, want := b.Rate(cut.Add(time.Second), end), sum(s.lab.Links[1:], lab.Down)
	s.add(line{what: "download over what is left", value: fmt.Sprintf("%s = %.2f of %.1f", mbit(rate), rate/want, want/1e6),
		wanted: fmt.Sprintf(">= %.2f", thresholds.survivor), ok: rate >= thresholds.survivor*want})
}

// controlBreaks cuts the last links alive: the call must break, else nothing above was really cut.
func (s *show) controlBreaks() error {
	s.screen.say("\n5. The control: only %s is alive; a call, and the same cut", s.lab.Links[1].Name)
	length := controlBefore + controlCut + controlAfter
	for _, link := range s.lab.Links[2:] {
		link.Cut(lab.Up, lab.Down)
	}
	call, err := s.lab.StartCall(length)
	if err != nil {
		return err
	}
	last := s.lab.Links[1]
	at := call.Started.Add(controlBefore)
	back := at.Add(controlCut)
	err = s.watch(lab.Down, nil, call.Started.Add(length),
		action{at: at, text: "---- " + last.Name + " is cut too ----", do: func() error { last.Cut(lab.Up, lab.Down); return nil }},
		action{at: back, text: "---- " + last.Name + " is back ----", do: func() error { last.Restore(); return nil }})
	if err != nil {
		return err
	}
	if err := call.Wait(); err != nil {
		return err
	}
	c := call.Stats(lab.Down, at.Add(-time.Second), back)
	s.add(line{what: "control, one link only, same cut: call down", value: fmt.Sprintf("%d ms silent, %d of %d packets lost", c.Silence.Milliseconds(), c.Lost, c.Sent),
		wanted: fmt.Sprintf(">= %d ms (it must break)", thresholds.broken.Milliseconds()), ok: c.Silence >= thresholds.broken})
	return nil
}

// linkReturns brings the first link back under a download.
func (s *show) linkReturns() error {
	s.screen.say("\n6. A download over %s alone; then %s comes back", s.lab.Links[1].Name, s.lab.Links[0].Name)
	length := beforeReturn + thresholds.backWithin + startUp
	b, err := s.lab.StartBulk(lab.Down, length)
	if err != nil {
		return err
	}
	var back mono.Time
	err = s.watch(lab.Down, b, b.Started.Add(length), action{
		at: b.Started.Add(beforeReturn), text: "---- " + s.lab.Links[0].Name + " is back ----",
		do: func() error {
			for _, link := range s.lab.Links {
				link.Restore()
			}
			back = lab.Now()
			return nil
		},
	})
	if err != nil {
		return err
	}
	if err := b.Wait(); err != nil {
		return err
	}
	want := sum(s.lab.Links, lab.Down)
	took, reached := b.Reached(back, thresholds.back*want)
	value := fmt.Sprintf("after %.1f s", took.Seconds())
	if !reached {
		value = fmt.Sprintf("never; at the end %s", mbit(b.Rate(b.Started.Add(length-startUp), b.Started.Add(length))))
	}
	s.add(line{what: fmt.Sprintf("link back: %.2f of the sum again", thresholds.back), value: value,
		wanted: fmt.Sprintf("within %.0f s", thresholds.backWithin.Seconds()), ok: reached && took <= thresholds.backWithin})
	return nil
}
