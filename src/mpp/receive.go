package mpp

import (
	"time"

	"mpproxy/src/engine/mono"
)

// Receive takes the plaintext of a record that came on a subflow. After an error the subflow is to be closed and
// removed: it carries something that is not ours.
func (c *Conn) Receive(now mono.Time, id uint16, record []byte) error {
	s := c.find(id)
	if s == nil {
		return ErrFrame
	}
	if s.heard = now; s.silent {
		s.silent, s.pingAt = false, mono.Max(s.pingAt, now.Add(pingEvery)) // its life shows by itself
	}
	if c.frame == nil {
		c.frame = new(Frame)
	}
	for len(record) > 0 {
		rest, err := ParseFrame(record, c.frame)
		if err != nil || c.frame.MID != c.p.MID {
			return ErrFrame
		}
		record = rest
		if c.err != nil || c.closed {
			continue
		}
		if !c.take(now, s, c.frame) {
			c.Reset(CodeProtocol)
			return ErrFrame
		}
	}
	return nil
}

// take is false for a frame that makes no sense.
func (c *Conn) take(now mono.Time, s *subflow, f *Frame) bool {
	switch f.Type {
	case FrameData:
		return c.takeData(now, s, f)
	case FrameAck:
		return c.takeAck(now, f)
	case FrameAttach:
		s.attached(now, f.RTT)
	case FrameReset:
		c.fail(&ResetError{Code: f.Code, Remote: true})
	case FramePing:
		// With an acknowledgement: the other side may ask because those before took a way that is dead.
		s.pong, s.pongEcho, s.ackHere = true, f.Offset, true
		if !c.p.Opener && s.srtt > 0 && s.pingSent == 0 {
			s.pingAt = mono.Max(s.pingAt, now.Add(pingEvery+answerPatience))
		}
	case FramePong:
		if s.pingSent != 0 && f.Offset == uint64(s.pingSent) {
			s.heardRTT(now, now.Sub(s.pingSent))
			s.pingSent = 0
		}
	}
	return true
}

func (c *Conn) takeData(now mono.Time, s *subflow, f *Frame) bool {
	from, to := f.Offset, f.Offset+uint64(len(f.Payload))
	fin := f.Flags&FlagFin != 0
	if fin && c.finKnown && c.finAt != to || c.finKnown && to > c.finAt || to > c.told || fin && !c.finKnown && c.highest() > to {
		return false
	}
	size := len(f.Payload)
	if fin {
		size++
	}
	s.got += uint64(size)
	c.ackNew += size
	orderly := from <= c.next && to >= c.next
	if to <= c.next {
		// The other side has not heard that it came: perhaps the way that acknowledgements take is dead.
		c.counts.Doubled += uint64(len(f.Payload))
		s.ackHere = true
	}
	if fin {
		c.finKnown, c.finAt = true, to
	}
	c.store(from, f.Payload, fin)
	switch {
	case c.complete():
		for _, each := range c.subs {
			each.ackHere = true
		}
		c.ackAt = now
	case !orderly || c.ackNew >= ackBytes:
		c.ackAt = now
	default:
		c.ackSoon(now)
	}
	return true
}

// highest is behind the last byte that has come.
func (c *Conn) highest() uint64 {
	if n := len(c.held); n > 0 {
		return c.held[n-1].To
	}
	return c.next
}

func (c *Conn) ackSoon(now mono.Time) {
	if at := now.Add(ackDelay); c.ackAt == 0 || at < c.ackAt {
		c.ackAt = at
	}
}

// store keeps the new part of a payload, as far as there is room.
func (c *Conn) store(from uint64, p []byte, fin bool) {
	to := from + uint64(len(p))
	if fin {
		to++
	}
	if to <= c.next {
		return
	}
	if skip := c.next - min(c.next, from); skip > 0 {
		p, from = p[min(skip, uint64(len(p))):], from+skip
	}
	if len(c.held) >= maxHeld && from > c.next {
		c.counts.Refused += uint64(len(p))
		return
	}
	n := c.in.put(from, p)
	c.counts.Refused += uint64(len(p) - n)
	if n < len(p) {
		to = from + uint64(n)
	}
	if from == to {
		return
	}
	c.held.add(Span{from, to}, maxHeld+1)
	if c.held[0].From <= c.next {
		c.next = c.held[0].To
		c.held.cut(c.next)
	}
}

// grow makes the window fit how fast the client reads and how late the slowest subflow may be.
func (c *Conn) grow(now mono.Time) {
	const often = 20 * time.Millisecond
	if span := now.Sub(c.meter.since); span >= often {
		rate := float64(c.read-c.meter.read) / span.Seconds()
		longest := time.Duration(0)
		for _, s := range c.subs {
			longest = max(longest, s.minRTT()+s.minRTT()/2)
		}
		want := int(windowGain * rate * (longest + 2*slackFlight).Seconds())
		switch fill := c.p.Pool.fill(); {
		case fill > poolPressure:
			c.window = max(minWindow, c.window/2)
		case c.window < initialWindow && fill < poolPlenty:
			c.window = initialWindow
		case want > c.window && fill < poolPlenty:
			c.window = min(want, 2*c.window, c.p.MaxBuffer)
		}
		if span >= 4*often || c.window >= want {
			c.meter = meter{now, c.read}
		}
	}
	if limit := c.read + uint64(c.window); limit > c.told && (limit-c.told >= uint64(c.window)/4 || int64(c.told-c.come()) < int64(c.window)/2) {
		c.ackAt = now
	}
}

