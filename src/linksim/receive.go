package linksim

import "mpproxy/src/engine/mono"

// Next returns when the next packet arrives, or mono.Never if none is under way.
func (l *Link[T]) Next() mono.Time {
	for len(l.flight) > 0 {
		top := &l.flight[0]
		if !l.dead(top.sent, top.deliver) {
			return top.deliver
		}
		l.drop(l.flight.pop())
	}
	return mono.Never
}

// Receive takes the next packet that has arrived by now, in the order of delivery; false if there is none.
func (l *Link[T]) Receive(now mono.Time) (T, bool) {
	if at := l.Next(); at == mono.Never || at > now {
		var none T
		return none, false
	}
	return l.arrive().payload, true
}

// arrive delivers the packet that is next.
func (l *Link[T]) arrive() item[T] {
	got := l.flight.pop()
	l.stats.Delivered++
	l.stats.DeliveredBytes += uint64(got.size)
	return got
}

// Stats returns the counters.
func (l *Link[T]) Stats() Stats {
	s := l.stats
	s.UnderWay = len(l.flight)
	return s
}

// Queued returns how many bytes wait to be serialised, the packet in service included.
func (l *Link[T]) Queued(now mono.Time) int {
	l.drain(now)
	return l.stats.QueuedBytes
}

// Params returns the parameters in force.
func (l *Link[T]) Params() Params { return l.p }

// Cut makes the link silently dead: everything under way is lost, and whatever is offered until Restore.
func (l *Link[T]) Cut(now mono.Time) {
	l.drain(now)
	l.cut = true
	for len(l.flight) > 0 {
		l.drop(l.flight.pop())
	}
	l.queue, l.stats.QueuedBytes, l.last = ring{buf: l.queue.buf}, 0, now
}

// Restore ends Cut.
func (l *Link[T]) Restore(mono.Time) { l.cut = false }

// Set changes the link while it runs. The rate applies to what is still queued too; delay, jitter, loss and the
// queue's limit to what is offered from now on. Packet numbers go on counting; Cut stays as it is.
func (l *Link[T]) Set(now mono.Time, p Params) {
	l.drain(now)
	old := l.rates
	l.take(p)
	if l.queue.n == 0 {
		return
	}
	first := l.accepted - uint64(l.queue.n)
	l.last = now
	for i := range l.flight {
		if l.flight[i].number < first {
			l.last = mono.Max(l.last, l.flight[i].deliver)
		}
	}
	l.reschedule(now, old)
	for i := range l.flight {
		if n := l.flight[i].number; n >= first {
			l.flight[i].deliver = l.queue.at(int(n - first)).deliver
		}
	}
	l.flight.init()
	l.drain(now)
}

// reschedule works out again when each queued packet is serialised and delivered.
func (l *Link[T]) reschedule(now mono.Time, old schedule) {
	start := now
	for i := range l.queue.n {
		q := l.queue.at(i)
		bits := float64(q.size) * 8
		if i == 0 {
			bits = min(bits, old.bits(now, q.finish)) // part of it may be through
		}
		q.finish = l.rates.finish(start, bits)
		q.deliver = l.deliveryOf(*q)
		start = q.finish
	}
}

// drop counts a packet that was lost under way.
func (l *Link[T]) drop(i item[T]) {
	l.stats.Outage++
	if l.Dropped != nil {
		l.Dropped(i.payload)
	}
}
