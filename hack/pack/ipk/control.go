package ipk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
)

// ReadControl returns the control text of a package that Build made.
func ReadControl(file []byte) (string, error) {
	meta, err := member(file, "./control.tar.gz")
	if err != nil {
		return "", err
	}
	text, err := member(meta, "./control")
	return string(text), err
}

func member(archive []byte, name string) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("read ipk: %w", err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			return nil, fmt.Errorf("read ipk: %s: %w", name, err)
		}
		if h.Name == name {
			return io.ReadAll(r)
		}
	}
}
