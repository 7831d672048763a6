package socks

import (
	"context"
	"net"
	"time"
)

// rest lets the direction go on without a goroutine until something comes; false: it cannot.
func (d *direction) rest() bool {
	if d.lot == nil {
		return false
	}
	d.reads, d.patience = time.Time{}, 0
	if d.from.raw == nil {
		r, ok := d.from.Stream.(Rester)
		return ok && r.Rest(d)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ticket, err := d.lot.Park(d.from.raw, d.start.Add(time.Duration(d.active.Load())+d.idle), d)
	d.parked = ticket
	if err != nil {
		d.patience = lastPatience // a goroutine waits on
	}
	return err == nil
}

// Wake implements park.Waker.
func (d *direction) Wake() { go d.run() }

// rouse wakes the direction if it is parked: what it waits for was closed, of which the kernel says nothing. Other streams
// say so by themselves.
func (d *direction) rouse() {
	d.mu.Lock()
	parked := d.parked
	d.mu.Unlock()
	if d.lot != nil && d.lot.Leave(parked) {
		d.Wake()
	}
}

// relay answers; rest copies until the end.
func (s *Server) relay(ctx context.Context, conn *net.TCPConn, to Address, out Stream, answer []byte) (rest func(done func())) {
	s.note(ctx, conn, func(c *Connection) { c.To, c.Out = to, out })
	if _, err := conn.Write(answer); err != nil {
		abort(out)
		return nil
	}
	return func(done func()) {
		over := func(up, down uint64) {
			s.counts.up.Add(up)
			s.counts.down.Add(down)
			done()
		}
		if tcp, ok := out.(*net.TCPConn); ok && s.Kernel != nil {
			if up, down, err := s.Kernel.Relay(conn, tcp, s.Idle); err == nil {
				over(up, down)
				return
			}
		}
		Begin(s.Lot, conn, out, s.Idle, over)
	}
}
