package mpp

import (
	"time"

	"mpproxy/src/engine/mono"
)

// segment is a part of the stream that was sent and is not acknowledged. To may include the end's own byte.
type segment struct {
	Span
	acked   bool
	lost    bool      // to be sent again, not before after
	after   mono.Time // see lost
	refused bool      // the other side had no room for it
	came    bool      // it has come, but no acknowledgement told of it or that it was refused: there were too many ranges
	flights int       // on how many subflows it is
	late    int       // on how many of them it is late: when on all, it is sent again
	on      uint64    // on which, by number modulo 64
	expect  mono.Time // when the first of them should be acknowledged
}

// flight is a segment on a subflow.
type flight struct {
	seg  *segment
	size int
	mark uint64 // bytes sent on the subflow with this one
	at   mono.Time
	base time.Duration // predicted time until its acknowledgement, without deviation
	late mono.Time
	told bool // of being late

	// How far the subflow was when it was sent, for the rate.
	arrived   uint64
	arrivedAt mono.Time
	firstAt   mono.Time
	limited   bool // there was less to send than it could have carried
}

// subflow is what a Conn knows of one of its pipes.
type subflow struct {
	id uint16

	// Sending. Bytes are of payload.
	fifo      []flight
	head      int
	sent      uint64
	arrived   uint64 // as the other side tells
	arrivedAt mono.Time
	firstAt   mono.Time // sending time of the newest that arrived
	limitedTo uint64    // up to here samples say less than the subflow can
	rate      maximum   // bytes per second
	rtt       minimum
	srtt      time.Duration // of pings and data
	told      time.Duration // what the other side said of it, see attached
	believeAt mono.Time
	back      time.Duration // what acknowledgements take; 0: not known
	deviation time.Duration // of acknowledgements from their prediction
	stalled   bool
	starting  bool      // see Starting
	most      int       // what may be under way then at most
	fedUntil  mono.Time // until when it is fed all it takes, if it is starting

	// Receiving.
	got uint64

	// What is to be sent.
	attach, reset bool
	ackHere       bool // an acknowledgement, whatever the others do
	pong          bool
	pongEcho      uint64
	pingAt        mono.Time // when the next ping is due
	pingSent      mono.Time // when an unanswered one was sent
	heard         mono.Time
	askBy         mono.Time // a ping goes with data that goes until then
	silent        bool      // nothing was heard yet of one that was not asked
}

// sendable is when a lost segment may be sent again: one that was refused once the reader comes near, or some time later.
func (g *segment) sendable(acked uint64) mono.Time {
	if g.refused && g.From > acked+nearBytes {
		return g.after.Add(farAfter)
	}
	return g.after
}

func (s *subflow) bit() uint64   { return 1 << (s.id & 63) }
func (s *subflow) inflight() int { return int(s.sent - s.arrived) }
func (s *subflow) flying() []flight {
	return s.fifo[s.head:]
}

// minRTT is the least round trip lately, or what to assume.
func (s *subflow) minRTT() time.Duration {
	if d := s.rtt.value(); d > 0 {
		return d
	}
	return defaultRTT
}

// way is how long the way to the other side takes at least: a round trip without the way back, which is that of the
// quickest subflow, as acknowledgements take it.
func (s *subflow) way() time.Duration {
	rtt := s.minRTT()
	if s.back == 0 {
		return rtt / 2
	}
	return max(rtt/2, rtt-s.back)
}

// fed reports whether the subflow is to get all it takes, since it still looks for its rate.
func (s *subflow) fed(now mono.Time) bool { return s.starting && now < s.fedUntil }

// allowed is how much may be under way.
func (s *subflow) allowed(now mono.Time) int {
	rate := s.rate.value()
	if rate == 0 {
		return firstFlight
	}
	n := max(floorFlight, int(rate*(flightRounds*2*s.way()+slackFlight+unevenFlight*s.deviation).Seconds()))
	if s.fed(now) {
		n = max(n, min(startFlight*n, s.most))
	}
	return n
}

// chunk is how much one frame should carry.
func (s *subflow) chunk() int {
	rate := s.rate.value()
	if rate == 0 {
		return 4 * minChunk
	}
	return min(BlockBytes, max(minChunk, int(rate*chunkTime.Seconds())))
}

// estimate is the rate that plans are made with.
func (s *subflow) estimate() float64 {
	if rate := s.rate.value(); rate > 0 {
		return rate
	}
	return firstFlight / s.minRTT().Seconds()
}

