// Command sweep runs one bulk TCP flow through two portals over many kinds of links, in virtual time, and prints how much of
// the links' sum it got, worst cells first. It is how constants are judged: a number that helps one cell and hurts
// ten others shows here.
//
//	go run ./hack/sweep [-set profiles|grid|space|late] [-seeds 3] [-only rtt] [-up] [-profile latency] [-scheduler greedy] [-congestion cubic]
//	go run ./hack/sweep -set choices
//	go run ./hack/sweep -only rtt_120 -trace trace.jsonl && go run ./hack/plot trace.jsonl
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"mpproxy/src/engine/enginetest"
	"mpproxy/src/linksim/traffic"
)

func main() {
	set := flag.String("set", "profiles", "which cells: profiles (the 16, both kinds of jitter), grid (rates, delays, losses, queues), space XX: one multipath stream over the 16")
	draws := flag.Int("n", 200, "how many cells of the space")
	most := flag.Float64("most", 300, "the greatest rate in the space, Mbit/s")
	seeds := flag.Int("seeds", 3, "runs of each cell; the median counts, with -set mpp the mean")
	only := flag.String("only", "", "only cells whose name contains this")
	up := flag.Bool("up", false, "upload instead of download")
	workers := flag.Int("workers", 2, "cells at a time")
	traceTo := flag.String("trace", "", "run only the first cell, once, and write what its tunnels do into this file (see src/engine/trace; hack/plot draws it)")
	seed := flag.Uint64("seed", 1, "the seed with -trace, and of what is drawn from the space")
	var o options
	flag.StringVar(&o.profile, "profile", "balanced", "latency, balanced or throughput")
	flag.StringVar(&o.scheduler, "scheduler", "earliest", "earliest, greedy, weighted or redundant")
	flag.StringVar(&o.congestion, "congestion", "bbr", "bbr, cubic, newreno or none")
	within := flag.String("inner", "cubic", "congestion control of the flow inside: cubic, bbr or quic")
	alone := flag.Bool("alone", false, "show also what the same flow gets over the best of the links alone, and sort by the share of that")
	flag.BoolVar(&o.keep, "keep", false, "take no path from flows when the gain is below one")
	flag.BoolVar(&o.call, "call", false, "a call beside the flow: its delay and loss are shown")
	flag.Parse()
	if *set == "mpp" {
		if err := sweepMPP(*only, *seeds); err != nil {
			os.Exit(1)
		}
		return
	}
	adjust, err := o.adjust()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sweep:", err)
		os.Exit(2)
	}
	if *set == "choices" {
		choices(*only, *seeds, *workers, !*up, o)
		return
	}
	inner, ok := traffic.ParseControl(*within)
	if !ok {
		fmt.Fprintln(os.Stderr, "sweep: -inner is cubic, bbr or quic")
		os.Exit(2)
	}
	cells := enginetest.Profiles()
	if *set == "grid" {
		cells = enginetest.Grid()
	}
	if *set == "late" {
		cells = enginetest.Late()
	}
	if *set == "space" {
		cells = append(cells[:0], enginetest.Space(*seed, *draws, *most)...)
	}
	var chosen []enginetest.Cell
	for _, c := range cells {
		if c.Adjust, c.Call, c.Inner = adjust, o.call || c.Call, inner; strings.Contains(c.Name, *only) {
			chosen = append(chosen, c)
		}
	}
	if *traceTo != "" {
		if err := traced(chosen, *traceTo, *seed, !*up); err != nil {
			fmt.Fprintln(os.Stderr, "sweep:", err)
			os.Exit(1)
		}
		return
	}
	report(chosen, *seeds, *workers, !*up, *alone)
}

// report measures the cells and prints them, the worst first.
func report(chosen []enginetest.Cell, seeds, workers int, down, alone bool) {
	results := measure(chosen, seeds, workers, down)
	single := map[string]float64{}
	if alone {
		for i := range chosen {
			chosen[i] = chosen[i].Alone(down)
		}
		for _, r := range measure(chosen, seeds, workers, down) {
			single[r.Name] = r.Rate
		}
	}
	share := func(r enginetest.Result) float64 {
		if rate := single[r.Name]; rate > 0 {
			return r.Rate / rate
		}
		return r.Ratio
	}
	sort.SliceStable(results, func(i, j int) bool { return share(results[i]) < share(results[j]) })
	fmt.Println()
	fmt.Println(enginetest.Header)
	failed := 0
	for _, r := range results {
		text := r.String() + heard(r)
		if rate := single[r.Name]; rate > 0 {
			text += fmt.Sprintf("  best link alone %.1f: x%.2f", rate/1e6, r.Rate/rate)
		}
		fmt.Println(text)
		if !r.Good() {
			failed++
		}
	}
	fmt.Printf("%d cells, %d below their target\n", len(results), failed)
}

// lines writes a trace.
type lines struct{ *bufio.Writer }

// Line writes one line; an error is kept for Flush.
func (l lines) Line(line []byte) {
	l.Write(line)
	l.WriteByte('\n')
}

// traced runs the first cell once and writes its trace.
func traced(cells []enginetest.Cell, name string, seed uint64, down bool) error {
	if len(cells) == 0 {
		return errors.New("no cell has such a name")
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	out := lines{bufio.NewWriter(file)}
	cells[0].Tracer = out
	r := cells[0].Run(seed, down)
	fmt.Println(enginetest.Header)
	fmt.Println(r)
	return errors.Join(out.Flush(), file.Close())
}

// measure runs the cells and shows progress on standard error.
func measure(cells []enginetest.Cell, seeds, workers int, down bool) []enginetest.Result {
	results := make([]enginetest.Result, len(cells))
	var wg sync.WaitGroup
	var mu sync.Mutex
	next, done := 0, 0
	began := time.Now()
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(cells) {
					return
				}
				results[i] = cells[i].Median(seeds, down)
				mu.Lock()
				done++
				fmt.Fprintf(os.Stderr, "\r%d of %d cells, %s ", done, len(cells), time.Since(began).Round(time.Second))
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	return results
}
