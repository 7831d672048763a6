package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"mpproxy/src/config"
	"mpproxy/src/portal"
	"mpproxy/src/system"
)

// guard does what its argument says about the kill switch's guard. It needs no running portal: a boot script calls "guard
// up" before the firewall and the network come up.
func guard(_ context.Context, c *call) error {
	path := c.configFile()
	wanted, err := config.ReadSwitch(path)
	p := system.DefaultParams()
	switch c.args[0] {
	case "status":
		return guardStatus(c, p, wanted, err)
	case "down":
		return guardDown(c, p)
	case "up":
	default:
		return usagef("guard takes up, down or status, not '%s'", c.args[0])
	}
	if err != nil {
		return fmt.Errorf("read %s: %w; the guard stays as it is", path, err)
	}
	if !wanted.On {
		return guardDown(c, p)
	}
	g := portal.Guard(path, wanted)
	for _, device := range g.LAN {
		if _, err := net.InterfaceByName(device); err != nil {
			fmt.Fprintf(c.out, "note: there is no device %s yet\n", device)
		}
	}
	return system.RaiseGuard(p, g, textLog(c))
}

func guardDown(c *call, p system.Params) error {
	removed, err := system.LowerGuard(p)
	if err != nil {
		return err
	}
	if removed {
		fmt.Fprintln(c.out, "the kill switch's guard is down")
	} else {
		fmt.Fprintln(c.out, "there is no guard")
	}
	return nil
}

// guardStatus says whether the guard is as the configuration wants it; if not, that is an error.
func guardStatus(c *call, p system.Params, wanted config.Switch, unread error) error {
	plain, held, err := system.GuardState(p)
	if err != nil {
		return err
	}
	switch {
	case plain && held:
		fmt.Fprintln(c.out, "up, and held by the running portal")
	case plain:
		fmt.Fprintln(c.out, "up; no running portal holds it")
	case held:
		fmt.Fprintln(c.out, "held by the running portal only; it is put back soon")
	default:
		fmt.Fprintln(c.out, "down")
	}
	switch {
	case unread != nil:
		return unread
	case wanted.On && !plain && !held:
		return errors.New("kill_switch is 1, but nothing holds the LAN's traffic: mpproxy guard up")
	case !wanted.On && plain:
		return errors.New("the LAN's traffic is held although kill_switch is not 1: mpproxy guard up takes it away")
	}
	return nil
}

// cleanup removes what a killed portal left.
func cleanup(ctx context.Context, c *call) error {
	if answers(ctx, c) {
		return errors.New("the portal is running, and cleans up when it is stopped")
	}
	p := system.DefaultParams()
	if cfg, _, err := config.Load(c.configFile()); err == nil {
		p = portal.SystemParams(cfg.Portal)
	}
	if err := system.Cleanup(p, textLog(c)); err != nil {
		return err
	}
	fmt.Fprintln(c.out, "nothing of a portal is left, but for the guard of a kill switch that is on")
	return nil
}

// answers reports whether a portal answers at the control socket.
func answers(ctx context.Context, c *call) bool {
	path, err := c.socketPath()
	if err != nil {
		return false
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// textLog writes what is changed for people.
func textLog(c *call) *slog.Logger {
	return slog.New(slog.NewTextHandler(c.out, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && slices.Contains([]string{slog.TimeKey, slog.LevelKey}, a.Key) {
			return slog.Attr{}
		}
		return a
	}}))
}
