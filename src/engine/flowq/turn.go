package flowq

// pick returns the flow whose turn it is and that has a packet, nil if none.
func (q *Queue) pick() *Flow {
	for level := Background; level > Urgent; level-- {
		if q.passed[level] < overtaken(level) {
			continue
		}
		if f := q.front(level); f != nil {
			return f
		}
	}
	for level := Urgent; level < classes; level++ {
		if f := q.front(level); f != nil {
			return f
		}
	}
	return nil
}

// overtaken returns how many bytes may pass a waiting level.
func overtaken(level Class) int {
	if level == Background {
		return overtakeBackgroundBytes
	}
	return overtakeBytes
}

// front returns the flow of one level whose turn it is. It takes empty flows out of the list and passes over those
// that used up their turn, giving them their next one.
func (q *Queue) front(level Class) *Flow {
	ready := &q.levels[level].ready
	for f := ready.head; f != nil; f = ready.head {
		switch {
		case f.head == nil:
			q.unlist(f)
		case f.deficit <= 0 && level != Sparse:
			f.deficit += quantumBytes
			ready.remove(f)
			ready.pushBack(f)
		default:
			return f
		}
	}
	q.passed[level] = 0
	return nil
}

// settle puts f into the list where its head belongs, after the head changed.
func (q *Queue) settle(f *Flow) {
	if f.head == nil {
		q.settleEmpty(f)
		return
	}
	level := Class(f.head.Class)
	if level == Bulk && f.listed && f.level == Bulk {
		return
	}
	if !f.listed {
		f.deficit, f.burst = quantumBytes, 0
	}
	if level == Bulk && f.burst < quantumBytes {
		level = Sparse
	}
	if f.listed && f.level == level {
		return
	}
	if level == Bulk && f.deficit <= 0 {
		f.deficit += quantumBytes // its place at the end of the list is its next turn
	}
	q.unlist(f)
	q.list(f, level)
}

// settleEmpty leaves an empty flow in the bulk list until its turn comes: if it were taken out at once, a flow that
// sends one quantum after the other would be sparse each time.
func (q *Queue) settleEmpty(f *Flow) {
	f.codel.firstAbove, f.codel.dropping = 0, false
	wait := f.level == Bulk || f.level == Background
	if f.listed && wait && !f.parked {
		return
	}
	q.unlist(f)
	if q.levels[Bulk].ready.head != nil {
		q.list(f, Bulk)
	}
}

func (q *Queue) list(f *Flow, level Class) {
	f.listed, f.level = true, level
	q.levels[level].ready.pushBack(f)
}

func (q *Queue) unlist(f *Flow) {
	if !f.listed {
		return
	}
	if f.parked {
		q.levels[f.level].parked.remove(f)
	} else {
		q.levels[f.level].ready.remove(f)
	}
	f.listed, f.parked = false, false
}

// Park sets f aside: no path may take its head now. Next passes it over until Unpark.
func (q *Queue) Park(f *Flow) {
	if !f.listed || f.parked || f.head == nil {
		return
	}
	turns := &q.levels[f.level]
	turns.ready.remove(f)
	turns.parked.pushBack(f)
	f.parked = true
}

// Unpark brings all parked flows back to the front of their lists, in the order in which they were parked.
func (q *Queue) Unpark() {
	for level := range q.levels {
		turns := &q.levels[level]
		for f := turns.parked.head; f != nil; f = f.links[turnLink].next {
			f.parked = false
		}
		turns.ready.prepend(&turns.parked)
	}
}
