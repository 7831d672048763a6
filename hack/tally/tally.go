package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of "go test -json".
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

// tally counts events.
type tally struct {
	out                     io.Writer
	permitted               []skip
	passed, failed, skipped int
	counts                  map[string]int      // tests ended, per package
	bad                     map[string]int      // tests failed, per package
	output                  map[string][]string // per package and test, until the test ends
}

// maxOutput bounds the lines kept of one test: enough to see what went wrong, not a flood.
const maxOutput = 400

func newTally(out io.Writer, permitted []skip) *tally {
	return &tally{out: out, permitted: permitted,
		counts: map[string]int{}, bad: map[string]int{}, output: map[string][]string{}}
}

// read takes events until the end of in. Lines that are not events (a build's errors) are printed as they are.
func (t *tally) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(t.out, lines.Text())
			continue
		}
		t.take(e)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}

func (t *tally) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		if lines := t.output[key]; len(lines) < maxOutput {
			t.output[key] = append(lines, e.Output)
		}
		return
	case "build-output":
		fmt.Fprint(t.out, e.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	if e.Test == "" {
		t.takePackage(e)
	} else {
		t.takeTest(e)
	}
	delete(t.output, key)
}

func (t *tally) takeTest(e event) {
	t.counts[e.Package]++
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		t.fail(e, "FAIL")
	case "skip":
		t.skipped++
		if !listed(t.permitted, e.Package, e.Test) {
			t.fail(e, "UNLISTED SKIP")
		}
	}
}

func (t *tally) fail(e event, word string) {
	t.failed++
	t.bad[e.Package]++
	fmt.Fprintf(t.out, "  %s  %s %s\n", word, e.Package, e.Test)
	t.show(e)
}

// takePackage ends a package; one that failed without a failed test (build, panic, time) counts as one failure.
func (t *tally) takePackage(e event) {
	if e.Action == "skip" {
		return // no test files
	}
	word := "ok   "
	switch {
	case e.Action == "fail" && t.bad[e.Package] == 0:
		t.failed++
		word = "FAIL "
		t.show(e)
	case e.Action == "fail" || t.bad[e.Package] > 0:
		word = "FAIL "
	}
	fmt.Fprintf(t.out, "  %s %-36s %5d tests %7.1f s\n", word, e.Package, t.counts[e.Package], e.Elapsed)
}

func (t *tally) show(e event) {
	for _, line := range t.output[e.Package+" "+e.Test] {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(t.out, "      ", line)
		}
	}
}

// finish prints the output of tests that never ended (a crash or a time limit).
func (t *tally) finish() {
	for key, lines := range t.output {
		if !strings.HasSuffix(key, " ") && t.failed > 0 {
			fmt.Fprintf(t.out, "  never ended: %s\n", key)
			fmt.Fprint(t.out, strings.Join(lines, ""))
		}
	}
	if t.passed+t.failed == 0 {
		fmt.Fprintln(t.out, "  no test was run")
	}
}
