package flowq

import (
	"time"

	"mpproxy/src/engine/mono"
)

// Verdict is what rules say of a flow. The zero value says nothing.
type Verdict struct {
	// Twice: its packets are sent over two paths.
	Twice bool
	// Class is that of its packets, whatever they ask for.
	Class Want
	Way
}

// Way says which paths a flow may take, and how much delay its throughput may cost. The zero value is the tunnel's own way.
type Way struct {
	// Links, if it is not 0, has a bit for each link that the flow may go over.
	Links uint64
	// Own: Profile holds, not the tunnel's.
	Own     bool
	Profile Profile
}

// Want is a class that a rule gives a flow.
type Want uint8

// What rules may want: the class that the packets ask for, Urgent, or Bulk.
const (
	WantAuto Want = iota
	WantUrgent
	WantBulk
)

// over is the class of a packet that asks for c.
func (w Want) over(c Class) Class {
	switch {
	case w == WantUrgent:
		return Urgent
	case w == WantBulk && c == Urgent:
		return Bulk
	}
	return c
}

// SetJudge has each flow judged by the next packet of it that comes. nil: by nobody. The judge is called within Enqueue, once for
// each flow, and the packets behind wait for it: whoever sets one that has to ask somebody bounds
// how often it asks and how long it waits. It must not use the Queue. To have the verdict come with the packet would cost a look
// into the table of flows for each packet outside, to know whether its flow is new.
func (q *Queue) SetJudge(judge func(Info) Verdict) { q.judge, q.judges = judge, q.judges+1 }

// Rejudge has one flow, if it is known, judged anew by its next packet.
func (q *Queue) Rejudge(key uint64) {
	if f := q.flows[key]; f != nil {
		f.judged = q.judges - 1
	}
}

// ask has a flow judged by a packet of it.
func (q *Queue) ask(f *Flow, info *Info) {
	f.judged, f.verdict = q.judges, Verdict{}
	if q.judge != nil {
		f.verdict = q.judge(*info)
	}
}

// wayBounds is what CoDel compares with for flows of one way.
type wayBounds struct {
	Way
	single, spread bounds
}

// SetWayRTT is SetRTT for flows of a way of their own.
func (q *Queue) SetWayRTT(w Way, single, spread, ahead time.Duration) {
	profile := q.params.Profile
	if w.Own {
		profile = w.Profile
	}
	b := wayBounds{w, boundsFor(profile, single, 0), boundsFor(profile, spread, ahead)}
	for i := range q.ways {
		if q.ways[i].Way == w {
			q.ways[i] = b
			return
		}
	}
	q.ways = append(q.ways, b)
}

// ForgetWay drops what SetWayRTT said: until it is said again, flows of that way are held to what SetRTT said.
func (q *Queue) ForgetWay(w Way) {
	for i := range q.ways {
		if q.ways[i].Way == w {
			q.ways[i] = q.ways[len(q.ways)-1]
			q.ways = q.ways[:len(q.ways)-1]
			return
		}
	}
}

// boundsOf is what CoDel compares f's head with.
func (q *Queue) boundsOf(f *Flow) bounds {
	single, spread := &q.single, &q.spread
	if f.verdict.Way != (Way{}) {
		for i := range q.ways {
			if q.ways[i].Way == f.verdict.Way {
				single, spread = &q.ways[i].single, &q.ways[i].spread
			}
		}
	}
	if f.Binding.HasLane {
		return *spread
	}
	return *single
}

// Drop drops f's packets, from the head on, that came before some time: none of the paths that its rule names takes them.
func (q *Queue) Drop(f *Flow, before mono.Time) {
	for f.head != nil && f.head.Enqueued < before {
		q.dropHead(f, &q.counts.DroppedNoWay)
	}
}
