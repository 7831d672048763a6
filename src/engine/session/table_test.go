package session

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"mpproxy/src/engine/wire"
)

func TestOpenErrors(t *testing.T) {
	p := newPair(t)
	unknown := p.sealer.SealDatagram(p.sending.Keys(0), nil, 0, 98, 5, 1, []byte("hello"))
	for name, test := range map[string]struct {
		datagram []byte
		want     error
	}{
		"empty":           {nil, ErrNotData},
		"handshake":       {append([]byte{1}, make([]byte, 100)...), ErrNotData},
		"short":           {p.seal()[:wire.HeaderBytes+wire.TagBytes-1], ErrTruncated},
		"unknown id":      {unknown, ErrUnknownID},
		"forged":          {damage(p.seal()), ErrNotAuthentic},
		"forged, next":    {append([]byte{0x50}, p.seal()[1:]...), ErrNotAuthentic},
		"forged reserved": {append([]byte{0x41}, p.seal()[1:]...), ErrNotAuthentic},
		"other epoch":     {append([]byte{0x60}, p.seal()[1:]...), ErrOldEpoch},
	} {
		entry, _, plaintext, err := Open(&p.table, test.datagram, nil, &p.opener)
		if !errors.Is(err, test.want) || entry != nil || plaintext != nil {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if p.entry.Receiving.Epoch() != 0 || p.entry.Largest() != 0 {
		t.Error("forgeries changed the state")
	}
	if _, _, _, err := Open(new(Table), p.seal(), nil, &p.opener); !errors.Is(err, ErrUnknownID) {
		t.Errorf("empty table: %v", err)
	}
}

func TestOpenExpandsNumbers(t *testing.T) {
	p := newPair(t)
	for _, number := range []uint64{1, 1 << 20, 1<<23 + 5, 1<<24 - 1, 1 << 24, 1<<24 - 2, 1<<24 + 1<<22, 1<<24 + 1} {
		datagram := p.sealer.SealDatagram(p.sending.Keys(0), nil, 0, 99, 5, number, []byte("hello"))
		_, got, _, err := Open(&p.table, datagram, nil, &p.opener)
		if err != nil || got != number {
			t.Errorf("number %#x: %#x, %v", number, got, err)
		}
	}
	if p.entry.Largest() != 1<<24+1<<22 {
		t.Errorf("largest %#x", p.entry.Largest())
	}
}

// Two sessions that share a connection id: each opens its own, also in place and with keys that do not fit first.
func TestCollidingIDs(t *testing.T) {
	forEachKind(t, func(t *testing.T, suite Suite, protection Protection) {
		var table Table
		for i := range byte(3) {
			table.Add(7, &Entry{Owner: uint64(i), Path: 1, Receiving: NewReceiving(mustKeys(t, suite, protection, i))})
		}
		var sealer Sealer
		var opener Opener
		for i := range byte(3) {
			datagram := sealer.SealDatagram(mustKeys(t, suite, protection, i), nil, 0, 7, 1, 1, []byte("hello"))
			entry, _, plaintext, err := Open(&table, datagram, datagram[8:8], &opener)
			if err != nil || entry.Owner != uint64(i) || string(plaintext) != "hello" || &plaintext[0] != &datagram[8] {
				t.Errorf("session %d: %q, %v", i, plaintext, err)
			}
		}
		stranger := sealer.SealDatagram(mustKeys(t, suite, protection, 9), nil, 0, 7, 1, 1, []byte("hello"))
		if _, _, _, err := Open(&table, stranger, stranger[8:8], &opener); !errors.Is(err, ErrNotAuthentic) {
			t.Errorf("stranger: %v", err)
		}
	})
}

func TestTable(t *testing.T) {
	var table Table
	a, b := &Entry{Owner: 1}, &Entry{Owner: 2}
	table.Add(0, a)
	if table.Len() != 0 || table.Lookup(0) != nil {
		t.Error("id 0 was entered")
	}
	table.Add(5, a)
	table.Add(5, b)
	table.Add(6, a)
	before := table.Lookup(5)
	if len(before) != 2 || len(table.Lookup(6)) != 1 || table.Len() != 2 {
		t.Fatalf("%d ids", table.Len())
	}
	table.Remove(5, a)
	if got := table.Lookup(5); len(got) != 1 || got[0] != b {
		t.Errorf("after Remove: %v", got)
	}
	if len(before) != 2 || before[0] != a || before[1] != b {
		t.Error("a slice in use was changed")
	}
	table.RemoveOwner(1)
	if table.Lookup(6) != nil || table.Len() != 1 {
		t.Error("RemoveOwner left something")
	}
	table.Remove(5, b)
	if table.Len() != 0 {
		t.Error("not empty")
	}
}

func TestTableConcurrently(t *testing.T) {
	var table Table
	var workers sync.WaitGroup
	for worker := range uint64(4) {
		workers.Go(func() {
			for i := range uint32(200) {
				entry := &Entry{Owner: worker}
				table.Add(i%7+1, entry)
				table.Lookup(i%7 + 1)
				if i%2 == 0 {
					table.Remove(i%7+1, entry)
				}
			}
			table.RemoveOwner(worker)
		})
	}
	workers.Wait()
	if table.Len() != 0 {
		t.Errorf("%d ids left", table.Len())
	}
}

func FuzzOpen(f *testing.F) {
	keys := mustKeys(f, AES256GCM, Encrypt, 1)
	good := new(Sealer).SealDatagram(keys, nil, 0, 99, 5, 3, []byte("hello"))
	next := new(Sealer).SealDatagram(keys.Next(), nil, 1, 99, 5, 3, []byte("hello"))
	f.Add(good)
	f.Add(next)
	f.Add(good[:20])
	f.Add([]byte{0x40, 0, 0, 0, 99})
	f.Fuzz(func(t *testing.T, b []byte) {
		var table Table
		table.Add(99, &Entry{Path: 5, Receiving: NewReceiving(keys)})
		_, _, plaintext, err := Open(&table, b, nil, new(Opener))
		if (err == nil) != (bytes.Equal(b, good) || bytes.Equal(b, next)) {
			t.Fatalf("%x: %q, %v", b, plaintext, err)
		}
	})
}
