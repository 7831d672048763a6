package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mpproxy/src/stats"
)

// waitUp waits until the router says that its session is up, and the LAN is led into it.
func (l *Lab) waitUp() error {
	deadline := time.Now().Add(startLimit)
	var last string
	for time.Now().Before(deadline) {
		for _, d := range []*Daemon{l.Router, l.Remote} {
			if !d.process.running() {
				return fmt.Errorf("start portals: the %s ended: %w\n%s", d.Role, d.process.err, d.Log())
			}
		}
		text, err := l.Router.Status()
		if err == nil && sessionUp(text) && l.leads() {
			return nil
		}
		last = text
		if err != nil {
			last = err.Error()
		}
		time.Sleep(pollEvery)
	}
	return fmt.Errorf("start portals: %w\nlast status: %s\nrouter's log:\n%s\nremote's log:\n%s",
		errors.New("no session in time"), last, l.Router.Log(), l.Remote.Log())
}

// leads reports that the LAN is routed into the tunnel: a connection begun before would leave by a link directly and break.
func (l *Lab) leads() bool {
	rules, err := run("", "ip", "-n", l.Namespace("router"), "rule")
	if err != nil || !strings.Contains(rules, "iif lan0 lookup 7000") {
		return false
	}
	routes, err := run("", "ip", "-n", l.Namespace("router"), "route", "show", "table", "7000")
	return err == nil && strings.Contains(routes, "default")
}

// sessionUp reports whether a status shows a session that is up.
func sessionUp(text string) bool {
	var status stats.Status
	if json.Unmarshal([]byte(text), &status) != nil {
		return false
	}
	return slices.ContainsFunc(status.Sessions, func(s stats.Session) bool { return s.State == stats.SessionUp })
}
