package portal

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"mpproxy/src/park"
)

const (
	// proxyGC is how much garbage the runtime lets gather beside what is in use, in percent of that: connections that wait are
	// much that stays, and what each of them needed at its begin would take as much again. Where much is in use it is less, so that
	// the garbage is about proxyGarbage bytes, but not below leastGC: each collection looks at all that is in use. It is changed
	// by gcStep at least.
	proxyGC      = 50
	leastGC      = 15
	proxyGarbage = 6 * mebibyte
	gcStep       = 4
	// tidyLook is how often it is looked whether memory is to be given back, tidyMany by how many the connections that wait must
	// be others than the last time, and by which part of them: so that it is done seldom, however many there are.
	tidyLook = time.Second
	tidyMany = 256
	tidyPart = 8
	// looseBytes is how much memory may be garbage, or free and not given back, while many wait, looseLooks how many looks apart it is
	// given back for that.
	looseBytes = 4 * mebibyte
	looseLooks = 10
)

// idle is where proxied connections wait that carry nothing. It is made when the first part of the proxy asks for it, at the
// program's start; nil, and a goroutine waits with each, where the system does not allow it.
func (p *running) idle() *park.Lot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parking == nil && !p.crowded {
		lot, err := park.New()
		if err != nil {
			p.crowded = true
			p.log.Warn("idle proxied connections take more memory than they need", "err", err)
			return nil
		}
		p.parking = lot
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(proxyGC)
		}
		p.undo = append(p.undo, lot.Close)
	}
	return p.parking
}

// parked is how many connections wait.
func (p *running) parked() int {
	p.mu.Lock()
	lot := p.parking
	p.mu.Unlock()
	if lot == nil || os.Getenv("GOGC") != "" {
		return 0
	}
	return lot.Parked()
}

// keepTidy gives memory back to the system when many connections have come to rest, or gone, and lets less garbage gather while
// there are many.
func keepTidy(ctx context.Context, parked func() int) error {
	every := time.NewTicker(tidyLook)
	defer every.Stop()
	var t tidier
	gc := 0 // as it was
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		many := parked()
		use := readHeap()
		if t.due(many) || many >= tidyMany && t.loose(use.free+use.since) {
			debug.FreeOSMemory()
		}
		want := proxyGC
		if many >= tidyMany {
			want = percentFor(use.live)
		} else if gc == 0 {
			continue
		}
		if max(want-gc, gc-want) >= gcStep || want == proxyGC && gc != want {
			gc = want
			debug.SetGCPercent(gc)
		}
	}
}

// heapUse is what the heap held after the last collection, what it got since then, most of it garbage, and what is free but not
// given back.
type heapUse struct{ live, since, free uint64 }

func readHeap() (h heapUse) {
	all := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(all)
	for i, to := range []*uint64{&h.live, &h.since, &h.free} {
		if v := all[i].Value; v.Kind() == metrics.KindUint64 {
			*to = v.Uint64()
		}
	}
	h.since -= min(h.since, h.live)
	return h
}

// percentFor is how much garbage may gather beside so many bytes that are in use, in percent of those.
func percentFor(used uint64) int {
	return int(max(leastGC, min(proxyGC, 100*proxyGarbage/max(used, 1))))
}

// tidier says when memory is to be given back: not while connections come and go.
type tidier struct {
	last, done int
	calm       bool // as was last looked
	looks      int  // since it was last given back for being loose
}

// due is asked every tidyLook with how many connections wait.
func (t *tidier) due(parked int) bool {
	much := func(a, b int) bool { return max(a-b, b-a) >= max(tidyMany, max(a, b)/tidyPart) }
	t.calm = !much(parked, t.last)
	t.last = parked
	t.looks++
	if !t.calm || !much(parked, t.done) {
		return false
	}
	t.done = parked
	return true
}

// loose is asked after that with how much could be given back.
func (t *tidier) loose(free uint64) bool {
	if !t.calm || t.looks < looseLooks || free < looseBytes {
		return false
	}
	t.looks = 0
	return true
}
