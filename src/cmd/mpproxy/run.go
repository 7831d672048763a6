package main

import (
	"context"

	"mpproxy/src/portal"
)

// run runs the portal and returns when it has ended.
func run(ctx context.Context, c *call) error {
	return portal.Run(ctx, portal.Options{ConfigFile: c.configFile(), Socket: c.socket, Version: version})
}
