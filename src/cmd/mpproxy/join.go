package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/pairing"
	"mpproxy/src/portal"
	"mpproxy/src/stats"
)

const (
	// maxTokenInput bounds what is read in search of a token: a token, with a mail around it.
	maxTokenInput = 16 << 10
	// joinAgain is the pause between tries of join --wait.
	joinAgain = 30 * time.Second
)

// join pairs this router. The token comes from standard input or a file, never from the command line, where others could
// see it.
func join(ctx context.Context, c *call) error {
	if c.flags["undo"] {
		return portal.UndoJoin(c.configFile())
	}
	links, err := parseLinks(c.values["link"])
	if err != nil {
		return err
	}
	text, err := c.readToken()
	if err != nil {
		return err
	}
	o := portal.JoinOptions{ConfigFile: c.configFile(), Token: text, Name: c.last("name"), Links: links}
	run := portal.JoinAndStart
	if c.flags["no-start"] {
		run = portal.Join
	}
	for {
		o.Running = c.runs(ctx) // also started by the try before
		err = run(ctx, o, c.told)
		if !c.flags["wait"] || err == nil || !worthAgain(text) {
			break
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(joinAgain):
		}
	}
	if err != nil {
		return err
	}
	if file := c.last("file"); file != "" && c.flags["wait"] { // a vendor's file for the first boot has done its work
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("remove token: %w", err)
		}
	}
	if _, err := os.Stat("/etc/init.d/mpproxy"); errors.Is(err, os.ErrNotExist) && !c.flags["no-start"] {
		fmt.Fprintf(c.err, "There is no init script here; start it with: mpproxy run --config %s\n", o.ConfigFile)
	}
	return nil
}

// worthAgain reports that another try may do better: the text is a token.
func worthAgain(text string) bool {
	_, err := pairing.Parse(text)
	return err == nil
}

// told prints a step when it is decided.
func (c *call) told(s portal.Step) {
	words := map[string]string{portal.StepWell: "ok", portal.StepFailed: "failed", portal.StepNote: "note"}
	if word, ok := words[s.State]; ok {
		fmt.Fprintf(c.err, "%-7s %s\n", word, s.Text)
	}
}

// runs reports that a portal answers here.
func (c *call) runs(ctx context.Context) bool {
	path, err := c.socketPath()
	return err == nil && control.Call(ctx, path, control.Request{Cmd: control.CmdStatus}, &stats.Status{}) == nil
}

// readToken reads the text that holds the token.
func (c *call) readToken() (string, error) {
	in := c.in
	if path := c.last("file"); path != "" {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("read token: %w", err)
		}
		defer f.Close()
		in = f
	} else if f, ok := c.in.(*os.File); ok && isTerminal(f) {
		fmt.Fprint(c.err, "Paste the token that the server printed, then press Enter twice:\n")
		return pasted(f)
	}
	text, err := io.ReadAll(io.LimitReader(in, maxTokenInput))
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	return string(text), nil
}

// pasted reads from a terminal until the token is whole, or an empty line.
func pasted(in io.Reader) (string, error) {
	var text []byte
	chunk := make([]byte, 512)
	for len(text) < maxTokenInput {
		n, err := in.Read(chunk)
		text = append(text, chunk[:n]...)
		if _, bad := pairing.Parse(string(text)); bad == nil || err == io.EOF || strings.HasSuffix(string(text), "\n\n") {
			return string(text), nil
		}
		if err != nil {
			return "", fmt.Errorf("read token: %w", err)
		}
	}
	return string(text), nil
}

// parseLinks reads --link NAME=INTERFACE, or --link INTERFACE.
func parseLinks(list []string) (links []portal.JoinLink, err error) {
	for _, text := range list {
		name, device, named := strings.Cut(text, "=")
		if !named {
			device = name
		}
		if name == "" || device == "" || slices.ContainsFunc(links, func(l portal.JoinLink) bool { return l.Interface == device }) {
			return nil, usagef("--link is NAME=INTERFACE, each interface once, not '%s'", text)
		}
		links = append(links, portal.JoinLink{Name: name, Interface: device})
	}
	return links, nil
}

// assistIdle is how long the assistant stays without being asked.
const assistIdle = 10 * time.Minute

// assist answers LuCI while no portal runs, until nobody has asked for a while.
func assist(ctx context.Context, c *call) error {
	path := c.socket
	if path == "" {
		path = config.DefaultSocket + ".setup"
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	desk := &portal.Desk{ConfigFile: c.configFile()}
	asked := make(chan struct{}, 1)
	server := control.NewServer(path, func(ctx context.Context, q control.Request) (any, error) {
		select {
		case asked <- struct{}{}:
		default:
		}
		return desk.Handle(ctx, q)
	})
	go func() {
		timer := time.NewTimer(assistIdle)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-asked:
			case <-timer.C:
				if !desk.Busy() {
					cancel()
					return
				}
			}
			timer.Reset(assistIdle)
		}
	}()
	return server.Run(ctx)
}
