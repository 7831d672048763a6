package enginetest

import (
	"net/netip"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/packet"
)

// event is something that a test has happen.
type event struct {
	at mono.Time
	do func()
}

// After has f called when d has passed, while Run runs.
func (w *World) After(d time.Duration, f func()) {
	w.events = append(w.events, event{w.Now.Add(d), f})
}

func (w *World) nextEvent() mono.Time {
	at := mono.Never
	for _, e := range w.events {
		at = mono.Min(at, e.at)
	}
	return at
}

// happen does what is due, in the order in which it was ordered.
func (w *World) happen() {
	for i := 0; i < len(w.events); i++ {
		if e := w.events[i]; e.at <= w.Now {
			w.events = append(w.events[:i], w.events[i+1:]...)
			i--
			e.do()
		}
	}
}

// now is the time by the side's own clock.
func (s *Side) now() mono.Time { return s.world.Now.Add(s.Skew) }

// StartTwin starts a second router with the same key over the last link, which the first one loses.
func (w *World) StartTwin() *node.Local {
	last := len(w.Links) - 1
	w.Local.SetLink(w.Router.now(), last, node.Link{})
	w.twin = &Side{Pool: packet.NewPool(1 << 16), world: w, Errors: map[error]int{}}
	w.boot(w.twin)
	w.twin.local.SetLink(w.twin.now(), last, w.link(last))
	return w.twin.local
}

// routerOn is the router that a link belongs to.
func (w *World) routerOn(link int) *Side {
	if w.twin != nil && link == len(w.Links)-1 {
		return w.twin
	}
	return w.Router
}

func (w *World) sides() []*Side {
	if w.twin != nil {
		return []*Side{w.Router, w.Server, w.twin}
	}
	return []*Side{w.Router, w.Server}
}

// Close ends both sides; what their pools have lent is back then.
func (w *World) Close() {
	for _, s := range w.sides() {
		s.batch.Reset()
		s.deliver(w.Now)
		s.Close(s.now())
	}
}

// Tell has both tunnels, as they are now, tell a tracer what they do.
func (w *World) Tell(to engine.Tracer) {
	w.Router.Trace(w.Router.now(), "router", to)
	w.Server.Trace(w.Server.now(), "server", to)
}

// Inject gives the server a datagram from anywhere, at once.
func (w *World) Inject(from netip.AddrPort, data []byte) { w.Server.Datagram(0, from, data) }

// LinkConfig is what the router is told of a link at first.
func (w *World) LinkConfig(i int) node.Link { return w.link(i) }
