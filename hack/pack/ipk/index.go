package ipk

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"strings"
)

// An Entry is a package in an index: its control text, its file's name beside the index and the file.
type Entry struct {
	Control, Name string
	File          []byte
}

// Index returns the text of Packages.
func Index(entries []Entry) []byte {
	var b bytes.Buffer
	for _, e := range entries {
		head, description, _ := strings.Cut(e.Control, "Description:")
		fmt.Fprintf(&b, "%sFilename: %s\nSize: %d\nSHA256sum: %x\nDescription:%s\n", head, e.Name, len(e.File), sha256.Sum256(e.File), description)
	}
	// Routers verify with usign, which fails on some lengths; OpenWrt's own indexes are made longer then, too.
	if n := (64 + b.Len()) % 128; n == 110 || n == 111 {
		b.WriteString("\n\n")
	}
	return b.Bytes()
}

// Gzip returns the index as opkg fetches it.
func Gzip(index []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(index); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}
