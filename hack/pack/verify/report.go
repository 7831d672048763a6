// Package verify reads a feed back with code of its own, and tries its packages as far as a machine without OpenWrt can.
// It shares nothing with the writers but the names of the architectures.
package verify

import (
	"fmt"
	"io"
	"slices"
)

// A Report counts checks, prints those that fail, and keeps what could not be run.
type Report struct {
	Out    io.Writer
	Passed int
	Failed int
	NotRun []string
}

// Check counts one check; if it fails, what and why are printed.
func (r *Report) Check(well bool, format string, args ...any) bool {
	if well {
		r.Passed++
		return true
	}
	r.Failed++
	fmt.Fprintf(r.Out, "  FAIL  "+format+"\n", args...)
	return false
}

// Err is Check for something that may have failed with an error.
func (r *Report) Err(err error, format string, args ...any) bool {
	if err == nil {
		return r.Check(true, "")
	}
	return r.Check(false, format+": %v", append(args, err)...)
}

// Skip notes what was not run, and why; the same is noted once.
func (r *Report) Skip(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.NotRun, text) {
		r.NotRun = append(r.NotRun, text)
	}
}