// takeAck takes an acknowledgement.
func (c *Conn) takeAck(now mono.Time, f *Frame) bool {
	if f.Offset > c.sent || f.HasLimit && f.Limit > maxOffset {
		return false
	}
	if f.HasLimit {
		c.limit = max(c.limit, f.Limit)
	}
	for i := c.firstSeg; i < len(c.segs) && c.segs[i].From < f.Offset; i++ {
		if c.segs[i].To <= f.Offset {
			c.ack(c.segs[i])
		}
	}
	for _, r := range f.Ranges {
		if r.To > c.sent {
			return false
		}
		for i := c.searchSegment(r.From); i < len(c.segs) && c.segs[i].To <= r.To; i++ {
			c.ack(c.segs[i])
		}
	}
	told := uint64(maxOffset)
	if n := len(f.Ranges); n > 0 && f.Flags&FlagComplete == 0 {
		told = f.Ranges[n-1].To
	}
	for _, p := range f.Progress {
		if s := c.find(p.Subflow); s != nil && !c.advance(now, s, p.Bytes, told) {
			return false
		}
	}
	c.checkCame(now, told)
	c.dropAcked()
	c.backWay()
	c.resize()
	return true
}

// searchSegment returns the first segment that begins at or behind offset.
func (c *Conn) searchSegment(offset uint64) int {
	low, high := c.firstSeg, len(c.segs)
	for low < high {
		if mid := (low + high) / 2; c.segs[mid].From < offset {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (c *Conn) ack(seg *segment) {
	if seg.lost {
		seg.lost = false
		c.lost--
	}
	c.forget(seg)
	seg.acked = true
}

// forget takes a segment from those that came without a word about them.
func (c *Conn) forget(seg *segment) {
	if seg.came {
		seg.came = false
		c.came--
	}
}

// advance notes how much has come on a subflow. What came and is not acknowledged was refused, and is sent again, as far
// as the acknowledgement tells of all ranges: below told.
func (c *Conn) advance(now mono.Time, s *subflow, bytes, told uint64) bool {
	if bytes > s.sent {
		return false
	}
	if bytes <= s.arrived {
		return true
	}
	var newest flight
	for s.head < len(s.fifo) && s.fifo[s.head].mark <= bytes {
		newest = s.fifo[s.head]
		s.fifo[s.head] = flight{}
		s.head++
		seg := newest.seg
		c.landed(s, &newest)
		switch {
		case seg.acked || seg.flights > 0:
		case seg.To <= told:
			c.refuse(seg, now)
		case !seg.came && !seg.lost:
			seg.came = true
			c.came++
		}
	}
	s.arrived = bytes
	if newest.size > 0 {
		s.stalled = false
		s.sample(now, &newest)
	}
	return true
}

// checkCame has those segments sent again that had come, as was told by now, and were refused.
func (c *Conn) checkCame(now mono.Time, told uint64) {
	for i := c.firstSeg; c.came > 0 && i < len(c.segs) && c.segs[i].To <= told; i++ {
		if seg := c.segs[i]; seg.came && !seg.acked {
			c.refuse(seg, now)
		}
	}
}

// landed takes one of a segment's copies off a subflow.
func (c *Conn) landed(s *subflow, f *flight) {
	seg := f.seg
	if seg.flights--; f.told {
		seg.late--
	}
	seg.on &^= s.bit()
	c.recycle(seg)
}

// recycle keeps a segment that nothing refers to for the next use.
func (c *Conn) recycle(seg *segment) {
	if seg.acked && seg.flights == 0 && seg.To <= c.acked && len(c.spare) < 256 {
		c.spare = append(c.spare, seg)
	}
}

// lose has a segment sent again.
func (c *Conn) lose(seg *segment, after mono.Time) {
	c.forget(seg)
	if !seg.acked && !seg.lost {
		seg.lost, seg.after = true, after
		c.lost++
	}
}

// refuse has a segment sent again for which the other side had no room.
func (c *Conn) refuse(seg *segment, now mono.Time) {
	c.lose(seg, now.Add(againAfter))
	seg.refused = true
}

// dropAcked forgets what is acknowledged without a gap before it.
func (c *Conn) dropAcked() {
	for c.firstSeg < len(c.segs) && c.segs[c.firstSeg].acked {
		seg := c.segs[c.firstSeg]
		c.segs[c.firstSeg] = nil
		c.firstSeg++
		c.acked = seg.To
		c.recycle(seg)
	}
	if c.firstSeg > 64 && c.firstSeg*2 > len(c.segs) {
		n := copy(c.segs, c.segs[c.firstSeg:])
		clear(c.segs[n:])
		c.segs, c.firstSeg = c.segs[:n], 0
	}
	if below := min(c.acked, c.written); below > c.out.first {
		c.out.release(below)
	}
}
