// Command demo shows on one machine, with real packets, what mpproxy does: it builds a small Internet out of network
// namespaces (package lab), runs the real program in both roles, and goes through a list of scenes, each with its
// control. It ends with a table and exit status 0 if every line of it is well.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

const (
	defaultLinks    = "20M/10ms,20M/25ms"
	defaultDuration = 8 * time.Second // of the download and the upload
	minDuration     = 3 * time.Second // below it start-up is all there is
	maxDuration     = 10 * time.Minute
)

func main() {
	lab.RunProgram()
	links := flag.String("links", "", "links: "+linksim.Syntax+" (default "+defaultLinks+")")
	duration := flag.String("duration", "", "length of the download and of the upload (default "+defaultDuration.String()+")")
	program := flag.String("program", "build/mpproxy", "the program")
	router := flag.Bool("router", false, "show how it lives on a router instead")
	flag.Parse()
	options, err := parse(*links, *duration)
	if err != nil || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "demo:", errors.Join(err, extra(flag.Args())))
		os.Exit(2)
	}
	options.program, options.router = *program, *router
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	well, err := run(ctx, options)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	if err != nil || !well {
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	links    []linksim.Params
	duration time.Duration
	program  string
	router   bool // play the router's show
}

func parse(links, duration string) (options, error) {
	o := options{duration: defaultDuration}
	if links == "" {
		links = defaultLinks
	}
	var err error
	if o.links, err = linksim.ParseLinks(links); err != nil {
		return o, err
	}
	for i, p := range o.links {
		if p.Rate <= 0 {
			return o, fmt.Errorf("link %d has no rate: there would be nothing to compare with", i+1)
		}
	}
	if duration != "" {
		if o.duration, err = time.ParseDuration(duration); err != nil {
			return o, fmt.Errorf("duration %q: write it as 10s or 1m", duration)
		}
	}
	if o.duration < minDuration || o.duration > maxDuration {
		return o, fmt.Errorf("duration %v: it must be %v to %v", o.duration, minDuration, maxDuration)
	}
	return o, nil
}

func extra(args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unknown argument %q", strings.Join(args, " "))
}

// run builds the lab, plays the scenes and prints the table.
func run(ctx context.Context, o options) (well bool, err error) {
	if stale, err := lab.RemoveStale(); err != nil {
		return false, err
	} else if len(stale) > 0 {
		fmt.Printf("removed what an earlier run left behind: %s\n", strings.Join(stale, " "))
	}
	build := lab.Options{Links: o.links, Program: o.program, Seed: 1}
	if o.router {
		if build, err = routerOptions(o.program); err != nil {
			return false, err
		}
	}
	l, err := lab.New(build)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	s := &show{ctx: ctx, lab: l, duration: o.duration, screen: newScreen(os.Stdout)}
	play := s.play
	if o.router {
		play = (&routerShow{show: s}).play
	}
	err = play()
	s.screen.endLine()
	if errors.Is(err, context.Canceled) {
		return false, errors.New("interrupted; everything is being removed")
	}
	if err != nil {
		s.add(line{what: "the rest of the demo", value: "could not be played", ok: false})
	}
	return s.table(), err
}
