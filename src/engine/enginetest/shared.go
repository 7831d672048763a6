package enginetest

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/linksim"
	"mpproxy/src/linksim/traffic"
)

// Shared is a bottleneck that several links lead into, each behind its own rate, queue and delay.
type Shared struct {
	Link
	// Links are the numbers of those that do; none means all.
	Links []int
}

// shared is a Shared in a World, and what else goes through it.
type shared struct {
	links    []int
	up, down linksim.Joint[*carried]
	outside  []*outsider
}

// outsider is a pair of ends that no tunnel carries: near at the router's side, far at the server's.
type outsider struct {
	near, far App
	access    linksim.Duplex[*carried]
}

// join makes the World's links lead into the bottleneck.
func (w *World) join(s Shared) {
	common := linksim.NewDuplex[*carried](s.Up, s.Down, w.secrets.rng)
	w.shared = &shared{links: s.Links}
	w.shared.up.Common, w.shared.down.Common = common.Up, common.Down
	for i, l := range w.Links {
		if len(s.Links) == 0 || slices.Contains(s.Links, i) {
			w.shared.up.Own = append(w.shared.up.Own, l.Up)
			w.shared.down.Own = append(w.shared.down.Own, l.Down)
		}
	}
	again := func(c *carried) { w.spare = append(w.spare, c) }
	common.Up.Dropped, common.Down.Dropped = again, again
}

// Outside puts a TCP connection without end past the tunnel, over a way of its own into the shared bottleneck: down from the
// server's side, or up to it. The bottleneck must be there (Config.Shared).
func (w *World) Outside(down bool, begin time.Duration, control traffic.Control, way Link) (*traffic.Sender, *traffic.Receiver) {
	n := len(w.shared.outside)
	near, far := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(100 + n)}), 40000), netip.MustParseAddrPort("203.0.113.9:80")
	from, to := near, far
	if down {
		from, to = far, near
	}
	s := traffic.NewSender(traffic.Config{Local: from, Remote: to, MTU: outsideMTU, Start: w.Now.Add(begin), Control: control})
	r := traffic.NewReceiver(to, from, outsideMTU)
	o := &outsider{near: s, far: r, access: linksim.NewDuplex[*carried](way.Up, way.Down, rand.New(rand.NewPCG(w.config.Seed, uint64(n)+5)))}
	if down {
		o.near, o.far = r, s
	}
	w.shared.outside = append(w.shared.outside, o)
	w.shared.up.Own = append(w.shared.up.Own, o.access.Up)
	w.shared.down.Own = append(w.shared.down.Own, o.access.Down)
	return s, r
}

// outsideMTU is that of what goes past the tunnel.
const outsideMTU = 1500

// has reports whether what a link delivers goes through the bottleneck; s may be nil.
func (s *shared) has(link int) bool {
	return s != nil && (len(s.links) == 0 || slices.Contains(s.links, link))
}

// next is when something happens in the bottleneck or past the tunnel; s may be nil.
func (s *shared) next() mono.Time {
	if s == nil {
		return mono.Never
	}
	at := mono.Min(s.up.Next(), s.down.Next())
	for _, o := range s.outside {
		at = mono.Min(at, mono.Min(o.near.NextTimeout(), o.far.NextTimeout()))
	}
	return at
}

// pass takes what has come through the bottleneck.
func (w *World) pass() {
	s := w.shared
	if s == nil {
		return
	}
	for c, ok := s.up.Receive(w.Now); ok; c, ok = s.up.Receive(w.Now) {
		if c.link < 0 {
			s.outside[-1-c.link].far.OnPacket(w.Now, c.data)
		} else {
			w.Server.Datagram(c.link, c.from, c.data)
		}
		w.spare = append(w.spare, c)
	}
	for c, ok := s.down.Receive(w.Now); ok; c, ok = s.down.Receive(w.Now) {
		if c.link < 0 {
			s.outside[-1-c.link].near.OnPacket(w.Now, c.data)
		} else {
			w.atRouter(c)
		}
		w.spare = append(w.spare, c)
	}
}

// stepOutside runs what goes past the tunnel until nothing is left to do now.
func (w *World) stepOutside() {
	if w.shared == nil {
		return
	}
	for i, o := range w.shared.outside {
		for _, end := range [2]struct {
			App
			way *linksim.Link[*carried]
		}{{o.near, o.access.Up}, {o.far, o.access.Down}} {
			if w.Now >= end.NextTimeout() {
				end.OnTimeout(w.Now)
			}
			for {
				c := w.carrier()
				c.data = slices.Grow(c.data[:0], outsideMTU)[:outsideMTU]
				n := end.Poll(w.Now, c.data)
				c.data, c.link = c.data[:n], -1-i
				if n == 0 || !end.way.Send(w.Now, n, c) {
					w.spare = append(w.spare, c)
				}
				if n == 0 {
					break
				}
			}
		}
	}
}
