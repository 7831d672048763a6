package socks

import (
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
