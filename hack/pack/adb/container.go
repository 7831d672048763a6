package adb

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
)

// The schemas of a file: what its root object is.
const (
	SchemaPackage uint32 = 0x676b6370 // "pckg"
	SchemaIndex   uint32 = 0x78646e69 // "indx"
)

// The types of blocks.
const (
	BlockADB  = 0
	BlockSig  = 1
	BlockData = 2

	blockAlign = 8
	maxBlock   = 1<<30 - 1 // longer ones would need the extended header
)

var (
	magic    = []byte("ADB.")
	deflated = []byte("ADBd")
)

// Header starts a file.
func Header(schema uint32) []byte {
	return binary.LittleEndian.AppendUint32(bytes.Clone(magic), schema)
}

// Block is a block with its header and padding.
func Block(kind int, parts ...[]byte) ([]byte, error) {
	size := 4
	for _, p := range parts {
		size += len(p)
	}
	if size > maxBlock {
		return nil, fmt.Errorf("write adb: a block of %d bytes is too long", size)
	}
	b := make([]byte, 0, size+blockAlign)
	b = binary.LittleEndian.AppendUint32(b, uint32(kind)<<30|uint32(size))
	for _, p := range parts {
		b = append(b, p...)
	}
	for len(b)%blockAlign != 0 {
		b = append(b, 0)
	}
	return b, nil
}

// Deflate wraps a file.
func Deflate(file []byte) ([]byte, error) {
	var b bytes.Buffer
	b.Write(deflated)
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("deflate adb: %w", err)
	}
	if _, err := w.Write(file); err != nil {
		return nil, fmt.Errorf("deflate adb: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("deflate adb: %w", err)
	}
	return b.Bytes(), nil
}

// Inflate unwraps what Deflate wrapped.
func Inflate(file []byte) ([]byte, error) {
	if !bytes.HasPrefix(file, deflated) {
		return nil, fmt.Errorf("inflate adb: does not begin with %q", deflated)
	}
	b, err := io.ReadAll(flate.NewReader(bytes.NewReader(file[len(deflated):])))
	if err != nil {
		return nil, fmt.Errorf("inflate adb: %w", err)
	}
	return b, nil
}

// First splits a file (not deflated) behind its first block: the header with that block, the block's payload, the rest.
func First(file []byte) (head, payload, rest []byte, err error) {
	const start = 8
	if len(file) < start+4 || !bytes.HasPrefix(file, magic) {
		return nil, nil, nil, fmt.Errorf("read adb: no header")
	}
	size := int(binary.LittleEndian.Uint32(file[start:]))
	end := start + (size+blockAlign-1)/blockAlign*blockAlign
	if size>>30 != BlockADB || size < 4+headerBytes || end > len(file) {
		return nil, nil, nil, fmt.Errorf("read adb: no database in it")
	}
	return file[:end], file[start+4 : start+size], file[end:], nil
}
