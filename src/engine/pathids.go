package engine

import (
	"strings"
	"time"
	"unicode"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
)

// evictSilence is how long nothing must have come on a path that is not usable before a new one may take its place.
const evictSilence = 3 * time.Second

// pathIDs tells which path ids have been used in this session. Each serves one activation only: were a closed path to open
// again, its replay window would be empty and everything recorded of it would count as new. The zero value is ready.
type pathIDs struct {
	used     session.Replay
	greatest uint32
}

// use takes an id for an activation; false if it was used before.
func (i *pathIDs) use(id uint32) bool {
	i.greatest = max(i.greatest, id)
	return i.used.Accept(uint64(id))
}

// wasUsed reports that the id served an activation before.
func (i *pathIDs) wasUsed(id uint32) bool { return i.used.Judge(uint64(id)) != session.Fresh }

// GreatestPath is the greatest path id of the session so far, opened or only closed.
func (t *Tunnel) GreatestPath() uint32 { return t.pathIDs.greatest }

// makeRoom closes the path that has been silent for longest if there are most already. The router is told: if it
// still has that path, it opens another.
func (t *Tunnel) makeRoom(now mono.Time, most int) (ok bool) {
	if len(t.paths) < most {
		return true
	}
	var oldest *path.Path
	for _, p := range t.paths {
		if !p.Usable() && now.Sub(p.Rx.Heard()) >= evictSilence && (oldest == nil || p.Rx.Heard() < oldest.Rx.Heard()) {
			oldest = p
		}
	}
	if oldest == nil {
		return false
	}
	t.LeavePath(now, oldest.ID)
	return true
}

// leaving are the paths that this side closed, until the peer has acknowledged that: a peer that misses it would hold a
// dead path's place, and not learn how far the path ids have come. The zero value is ready.
type leaving struct {
	paths []leftPath
	turn  uint16 // of the last datagram that named them
	due   bool
}

type leftPath struct {
	id   uint32
	turn uint16
}

// add notes a closed path; of more than MaxPaths the oldest is forgotten.
func (l *leaving) add(id uint32) {
	if len(l.paths) >= MaxPaths {
		l.paths = append(l.paths[:0], l.paths[1:]...)
	}
	l.paths = append(l.paths, leftPath{id: id})
	l.due = true
}

// acked is for the datagram of that turn.
func (l *leaving) acked(turn uint16) {
	kept := l.paths[:0]
	for _, p := range l.paths {
		if p.turn != turn {
			kept = append(kept, p)
		}
	}
	l.paths = kept
}

// lost makes the paths named in the datagram of that turn due again.
func (l *leaving) lost(turn uint16) {
	for _, p := range l.paths {
		l.due = l.due || p.turn == turn
	}
}

// appendNews tells the peer which paths were closed, and what its people should know; load makes sure that it gets there.
func (t *Tunnel) appendNews(out *Batch) (load recovery.Payload) {
	if t.leaving.due {
		l := &t.leaving
		l.turn, l.due = l.turn+1, false
		for i := range l.paths {
			l.paths[i].turn = l.turn
			out.arena = wire.PathCloseFrame{Path: l.paths[i].id}.Append(out.arena)
		}
		load.Control |= controlLeft | uint32(l.turn)
	}
	if t.notice.due {
		out.arena = wire.NoticeFrame{Code: t.notice.code, Text: []byte(t.notice.text)}.Append(out.arena)
		t.notice.due = false
		load.Control |= controlNotice
	}
	return load
}

// newsLost is for a lost datagram with news.
func (t *Tunnel) newsLost(control uint32) {
	if control&controlLeft != 0 {
		t.leaving.lost(uint16(control))
	}
	t.notice.due = t.notice.due || control&controlNotice != 0
}

// printable makes text of the peer fit for a log or a terminal: no control characters.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(string(b), "?"))
}
