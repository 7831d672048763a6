package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// maxBinary is what a router's flash should spare for us, in MB.
const maxBinary = 8

// engine runs the benchmark of two tunnels in virtual time.
func (b *bench) engine() error {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^BenchmarkTunnel$", "-benchmem", "-benchtime", "200000x",
		"-count", strconv.Itoa(b.runs), "./src/engine")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	rows := map[string]*row{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "BenchmarkTunnel/") {
			continue
		}
		what := strings.TrimPrefix(fields[0], "BenchmarkTunnel/")
		if i := strings.LastIndexByte(what, '-'); i > 0 {
			what = what[:i]
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("read %q: %w", lines.Text(), err)
			}
			b.engineValue(rows, what, fields[i+1], value)
		}
	}
	return nil
}

// engineValue files one metric of one line. Stages are of interest for the sealed run without loss only.
func (b *bench) engineValue(rows map[string]*row, what, unit string, value float64) {
	stage := strings.HasPrefix(unit, "ns-")
	if unit == "ns/op" || unit == "B/op" || stage && !strings.Contains(what, "sealed=true/loss=false") {
		return
	}
	key := what + " " + unit
	r := rows[key]
	if r == nil {
		r = &row{section: "Engine alone, both sides on one processor", what: strings.ReplaceAll(what, "/", " "), unit: unit}
		if stage {
			r.what, r.unit = r.what+" "+strings.TrimPrefix(unit, "ns-"), "ns"
		}
		if unit == "allocs/op" {
			r.judge = atMost // none
		}
		rows[key] = r
		b.add(r)
	}
	r.values = append(r.values, value)
}

// size weighs the stripped binary.
func (b *bench) size() error {
	info, err := os.Stat(b.program)
	if err != nil {
		return err
	}
	b.add(&row{section: "Size and memory", what: "binary, stripped", unit: "MB", values: []float64{float64(info.Size()) / 1e6}, judge: atMost, bound: maxBinary})
	return nil
}