// arrival predicts how long n more bytes take to the other side.
func (s *subflow) arrival(n int) time.Duration {
	way, rate := s.way(), s.estimate()
	own := time.Duration(float64(n) / rate * 1e9)
	queue := time.Duration(float64(s.inflight()+n)/rate*1e9) - (s.minRTT() - way)
	return max(way+own, queue)
}

// push notes that a segment is sent.
func (s *subflow) push(now mono.Time, seg *segment, size int) {
	if s.inflight() == 0 {
		s.arrivedAt, s.firstAt = now, now
	}
	base := max(s.minRTT(), time.Duration(float64(s.inflight()+size)/s.estimate()*1e9)) + ackDelay
	s.sent += uint64(size)
	f := flight{
		seg: seg, size: size, mark: s.sent, at: now, base: base,
		late:    now.Add(time.Duration(lateFactor*float64(base+2*s.deviation)) + lateSlack),
		arrived: s.arrived, arrivedAt: s.arrivedAt, firstAt: s.firstAt, limited: s.limitedTo > s.arrived,
	}
	if s.head > 64 && s.head*2 > len(s.fifo) {
		n := copy(s.fifo, s.fifo[s.head:])
		clear(s.fifo[n:])
		s.fifo, s.head = s.fifo[:n], 0
	}
	s.fifo = append(s.fifo, f)
	if expect := now.Add(base + s.deviation); seg.flights == 0 || expect < seg.expect {
		seg.expect = expect
	}
	seg.flights++
	seg.on |= s.bit()
}

// sample learns from the newest flight that has arrived.
func (s *subflow) sample(now mono.Time, f *flight) {
	took := now.Sub(f.at)
	s.heardRTT(now, took)
	s.deviation += (max(took-f.base, f.base-took) - s.deviation) / 8
	span := max(now.Sub(f.arrivedAt), f.at.Sub(f.firstAt))
	s.firstAt, s.arrivedAt = f.at, now
	if span <= 0 {
		return
	}
	rate := float64(s.arrived-f.arrived) / span.Seconds()
	if limited := f.limited || s.limitedTo >= f.mark; !limited || rate > s.estimate() {
		s.rate.add(now, rate, max(estimateSpan, 4*s.srtt))
	}
}

// hint takes the round trip of setting the subflow up for its own, if none is known. It need not be asked for then: a packet
// that goes alone is a bad question, as under jitter it is the one that bbr keeps for ten seconds. So the ping goes with
// data, if there is some already, or, to know whether the subflow lives, after a while.
func (s *subflow) hint(now mono.Time, rtt time.Duration) {
	if s.srtt == 0 && rtt > 0 {
		s.heardRTT(now, rtt)
		s.askBy, s.pingAt, s.silent = now.Add(ackDelay), now.Add(lifeAfter), true
	}
}

// attached notes what the opener told of the round trip, if anything; else it is asked for. It is believed when a
// pong would have come: what is short is better off on subflows that have answered.
func (s *subflow) attached(now mono.Time, rtt time.Duration) {
	if rtt == 0 {
		return
	}
	s.told, s.believeAt = rtt, now.Add(rtt)
	if s.pingSent == 0 {
		s.askBy, s.pingAt = now.Add(ackDelay), now.Add(pingEvery)
	}
}

// believe takes what was told of round trips, if it is time.
func (c *Conn) believe(now mono.Time) {
	for _, s := range c.subs {
		if s.srtt == 0 && s.told > 0 && now >= s.believeAt {
			s.heardRTT(now, s.told)
		}
	}
}

func (s *subflow) heardRTT(now mono.Time, rtt time.Duration) {
	s.rtt.add(now, rtt, rttSpan)
	if s.srtt == 0 {
		s.srtt = rtt
	}
	s.srtt += (rtt - s.srtt) / 8
}

// maximum is the greatest value of the last one to two spans.
type maximum struct {
	now, before float64
	since       mono.Time
}

func (m *maximum) add(now mono.Time, v float64, span time.Duration) {
	if now.Sub(m.since) > span {
		m.before, m.now, m.since = m.now, v, now
	}
	m.now = max(m.now, v)
}

func (m *maximum) value() float64 { return max(m.now, m.before) }

// minimum is the least value of the last one to two spans.
type minimum struct {
	now, before time.Duration
	since       mono.Time
}

func (m *minimum) add(now mono.Time, v, span time.Duration) {
	if now.Sub(m.since) > span || m.now == 0 {
		m.before, m.now, m.since = m.now, v, now
	}
	m.now = min(m.now, v)
}

func (m *minimum) value() time.Duration {
	if m.before == 0 || m.now != 0 && m.now < m.before {
		return m.now
	}
	return m.before
}
