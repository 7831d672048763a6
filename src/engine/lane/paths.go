package lane

import (
	"time"

	"mpproxy/src/engine/mono"
)

// PathInfo is what a Receiver must know of a path.
type PathInfo struct {
	// Up is false when the path brings nothing any more; then nobody waits for it.
	Up bool
	// Relative is the one-way delay above that of the fastest path, as told by the sender.
	Relative time.Duration
	// Deviation is the mean deviation of the path's one-way delay.
	Deviation time.Duration
	// Reorder is by how much packets of this path were seen late by the receiver; 0 if the path keeps order.
	Reorder time.Duration
}

// path is what the Receiver keeps of one path.
type path struct {
	id    uint32
	info  PathInfo
	heard mono.Time
}

// patience is how long after its last original the path may still bring an earlier one.
func (p *path) patience() time.Duration { return p.info.Relative + 4*p.info.Deviation + pathSlack }

// suspicion is how much longer a path that carries the lane may be silent: so long the sender takes to suspect a path
// that died under it, and only then it repairs what was on the way there. A sender that merely stops using a path says
// so by a mark.
func (r *Receiver) suspicion(p *path) time.Duration {
	rtt := r.repairWait + p.info.Relative
	return max(suspectMin, rtt+rtt/4) + 4*p.info.Deviation + suspectMargin
}

// mark is how far one path has come in one lane.
type mark struct {
	path uint32
	next uint64    // no original below it will come on the path
	at   mono.Time // when the last original came; zero: never
}

// pathIndex returns the place of a path in r.paths, making one if need be: for a new path up is assumed.
func (r *Receiver) pathIndex(id uint32) int {
	if r.lastPath < len(r.paths) && r.paths[r.lastPath].id == id {
		return r.lastPath
	}
	victim := 0
	for i := range r.paths {
		if r.paths[i].id == id {
			r.lastPath = i
			return i
		}
		old, p := &r.paths[victim], &r.paths[i]
		if old.info.Up && !p.info.Up || old.info.Up == p.info.Up && p.heard < old.heard {
			victim = i
		}
	}
	fresh := path{id: id, info: PathInfo{Up: true}}
	if len(r.paths) < maxPaths {
		r.paths = append(r.paths, fresh)
		victim = len(r.paths) - 1
	} else {
		r.paths[victim] = fresh
	}
	r.lastPath = victim
	return victim
}

// SetPath tells what is known of a path, whenever it changes. When a path goes down, call OnTimeout soon: NextTimeout says so.
func (r *Receiver) SetPath(id uint32, info PathInfo) {
	p := &r.paths[r.pathIndex(id)]
	turned := p.info.Up != info.Up
	p.info = info
	r.updateWait()
	if !turned {
		return
	}
	for l := r.holding; l != nil; l = l.next {
		l.deadline = overdue
	}
}

// overdue is a deadline that has passed at any time.
const overdue mono.Time = 1

// Heard tells that a datagram came on a path. Push does it for its own path.
func (r *Receiver) Heard(id uint32, now mono.Time) { r.paths[r.pathIndex(id)].heard = now }

// SetRepairWait tells how long a repair takes: the fastest way back plus the fastest way forward.
func (r *Receiver) SetRepairWait(d time.Duration) {
	r.repairWait = max(0, d)
	r.updateWait()
}

// updateWait works out how long a lost packet waits for one repair.
func (r *Receiver) updateWait() {
	var deviation time.Duration
	var best *path
	for i := range r.paths {
		p := &r.paths[i]
		if p.info.Up && (best == nil || p.info.Relative < best.info.Relative) {
			best, deviation = p, p.info.Deviation
		}
	}
	r.wait = r.repairWait*5/4 + 4*deviation + waitMargin
}

// carried notes that path i brought the original s of the lane, or will bring no original below s+1.
func (l *lane) carried(r *Receiver, i int, s uint64, now mono.Time) {
	m := l.mark(r, i)
	m.next = max(m.next, s+1)
	m.at = now
}

// mark returns the lane's mark of path i, an empty one if the place belonged to another path.
func (l *lane) mark(r *Receiver, i int) *mark {
	for len(l.marks) <= i {
		l.marks = append(l.marks, mark{})
	}
	m := &l.marks[i]
	if m.path != r.paths[i].id {
		*m = mark{path: r.paths[i].id}
	}
	return m
}

// sweep finds the sequences that all paths have passed and notes when that was. It leaves in l.wake when the next
// path will have been silent too long, and what the paths say about the longest wait.
func (r *Receiver) sweep(l *lane, now mono.Time) {
	frontier := l.end
	l.wake, l.reorder, l.relative = mono.Never, 0, 0
	for i := range r.paths {
		p := &r.paths[i]
		if !p.info.Up {
			continue
		}
		next, last, patience := uint64(0), l.activeSince, p.patience()
		if i < len(l.marks) && l.marks[i].path == p.id && l.marks[i].at >= l.activeSince {
			next, last = l.marks[i].next, l.marks[i].at
			patience += r.suspicion(p)
			l.reorder = max(l.reorder, p.info.Reorder)
			l.relative = max(l.relative, p.info.Relative)
		}
		until := last.Add(patience)
		if now >= until || next >= l.end {
			continue
		}
		l.relative = max(l.relative, p.info.Relative)
		l.wake = mono.Min(l.wake, until)
		frontier = min(frontier, next)
	}
	for l.frontier = max(l.frontier, l.expected); l.frontier < frontier; l.frontier++ {
		if s := l.slot(l.frontier); s.b == nil && s.passed == 0 {
			s.passed = now
		}
	}
}
