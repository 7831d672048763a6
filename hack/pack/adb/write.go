// Package adb writes apk's database format (apk-v3(5)): a tree of objects, each value a 32-bit tag of four bits of type
// and 28 bits of value or place. Equal data is stored once, in the order and with the alignment of apk-tools 3, so that
// the bytes are those that "apk mkpkg" writes.
package adb

import (
	"encoding/binary"
	"fmt"
)

// A Value is a tag word.
type Value uint32

// The types of values; arrays are written as objects, as apk does.
const (
	typeInt    Value = 0x10000000
	typeInt32  Value = 0x20000000
	typeInt64  Value = 0x30000000
	typeBlob8  Value = 0x80000000
	typeBlob16 Value = 0x90000000
	typeBlob32 Value = 0xa0000000
	typeObject Value = 0xe0000000

	// Null is the absent value.
	Null Value = 0
	// maxPlace is what 28 bits hold.
	maxPlace = 1<<28 - 1
	// headerBytes are the versions and the root's tag.
	headerBytes = 8
)

// A Writer builds one database.
type Writer struct {
	data []byte
	seen map[string]int // where equal bytes are
}

// NewWriter returns an empty database.
func NewWriter() *Writer { return &Writer{data: make([]byte, headerBytes), seen: map[string]int{}} }

func (w *Writer) store(b []byte, align int) int {
	if at, ok := w.seen[string(b)]; ok && at%align == 0 {
		return at
	}
	at := w.append(b, align)
	w.seen[string(b)] = at
	return at
}

func (w *Writer) append(b []byte, align int) int {
	for len(w.data)%align != 0 {
		w.data = append(w.data, 0)
	}
	at := len(w.data)
	w.data = append(w.data, b...)
	return at
}

// Int returns n as a value.
func (w *Writer) Int(n uint64) Value {
	switch {
	case n >= 1<<32:
		return typeInt64 | Value(w.store(binary.LittleEndian.AppendUint64(nil, n), 4))
	case n > maxPlace:
		return typeInt32 | Value(w.store(binary.LittleEndian.AppendUint32(nil, uint32(n)), 4))
	}
	return typeInt | Value(n)
}

// Blob returns b as a value; an empty one is absent.
func (w *Writer) Blob(b []byte) Value {
	kind, sized, align := sizedBlob(b)
	if kind == Null {
		return Null
	}
	return kind | Value(w.store(sized, align))
}

// Text is Blob for a string.
func (w *Writer) Text(s string) Value { return w.Blob([]byte(s)) }

// Reserve returns a blob of n zeros that no other value shares, and where its bytes are: for what Patch fills in.
func (w *Writer) Reserve(n int) (Value, int) {
	kind, sized, align := sizedBlob(make([]byte, n))
	at := w.append(sized, align)
	return kind | Value(at), at + len(sized) - n
}

// Patch overwrites bytes that Reserve gave.
func (w *Writer) Patch(at int, b []byte) { copy(w.data[at:], b) }

func sizedBlob(b []byte) (Value, []byte, int) {
	switch n := len(b); {
	case n == 0:
		return Null, nil, 1
	case n <= 0xff:
		return typeBlob8, append([]byte{byte(n)}, b...), 1
	case n <= 0xffff:
		return typeBlob16, append(binary.LittleEndian.AppendUint16(nil, uint16(n)), b...), 2
	default:
		return typeBlob32, append(binary.LittleEndian.AppendUint32(nil, uint32(n)), b...), 4
	}
}

// Object stores numbered slots, the first of which is slot 1; absent ones at the end are left out.
func (w *Writer) Object(slots ...Value) Value {
	for len(slots) > 0 && slots[len(slots)-1] == Null {
		slots = slots[:len(slots)-1]
	}
	if len(slots) == 0 {
		return Null
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(slots)+1))
	for _, s := range slots {
		b = binary.LittleEndian.AppendUint32(b, uint32(s))
	}
	return typeObject | Value(w.store(b, 4))
}

// Finish sets the root and returns the database. The Writer may go on being patched; the bytes are shared.
func (w *Writer) Finish(root Value) ([]byte, error) {
	if len(w.data) > maxPlace {
		return nil, fmt.Errorf("write adb: %d bytes are more than it can address", len(w.data))
	}
	binary.LittleEndian.PutUint32(w.data[4:], uint32(root))
	return w.data, nil
}
