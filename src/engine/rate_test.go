package engine

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// A bucket lets its rate pass whatever the intervals at which it is asked, and never more than its depth at once.
func TestBucket(t *testing.T) {
	for _, every := range []time.Duration{time.Microsecond, 77 * time.Microsecond, time.Millisecond, 20 * time.Millisecond} {
		const rate, size = 1_000_003, 100
		var b bucket
		now := mono.Time(time.Hour)
		b.set(now, rate, 30_000)
		passed, end := 0, now.Add(time.Second)
		for ; now < end; now = now.Add(every) {
			for b.open(now) {
				b.take(size)
				passed += size
			}
		}
		if most := rate + 30_000 + size; passed < most-rate/40-size || passed > most { // a fortieth for the last interval
			t.Errorf("every %v: %d bytes in a second", every, passed)
		}
		until, shut := b.shut()
		if !shut || b.open(until-1) || !b.open(until) {
			t.Errorf("every %v: shut %v until %v", every, shut, until)
		}
		if !b.tight(now) || b.tight(now.Add(time.Second)) {
			t.Errorf("every %v: tight %v", every, b.tight(now))
		}
		if now = now.Add(time.Hour); !b.open(now) || b.tokens != 30_000 {
			t.Errorf("every %v: %d after a pause", every, b.tokens)
		}
		b.set(now, rate/2, 10)
		if b.tokens != 10 {
			t.Errorf("%d tokens in a shallower one", b.tokens)
		}
		if b.set(now, 0, 0); !b.open(now) {
			t.Error("shut without a limit")
		}
		if _, shut := b.shut(); shut {
			t.Error("shut without a limit")
		}
	}
}

func TestNarrow(t *testing.T) {
	for _, c := range [][3]int64{{0, 0, 0}, {0, 9, 9}, {5, 0, 5}, {5, 9, 5}, {5, 3, 3}} {
		if l := (limits{set: Limits{Out: c[0]}}); l.narrow(c[1]) != c[2] {
			t.Errorf("limit %d, capacity %d: %d", c[0], c[1], l.narrow(c[1]))
		}
	}
}
