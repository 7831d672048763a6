package mpp

import "encoding/binary"

// packedUsual holds what most connections come down to; others take a little longer.
const packedUsual = 512

// Packed is what a connection at rest comes down to: the numbers that cannot be found again, a sixth of its size. Its zero value
// is none.
type Packed string

// Pack packs the connection; "" if it is not at rest: if something is under way or held, to be read or to be said, or if it has
// broken. After that the connection is not to be used any more, but what Unpack makes of it.
func (c *Conn) Pack() Packed {
	if !c.resting() {
		return ""
	}
	var space [packedUsual]byte
	n := numbers{b: space[:0]}
	c.visit(&n)
	return Packed(n.b)
}

// Unpack makes the connection again. The parameters are those that it was made with.
func (p Packed) Unpack(params Params) *Conn {
	c := newConn(params)
	c.visit(&numbers{b: []byte(p), read: true})
	c.out.first, c.out.end = c.written, c.written
	c.in.first, c.in.end = c.read, c.read
	return c
}

// resting reports that the connection waits for nothing but time.
func (c *Conn) resting() bool {
	if c.err != nil || c.closed || c.acked != c.sent || c.sent != c.end() || c.firstSeg != len(c.segs) || c.Readable() || len(c.held) > 0 || c.ackAt != 0 {
		return false
	}
	for _, s := range c.subs {
		if len(s.flying()) > 0 || s.inflight() > 0 || s.attach || s.reset || s.ackHere || s.pong || s.pingSent != 0 {
			return false
		}
	}
	return c.out.held == 0 && c.in.held == 0
}

// visit writes the numbers, or reads them, in the same order.
func (c *Conn) visit(n *numbers) {
	n.flag(&c.fin)
	n.flag(&c.finKnown)
	number(n, &c.acked)
	number(n, &c.written)
	number(n, &c.limit)
	number(n, &c.capacity)
	number(n, &c.full)
	number(n, &c.read)
	number(n, &c.next)
	number(n, &c.finAt)
	number(n, &c.window)
	number(n, &c.told)
	number(n, &c.meter.since)
	number(n, &c.meter.read)
	number(n, &c.ackNew)
	number(n, &c.ticked)
	number(n, &c.counts.Again)
	number(n, &c.counts.Doubled)
	number(n, &c.counts.Refused)
	c.sent = c.acked
	subflows := len(c.subs)
	number(n, &subflows)
	for i := range subflows {
		if n.read {
			c.subs = append(c.subs, &subflow{})
		}
		c.subs[i].visit(n)
	}
}

// visit is that of a subflow on which nothing is under way.
func (s *subflow) visit(n *numbers) {
	number(n, &s.id)
	number(n, &s.sent)
	number(n, &s.got)
	number(n, &s.rate.now)
	number(n, &s.rate.before)
	number(n, &s.rate.since)
	number(n, &s.rtt.now)
	number(n, &s.rtt.before)
	number(n, &s.rtt.since)
	number(n, &s.srtt)
	number(n, &s.back)
	number(n, &s.deviation)
	number(n, &s.told)
	number(n, &s.believeAt)
	n.flag(&s.silent)
	n.flag(&s.stalled)
	n.flag(&s.starting)
	number(n, &s.fedUntil)
	number(n, &s.pingAt)
	number(n, &s.heard)
	s.arrived, s.limitedTo = s.sent, s.sent
}

// numbers are read or written one after the other.
type numbers struct {
	b    []byte
	read bool
}

// number is one of them; of rates, which are in bytes per second, no more than whole ones matter.
func number[T ~int | ~int64 | ~uint16 | ~uint64 | ~float64](n *numbers, v *T) {
	if !n.read {
		n.b = binary.AppendUvarint(n.b, uint64(int64(*v)))
		return
	}
	u, size := binary.Uvarint(n.b)
	*v, n.b = T(int64(u)), n.b[size:]
}

func (n *numbers) flag(v *bool) {
	is := 0
	if *v {
		is = 1
	}
	number(n, &is)
	*v = is == 1
}
