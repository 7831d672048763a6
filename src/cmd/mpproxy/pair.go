package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mpproxy/src/control"
	"mpproxy/src/enrol"
	"mpproxy/src/portal"
)

// ask sends one request to the running portal.
func (c *call) ask(ctx context.Context, q control.Request, out any) error {
	path, err := c.socketPath()
	if err != nil {
		return err
	}
	return control.Call(ctx, path, q, out)
}

// pair prints a new token: the token alone on standard output, what to do with it on standard error.
func pair(ctx context.Context, c *call) error {
	if !portal.HasServer {
		return portal.ErrNoServer
	}
	switch id := c.last("revoke"); {
	case c.flags["list"]:
		return listTokens(ctx, c)
	case id != "":
		return c.ask(ctx, control.Request{Cmd: control.CmdPair, Action: control.ActionRevoke, Name: id}, nil)
	}
	order := enrol.Order{Replace: c.last("replace"), Endpoints: c.values["endpoint"]}
	if len(c.args) == 1 {
		order.Name = c.args[0]
	}
	if text := c.last("uses"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return usagef("--uses is a number of routers, not '%s'", text)
		}
		order.Uses = n
	}
	if text := c.last("expires"); text != "" {
		life, err := parseLife(text)
		if err != nil {
			return err
		}
		order.Life = int64(life / time.Second)
	}
	text, err := json.Marshal(order)
	if err != nil {
		return err
	}
	var got enrol.Issued
	if err := c.ask(ctx, control.Request{Cmd: control.CmdPair, Action: control.ActionIssue, Text: string(text)}, &got); err != nil {
		return err
	}
	fmt.Fprintf(c.err, "Paste this on the router: LuCI, Network -> Bonding; or there: mpproxy join\n\n")
	fmt.Fprintln(c.out, got.Text)
	fmt.Fprintf(c.err, "\nGood for %s, until %s. It says that this server is at %s.\n", count(got.Uses, "router"), got.When(), strings.Join(got.Endpoints, " and "))
	return nil
}

// parseLife reads a duration; days are allowed as well.
func parseLife(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 366 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	life, err := time.ParseDuration(text)
	if err != nil || life <= 0 {
		return 0, usagef("--expires is a time like 30m, 24h or 7d, not '%s'", text)
	}
	return life, nil
}

func listTokens(ctx context.Context, c *call) error {
	var open []enrol.Issued
	if err := c.ask(ctx, control.Request{Cmd: control.CmdPair, Action: control.ActionList}, &open); err != nil {
		return err
	}
	if len(open) == 0 {
		fmt.Fprintln(c.out, "No token is open.")
	}
	for _, t := range open {
		fmt.Fprintf(c.out, "%s  good for %s until %s\n", t.ID, count(t.Uses, "router"), t.When())
	}
	return nil
}
