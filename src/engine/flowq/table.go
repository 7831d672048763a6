package flowq

import "mpproxy/src/engine/mono"

// flow returns the flow with the given key, a new one if need be; nil if the table is full of flows with packets.
func (q *Queue) flow(key uint64) *Flow {
	if f := q.flows[key]; f != nil {
		return f
	}
	if len(q.flows) >= q.params.MaxFlows {
		if q.idle.head == nil {
			return nil
		}
		q.counts.Forgotten++
		q.forget(q.idle.head)
	}
	f := q.spare
	if f == nil {
		f = new(Flow)
	} else {
		q.spare = f.links[turnLink].next
		q.spares--
		*f = Flow{}
	}
	f.key, f.level = key, Bulk
	q.flows[key] = f
	q.idle.pushBack(f)
	return f
}

// Expire forgets flows that have been idle for 10 s. Call it about once a second.
func (q *Queue) Expire(now mono.Time) {
	for f := q.idle.head; f != nil && now.Sub(f.idleSince) >= idleAfter; f = q.idle.head {
		q.forget(f)
	}
}

// forget takes an idle flow out of the table.
func (q *Queue) forget(f *Flow) {
	if q.OnForget != nil {
		q.OnForget(f)
	}
	q.unlist(f)
	q.idle.remove(f)
	delete(q.flows, f.key)
	if q.spares < spareFlows {
		f.links[turnLink].next = q.spare
		q.spare = f
		q.spares++
	}
}
