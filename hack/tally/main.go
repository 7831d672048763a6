// Command tally reads the output of "go test -json", prints what a person wants to see of it (a line per package,
// the output of what failed), and counts passed, failed and skipped tests. A skip that is not on the list of
// permitted skips is a failure: a check that silently does not run is worse than none.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	skips := flag.String("skips", "", "file with the permitted skips")
	count := flag.String("count", "", "file to write \"passed failed skipped\" to")
	flag.Parse()
	ok, err := run(os.Stdin, os.Stdout, *skips, *count)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run tallies in and reports whether everything is well.
func run(in io.Reader, out io.Writer, skips, count string) (bool, error) {
	var permitted []skip
	if skips != "" {
		text, err := os.ReadFile(skips)
		if err != nil {
			return false, fmt.Errorf("read skips: %w", err)
		}
		if permitted, err = parseSkips(string(text)); err != nil {
			return false, fmt.Errorf("%s: %w", skips, err)
		}
	}
	t := newTally(out, permitted)
	if err := t.read(in); err != nil {
		return false, err
	}
	t.finish()
	if count != "" {
		line := fmt.Sprintf("%d %d %d\n", t.passed, t.failed, t.skipped)
		if err := os.WriteFile(count, []byte(line), 0o644); err != nil {
			return false, fmt.Errorf("write count: %w", err)
		}
	}
	return t.failed == 0 && t.passed > 0, nil
}
