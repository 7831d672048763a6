package engine

import (
	"time"

	"mpproxy/src/engine/even"
	"mpproxy/src/engine/lane"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/trace"
)

// Tracer takes the lines of a trace, each one JSON object as package trace describes it. A line is valid until Line returns.
type Tracer interface {
	Line(line []byte)
}

// traceEvery is how often a trace looks at the paths while they are used.
const traceEvery = 20 * time.Millisecond

// tracing is what a tunnel that is traced remembers.
type tracing struct {
	to     Tracer
	name   string
	began  mono.Time
	line   trace.Line
	nextAt mono.Time
	moved  uint64        // bytes over all paths at the last look
	wait   time.Duration // longest in the queue since then
	holds  [lane.HoldBuckets]uint64
	evened even.Stats
	paths  [MaxPaths]tracedPath
}

// tracedPath is what was last told of a path.
type tracedPath struct {
	id    uint32
	known bool
	state path.State
	phase string
}

// Trace has the tunnel tell to what it does; nil ends that. name is how the lines call this end.
func (t *Tunnel) Trace(now mono.Time, name string, to Tracer) {
	if to == nil {
		t.trace = nil
		return
	}
	t.trace = &tracing{to: to, name: name, began: now, nextAt: now, holds: t.in.Stats().Holds, evened: t.Evened()}
	l := t.trace.begin(now, "trace")
	l.Int("version", 1)
	side := "server"
	if t.params.Initiator {
		side = "router"
	}
	l.Text("side", side)
	t.trace.end()
	for _, p := range t.paths {
		t.trace.opened(now, p)
	}
}

func (r *tracing) begin(now mono.Time, event string) *trace.Line {
	r.line.Begin(now.Sub(r.began), r.name, event)
	return &r.line
}

func (r *tracing) end() { r.to.Line(r.line.End()) }

func (r *tracing) opened(now mono.Time, p *path.Path) {
	l := r.begin(now, "open")
	l.Int("path", int64(p.ID))
	l.Int("link", int64(p.Link))
	r.end()
}

func (r *tracing) closed(now mono.Time, id uint32) {
	for i := range r.paths {
		if r.paths[i].known && r.paths[i].id == id {
			r.paths[i] = tracedPath{}
		}
	}
	l := r.begin(now, "close")
	l.Int("path", int64(id))
	r.end()
}

// look tells what changed, and now and then how all paths are.
func (r *tracing) look(now mono.Time, t *Tunnel) {
	for _, p := range t.paths {
		r.changes(now, p)
	}
	if now < r.nextAt {
		return
	}
	moved := uint64(0)
	for _, p := range t.paths {
		received, _ := p.Rx.Totals()
		moved += uint64(p.Sent.Total()) + received
	}
	if moved == r.moved {
		return
	}
	r.moved, r.nextAt = moved, now.Add(traceEvery)
	for _, p := range t.paths {
		r.path(now, p)
	}
	r.queue(now, t)
	r.lanes(now, t)
}

// changes tells that a path's state or phase is another.
func (r *tracing) changes(now mono.Time, p *path.Path) {
	at := -1
	for i := range r.paths {
		if r.paths[i].known && r.paths[i].id == p.ID {
			at = i
			break
		}
		if at < 0 && !r.paths[i].known {
			at = i
		}
	}
	if at < 0 {
		return
	}
	was := &r.paths[at]
	phase := p.CC.State()
	if was.known && was.state != p.State() {
		r.change(now, "state", p.ID, was.state.String(), p.State().String())
	}
	if was.known && was.phase != phase {
		r.change(now, "phase", p.ID, was.phase, phase)
	}
	*was = tracedPath{p.ID, true, p.State(), phase}
}

func (r *tracing) change(now mono.Time, event string, id uint32, from, to string) {
	l := r.begin(now, event)
	l.Int("path", int64(id))
	l.Text("from", from)
	l.Text("to", to)
	r.end()
}

