package traffic

import (
	"time"

	"mpproxy/src/engine/mono"
)

const (
	// inboxPackets is how many packets of a connection quic-go lets wait; what comes beyond is dropped.
	inboxPackets = 256
	// inboxBatch is how many it handles before it sends an acknowledgement.
	inboxBatch = 32
	// inboxTime is how long a packet takes a small machine.
	inboxTime = 12 * time.Microsecond
)

// inbox is the queue in which packets wait for quic-go's connection to handle them: a lump that comes at once overflows it, and
// is acknowledged in few pieces.
type inbox struct {
	queue []segment
	busy  mono.Time // until when the last batch takes
	drops uint64
}

// LikeQUIC makes the end receive from a Sender that is QUIC, as quic-go does. Call it before the first packet.
func (r *Receiver) LikeQUIC() {
	r.inbox, r.ends.quic = &inbox{}, true
	r.mss -= r.ends.shimBytes()
}

// Drops is how many packets came while too many others waited.
func (r *Receiver) Drops() uint64 {
	if r.inbox == nil {
		return 0
	}
	return r.inbox.drops
}

// post takes a segment.
func (r *Receiver) post(now mono.Time, s *segment) {
	if len(r.inbox.queue) >= inboxPackets {
		r.inbox.drops++
		return
	}
	r.inbox.queue = append(r.inbox.queue, *s)
	r.work(now)
}

// work handles a batch if the last one is done.
func (r *Receiver) work(now mono.Time) {
	in := r.inbox
	if now < in.busy || len(in.queue) == 0 {
		return
	}
	n := min(len(in.queue), inboxBatch)
	for i := range in.queue[:n] {
		r.segment(now, &in.queue[i])
	}
	in.queue = in.queue[:copy(in.queue, in.queue[n:])]
	in.busy = now.Add(time.Duration(n) * inboxTime)
}
