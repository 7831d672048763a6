package portal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/system"
)

const (
	// wallLook is how often it is looked which links do not get through.
	wallLook = 5 * time.Second
	// wallAfter is how long a link with an address does not get through before a login page is suspected: longer than a
	// handshake and its first repetitions take.
	wallAfter = 15 * time.Second
	// wallAgain and wallAgainMetered are how often such a link is asked: some 1 kB each time.
	wallAgain        = time.Minute
	wallAgainMetered = 30 * time.Minute
	// wallPatience is how long an answer may take.
	wallPatience = 4 * time.Second
	// wallBytes is as much of it as is read.
	wallBytes = 4096
	// wallSilence is for how long the server's own address may keep silent over a link that gets through before nobody is taken
	// to be there: shorter than two questions are apart, and longer than a link is taken for one that gets through after it broke.
	wallSilence = wallAgain / 2
	// wallForgets is after which time a silence has nothing to do with the next.
	wallForgets = 2 * wallAgainMetered
	// wallPort is where networks with a login page answer in place of everybody.
	wallPort = 80
)

// walls finds links whose network answers web requests itself until somebody has logged in (hotels, trains): the server does
// not answer over them, and somebody answers at its address's port for web pages who does not over other links.
type walls struct {
	portal *local
	walled [system.MaxLinks]atomic.Bool
	links  [system.MaxLinks]wallState
	silent time.Time // when the server's address began to say nothing over links that get through; zero: it does
	known  wallReference
}

// wallReference is an answer over a link that gets through and is metered: it is not asked as often as others.
type wallReference struct {
	at     netip.Addr
	until  time.Time
	answer webAnswer
}

// wallState is what is known of a link that does not get through.
type wallState struct {
	since, next time.Time
}

// wallLink is a link as the loop sees it.
type wallLink struct {
	knownLink
	index    int
	metered  bool
	up, gets bool // it should get through; it does
}

// String names the task in logs.
func (w *walls) String() string { return "login pages" }

// Run looks around until ctx ends.
func (w *walls) Run(ctx context.Context) error {
	tick := time.NewTicker(wallLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		list := w.list(ctx)
		for _, k := range list {
			if !w.due(k, time.Now()) {
				continue
			}
			got := askWeb(ctx, k.knownLink)
			var reference *webAnswer
			if got.status != 0 {
				reference = w.reference(list, func(o knownLink) webAnswer { return askWeb(ctx, o) })
			}
			w.set(k, isWall(got, reference))
		}
	}
}

// reference is what the server's own address answers over a link that gets through, best one that is not metered; nil: nobody knows.
// One silence says nothing: the question may have been lost.
func (w *walls) reference(list []wallLink, ask func(knownLink) webAnswer) *webAnswer {
	fit := func(metered bool) int {
		return slices.IndexFunc(list, func(o wallLink) bool { return o.gets && o.endpoint.IsValid() && o.metered == metered })
	}
	i := fit(false)
	if i < 0 {
		i = fit(true)
	}
	if i < 0 {
		return nil
	}
	k, at := list[i], list[i].endpoint.Addr()
	if k.metered && w.known.at == at && time.Now().Before(w.known.until) {
		return &w.known.answer
	}
	there, now := ask(k.knownLink), time.Now()
	switch {
	case there != webAnswer{}:
		w.silent = time.Time{}
	case w.silent.IsZero() || now.Sub(w.silent) > wallForgets:
		w.silent = now
		return nil
	case now.Sub(w.silent) < wallSilence:
		return nil
	default:
		w.silent = now.Add(-wallSilence)
	}
	if k.metered {
		w.known = wallReference{at: at, until: now.Add(wallAgainMetered), answer: there}
	}
	return &there
}

// list asks the loop.
func (w *walls) list(ctx context.Context) (out []wallLink) {
	r := w.portal
	r.run.shared.do(ctx, func(mono.Time) {
		for i, l := range r.links {
			k := wallLink{index: i, metered: l.Metered, up: l.Name != "" && r.told[i].Up && !r.paused[i] && r.capped[i] != capStop}
			k.knownLink = knownLink{name: l.Name, device: r.devices[i], mark: r.seen[i].mark, endpoint: r.told[i].Endpoint}
			if id, ok := r.LinkPath(i); ok {
				p := r.Path(id)
				k.gets = p != nil && p.Usable()
			}
			out = append(out, k)
		}
	})
	return out
}

// due reports that a link is to be asked now.
func (w *walls) due(k wallLink, now time.Time) bool {
	s := &w.links[k.index]
	if !k.up || k.gets {
		*s = wallState{}
		w.set(k, false)
		return false
	}
	if s.since.IsZero() {
		s.since = now
	}
	if now.Sub(s.since) < wallAfter || now.Before(s.next) {
		return false
	}
	s.next = now.Add(wallAgain)
	if k.metered {
		s.next = now.Add(wallAgainMetered)
	}
	return true
}

func (w *walls) set(k wallLink, walled bool) {
	if w.walled[k.index].Swap(walled) != walled && walled {
		w.portal.run.log.Warn("a login page answers in place of the Internet", "link", k.name)
	}
}

// webAnswer is what a web server said; zero if nothing was heard.
type webAnswer struct {
	status  int
	to      string // the host that it sends the client to
	refused bool   // there is no web server: that is for sure
}

// isWall judges an answer at the server's address. reference is what came over a link that gets through; nil: there is none, and
// then only an answer counts that no server would give about itself. Its own may well lead elsewhere.
func isWall(got webAnswer, reference *webAnswer) bool {
	const loginNeeded = 511 // RFC 6585
	switch {
	case got.status == 0:
		return false
	case reference != nil:
		return got != *reference
	}
	return got.status == loginNeeded
}

// askWeb asks for a page and reads as much of the answer as tells who it is from.
func askWeb(ctx context.Context, k knownLink) webAnswer {
	ctx, cancel := context.WithTimeout(ctx, wallPatience)
	defer cancel()
	conn, err := k.dial(netip.AddrPortFrom(k.endpoint.Addr(), wallPort).String())(ctx)
	if err != nil {
		return webAnswer{refused: errors.Is(err, syscall.ECONNREFUSED)}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	host := k.endpoint.Addr().String()
	if k.endpoint.Addr().Is6() {
		host = "[" + host + "]"
	}
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", host); err != nil {
		return webAnswer{}
	}
	return readWeb(io.LimitReader(conn, wallBytes))
}

// readWeb reads the head of an answer.
func readWeb(from io.Reader) (a webAnswer) {
	lines := bufio.NewScanner(from)
	if !lines.Scan() {
		return webAnswer{}
	}
	f := strings.Fields(lines.Text())
	if len(f) < 2 || !strings.HasPrefix(f[0], "HTTP/") {
		return webAnswer{}
	}
	status, err := strconv.Atoi(f[1])
	if err != nil || status < 100 || status > 999 {
		return webAnswer{}
	}
	a.status = status
	for lines.Scan() && lines.Text() != "" {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if !strings.EqualFold(name, "Location") {
			continue
		}
		if u, err := url.Parse(strings.TrimSpace(value)); err == nil {
			a.to = strings.ToLower(u.Hostname())
		}
	}
	return a
}
