// Package lmo turns a gettext catalogue (.po) into what LuCI reads on the router: texts found by the hash of their
// original. It writes the bytes that LuCI's po2lmo writes.
package lmo

import (
	"encoding/binary"
	"slices"
	"strings"
)

// entry is one text of the index, ordered by the hash of its original.
type entry struct {
	key, plurals, offset, length uint32
}

// writer collects texts and their index.
type writer struct {
	data  []byte
	index []entry
}

// Convert returns the catalogue, or nil if it translates nothing.
func Convert(po string) []byte {
	var w writer
	for _, m := range parse(po) {
		w.message(m)
	}
	if len(w.data) == 0 {
		return nil
	}
	size := uint32(len(w.data))
	slices.SortStableFunc(w.index, func(a, b entry) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return 0
	})
	for _, e := range w.index {
		for _, n := range []uint32{e.key, e.plurals, e.offset, e.length} {
			w.data = binary.BigEndian.AppendUint32(w.data, n)
		}
	}
	return binary.BigEndian.AppendUint32(w.data, size)
}

func (w *writer) message(m message) {
	if m.id == "" {
		if forms, ok := pluralForms(m.texts[0]); ok {
			w.add(0, 0, forms)
		}
		return
	}
	last := 0
	for i := range m.texts {
		last = max(last, i)
	}
	for i := 0; i <= last; i++ {
		text := m.texts[i]
		if text == "" || m.texts[0] == "" {
			continue
		}
		key := m.id
		if m.plural != "" {
			key += "\x02" + string(rune('0'+i))
		}
		if m.context != "" {
			key = m.context + "\x01" + key
		}
		if h := Hash(key); h != Hash(text) {
			w.add(h, uint32(last+1), text)
		}
	}
}

func (w *writer) add(key, plurals uint32, text string) {
	w.index = append(w.index, entry{key, plurals, uint32(len(w.data)), uint32(len(text))})
	w.data = append(w.data, text...)
	for len(w.data)%4 != 0 {
		w.data = append(w.data, 0)
	}
}

// pluralForms is the rule in a catalogue's head, whose lines end in a written \n.
func pluralForms(head string) (string, bool) {
	const name = "plural-forms: "
	for line := range strings.SplitSeq(head, `\n`) {
		if len(line) > len(name) && strings.EqualFold(line[:len(name)], name) {
			return line[len(name):], true
		}
	}
	return "", false
}

// Hash is Paul Hsieh's SuperFastHash of a text, as LuCI computes it on the router and in the browser.
func Hash(text string) uint32 {
	hash := uint32(len(text))
	if hash == 0 {
		return 0
	}
	two := func(at int) uint32 { return uint32(text[at]) | uint32(text[at+1])<<8 }
	i := 0
	for ; i+4 <= len(text); i += 4 {
		hash += two(i)
		hash = hash<<16 ^ two(i+2)<<11 ^ hash
		hash += hash >> 11
	}
	last := func(at int) uint32 { return uint32(int32(int8(text[at]))) } // a signed byte, there
	switch len(text) - i {
	case 3:
		hash += two(i)
		hash ^= hash << 16
		hash ^= last(i+2) << 18
		hash += hash >> 11
	case 2:
		hash += two(i)
		hash ^= hash << 11
		hash += hash >> 17
	case 1:
		hash += last(i)
		hash ^= hash << 10
		hash += hash >> 1
	}
	hash ^= hash << 3
	hash += hash >> 5
	hash ^= hash << 4
	hash += hash >> 17
	hash ^= hash << 25
	hash += hash >> 6
	return hash
}