func (r *tracing) path(now mono.Time, p *path.Path) {
	flight, packets := p.Sent.Inflight()
	received, _ := p.Rx.Totals()
	l := r.begin(now, "path")
	l.Int("path", int64(p.ID))
	l.Int("link", int64(p.Link))
	l.Text("state", p.State().String())
	l.Text("phase", p.CC.State())
	l.Rate("rate", p.Rate())
	l.Rate("bandwidth", p.CC.Bandwidth())
	l.Int("window", p.CC.Window())
	l.Int("flight", flight)
	l.Int("packets", int64(packets))
	l.Millis("queue", p.Queue(now))
	l.Millis("delay", p.Sent.Delay.Recent()-p.Sent.Delay.Floor())
	l.Millis("deviation", p.Sent.Delay.Deviation())
	l.Millis("rtt", p.Sent.RTT.Smoothed())
	l.Millis("rtt_min", p.Sent.RTT.Min())
	l.Percent("loss", p.Loss())
	l.Int("sent", p.Sent.Total())
	l.Int("received", int64(received))
	l.Int("lost", int64(p.Lost()))
	if p.Shared(now) {
		l.Int("shared", 1)
	}
	r.end()
}

func (r *tracing) queue(now mono.Time, t *Tunnel) {
	packets, bytes := t.queue.Backlog()
	counts := t.queue.Counts()
	l := r.begin(now, "queue")
	l.Int("backlog", int64(bytes))
	l.Int("packets", int64(packets))
	l.Millis("wait", r.wait)
	l.Int("flows", int64(t.queue.Flows()))
	l.Int("spread", int64(t.Lanes()))
	l.Int("repairs", int64(t.repairs.len()))
	l.Int("dropped", int64(counts.DroppedDelay+counts.DroppedFull+counts.DroppedTable))
	l.Int("marked", int64(counts.Marked))
	l.Int("sent_packets", int64(t.counts.PacketsOut))
	r.wait = 0
	r.end()
}

func (r *tracing) lanes(now mono.Time, t *Tunnel) {
	s := t.in.Stats()
	holds := s.Holds
	for i := range holds {
		if holds[i] -= r.holds[i]; s.Holds[i] < r.holds[i] {
			holds[i] = s.Holds[i] // of another session
		}
	}
	r.holds = s.Holds
	l := r.begin(now, "lanes")
	l.Int("held", int64(s.HeldPackets))
	l.Int("held_bytes", int64(s.HeldBytes))
	l.Counts("holds", holds[:])
	l.Int("delivered", int64(s.Delivered))
	l.Int("gaps", int64(s.Gaps))
	l.Int("skipped", int64(s.Skipped))
	l.Int("gave_up", int64(s.GaveUp))
	l.Int("late", int64(s.Late))
	evened := t.Evened()
	l.Int("evened", int64(evened.Packets-r.evened.Packets))
	l.Millis("even_time", evened.Time-r.evened.Time)
	r.evened = evened
	r.end()
}

func (r *tracing) lost(now mono.Time, p *path.Path, s *recovery.Packet) {
	l := r.begin(now, "lost")
	l.Int("path", int64(p.ID))
	l.Int("number", int64(s.Number))
	l.Int("bytes", int64(s.Wire))
	r.place(l, &s.Payload)
	r.end()
}

func (r *tracing) late(now mono.Time, p *path.Path, n int) {
	l := r.begin(now, "late")
	l.Int("path", int64(p.ID))
	l.Int("count", int64(n))
	r.end()
}

func (r *tracing) repair(now mono.Time, p *path.Path, q *repair) {
	l := r.begin(now, "repair")
	l.Int("path", int64(p.ID))
	l.Int("from", int64(q.from))
	l.Millis("after", now.Sub(q.lost))
	r.place(l, &q.load)
	r.end()
}

func (r *tracing) gaveUp(now mono.Time, load *recovery.Payload) {
	l := r.begin(now, "gave_up")
	r.place(l, load)
	r.end()
}

func (r *tracing) place(l *trace.Line, load *recovery.Payload) {
	if load.Laned {
		l.Int("lane", int64(load.Lane))
		l.Int("seq", int64(load.Seq))
	}
}
