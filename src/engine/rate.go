package engine

import (
	"fmt"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/path"
	"mpproxy/src/stats"
)

// Limits bound what a tunnel carries, in bytes of inner packets per second, each counted once. 0 is no limit.
type Limits struct {
	// Out is for what this side sends. Packets above it wait in their flows' queues, as before a slow link.
	Out int64
	// In is for what the peer sends: packets above it are dropped (stats.OverRate). A peer that is told its limit keeps to it
	// by Out; so that the two do not differ by a packet, a twentieth more and half a second's worth at once may pass.
	In int64
	// Links is how many paths the peer may have open; datagrams of more are dropped (stats.TooManyLinks).
	Links int
}

const (
	// shapeSpan is how much is sent at once after a pause: what a path of that rate would send within a timer's grain.
	shapeSpan = 5 * time.Millisecond
	// shapeLeast is the least of that: two packets.
	shapeLeast = 3000
	// tightSpan is how long after it held packets back the limit counts as what is narrow.
	tightSpan = 50 * time.Millisecond
	// policeSpan and policeLeast are the same as the first two for what the peer sends; its packets come in bursts when
	// they had to wait for order.
	policeSpan  = 500 * time.Millisecond
	policeLeast = 64 << 10
	// policeRoom is what the peer may send more: one part in so many.
	policeRoom = 20
	// noticeLinks is the NOTICE code for a path that is one too many, told once in noticePause.
	noticeLinks = 2
	noticePause = time.Minute
)

// limits are those of a tunnel, at work. The zero value has none.
type limits struct {
	set       Limits
	out, in   bucket
	linksTold mono.Time
}

// SetLimits changes the limits. Paths beyond them are closed, the newest first.
func (t *Tunnel) SetLimits(now mono.Time, l Limits) {
	if l == t.limits.set {
		return
	}
	fewer := l.Links > 0 && l.Links != t.limits.set.Links
	t.limits.set = l
	t.limits.out.set(now, l.Out, max(shapeLeast, l.Out*int64(shapeSpan)/int64(time.Second)))
	t.limits.in.set(now, l.In+l.In/policeRoom, max(policeLeast, l.In*int64(policeSpan)/int64(time.Second)))
	for fewer && len(t.paths) > l.Links {
		t.LeavePath(now, t.leastUseful().ID)
	}
}

// leastUseful is the path to do without: a dead one, else the newest.
func (t *Tunnel) leastUseful() *path.Path {
	for _, p := range t.paths {
		if !p.Usable() {
			return p
		}
	}
	return t.paths[len(t.paths)-1]
}

// Limits returns the limits.
func (t *Tunnel) Limits() Limits { return t.limits.set }

// narrow is the capacity that is left of capacity; 0 is not known.
func (l *limits) narrow(capacity int64) int64 {
	if l.set.Out > 0 && (capacity == 0 || capacity > l.set.Out) {
		return l.set.Out
	}
	return capacity
}

// police takes out what the peer sends above its limit.
func (t *Tunnel) police(list []*packet.Buf) []*packet.Buf {
	if t.limits.set.In == 0 {
		return list
	}
	kept := list[:0]
	for _, b := range list {
		if !t.limits.in.open(t.polled) {
			t.drops.Add(stats.OverRate, 1)
			b.Release()
			continue
		}
		t.limits.in.take(b.Len())
		kept = append(kept, b)
	}
	clear(list[len(kept):])
	return kept
}

// mostPaths is how many paths may be open, and what one more is dropped for.
func (t *Tunnel) mostPaths() (int, stats.Reason) {
	if n := t.limits.set.Links; n > 0 && n < MaxPaths {
		return n, stats.TooManyLinks
	}
	return MaxPaths, stats.UnknownConnection
}

// tellLinks tells the peer's people, now and then, that it has more connections than it may use.
func (t *Tunnel) tellLinks(now mono.Time) {
	if t.limits.linksTold == 0 || now.Sub(t.limits.linksTold) >= noticePause {
		t.limits.linksTold = now
		t.Notify(now, noticeLinks, fmt.Sprintf("this router may use %d of its connections at once", t.limits.set.Links))
	}
}

// bucket lets bytes pass at a rate. What passes may run into debt by one packet, so that none is too large for it.
type bucket struct {
	rate, depth int64 // bytes per second, 0 for no limit; bytes
	tokens      int64
	at          mono.Time // of tokens
	dry         mono.Time // when it last let nothing pass
}

func (b *bucket) set(now mono.Time, rate, depth int64) {
	if b.rate == 0 {
		b.tokens, b.at = depth, now
	} else {
		b.fill(now)
	}
	b.rate, b.depth = rate, depth
	b.tokens = min(b.tokens, depth)
}

// fill adds what came since the last time. Of the time only what made whole bytes is used up, rounded to the peer's loss.
func (b *bucket) fill(now mono.Time) {
	span := now.Sub(b.at)
	if span >= time.Second {
		b.tokens, b.at = min(b.depth, b.tokens+b.rate*int64(span/time.Second)), now
		return
	}
	gain := b.rate * int64(span) / int64(time.Second)
	if gain <= 0 {
		return
	}
	b.at = b.at.Add(time.Duration((gain*int64(time.Second) + b.rate - 1) / b.rate))
	if b.tokens += gain; b.tokens >= b.depth {
		b.tokens, b.at = b.depth, now
	}
}

// open reports that a packet may pass.
func (b *bucket) open(now mono.Time) bool {
	if b.rate == 0 {
		return true
	}
	b.fill(now)
	if b.tokens <= 0 {
		b.dry = now
		return false
	}
	return true
}

// take is for bytes that passed.
func (b *bucket) take(n int) {
	if b.rate > 0 {
		b.tokens -= int64(n)
	}
}

// shut reports that nothing may pass, and until when.
func (b *bucket) shut() (until mono.Time, is bool) {
	if b.rate == 0 || b.tokens > 0 {
		return 0, false
	}
	return b.at.Add(time.Duration(((1-b.tokens)*int64(time.Second) + b.rate - 1) / b.rate)), true
}

// tight reports that the bucket held something back lately.
func (b *bucket) tight(now mono.Time) bool {
	return b.rate > 0 && b.dry != 0 && now.Sub(b.dry) < tightSpan
}
