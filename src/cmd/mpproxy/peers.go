package main

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"mpproxy/src/control"
	"mpproxy/src/enrol"
	"mpproxy/src/portal"
	"mpproxy/src/stats"
)

// peers lists the routers, or changes one.
func peers(ctx context.Context, c *call) error {
	if !portal.HasServer {
		return portal.ErrNoServer
	}
	q, err := peersRequest(c.args)
	if err != nil {
		return err
	}
	var list []enrol.Router
	if err := c.ask(ctx, q, &list); err != nil {
		return err
	}
	if q.Action != control.ActionList {
		return nil
	}
	status, err := c.fetch(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintln(c.out, "No router is known yet; make a token for one: mpproxy pair")
		return nil
	}
	rows := [][]string{{"ROUTER", "STATE", "ADDRESS", "LIMIT DOWN/UP", "LINKS", "PAIRED"}}
	for _, r := range list {
		rows = append(rows, []string{r.Name, peerState(r, status), r.Address, limits(r), fmt.Sprint(r.MaxLinks), paired(r)})
	}
	printTable(c, rows)
	return nil
}

// peersRequest reads "ACTION NAME …".
func peersRequest(args []string) (q control.Request, err error) {
	q = control.Request{Cmd: control.CmdPeers, Action: control.ActionList}
	if len(args) == 0 || len(args) == 1 && args[0] == control.ActionList {
		return q, nil
	}
	q.Action = args[0]
	usage := map[string]int{control.ActionRevoke: 2, control.ActionAllow: 2, control.ActionRename: 3, control.ActionLimit: 4}
	if want := usage[q.Action]; len(args) != want && (q.Action != control.ActionLimit || len(args) != want+1) {
		return q, usagef("usage: mpproxy peers [list | rename NAME NEW | limit NAME DOWN UP [LINKS] | revoke NAME | allow NAME]; limits are Mbit/s, 0 is none; LINKS is how many connections may be used at once")
	}
	q.Name = args[1]
	switch q.Action {
	case control.ActionRename:
		q.Text = args[2]
	case control.ActionLimit:
		q.Text = strings.Join(append([]string{args[3], args[2]}, args[4:]...), " ")
	}
	return q, nil
}

func peerState(r enrol.Router, s *stats.Status) string {
	if !r.Enabled {
		return "revoked"
	}
	for _, one := range s.Sessions {
		if one.Peer == r.Name && one.State == stats.SessionUp {
			return "connected"
		}
	}
	return "away"
}

func limits(r enrol.Router) string {
	if r.DownMbit == 0 && r.UpMbit == 0 {
		return "none"
	}
	one := func(n uint64) string {
		if n == 0 {
			return "-"
		}
		return fmt.Sprint(n)
	}
	return one(r.DownMbit) + "/" + one(r.UpMbit) + " Mbit/s"
}

func paired(r enrol.Router) string {
	switch {
	case r.Main:
		return "by hand"
	case len(r.Created) >= len("2006-01-02"):
		return r.Created[:len("2006-01-02")]
	}
	return "-"
}

// printTable writes rows in columns.
func printTable(c *call, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		fmt.Fprintln(c.out, strings.TrimRight(line.String(), " "))
	}
}
