package congestion

import (
	"testing"
	"time"
)

// feed gives a round of n samples of rtt and returns whether slow start is over.
func (h *hystart) feed(n int, rtt time.Duration) (grown float64, over bool) {
	for i := range n {
		by, end := h.grow(MTU, rtt, i == n-1)
		grown, over = grown+by, over || end
	}
	return grown, over
}

// RFC 9406 section 4.2: a delay that grows by an eighth of the round trip, within 4 and 16 ms, makes growth careful.
func TestHystartThreshold(t *testing.T) {
	for _, c := range []struct {
		last, next time.Duration
		careful    bool
	}{
		{10, 13, false}, {10, 14, true}, {80, 89, false}, {80, 90, true}, {400, 415, false}, {400, 416, true}, {50, 30, false},
	} {
		var h hystart
		h.feed(10, c.last*time.Millisecond)
		if h.feed(10, c.next*time.Millisecond); h.careful != c.careful {
			t.Errorf("%d ms, then %d ms: careful %v", c.last, c.next, h.careful)
		}
	}
}

// Fewer than eight samples say nothing.
func TestHystartSamples(t *testing.T) {
	var h hystart
	h.feed(10, 20*time.Millisecond)
	if h.feed(hystartSamples-1, 100*time.Millisecond); h.careful {
		t.Error("seven samples ended it")
	}
}

// Five careful rounds of a quarter of the growth, then slow start is over.
func TestHystartRounds(t *testing.T) {
	var h hystart
	if by, _ := h.feed(10, 20*time.Millisecond); by != 10*MTU {
		t.Errorf("grew by %v", by)
	}
	h.feed(10, 40*time.Millisecond)
	for round := range hystartRounds {
		by, over := h.feed(10, 40*time.Millisecond)
		if round > 0 && by != 10*MTU/hystartSlower {
			t.Errorf("careful round %d grew by %v", round, by)
		}
		if over != (round >= hystartRounds-2) && round < hystartRounds-2 {
			t.Fatalf("over after %d careful rounds", round+1)
		}
	}
	if _, over := h.feed(10, 40*time.Millisecond); !over {
		t.Error("not over")
	}
}

// A delay that goes away again was no queue.
func TestHystartFalseAlarm(t *testing.T) {
	var h hystart
	h.feed(10, 20*time.Millisecond)
	h.feed(10, 40*time.Millisecond)
	if !h.careful {
		t.Fatal("not careful")
	}
	if h.feed(10, 20*time.Millisecond); h.careful {
		t.Error("still careful")
	}
}

// On a link with a deep queue slow start ends long before the queue is full.
func TestHystartEndsBeforeTheQueueIsFull(t *testing.T) {
	c := NewCubic(0, 40*time.Millisecond)
	p := newWirePipe(c, 50, 40*time.Millisecond, time.Second)
	for p.losses == 0 && c.slowStart() && p.now.Sub(0) < 10*time.Second {
		p.tick()
	}
	if p.losses > 0 || p.longest > 500*time.Millisecond {
		t.Errorf("slow start lost %d packets and made a queue of %v", p.losses, p.longest)
	}
	if c.State() != "avoidance" {
		t.Errorf("in %s", c.State())
	}
}
