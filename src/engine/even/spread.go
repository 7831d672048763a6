package even

import (
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
)

const (
	// spreadPart is in what part, in percent, of the time over which they came packets go on that had to wait for a repair. In
	// virtual time QUIC over two links that lose 0.5 or 2 % gets 0.66 of their sum with 0, 0.87 with 20, 0.85 with 35 and 0.80 with 50:
	// the longer it takes, the longer the round trip.
	spreadPart = 20
	// spreadLongest bounds how long such a packet is kept.
	spreadLongest = 30 * time.Millisecond
)

// spread returns how long to keep a packet that had to wait in its lane for a repair, so that what a loss held back does not go on
// in one lump. While that lasts whatever follows is kept too, ever less until it is caught up with.
func (s *stream) spread(now mono.Time, b *packet.Buf) time.Duration {
	if !udp(b.Bytes()) {
		return 0
	}
	s.came = max(s.came, b.Enqueued) // paths of unlike delay: order alone makes some look older than those before them
	at := s.from.Add(s.came.Sub(s.since) * spreadPart / 100)
	switch latest := now.Add(spreadLongest); {
	case at <= now:
		s.from, s.since = now, s.came
		return 0
	case at > latest:
		s.from, s.since = latest, s.came
		return spreadLongest
	case at <= now.Add(grain) && s.head == nil:
		return 0
	default:
		return at.Sub(now)
	}
}

// udp reports that an IP packet carries UDP. Senders over TCP take lumps well, and leave slow start at a train of acknowledgements.
func udp(p []byte) bool {
	const number, at4, at6 = 17, 9, 6
	switch {
	case len(p) <= at4:
		return false
	case p[0]>>4 == 4:
		return p[at4] == number
	default:
		return p[0]>>4 == 6 && p[at6] == number
	}
}
