package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// someKey is a public key of nobody.
const someKey = "/ZEtF+3eicoERJsY5yU97QXEc+Pp9QO5T/uk7ajGBQg="

// place is what a complaint of the program begins with: the file and the line.
var place = regexp.MustCompile(`^error: \S*:\d+: `)

// accepts asks the program whether it takes a configuration; the error is its first complaint about an option.
func (b *bench) accepts(text string) error {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "mpproxy")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	out, err := exec.Command(b.program, "check", file).CombinedOutput()
	if err == nil {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "is not available in this version") {
			return errors.New(strings.TrimSpace(place.ReplaceAllString(line, "")))
		}
	}
	return errors.New(strings.TrimSpace(string(out)))
}
