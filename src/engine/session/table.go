package session

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"mpproxy/src/engine/wire"
)

// Entry is where datagrams with a connection id go: one path of one session.
type Entry struct {
	// Owner is the caller's name for the session, pending or confirmed.
	Owner uint64
	// Path is the path id.
	Path uint32
	// Receiving opens the session's datagrams; all its entries share it.
	Receiving *Receiving

	largest atomic.Uint64
}

// Largest returns the greatest authentic packet number of the path.
func (e *Entry) Largest() uint64 { return e.largest.Load() }

func (e *Entry) note(number uint64) {
	for {
		largest := e.largest.Load()
		if number <= largest || e.largest.CompareAndSwap(largest, number) {
			return
		}
	}
}

// Table finds entries by connection id. Zero is ready. It is safe for concurrent use; looking up takes no lock.
// A change copies the table, so it is for thousands of paths, not millions.
type Table struct {
	changing sync.Mutex
	entries  atomic.Pointer[map[uint32][]*Entry]
}

// Lookup returns the entries with a connection id: none, one, or several if ids of sessions collide. The slice is
// not to be changed.
func (t *Table) Lookup(id uint32) []*Entry {
	if entries := t.entries.Load(); entries != nil {
		return (*entries)[id]
	}
	return nil
}

// Len returns how many connection ids are known.
func (t *Table) Len() int {
	if entries := t.entries.Load(); entries != nil {
		return len(*entries)
	}
	return 0
}

// Add enters e under id; id 0 names nobody and is ignored.
func (t *Table) Add(id uint32, e *Entry) {
	if id == 0 {
		return
	}
	t.change(func(entries map[uint32][]*Entry) {
		entries[id] = append(slices.Clip(entries[id]), e)
	})
}

// Named is an entry and the connection id that it is to be found by.
type Named struct {
	ID    uint32
	Entry *Entry
}

// Update takes out every entry for which gone is true and enters add, in one change; id 0 is ignored.
func (t *Table) Update(add []Named, gone func(id uint32, e *Entry) bool) {
	t.change(func(entries map[uint32][]*Entry) {
		removeFunc(entries, gone)
		for _, n := range add {
			if n.ID != 0 {
				entries[n.ID] = append(slices.Clip(entries[n.ID]), n.Entry)
			}
		}
	})
}

// Remove takes e out from under id.
func (t *Table) Remove(id uint32, e *Entry) {
	t.RemoveFunc(func(i uint32, other *Entry) bool { return i == id && other == e })
}

// RemoveOwner takes out everything of a session.
func (t *Table) RemoveOwner(owner uint64) {
	t.RemoveFunc(func(_ uint32, e *Entry) bool { return e.Owner == owner })
}

// RemoveFunc takes out every entry for which gone is true.
func (t *Table) RemoveFunc(gone func(id uint32, e *Entry) bool) {
	t.change(func(entries map[uint32][]*Entry) { removeFunc(entries, gone) })
}

func removeFunc(entries map[uint32][]*Entry, gone func(id uint32, e *Entry) bool) {
	for id, list := range entries {
		is := func(e *Entry) bool { return gone(id, e) }
		if !slices.ContainsFunc(list, is) {
			continue
		}
		if list = slices.DeleteFunc(slices.Clone(list), is); len(list) == 0 {
			delete(entries, id)
		} else {
			entries[id] = list
		}
	}
}

func (t *Table) change(edit func(map[uint32][]*Entry)) {
	t.changing.Lock()
	defer t.changing.Unlock()
	entries := map[uint32][]*Entry{}
	if old := t.entries.Load(); old != nil {
		entries = maps.Clone(*old)
	}
	edit(entries)
	t.entries.Store(&entries)
}

// attempt is a key to try for an entry.
type attempt struct {
	entry *Entry
	keys  *Keys
}

// Open opens a data datagram for whoever it is: it returns the entry, the full packet number, and the plaintext
// appended to dst. dst may be datagram[wire.HeaderBytes:wire.HeaderBytes], to open in place, else it must not overlap
// the datagram; after an error those bytes are undefined. Replays are not detected here. It does not allocate if dst
// has room. Errors are the sentinels of this package.
func Open(t *Table, datagram, dst []byte, o *Opener) (*Entry, uint64, []byte, error) {
	if wire.Kind(datagram) != wire.KindData {
		return nil, 0, nil, ErrNotData
	}
	header, ok := wire.ParseHeader(datagram)
	if !ok {
		return nil, 0, nil, ErrTruncated
	}
	found := t.Lookup(header.ConnID)
	if len(found) == 0 {
		return nil, 0, nil, ErrUnknownID
	}
	attempts := o.attempts[:0]
	for _, entry := range found {
		if len(attempts)+3+MaxPending > maxAttempts {
			break
		}
		attempts = entry.Receiving.candidates(header.Epoch, attempts, entry)
	}
	defer clear(o.attempts[:len(attempts)])
	if len(attempts) > 1 {
		// A key that does not fit may destroy what is opened in place: keep it.
		o.saved = append(o.saved[:0], datagram...)
		datagram = o.saved
	}
	for _, a := range attempts {
		number := wire.ExpandNumber(header.Number, a.entry.Largest())
		plaintext, err := o.OpenWith(a.keys, dst, datagram[:wire.HeaderBytes], datagram[wire.HeaderBytes:], a.entry.Path, number)
		if err == nil {
			a.entry.Receiving.opened(a.keys, header.Epoch)
			a.entry.note(number)
			return a.entry, number, plaintext, nil
		}
	}
	return nil, 0, nil, refusal(found, len(attempts) > 0)
}

// refusal counts the failure with every session that may have been meant, and names the reason.
func refusal(found []*Entry, tried bool) error {
	for _, entry := range found {
		r := entry.Receiving
		if r.failures.Load() >= r.limit {
			return ErrExhausted
		}
	}
	if !tried {
		return ErrOldEpoch
	}
	for _, entry := range found {
		entry.Receiving.failures.Add(1)
	}
	return ErrNotAuthentic
}
