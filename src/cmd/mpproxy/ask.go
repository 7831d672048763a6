package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"mpproxy/src/control"
	"mpproxy/src/stats"
)

// fetch asks the running portal for its status.
func (c *call) fetch(ctx context.Context) (*stats.Status, error) {
	path, err := c.socketPath()
	if err != nil {
		return nil, err
	}
	var s stats.Status
	if err := control.Call(ctx, path, control.Request{Cmd: control.CmdStatus}, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

func status(ctx context.Context, c *call) error {
	if c.flags["json"] && c.flags["metrics"] {
		return usagef("status takes one of --json and --metrics")
	}
	s, err := c.fetch(ctx)
	if err != nil {
		return err
	}
	text := s.People()
	if c.flags["metrics"] {
		text = s.Prometheus()
	}
	if c.flags["json"] {
		raw, err := s.JSON()
		if err != nil {
			return err
		}
		text = string(raw)
	}
	_, err = io.WriteString(c.out, text)
	return err
}

// What a terminal does: cursor to the top, clear the rest of a line, clear the rest of the screen.
const (
	screenTop   = "\x1b[H"
	screenClear = "\x1b[2J"
	lineRest    = "\x1b[K"
	screenRest  = "\x1b[J"
)

// watch shows the status again and again until ctx ends. Once it has been seen, a portal that goes away is waited for.
func watch(ctx context.Context, c *call) error {
	s, err := c.fetch(ctx)
	if err != nil {
		return err
	}
	live := isTerminal(c.out)
	if live {
		fmt.Fprint(c.out, screenClear)
	}
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	for {
		text := ""
		if err != nil {
			text = err.Error() + "\n"
		} else {
			text = s.People()
		}
		if err := show(c.out, text, live); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s, err = c.fetch(ctx)
	}
}

// show writes one picture, in place of the one before on a terminal, below it elsewhere.
func show(out io.Writer, text string, live bool) error {
	if !live {
		_, err := fmt.Fprintln(out, text)
		return err
	}
	picture := []byte(screenTop)
	for _, r := range text {
		if r == '\n' {
			picture = append(picture, lineRest...)
		}
		picture = append(picture, string(r)...)
	}
	_, err := out.Write(append(picture, screenRest...))
	return err
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func link(ctx context.Context, c *call) error {
	name, action := c.args[0], c.args[1]
	if action != control.ActionPause && action != control.ActionResume {
		return usagef("a link can be told %s or %s, not '%s'", control.ActionPause, control.ActionResume, action)
	}
	path, err := c.socketPath()
	if err != nil {
		return err
	}
	return control.Call(ctx, path, control.Request{Cmd: control.CmdLink, Link: name, Action: action}, nil)
}

// reload makes the running portal read its configuration again, and says what came of it.
func reload(ctx context.Context, c *call) error {
	path, err := c.socketPath()
	if err != nil {
		return err
	}
	var done control.Reloaded
	if err := control.Call(ctx, path, control.Request{Cmd: control.CmdReload}, &done); err != nil {
		return err
	}
	for _, change := range done.Changes {
		fmt.Fprintf(c.out, "changed: %s\n", change)
	}
	for _, option := range done.Restart {
		fmt.Fprintf(c.out, "needs a restart: %s\n", option)
	}
	if len(done.Changes)+len(done.Restart) == 0 {
		fmt.Fprintln(c.out, "nothing changed")
	}
	return nil
}
