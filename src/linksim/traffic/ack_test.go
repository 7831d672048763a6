package traffic

import (
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// outbound returns a sender that has sent n segments, one each millisecond from 20 ms on: all that its window lets out.
func outbound(t *testing.T, n int, change func(*Config)) *Sender {
	t.Helper()
	s, _, _ := tcp(0, change)
	var buf [1500]byte
	s.Poll(0, buf[:])
	s.onSynAck(20*ms, &segment{mss: 1460, window: 1 << 30, echo: 1})
	s.Poll(20*ms, buf[:])
	s.cwnd = n
	for i := range n {
		if s.sendNew(mono.Time(20+i)*ms, buf[:]) == 0 {
			t.Fatal("nothing sent")
		}
	}
	return s
}

// seg is the part of the stream that segments from..to are, counted from 0, to not included.
func (s *Sender) seg(from, to int) span {
	return span{1 + uint64(from*s.mss), 1 + uint64(to*s.mss)}
}

// ack is an acknowledgement of the first n segments with SACK blocks.
func (s *Sender) ack(n int, blocks ...span) *segment {
	a := &segment{ack: s.seg(0, n).to, flags: flagACK, window: 1 << 30, sackCount: len(blocks)}
	copy(a.sacks[:], blocks)
	return a
}

// sacked lists the segments that are out and SACKed.
func (s *Sender) sacked() (list []int) {
	for n := s.board.head; n < s.board.tail; n++ {
		if s.board.get(n).sacked {
			list = append(list, int(n))
		}
	}
	return list
}

// TestDuplicatesAreTold is RFC 2883 section 4: a first block below the acknowledgement, or within the second block, names a duplicate.
func TestDuplicatesAreTold(t *testing.T) {
	s := outbound(t, 10, nil)
	for name, c := range map[string]struct {
		ack     *segment
		dsacks  int
		ordered []span
	}{
		"none":              {s.ack(3), 0, nil},
		"a SACK":            {s.ack(3, s.seg(4, 5)), 0, []span{s.seg(4, 5)}},
		"two SACKs":         {s.ack(3, s.seg(7, 8), s.seg(4, 5)), 0, []span{s.seg(7, 8), s.seg(4, 5)}},
		"right behind":      {s.ack(3, s.seg(3, 4)), 0, []span{s.seg(3, 4)}},
		"below":             {s.ack(3, s.seg(2, 3)), 1, nil},
		"three below":       {s.ack(3, s.seg(0, 3), s.seg(5, 6)), 3, []span{s.seg(5, 6)}},
		"a byte below":      {s.ack(3, span{5, 6}), 1, nil},
		"within the second": {s.ack(3, s.seg(5, 6), s.seg(4, 7)), 1, []span{s.seg(4, 7)}},
		"all the second":    {s.ack(3, s.seg(4, 7), s.seg(4, 7)), 3, []span{s.seg(4, 7)}},
		"begins before":     {s.ack(3, s.seg(4, 6), s.seg(5, 7)), 0, []span{s.seg(4, 6), s.seg(5, 7)}},
		"ends behind":       {s.ack(3, s.seg(5, 8), s.seg(5, 7)), 0, []span{s.seg(5, 8), s.seg(5, 7)}},
	} {
		var e ackEvent
		s.Spurious = 0
		if got := s.takeDSACK(&e, c.ack); e.dsacks != c.dsacks || s.Spurious != uint64(c.dsacks) || !slices.Equal(got, c.ordered) {
			t.Errorf("%s: %d duplicates, %v left, want %d, %v", name, e.dsacks, got, c.dsacks, c.ordered)
		}
	}
}

// TestDuplicatesOfTheNetwork: more duplicates than retransmissions were made by the network, and say nothing of a loss that was none
// (RFC 3708); and what a probe doubled says nothing of reordering (RFC 8985 section 7.4.2).
func TestDuplicatesOfTheNetwork(t *testing.T) {
	for name, c := range map[string]struct {
		resent uint64
		seen   bool
		probe  int // the last segment it sent again; 0: none
		widens bool
		left   int
	}{
		"sent again":          {1, true, 0, true, 1},
		"never sent again":    {0, true, 0, false, 2},
		"without reordering":  {1, false, 0, false, 1},
		"by a probe":          {1, true, 3, false, 1},
		"by another's probe":  {1, true, 5, true, 1},
		"twice as many again": {9, true, 0, true, 1},
	} {
		s := outbound(t, 10, nil)
		s.Retransmits, s.reorderSeen = c.resent, c.seen
		s.undo = undo{marker: 1, resends: 2}
		if c.probe > 0 {
			s.tlp.retrans, s.tlp.high = true, s.seg(0, c.probe).to
		}
		s.takeDSACK(&ackEvent{}, s.ack(3, s.seg(2, 3)))
		if s.rack.dsackSeen != c.widens || s.undo.resends != c.left {
			t.Errorf("%s: widens %v, %d left to undo, want %v, %d", name, s.rack.dsackSeen, s.undo.resends, c.widens, c.left)
		}
	}
}

// TestSACKsMarkWholeSegments, whatever the blocks' order (RFC 2018 section 4), and none that were never sent.
func TestSACKsMarkWholeSegments(t *testing.T) {
	s := outbound(t, 10, nil)
	for name, c := range map[string]struct {
		blocks []span
		want   []int
	}{
		"one":              {[]span{s.seg(4, 5)}, []int{4}},
		"to the end":       {[]span{s.seg(8, 10)}, []int{8, 9}},
		"beyond the end":   {[]span{s.seg(8, 11)}, nil},
		"out of order":     {[]span{s.seg(7, 8), s.seg(5, 6), s.seg(2, 4)}, []int{2, 3, 5, 7}},
		"one byte short":   {[]span{{s.seg(4, 6).from, s.seg(4, 6).to - 1}}, []int{4}},
		"one byte further": {[]span{{s.seg(4, 6).from, s.seg(4, 6).to + 1}}, []int{4, 5}},
	} {
		s := outbound(t, 10, nil)
		var e ackEvent
		e.reordered = s.nxt
		if s.takeSACKs(&e, slices.Clone(c.blocks)); !slices.Equal(s.sacked(), c.want) || e.sacked != (c.want != nil) || s.delivered != len(c.want) {
			t.Errorf("%s: %v, %d delivered, want %v", name, s.sacked(), s.delivered, c.want)
		}
		if s.takeSACKs(&e, slices.Clone(c.blocks)); s.delivered != len(c.want) {
			t.Errorf("%s: told twice, %d delivered", name, s.delivered)
		}
		if s.reorderSeen {
			t.Errorf("%s: one acknowledgement is no reordering", name)
		}
	}
}

// TestReorderingIsSeen as Linux's tcp_check_sack_reordering has it: by how many segments one came late that was sent once only.
func TestReorderingIsSeen(t *testing.T) {
	type step struct {
		ack    int
		blocks [][2]int
	}
	for name, c := range map[string]struct {
		again int // a segment that was sent again; 0: none
		steps []step
		want  int // segments, 0: not seen
	}{
		"in order":               {0, []step{{0, [][2]int{{2, 3}}}, {0, [][2]int{{2, 6}}}}, 0},
		"a hole filled":          {0, []step{{0, [][2]int{{7, 8}}}, {0, [][2]int{{2, 3}, {7, 8}}}}, 6},
		"by less than usual":     {0, []step{{0, [][2]int{{3, 4}}}, {0, [][2]int{{2, 4}}}}, 3},
		"the lowest of two":      {0, []step{{0, [][2]int{{8, 9}}}, {0, [][2]int{{2, 3}, {4, 5}, {8, 9}}}}, 7},
		"acknowledged":           {0, []step{{0, [][2]int{{5, 6}}}, {3, [][2]int{{5, 6}}}}, 6},
		"acknowledged, all":      {0, []step{{0, [][2]int{{1, 8}}}, {8, nil}}, 8},
		"sent again, SACKed":     {2, []step{{0, [][2]int{{7, 8}}}, {0, [][2]int{{2, 3}, {7, 8}}}}, 0},
		"sent again, the head":   {0, []step{{0, [][2]int{{1, 8}}}}, 0},
		"acknowledged, in order": {0, []step{{2, nil}, {5, nil}}, 0},
	} {
		s := outbound(t, 10, nil)
		if c.again > 0 {
			s.board.get(int64(c.again)).ever = true
		}
		for i, k := range c.steps {
			var blocks []span
			for _, b := range k.blocks {
				blocks = append(blocks, s.seg(b[0], b[1]))
			}
			s.onAck(mono.Time(50+i)*ms, s.ack(k.ack, blocks...))
		}
		if want := max(baseReordering, c.want); s.reorderSeen != (c.want > 0) || s.reordering != want {
			t.Errorf("%s: seen %v, %d segments, want %d", name, s.reorderSeen, s.reordering, want)
		}
	}
	s := outbound(t, 400, nil)
	s.onAck(500*ms, s.ack(0, s.seg(399, 400)))
	if s.onAck(501*ms, s.ack(1, s.seg(399, 400))); s.reordering != maxReordering {
		t.Errorf("reordering by 400 counts as %d", s.reordering)
	}
}

// TestRoundTripsAreOfWhatWasSentOnce (Karn; RFC 6298 section 3): the timer's from the oldest that an acknowledgement tells of, the
// path's from the newest, and of what is SACKed only if nothing was acknowledged.
func TestRoundTripsAreOfWhatWasSentOnce(t *testing.T) {
	for name, c := range map[string]struct {
		again       []int64
		ack         int
		sack        [2]int
		long, short time.Duration // in ms; 0: none
	}{
		"one":                      {nil, 1, [2]int{}, 80, 80},
		"three":                    {nil, 3, [2]int{}, 80, 78},
		"SACKed":                   {nil, 0, [2]int{4, 7}, 76, 74},
		"both":                     {nil, 2, [2]int{4, 7}, 80, 79},
		"one of them sent again":   {[]int64{1}, 3, [2]int{}, 0, 0},
		"the SACKed one too":       {[]int64{4}, 0, [2]int{4, 5}, 0, 0},
		"SACKed, beside one again": {[]int64{0}, 1, [2]int{4, 5}, 76, 76},
		"nothing":                  {nil, 0, [2]int{}, 0, 0},
	} {
		s := outbound(t, 10, nil)
		for _, n := range c.again {
			s.board.get(n).ever = true
		}
		before := s.rtt
		s.rtt = rttEstimate{}
		a := s.ack(c.ack)
		if c.sack[1] > 0 {
			a = s.ack(c.ack, s.seg(c.sack[0], c.sack[1]))
		}
		s.rtt.least = before.least
		if s.onAck(100*ms, a); s.rtt.srtt != c.long*time.Millisecond || s.rtt.least != c.short*time.Millisecond {
			t.Errorf("%s: %v, least %v, want %v, %v ms", name, s.rtt.srtt, s.rtt.least, int(c.long), int(c.short))
		}
	}
	s := outbound(t, 10, nil)
	s.onAck(100*ms, s.ack(1))
	if s.onAck(200*ms, s.ack(2)); s.rtt.least != 80*time.Millisecond {
		t.Errorf("a longer one makes the least %v", s.rtt.least)
	}
	// A SACK that was told before is no new round trip.
	s = outbound(t, 10, nil)
	s.onAck(100*ms, s.ack(0, s.seg(4, 5)))
	was := s.rtt
	if s.onAck(300*ms, s.ack(0, s.seg(4, 5))); s.rtt != was {
		t.Errorf("a SACK told twice: %+v, was %+v", s.rtt, was)
	}
}

// TestAcknowledgementsOnlyGoOn: none of what was never sent counts (RFC 9293 section 3.10.7.4), an old one takes nothing back, and a
// window does not shrink.
func TestAcknowledgementsOnlyGoOn(t *testing.T) {
	s := outbound(t, 10, nil)
	s.backoff = 2
	s.onAck(100*ms, s.ack(11))
	if s.Corrupt != 1 || s.una != 1 || s.delivered != 0 || s.backoff != 2 {
		t.Errorf("of what was never sent: una %d, %d delivered, %+v", s.una, s.delivered, s.Counters)
	}
	if s.onAck(100*ms, s.ack(0)); s.backoff != 2 {
		t.Error("a plain duplicate ends the backing off")
	}
	if s.onAck(100*ms, s.ack(4)); s.una != s.seg(0, 4).to || s.delivered != 4 || s.backoff != 0 || s.board.out() != 6 {
		t.Errorf("una %d, %d delivered, backoff %d, %d out", s.una, s.delivered, s.backoff, s.board.out())
	}
	end := s.wndEnd
	old := s.ack(2)
	if s.onAck(101*ms, old); s.una != s.seg(0, 4).to || s.wndEnd != end || s.delivered != 4 || s.Corrupt != 1 {
		t.Errorf("an old one: una %d, window to %d, was %d", s.una, s.wndEnd, end)
	}
	if s.onAck(102*ms, s.ack(10)); s.una != s.nxt || s.board.out() != 0 || s.timer.at != mono.Never || s.Corrupt != 1 {
		t.Errorf("of all: una %d, timer %+v", s.una, s.timer)
	}
}

// TestTimerGoesOnWithNews (RFC 6298 section 5.3): it starts again when something is acknowledged, or SACKed that was sent after the
// first segment that is missing; not with a duplicate.
func TestTimerGoesOnWithNews(t *testing.T) {
	for name, c := range map[string]struct {
		ack  func(*Sender) *segment
		anew bool
	}{
		"acknowledged": {func(s *Sender) *segment { return s.ack(1) }, true},
		"SACKed":       {func(s *Sender) *segment { return s.ack(0, s.seg(1, 2)) }, true},
		"a loss told":  {func(s *Sender) *segment { return s.ack(0, s.seg(1, 4)) }, true}, // at once, so that nothing waits for its time
		"a duplicate":  {func(s *Sender) *segment { return s.ack(0) }, false},
	} {
		s := outbound(t, 5, nil)
		was := s.timer
		s.onAck(60*ms, c.ack(s))
		if anew := s.timer != was; anew != c.anew {
			t.Errorf("%s: the timer %+v, was %+v", name, s.timer, was)
		}
	}
	// What is SACKed was sent before the segment at the head was sent again: no sign of life since.
	s := outbound(t, 3, nil)
	s.board.get(0).at = 50 * ms
	was := s.timer
	if s.onAck(60*ms, s.ack(0, s.seg(1, 2))); s.timer != was {
		t.Errorf("older news: the timer %+v, was %+v", s.timer, was)
	}
}

// TestTraceKeepsItsDistance: a point is no sooner after another than asked for, and there is none without being asked for.
func TestTraceKeepsItsDistance(t *testing.T) {
	for every, want := range map[time.Duration][]mono.Time{0: nil, 5 * time.Millisecond: {100 * ms, 105 * ms}, 1: {100 * ms, 101 * ms, 105 * ms, 109 * ms}} {
		s := outbound(t, 10, func(c *Config) { c.TraceEvery = every })
		for i, at := range []mono.Time{100, 101, 105, 109} {
			s.onAck(at*ms, s.ack(i+1))
		}
		var got []mono.Time
		for _, p := range s.Trace {
			got = append(got, p.At)
		}
		if !slices.Equal(got, want) {
			t.Errorf("every %v: points at %v, want %v", every, got, want)
		}
		if len(got) > 0 && s.Trace[0] != (TracePoint{100 * ms, 10, infinite, 9, 27500 * time.Microsecond}) {
			t.Errorf("%+v", s.Trace[0])
		}
	}
}

// TestProbeThatFilledAHole (RFC 8985 section 7.4.2): a loss that only the probe made up for reduces the window like another. It
// was none if both copies came, or if the probe was new data.
func TestProbeThatFilledAHole(t *testing.T) {
	for name, c := range map[string]struct {
		fresh  bool
		acks   func(*Sender) []*segment
		window int
		open   bool // the episode goes on
	}{
		"up to the probe":         {false, func(s *Sender) []*segment { return []*segment{s.ack(9)} }, 10, true},
		"beyond it":               {false, func(s *Sender) []*segment { return []*segment{s.ack(9), s.ack(10)} }, 7, false},
		"twice":                   {false, func(s *Sender) []*segment { return []*segment{s.ack(9), s.ack(9), s.ack(10)} }, 10, false},
		"told as a duplicate":     {false, func(s *Sender) []*segment { return []*segment{s.ack(9, s.seg(8, 9)), s.ack(10)} }, 10, false},
		"short of it":             {false, func(s *Sender) []*segment { return []*segment{s.ack(8)} }, 10, true},
		"new data":                {true, func(s *Sender) []*segment { return []*segment{s.ack(9), s.ack(10)} }, 10, false},
		"beyond it, in one go":    {false, func(s *Sender) []*segment { return []*segment{s.ack(10)} }, 7, false},
		"a duplicate of the past": {false, func(s *Sender) []*segment { return []*segment{s.ack(8), s.ack(8), s.ack(9), s.ack(10)} }, 7, false},
	} {
		s := outbound(t, 10, nil)
		s.tlp = tlp{high: s.seg(0, 9).to, retrans: !c.fresh}
		s.Retransmits = 1
		for i, a := range c.acks(s) {
			s.onAck(mono.Time(60+i)*ms, a)
		}
		if s.cwnd != c.window || s.tlp.high != 0 != c.open {
			t.Errorf("%s: window %d, episode %+v, want %d, %v", name, s.cwnd, s.tlp, c.window, c.open)
		}
	}
}

// TestTimeoutThatWasNone (F-RTO, RFC 5682 section 2.1): what was out before and was not sent again arrives, so nothing had been lost.
func TestTimeoutThatWasNone(t *testing.T) {
	for name, c := range map[string]struct {
		resend bool
		ack    func(*Sender) *segment
		undone bool
	}{
		"the first, never sent again": {false, func(s *Sender) *segment { return s.ack(1) }, true},
		"SACKed, never sent again":    {true, func(s *Sender) *segment { return s.ack(0, s.seg(5, 6)) }, true},
		"beside the first":            {true, func(s *Sender) *segment { return s.ack(2) }, true},
		"the first, sent again":       {true, func(s *Sender) *segment { return s.ack(1) }, false},
		"nothing":                     {true, func(s *Sender) *segment { return s.ack(0) }, false},
	} {
		s := outbound(t, 10, nil)
		var buf [1500]byte
		s.rack.rtt = time.Second // only the first is overdue
		s.onRTO(300 * ms)
		if c.resend && s.resend(300*ms, buf[:], 0) == 0 {
			t.Fatal("nothing sent")
		}
		s.onAck(301*ms, c.ack(s))
		if undone := s.Undos == 1; undone != c.undone || undone && (s.state > caDisorder || s.cwnd < 10) || !undone && s.state != caLoss {
			t.Errorf("%s: state %d, window %d, %+v", name, s.state, s.cwnd, s.Counters)
		}
	}
}

// TestCongestionIsTold only to who asked for it (RFC 3168 section 6.1.1), once per window.
func TestCongestionIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		asked  bool
		flags  [3]uint8
		events uint64
	}{
		"asked, not told":  {true, [3]uint8{}, 0},
		"asked and told":   {true, [3]uint8{flagECE, flagECE, flagECE}, 1},
		"told, not asked":  {false, [3]uint8{flagECE, flagECE, flagECE}, 0},
		"another flag set": {true, [3]uint8{flagCWR, flagPSH, flagCWR}, 0},
	} {
		s := outbound(t, 10, nil)
		s.ecn = c.asked
		for i, flags := range c.flags {
			a := s.ack(i + 1)
			a.flags |= flags
			s.onAck(mono.Time(60+i)*ms, a)
		}
		if s.ECNs != c.events || (s.ssthresh == 7) != (c.events > 0) {
			t.Errorf("%s: %d events, threshold %d", name, s.ECNs, s.ssthresh)
		}
	}
}
