// Command plot draws a trace (see src/engine/trace) as an SVG: for each tunnel in it what its paths carried, waited and held over
// time, one panel below the other.
//
//	go run ./hack/plot [-from 0] [-to 0] [-step 100] FILE...
//
// FILE.svg, or FILE with its ending replaced, is written beside each FILE.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	from := flag.Float64("from", 0, "begin at this second")
	to := flag.Float64("to", 0, "end at this second; 0: the trace's end")
	step := flag.Float64("step", 100, "ms over which rates are meant")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "plot: which trace? go run ./hack/plot FILE")
		os.Exit(2)
	}
	for _, name := range flag.Args() {
		out := strings.TrimSuffix(name, filepath.Ext(name)) + ".svg"
		if err := draw(name, out, window{*from * 1000, *to * 1000, *step}); err != nil {
			fmt.Fprintln(os.Stderr, "plot:", err)
			os.Exit(1)
		}
		fmt.Println(out)
	}
}

func draw(in, out string, w window) error {
	file, err := os.Open(in)
	if err != nil {
		return err
	}
	defer file.Close()
	t, err := read(file, w)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	return os.WriteFile(out, []byte(t.svg(filepath.Base(in))), 0o644)
}
