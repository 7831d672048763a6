package node

import (
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/mono"
)

const (
	// shareEvery is how often what all routers may use together is divided anew.
	shareEvery = 100 * time.Millisecond
	// hungry is the part of its share, in fifths, above which a router is taken to want more.
	hungry = 4
	// roomToGrow is what a router that wants no more may use beyond what it did, one part in so many.
	roomToGrow = 4
)

// share divides a rate among routers: each gets the same at most, and what some do not use is the others'. The zero value
// is ready.
type share struct {
	at    mono.Time
	level [2]int64 // what one router may send and receive, bytes per second
	want  []int64
}

// divide looks what each router used since the last time and sets the limits of all.
func (r *Remote) divide(now mono.Time) {
	span := now.Sub(r.share.at)
	r.share.at = now
	for d := range r.share.level {
		r.share.want = r.share.want[:0]
		for _, p := range r.peers {
			r.share.want = append(r.share.want, p.wants(d, r.params.Rate, r.share.level[d], span))
		}
		r.share.level[d] = level(r.params.Rate, r.share.want)
	}
	for _, p := range r.peers {
		p.bound(now, r.share.level)
	}
}

// wants is what the router would use in direction d (0 to it, 1 from it), by what it used in the last span.
func (p *Peer) wants(d int, rate, level int64, span time.Duration) int64 {
	c := p.Counts()
	total := [2]uint64{c.BytesOut, c.BytesIn}[d]
	used := int64(total - p.used[d])
	p.used[d] = total
	most := rate
	if own := [2]int64{p.PeerParams.Limits.Out, p.PeerParams.Limits.In}[d]; own > 0 {
		most = min(most, own)
	}
	if span <= 0 || span > time.Hour {
		return most
	}
	used = int64(float64(used) * float64(time.Second) / float64(span))
	if level == 0 || used*5 >= min(level, most)*hungry {
		return most
	}
	return min(most, used+used/roomToGrow)
}

// level is the most that one may use so that all together use rate: those that want less leave the rest to the others.
// want is used up.
func level(rate int64, want []int64) int64 {
	rest, n := rate, int64(len(want))
	for n > 0 {
		fair, met := rest/n, false
		for i, w := range want {
			if w >= 0 && w <= fair {
				rest, n, met = rest-w, n-1, true
				want[i] = -1
			}
		}
		if !met {
			return max(fair, 1)
		}
	}
	return rate
}

// bound sets the router's limits: its own, and its share of what all may use; 0 is no share.
func (p *Peer) bound(now mono.Time, level [2]int64) {
	least := func(own, share int64) int64 {
		if own == 0 || share > 0 && share < own {
			return share
		}
		return own
	}
	own := p.PeerParams.Limits
	p.SetLimits(now, engine.Limits{Out: least(own.Out, level[0]), In: least(own.In, level[1]), Links: own.Links})
}
