package mpp

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// sender is a connection with n subflows that have answered, each after 20 ms and at 1 MB/s, with so much to send.
func sender(n int, bytes int) (*Conn, mono.Time) {
	c := NewConn(1, Params{MID: 1, Opener: true, Pool: NewPool(64 << 20)})
	now := mono.Time(time.Second)
	for id := uint16(1); id <= uint16(n); id++ {
		c.Add(now, id)
		s := c.find(id)
		s.attach = false
		s.heardRTT(now, 20*time.Millisecond)
		s.rate.add(now, 1e6, time.Hour)
	}
	c.capacity, c.limit = bytes, 1<<40
	_, _ = c.Write(now, make([]byte, bytes))
	return c, now
}

// TestUntoldRanges: what came beyond the last range that an acknowledgement had room for is not sent again, only what the
// next one tells to be missing.
func TestUntoldRanges(t *testing.T) {
	c, now := sender(1, 64<<10)
	s := c.find(1)
	for range 6 {
		c.Poll(now, 1, nil)
	}
	if len(c.segs) < 6 {
		t.Fatalf("%d segments: %v", len(c.segs), c)
	}
	ack := Frame{Type: FrameAck, MID: 1, HasLimit: true, Limit: 1 << 40, Ranges: []Span{c.segs[1].Span}, Progress: []Progress{{1, c.segs[4].To}}}
	c.takeAck(now, &ack) // of five that came the second is told; the first was refused, of the others nothing is known
	if !c.segs[0].lost || c.lost != 1 || c.came != 3 {
		t.Fatalf("%d lost, %d came; want the first lost, and three that came: %v", c.lost, c.came, c)
	}
	ack.Flags, ack.Ranges = FlagComplete, []Span{{c.segs[1].From, c.segs[2].To}, c.segs[4].Span}
	c.takeAck(now, &ack)
	if !c.segs[3].lost || c.lost != 2 || c.came != 0 {
		t.Errorf("%d lost, %d came; want the first and the fourth lost: %v", c.lost, c.came, c)
	}
	if s.inflight() != int(c.segs[5].To-c.segs[5].From) {
		t.Errorf("%d bytes under way", s.inflight())
	}
}

// TestStarting: a subflow whose kernel still looks for its rate is given what it takes as long as the client writes on,
// though others would have what waits there sooner; not for ever, and not for a client that has no more.
func TestStarting(t *testing.T) {
	c, now := sender(2, 256<<10)
	c.acked, c.full = bulkBytes, now
	c.limit, c.sent, c.written = c.acked+256<<10, c.acked, c.acked+256<<10
	slow := c.find(2)
	slow.rate = maximum{}
	slow.rate.add(now, 1e4, time.Hour)
	slow.sent = 20000 // two seconds of it under way
	decides := func(now mono.Time) bool { return !c.declines(slow, BlockBytes, c.backlog(now, slow, 256<<10)) }
	if decides(now) {
		t.Error("a slow subflow gets what the other one would have there sooner")
	}
	c.Starting(2, true)
	if !decides(now) {
		t.Error("one in its start-up is not fed")
	}
	if c.full = 1; decides(now) {
		t.Error("one in its start-up is fed though the client has no more")
	}
	if c.full = now.Add(feedFor); decides(c.full) {
		t.Error("one is fed for ever")
	}
	c.full = now
	c.Starting(2, false)
	if decides(now) {
		t.Error("one is fed after its start-up")
	}
}

// TestStalledIsFed: a subflow that is late still gets what its kernel takes while the client writes on and most of the
// window is free, so that bbr does not run dry; not when the window runs out, nor for a client that has no more.
func TestStalledIsFed(t *testing.T) {
	c, now := sender(2, 256<<10)
	s := c.find(2)
	s.stalled = true
	takes := func() bool { return len(c.appendData(now, s, nil)) > 0 }
	if c.full, c.limit = now, 1<<20; !takes() {
		t.Error("it gets nothing though most of the window is free")
	}
	if c.full = now.Add(-2 * fullFor); takes() {
		t.Error("it gets what others could have, and the client has no more")
	}
	if c.full, c.limit = now, 2*c.sent-1; takes() {
		t.Error("it gets the rest of a small window")
	}
}

// TestWay: the way to the other side is the round trip without the way back, which is the quickest subflow's.
func TestWay(t *testing.T) {
	c, now := sender(2, 0)
	const ms = time.Millisecond
	slow := c.find(2)
	slow.rtt = minimum{}
	slow.heardRTT(now, 170*ms) // 160 there, 10 back over the other one
	c.backWay()
	if got := slow.way(); got != 160*ms {
		t.Errorf("the slow way takes %v", got)
	}
	if got := c.find(1).way(); got != 10*ms {
		t.Errorf("the quick way takes %v", got)
	}
}
