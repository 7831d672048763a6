package engine

import (
	"net/netip"
	"time"

	"mpproxy/src/engine/path"
)

// past is what the server remembers of closed paths by the address they came from: a link that returns has a new path id, and the
// server, who sends the downloads, would begin from nothing. The router remembers by link. The zero value is ready.
type past struct {
	of   [MaxPaths]pastPath
	next int
}

type pastPath struct {
	from      netip.Addr
	bandwidth int64 // bytes per second
	rtt       time.Duration
}

// keep remembers a path about to be closed, if it has shown what it can carry.
func (m *past) keep(p *path.Path) {
	bandwidth := p.Known()
	if bandwidth <= 0 || !p.Peer.Remote.IsValid() {
		return
	}
	m.of[m.next%len(m.of)] = pastPath{p.Peer.Remote.Addr(), bandwidth, p.Sent.RTT.Min()}
	m.next++
}

// recall returns half of what the last path from an address carried, and its round trip; zeros if there was none. Half, because it may
// have become slower (draft-ietf-tsvwg-careful-resume). A path is forgotten once recalled: two links behind one address then
// do not both get what was one's.
func (m *past) recall(from netip.Addr) (bandwidth int64, rtt time.Duration) {
	for i := range m.of {
		o := &m.of[(m.next+len(m.of)-1-i)%len(m.of)]
		if o.from == from && from.IsValid() {
			bandwidth, rtt = o.bandwidth/2, o.rtt
			*o = pastPath{}
			return bandwidth, rtt
		}
	}
	return 0, 0
}
