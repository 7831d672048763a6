// Command sweep runs one bulk TCP flow through two portals over many kinds of links, in virtual time, and prints how much of
// the links' sum it got, worst cells first. It is how constants are judged: a number that helps one cell and hurts
// ten others shows here.
//
//	go run ./hack/sweep [-set profiles|grid] [-seeds 3] [-only rtt] [-up] [-profile latency] [-scheduler greedy] [-congestion cubic]
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
)

func main() {
	set := flag.String("set", "profiles", "which cells: profiles (the 16, both kinds of jitter), grid (rates, delays, losses, queues) or choices (schedulers x congestion controls); mpp: one multipath stream over the 16")
	seeds := flag.Int("seeds", 3, "runs of each cell; the median counts")
	only := flag.String("only", "", "only cells whose name contains this")
	up := flag.Bool("up", false, "upload instead of download")
	workers := flag.Int("workers", 2, "cells at a time")
	traceTo := flag.String("trace", "", "run only the first cell, once, and write what its tunnels do into this file (see src/engine/trace; hack/plot draws it)")
	seed := flag.Uint64("seed", 1, "the seed with -trace")
	var o options
	flag.StringVar(&o.profile, "profile", "balanced", "latency, balanced or throughput")
	flag.StringVar(&o.scheduler, "scheduler", "earliest", "earliest, greedy, weighted or redundant")
	flag.StringVar(&o.congestion, "congestion", "bbr", "bbr, cubic, newreno or none")
	flag.BoolVar(&o.call, "call", false, "a call beside the flow: its delay and loss are shown")
	flag.Parse()
	if *set == "mpp" {
		if err := sweepMPP(*only); err != nil {
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
	cells := enginetest.Profiles()
	if *set == "grid" {
		cells = enginetest.Grid()
	}
	var chosen []enginetest.Cell
	for _, c := range cells {
		if c.Adjust, c.Call = adjust, o.call; strings.Contains(c.Name, *only) {
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
	results := measure(chosen, *seeds, *workers, !*up)
	sort.SliceStable(results, func(i, j int) bool { return results[i].Ratio < results[j].Ratio })
	fmt.Println()
	fmt.Println(enginetest.Header)
	failed := 0
	for _, r := range results {
		fmt.Println(r.String() + heard(r))
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
