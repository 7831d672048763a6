package main

import (
	"context"
	"errors"
	"fmt"

	"mpproxy/src/config"
)

// check prints what is wrong in a configuration, what may be, and a verdict in the last line.
func check(_ context.Context, c *call) error {
	path := c.configFile()
	if len(c.args) == 1 {
		path = c.args[0]
	}
	cfg, warnings, err := config.Load(path)
	for _, w := range warnings {
		fmt.Fprintln(c.out, "warning:", w)
	}
	var bad config.Errors
	if errors.As(err, &bad) {
		for _, one := range bad {
			fmt.Fprintln(c.out, "error:", one)
		}
		fmt.Fprintf(c.out, "%s: wrong, %s\n", path, count(len(bad), "error"))
		return errSaid
	}
	if err != nil {
		return err
	}
	if !cfg.Portal.Enabled {
		fmt.Fprintln(c.out, "note: the portal is switched off (option enabled '0')")
	}
	if cfg.Portal.PrivateKey.IsZero() {
		fmt.Fprintf(c.out, "note: there is no private key yet; the first start makes one in %s\n", cfg.Portal.SecretsDir)
	}
	verdict := "well"
	if len(warnings) > 0 {
		verdict += ", " + count(len(warnings), "warning")
	}
	fmt.Fprintf(c.out, "%s: %s\n", path, verdict)
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
