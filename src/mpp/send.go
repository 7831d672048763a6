package mpp

import (
	"time"

	"mpproxy/src/engine/mono"
)

// Poll appends the plaintext of the next record for a subflow to dst: call it when the subflow has room, and whenever
// something happened to the connection. Nothing is appended if this subflow has nothing to do now. At most MaxRecord
// bytes are appended.
func (c *Conn) Poll(now mono.Time, id uint16, dst []byte) []byte {
	s := c.find(id)
	if s == nil || c.closed {
		return dst
	}
	if c.err != nil {
		if s.reset {
			s.reset = false
			dst = c.append(dst, &Frame{Type: FrameReset, Code: c.err.(*ResetError).Code})
		}
		return dst
	}
	c.believe(now)
	c.checkLate(now)
	if s.attach {
		s.attach = false
		dst = c.append(dst, &Frame{Type: FrameAttach, Subflow: s.id, RTT: s.srtt})
	}
	if s.pong {
		s.pong = false
		dst = c.append(dst, &Frame{Type: FramePong, Offset: s.pongEcho})
	}
	if s.pingSent == 0 && now >= s.pingAt {
		dst = c.appendPing(now, s, dst)
	}
	if s.ackHere || c.ackAt != 0 && now >= c.ackAt && (c.fastest(now) == s || now.Sub(c.ackAt) > ackPatience) {
		dst = c.appendAck(s, dst)
	}
	before := len(dst)
	if dst = c.appendData(now, s, dst); len(dst) > before && now <= s.askBy && s.pingSent == 0 {
		dst = c.appendPing(now, s, dst)
	}
	return dst
}

func (c *Conn) appendPing(now mono.Time, s *subflow, dst []byte) []byte {
	s.pingSent, s.pingAt, s.askBy = now, now.Add(pingEvery), 0
	return c.append(dst, &Frame{Type: FramePing, Offset: uint64(now)})
}

// Wants reports whether Poll might append something now; if it says no, Poll would not.
func (c *Conn) Wants(now mono.Time, id uint16) bool {
	s := c.find(id)
	switch {
	case s == nil || c.closed:
		return false
	case c.err != nil:
		return s.reset
	case s.attach || s.pong || s.ackHere || c.ackAt != 0 && now >= c.ackAt || s.pingSent == 0 && now >= s.pingAt:
		return true
	case c.lost > 0 || len(c.segs) > c.firstSeg && len(c.subs) > 1 || min(c.end(), c.limit+1) > c.sent:
		return s.inflight() < s.allowed(now)
	}
	s.limitedTo = s.sent
	return false
}

func (c *Conn) append(dst []byte, f *Frame) []byte {
	f.MID = c.p.MID
	return AppendFrame(dst, f)
}

// fastest is the subflow on which a small record arrives first. One on which nothing comes while something comes on
// others may be dead: who only receives has no other way to know.
func (c *Conn) fastest(now mono.Time) *subflow {
	var best *subflow
	var bestSilent bool
	var soonest time.Duration
	newest := mono.Time(0)
	for _, s := range c.subs {
		newest = mono.Max(newest, s.heard)
	}
	for _, s := range c.subs {
		at, silent := s.arrival(HeaderBytes), s.stalled || newest.Sub(s.heard) > silence
		if best == nil || silent == bestSilent && at < soonest || bestSilent && !silent {
			best, bestSilent, soonest = s, silent, at
		}
	}
	return best
}

func (c *Conn) appendAck(s *subflow, dst []byte) []byte {
	if c.told < c.read+uint64(c.window) {
		c.told = c.read + uint64(c.window)
	}
	f := Frame{Type: FrameAck, Offset: c.next, Limit: c.told, HasLimit: true, Flags: FlagComplete}
	c.ranges = append(c.ranges[:0], c.held[:min(len(c.held), maxRanges)]...)
	if len(c.held) > maxRanges {
		f.Flags = 0
	}
	c.progress = c.progress[:0]
	for _, each := range c.subs {
		if each.got > 0 {
			c.progress = append(c.progress, Progress{each.id, each.got})
		}
	}
	f.Ranges, f.Progress = c.ranges, c.progress
	s.ackHere, c.ackAt, c.ackNew = false, 0, 0
	return c.append(dst, &f)
}

// appendData appends one frame of data, if this subflow should carry one.
func (c *Conn) appendData(now mono.Time, s *subflow, dst []byte) []byte {
	if s.stalled && len(c.subs) > 1 && !c.plenty(now) || s.inflight() >= s.allowed(now) {
		return dst
	}
	seg := c.pickLost(now, s)
	if seg == nil {
		if seg = c.pickNew(now, s); seg == nil {
			if seg = c.pickTail(now, s); seg == nil {
				s.limitedTo = s.sent
				return dst
			}
		}
	}
	size := int(seg.To - seg.From)
	f := Frame{Type: FrameData, Offset: seg.From}
	to := min(seg.To, c.written)
	if seg.To > c.written {
		f.Flags = FlagFin
	}
	// The payload may lie in two blocks: the frame is written without it, and its length put right.
	start := len(dst)
	dst = c.append(dst, &f)
	for at := seg.From; at < to; {
		part := c.out.view(at, int(to-at))
		dst = append(dst, part...)
		at += uint64(len(part))
	}
	n := to - seg.From
	dst[start+4], dst[start+5], dst[start+6], dst[start+7] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	if seg.To <= c.sent {
		c.counts.Again += n
	}
	c.sent = max(c.sent, seg.To)
	s.push(now, seg, size)
	return dst
}

