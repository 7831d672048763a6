package verify

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
)

// block is a part of an ADB file.
type block struct {
	kind uint32
	data []byte
}

// adbFile is an opened ADB file.
type adbFile struct {
	schema string
	blocks []block
}

// readADB opens a file as apk does.
func readADB(file []byte) (*adbFile, error) {
	if len(file) < 4 || string(file[:4]) != "ADBd" {
		return nil, fmt.Errorf("does not begin with ADBd")
	}
	source := bytes.NewReader(file[4:])
	b, err := io.ReadAll(flate.NewReader(source))
	if err != nil {
		return nil, fmt.Errorf("inflate: %w", err)
	}
	if source.Len() != 0 {
		return nil, fmt.Errorf("%d bytes behind the end", source.Len())
	}
	if len(b) < 8 || string(b[:4]) != "ADB." {
		return nil, fmt.Errorf("does not begin with \"ADB.\"")
	}
	f := &adbFile{schema: string(b[4:8])}
	for at := 8; at < len(b); {
		if at+4 > len(b) {
			return nil, fmt.Errorf("a block is cut")
		}
		word := binary.LittleEndian.Uint32(b[at:])
		size := int(word & (1<<30 - 1))
		next := at + (size+7)&^7
		if size < 4 || next > len(b) {
			return nil, fmt.Errorf("a block of %d bytes is cut", size)
		}
		if len(bytes.Trim(b[at+size:next], "\x00")) > 0 {
			return nil, fmt.Errorf("padding is not zero")
		}
		f.blocks = append(f.blocks, block{word >> 30, b[at+4 : at+size]})
		at = next
	}
	return f, nil
}

// value is a tag word of a database.
type value struct {
	db   []byte
	word uint32
}

// rootOf is the root object of a database block.
func rootOf(db []byte) (value, error) {
	if len(db) < 8 || db[0] != 0 || db[1] != 0 {
		return value{}, fmt.Errorf("is no database of version 0")
	}
	return value{db, binary.LittleEndian.Uint32(db[4:])}, nil
}

func (v value) at() int { return int(v.word & (1<<28 - 1)) }

// bytes is n bytes at an offset behind the value's place, zeros where the database ends.
func (v value) bytes(offset, n int) []byte {
	from := v.at() + offset
	if n < 0 || from > len(v.db) || n > len(v.db)-from {
		return make([]byte, max(0, min(n, 8)))
	}
	return v.db[from : from+n]
}

// slots are the members of an object or array; slot 0 is left out.
func (v value) slots() []value {
	if kind := v.word >> 28; kind != 0xe && kind != 0xd {
		return nil
	}
	n := int(binary.LittleEndian.Uint32(v.bytes(0, 4)))
	if n < 1 || n > len(v.db)/4 {
		return nil
	}
	list := make([]value, 0, n-1)
	for i := 1; i < n; i++ {
		list = append(list, value{v.db, binary.LittleEndian.Uint32(v.bytes(4*i, 4))})
	}
	return list
}

// slot is one member, absent if there is none.
func (v value) slot(i int) value {
	list := v.slots()
	if i > len(list) {
		return value{v.db, 0}
	}
	return list[i-1]
}

func (v value) blob() []byte {
	switch v.word >> 28 {
	case 8:
		return v.bytes(1, int(v.bytes(0, 1)[0]))
	case 9:
		return v.bytes(2, int(binary.LittleEndian.Uint16(v.bytes(0, 2))))
	case 10:
		return v.bytes(4, int(binary.LittleEndian.Uint32(v.bytes(0, 4))))
	}
	return nil
}

func (v value) text() string { return string(v.blob()) }

func (v value) number() uint64 {
	switch v.word >> 28 {
	case 1:
		return uint64(v.at())
	case 2:
		return uint64(binary.LittleEndian.Uint32(v.bytes(0, 4)))
	case 3:
		return binary.LittleEndian.Uint64(v.bytes(0, 8))
	}
	return 0
}
