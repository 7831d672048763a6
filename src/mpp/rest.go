package mpp

// Rest gives up memory that is only kept for the next use: call it when nothing has come or gone for a while. Everything
// goes on as before.
func (c *Conn) Rest() {
	if c.firstSeg == len(c.segs) {
		c.segs, c.firstSeg = nil, 0
	}
	c.spare, c.ranges, c.progress, c.frame = nil, nil, nil, nil
	if len(c.held) == 0 {
		c.held = nil
	}
	for _, b := range []*buffer{&c.out, &c.in} {
		if b.held == 0 && len(b.pieces) == 0 {
			b.pieces = nil
		}
	}
	for _, s := range c.subs {
		if s.head == len(s.fifo) {
			s.fifo, s.head = nil, 0
		}
	}
}