// plenty reports whether the client goes on writing and most of the window is free: then what a stalled subflow gets holds
// nobody up. A kernel is not to run dry for being late: bbr sends next to nothing for 200 ms every 10 s by itself, and one
// that has a pause then takes the first packet that it sends again for the link's rate.
func (c *Conn) plenty(now mono.Time) bool {
	return now.Sub(c.full) <= fullFor && c.limit > c.sent && c.limit-c.sent > (c.limit-c.acked)/2
}

// pickLost returns what is to be sent again, if no other subflow would have it there sooner.
func (c *Conn) pickLost(now mono.Time, s *subflow) *segment {
	left := c.lost
	for i := c.firstSeg; i < len(c.segs) && left > 0; i++ {
		seg := c.segs[i]
		if !seg.lost {
			continue
		}
		left--
		if now < seg.sendable(c.acked) || seg.on&s.bit() != 0 {
			continue
		}
		if size := int(seg.To - seg.From); c.sooner(now, s, seg, s.arrival(size), size) {
			continue
		}
		seg.lost, seg.refused = false, false
		c.lost--
		return seg
	}
	return nil
}

// sooner reports whether another subflow with room would have a segment there sooner.
func (c *Conn) sooner(now mono.Time, s *subflow, seg *segment, than time.Duration, size int) bool {
	for _, o := range c.subs {
		if o != s && !o.stalled && seg.on&o.bit() == 0 && o.inflight() < o.allowed(now) && o.arrival(size) < than*3/4 {
			return true
		}
	}
	return false
}

// pickNew makes a segment of what was not sent yet, as much as fits this subflow.
func (c *Conn) pickNew(now mono.Time, s *subflow) *segment {
	avail := int64(min(c.written, c.limit)) - int64(c.sent)
	fin := c.fin && c.sent <= c.written
	if avail <= 0 && !(fin && c.sent == c.written) {
		return nil
	}
	n := min(max(avail, 0), int64(s.chunk()))
	// The same amount for every subflow, so that there is always one that is the quickest.
	if same := int(min(max(avail, 0), BlockBytes)); c.untried(s) || c.declines(s, same, c.backlog(now, s, int(avail))) {
		return nil
	}
	seg := c.newSegment()
	seg.Span = Span{c.sent, c.sent + uint64(n)}
	if fin && seg.To == c.written {
		seg.To++
	}
	c.segs = append(c.segs, seg)
	return seg
}

func (c *Conn) newSegment() *segment {
	if n := len(c.spare); n > 0 {
		seg := c.spare[n-1]
		c.spare = c.spare[:n-1]
		*seg = segment{}
		return seg
	}
	return &segment{}
}

// untried reports whether a subflow has not answered yet while another has, or is older: what it got might stay there.
func (c *Conn) untried(s *subflow) bool {
	if s.srtt > 0 {
		return false
	}
	older := true
	for _, o := range c.subs {
		if o == s {
			older = false
		} else if !o.stalled && (older || o.srtt > 0) {
			return true
		}
	}
	return false
}

// backlog is how much there is to send, as far as plans for a subflow go. A client that writes more than there is room for
// most likely goes on: then it is what the other side has room for.
func (c *Conn) backlog(now mono.Time, s *subflow, avail int) int {
	if now.Sub(c.full) > fullFor {
		return avail
	}
	if s.starting && s.fedUntil == 0 && c.acked >= bulkBytes {
		s.fedUntil = now.Add(feedFor)
	}
	if s.fed(now) {
		return endless
	}
	return max(avail, min(c.p.MaxBuffer, int(c.limit-c.acked))-int(c.sent-c.acked))
}

// endless is a backlog in bytes that no subflows have there before any other; it fits into the int of a 32-bit router.
const endless = 1 << 30

// declines reports whether the quicker subflows alone would have all of the backlog there before this one had the
// next n bytes there: then it would only hold the others up.
func (c *Conn) declines(s *subflow, n, backlog int) bool {
	mine := s.arrival(n)
	var rate float64
	var way time.Duration
	inflight := 0
	for _, o := range c.subs {
		if o == s || o.stalled || c.untried(o) || o.arrival(n) >= mine {
			continue
		}
		rate += o.estimate()
		inflight += o.inflight()
		way = max(way, o.way())
	}
	if rate == 0 {
		return false
	}
	theirs := max(way, time.Duration(min(float64(inflight+backlog)/rate, aDay)*1e9)-way)
	return theirs <= mine
}

