package packet

import (
	"bytes"
	"sync"
	"testing"
)

// panics reports whether f does.
func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}

// The pool lends at most its limit, each once, and counts.
func TestPoolBound(t *testing.T) {
	p := NewPool(3)
	seen := map[*Buf]bool{}
	for range 3 {
		b := p.Get()
		if b == nil || seen[b] {
			t.Fatalf("Get gave %p", b)
		}
		seen[b] = true
	}
	if p.Get() != nil {
		t.Error("a fourth of three")
	}
	if lent, limit := p.Lent(); lent != 3 || limit != 3 {
		t.Errorf("%d of %d lent", lent, limit)
	}
	for b := range seen {
		b.Release()
	}
	if lent, _ := p.Lent(); lent != 0 {
		t.Errorf("%d lent", lent)
	}
	if NewPool(0).Get() != nil {
		t.Error("one of none")
	}
}

// A Buf comes back as new.
func TestGetIsEmpty(t *testing.T) {
	p := NewPool(1)
	b := p.Get()
	b.Set([]byte{1, 2, 3})
	b.Slice(1, 2)
	b.Next, b.Enqueued, b.Flow, b.Laned, b.Class = b, 5, 6, true, 7
	b.Release()
	c := p.Get()
	if c != b {
		t.Fatal("not used again")
	}
	if c.Len() != 0 || c.Next != nil || c.Enqueued != 0 || c.Flow != 0 || c.Laned || c.Class != 0 || c.Shared() {
		t.Errorf("%+v", c.Flow)
	}
}

// References: the last one gives the Buf back, and misuse is loud.
func TestReferences(t *testing.T) {
	p := NewPool(1)
	b := p.Get()
	if b.Shared() {
		t.Error("shared from the start")
	}
	if b.Retain() != b || !b.Shared() {
		t.Error("Retain")
	}
	b.Release()
	if lent, _ := p.Lent(); lent != 1 || b.Shared() {
		t.Error("given back too early")
	}
	b.Release()
	if lent, _ := p.Lent(); lent != 0 {
		t.Error("not given back")
	}
	if !panics(b.Release) {
		t.Error("a second Release is silent")
	}
	b = NewPool(1).Get()
	b.Release()
	if !panics(func() { b.Retain() }) {
		t.Error("Retain after Release is silent")
	}
}

// The bytes: room, length, slices, appending, all within bounds.
func TestBytes(t *testing.T) {
	b := NewPool(1).Get()
	if len(b.Room()) != MaxBytes {
		t.Errorf("room %d", len(b.Room()))
	}
	copy(b.Room(), "hello world")
	b.SetLen(11)
	if string(b.Bytes()) != "hello world" || b.Len() != 11 {
		t.Errorf("%q", b.Bytes())
	}
	b.Slice(6, 11)
	if string(b.Bytes()) != "world" {
		t.Errorf("%q", b.Bytes())
	}
	raw, offset := b.Raw()
	if offset != HeadroomBytes+6 || string(raw[offset:]) != "world" {
		t.Errorf("raw %d %q", offset, raw[offset:])
	}
	if !b.Append([]byte(" peace")) || string(b.Bytes()) != "world peace" {
		t.Errorf("%q", b.Bytes())
	}
	b.Set(bytes.Repeat([]byte{7}, MaxBytes))
	if b.Append([]byte{1}) || b.Len() != MaxBytes {
		t.Error("appended beyond the end")
	}
	if !b.Append(nil) {
		t.Error("no room for nothing")
	}
	for what, f := range map[string]func(){
		"too long":          func() { b.SetLen(MaxBytes + 1) },
		"negative length":   func() { b.SetLen(-1) },
		"slice beyond":      func() { b.Slice(0, MaxBytes+1) },
		"slice backwards":   func() { b.Slice(5, 4) },
		"slice from before": func() { b.Slice(-1, 4) },
		"too much":          func() { b.Set(make([]byte, MaxBytes+1)) },
	} {
		if !panics(f) {
			t.Errorf("%s is silent", what)
		}
	}
}

// Many goroutines at once: nothing is lent twice, and all comes back.
func TestPoolConcurrent(t *testing.T) {
	p := NewPool(64)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 2000 {
				b := p.Get()
				if b == nil {
					continue
				}
				b.Set([]byte{byte(g)})
				c := b.Retain()
				if b.Bytes()[0] != byte(g) {
					t.Error("somebody else has it too")
				}
				b.Release()
				c.Release()
			}
		})
	}
	wg.Wait()
	if lent, _ := p.Lent(); lent != 0 {
		t.Errorf("%d lent", lent)
	}
}
