package flowq

import (
	"time"

	"mpproxy/src/engine/mono"
)

const (
	// callBytes is the longest packet of a flow that counts as a call by its looks: speech and games, not pictures.
	callBytes = 400
	// callWindow is how long a flow is looked at, callMin and callMax how many packets it has in that time, and callGap is
	// its longest pause.
	callWindow = time.Second
	callMin    = 10
	callMax    = 250
	callGap    = 250 * time.Millisecond
)

// steadiness finds flows of small packets at an even pace. The zero value is ready.
type steadiness struct {
	since  mono.Time
	last   mono.Time
	count  int
	spoilt bool
	steady bool
}

// note takes a packet of n bytes in.
func (s *steadiness) note(now mono.Time, n int) {
	if s.last.IsZero() || now.Sub(s.last) > callGap {
		*s = steadiness{since: now}
	}
	s.last = now
	s.count++
	s.spoilt = s.spoilt || n > callBytes
	if now.Sub(s.since) < callWindow {
		return
	}
	s.steady = !s.spoilt && s.count >= callMin && s.count <= callMax
	s.since, s.count, s.spoilt = now, 0, false
}

// Call reports that a packet of this flow belongs to a call: it is marked as one (EF, CS5), or the flow is UDP, small and steady.
// pkt is an IP packet.
func (f *Flow) Call(pkt []byte) bool {
	if f.steady.steady {
		return true
	}
	dscp := uint8(0)
	switch {
	case len(pkt) < 2:
	case pkt[0]>>4 == 4:
		dscp = pkt[1] >> 2
	case pkt[0]>>4 == 6:
		dscp = (pkt[0]<<4 | pkt[1]>>4) >> 2
	}
	return dscp == dscpEF || dscp == dscpCS5
}
