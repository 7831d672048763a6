package lab

import (
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/engine/mono"
	"mpproxy/src/linksim"
)

// Direction is a way through a link, seen from the client.
type Direction int

// The two directions.
const (
	Up   Direction = iota // from the router to the Internet
	Down                  // from the Internet to the router
)

// String returns "up" or "down".
func (d Direction) String() string {
	if d == Up {
		return "up"
	}
	return "down"
}

// Link is one emulated access link of the router. Its methods may be called from any goroutine.
type Link struct {
	Name   string // "link1", …
	Device string // the router's device, "wan1", …

	nat      string // the namespace behind which it lies
	near     int    // TUN descriptor in nat
	far      int    // TUN descriptor in net
	pumps    [2]*pump
	original [2]linksim.Params
}

// newLink opens the devices and starts moving packets.
func newLink(name, device, nat, net string, params [2]linksim.Params, rng *rand.Rand) (*Link, error) {
	l := &Link{Name: name, Device: device, nat: nat, near: -1, far: -1, original: params}
	var err error
	if l.near, err = openTUN(nat, "wan"); err != nil {
		return nil, err
	}
	if l.far, err = openTUN(net, name); err != nil {
		l.close()
		return nil, err
	}
	for d, ends := range [2][2]int{Up: {l.near, l.far}, Down: {l.far, l.near}} {
		source := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		if l.pumps[d], err = newPump(ends[0], ends[1], params[d], source); err != nil {
			l.close()
			return nil, err
		}
		l.pumps[d].start()
	}
	return l, nil
}

func (l *Link) close() {
	for _, p := range l.pumps {
		if p != nil {
			p.close()
		}
	}
	for _, fd := range []int{l.near, l.far} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// Params returns what the link was made with in one direction.
func (l *Link) Params(d Direction) linksim.Params { return l.original[d] }

// Stats returns the emulator's counters in one direction.
func (l *Link) Stats(d Direction) linksim.Stats {
	p := l.pumps[d]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link.Stats()
}

// Cut makes the link dead in silence in the given directions: packets vanish, nobody is told.
func (l *Link) Cut(directions ...Direction) {
	for _, d := range directions {
		l.pumps[d].change(func(link *linksim.Link[*frame], now mono.Time) { link.Cut(now) })
	}
}

// Restore ends Cut in both directions.
func (l *Link) Restore() {
	for _, p := range l.pumps {
		p.change(func(link *linksim.Link[*frame], now mono.Time) { link.Restore(now) })
	}
}

// Set changes the link in one direction.
func (l *Link) Set(d Direction, p linksim.Params) {
	l.pumps[d].change(func(link *linksim.Link[*frame], now mono.Time) { link.Set(now, p) })
}

// Carrier takes the carrier from the router's device, or gives it back.
func (l *Link) Carrier(on bool) error {
	state := "down"
	if on {
		state = "up"
	}
	if _, err := run("", "ip", "-n", l.nat, "link", "set", "lan0", state); err != nil {
		return fmt.Errorf("set carrier of %s: %w", l.Name, err)
	}
	return nil
}

// Lateness returns how far behind its time a delivery ever was, in either direction: the emulator's own error.
func (l *Link) Lateness() time.Duration {
	var late time.Duration
	for _, p := range l.pumps {
		p.mu.Lock()
		late = max(late, p.late)
		p.mu.Unlock()
	}
	return late
}

// Refused returns how many packets the kernel did not take from the emulator: losses nobody ordered.
func (l *Link) Refused() uint64 {
	var n uint64
	for _, p := range l.pumps {
		p.mu.Lock()
		n += p.refused
		p.mu.Unlock()
	}
	return n
}

// gateway returns the router's next hop on the link.
func (l *Lab) gateway(link *Link) string {
	for i, other := range l.Links {
		if other == link && !l.options.Collide {
			return fmt.Sprintf("192.168.%d.1", i+1)
		}
	}
	return "192.168.1.1"
}

// Prefer makes a link the router's default route without a tunnel, until undo is called.
func (l *Lab) Prefer(link *Link) (undo func() error, err error) {
	route := []string{"default", "via", l.gateway(link), "dev", link.Device, "metric", "1"}
	change := func(verb string) error {
		_, err := run("", "ip", append([]string{"-n", l.Namespace("router"), "route", verb}, route...)...)
		return err
	}
	if err := change("add"); err != nil {
		return nil, fmt.Errorf("prefer %s: %w", link.Name, err)
	}
	return func() error { return change("del") }, nil
}
