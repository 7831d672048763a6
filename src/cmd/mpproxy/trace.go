package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"mpproxy/src/control"
	"mpproxy/src/portal"
)

// traceAsk is how often a trace is asked for what is new.
const traceAsk = 250 * time.Millisecond

// traceLive writes down what the running portal's tunnels do, one JSON object a line, until ^C or for --seconds.
func traceLive(ctx context.Context, c *call) (err error) {
	path, err := c.socketPath()
	if err != nil {
		return err
	}
	until := ctx
	if text := c.last("seconds"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds > 0 && seconds <= 86400) {
			return usagef("--seconds takes a number of at most 86400, not '%s'", text)
		}
		var cancel context.CancelFunc
		until, cancel = context.WithTimeout(ctx, time.Duration(seconds*float64(time.Second)))
		defer cancel()
	}
	out := c.out
	if name := c.last("output"); name != "" {
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("write the trace: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	lines, missed, err := traceInto(ctx, until, path, out)
	if missed > 0 {
		fmt.Fprintf(c.err, "%d of %d lines came too fast and are missing\n", missed, lines+missed)
	}
	return err
}

// traceInto asks until the context until ends, and once more.
func traceInto(ctx, until context.Context, path string, out io.Writer) (lines, missed uint64, err error) {
	tick := time.NewTicker(traceAsk)
	defer tick.Stop()
	for from := ""; ; {
		var t portal.Traced
		if err := control.Call(context.WithoutCancel(ctx), path, control.Request{Cmd: control.CmdTrace, Text: from}, &t); err != nil {
			return lines, missed, err
		}
		missed += t.Missed
		lines += uint64(len(t.Lines))
		for _, line := range t.Lines {
			if _, err := out.Write(append(line, '\n')); err != nil {
				return lines, missed, fmt.Errorf("write the trace: %w", err)
			}
		}
		from = strconv.FormatUint(t.Next, 10)
		if until.Err() != nil {
			return lines, missed, nil
		}
		select {
		case <-until.Done():
		case <-tick.C:
		}
	}
}