// pickTail returns what is under way on a slower subflow and would be there sooner by this one, when there is nothing
// else to send: the end of a stream, or a closed window.
func (c *Conn) pickTail(now mono.Time, s *subflow) *segment {
	if len(c.subs) < 2 || int64(min(c.end(), c.limit)) > int64(c.sent) {
		return nil
	}
	for i, end := c.firstSeg, min(len(c.segs), c.firstSeg+scanTail); i < end; i++ {
		seg := c.segs[i]
		if seg.acked || seg.lost || seg.on&s.bit() != 0 || seg.flights != 1 {
			continue
		}
		size := int(seg.To - seg.From)
		way := s.arrival(size) + s.minRTT()/2 + s.deviation
		if now.Add(way+way/5+ackDelay+lateSlack) < seg.expect && !c.sooner(now, s, seg, s.arrival(size), size) {
			return seg
		}
	}
	return nil
}

// checkLate has what is late on its subflow sent again on others.
func (c *Conn) checkLate(now mono.Time) {
	if len(c.subs) < 2 {
		return
	}
	for _, s := range c.subs {
		flying := s.flying()
		before := s.stalled
		s.stalled = len(flying) > 0 && now > flying[0].late || s.pingSent != 0 && now.Sub(s.pingSent) > 4*max(s.minRTT(), s.srtt)+ackPatience && s.heard < s.pingSent
		if s.stalled && !before && s.pingSent == 0 {
			s.pingAt = now // it may be the acknowledgements' way that is dead: the answer brings one
		}
		for i := range flying {
			f := &flying[i]
			if now <= f.late {
				break
			}
			if !f.told && c.urgent(now, f) {
				f.told = true
				if f.seg.late++; f.seg.late == f.seg.flights { // what is sent again may come to such a subflow too
					c.lose(f.seg, now)
				}
			}
		}
	}
}

// urgent reports whether what is late is to be sent again now: what holds the reader up, all of it if there is nothing
// else that may be sent, and the rest only once it is very late. A loss on a subflow makes everything behind it late that comes all the
// same a round trip later; to send all that again would cost the other subflows more than it gains.
func (c *Conn) urgent(now mono.Time, f *flight) bool {
	return f.seg.From < c.acked+headBytes || now > f.late.Add(f.late.Sub(f.at)) || min(c.written, c.limit) < c.sent+headBytes
}

// backWay finds how long acknowledgements take: they come on the quickest subflow. And it finds how much of the window one
// subflow may fill.
func (c *Conn) backWay() {
	var back time.Duration
	for _, s := range c.subs {
		if half := s.rtt.value() / 2; half > 0 && !s.stalled && (back == 0 || half < back) {
			back = half
		}
	}
	for _, s := range c.subs {
		s.back, s.most = back, int(c.limit-min(c.limit, c.acked))/startShare
	}
}

// resize makes the send buffer fit the subflows: so much must be kept until the slowest has answered.
func (c *Conn) resize() {
	var rate float64
	var longest time.Duration
	for _, s := range c.subs {
		rate += s.rate.value()
		longest = max(longest, s.minRTT(), s.srtt)
	}
	want := min(int(windowGain*rate*(longest+slackFlight).Seconds()), c.p.MaxBuffer)
	switch fill := c.p.Pool.fill(); {
	case want > c.capacity && fill < poolPlenty:
		c.capacity = want
	case fill > poolPressure:
		c.capacity = max(initialWindow, c.capacity/2)
	}
}

// NextTimeout is when OnTimeout, and Poll of all subflows, are to be called at the latest.
func (c *Conn) NextTimeout() mono.Time {
	next := mono.Never
	at := func(t mono.Time) {
		if t > c.ticked && t < next {
			next = t
		}
	}
	if c.ackAt != 0 {
		at(c.ackAt)
		at(c.ackAt.Add(ackPatience + 1))
	}
	for i, left := c.firstSeg, c.lost; i < len(c.segs) && left > 0; i++ {
		if c.segs[i].lost {
			left--
			at(c.segs[i].sendable(c.acked))
		}
	}
	for _, s := range c.subs {
		at(s.pingAt)
		at(s.believeAt)
		if s.pingSent != 0 {
			at(mono.Max(s.pingSent, s.heard).Add(deadAfter + 1))
		}
		for _, f := range s.flying() {
			if !f.told {
				at(f.late + 1)
				at(f.late.Add(f.late.Sub(f.at)) + 1)
				break
			}
		}
	}
	return next
}

// OnTimeout does what time decides; then poll all subflows.
func (c *Conn) OnTimeout(now mono.Time) {
	c.ticked = now
	if c.err == nil && !c.closed {
		c.believe(now)
		c.checkLate(now)
	}
}
