package socks

import (
	"context"
	"net"
	"time"

	"mpproxy/src/park"
)

// rest lets the direction go on without a goroutine until something comes; false: it cannot. Once both rest their connections
// are slim.
func (d *direction) rest() bool {
	if d.lot == nil {
		return false
	}
	d.reads, d.patience = 0, 0
	d.mu.Lock()
	defer d.mu.Unlock()
	from, to := d.from().tcp(), d.to().tcp()
	if other := d.other(); other.resting {
		slim(from, d.lot)
		// Where the other direction waits nobody may be slimmed; if it is just being woken, it stays as it is.
		if to != nil && !to.IsSlim() && d.lot.Leave(other.parked) {
			slim(to, d.lot)
			if !other.park() {
				other.Wake()
			}
		}
	}
	if from == nil {
		r, ok := d.from().Stream.(Rester)
		d.resting = ok && r.Rest(d)
	} else {
		d.resting = d.park()
	}
	if d.resting {
		d.pace = nil // who is woken from now on waits for the lock
	} else if from != nil {
		d.patience = lastPatience // a goroutine waits on
	}
	return d.resting
}

// park waits for what comes on a TCP connection; with the lock held.
func (d *direction) park() bool {
	var err error
	d.parked, err = d.lot.Park(d.from().tcp().Raw(), d.start.Add(time.Duration(d.active.Load())+d.idle), d)
	return err == nil
}

// other is the other direction.
func (d *direction) other() *direction { return &d.ways[1-d.number()] }

// slim has a TCP connection take little memory; if it cannot, it stays as it is.
func slim(tcp *park.Conn, lot *park.Lot) {
	if tcp != nil {
		_ = tcp.Slim(lot)
	}
}

// Wake implements park.Waker.
func (d *direction) Wake() { go d.run() }

// awake ends the rest.
func (d *direction) awake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resting = false
	if d.pace == nil {
		d.pace = &pace{size: slowBytes, fluent: 1}
	}
}

// rouse wakes directions that are parked: what they wait for was closed, of which the kernel says nothing. Other streams say
// so by themselves.
func (r *relay) rouse() {
	if r.lot == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.ways {
		if d := &r.ways[i]; r.lot.Leave(d.parked) {
			d.Wake()
		}
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
		in := park.NewConn(conn)
		out = Slimmable(out)
		s.exchange(conn, in, out)
		Begin(s.Lot, in, out, s.Idle, over)
	}
}
