package main

import (
	"context"
	"errors"
)

// run starts the portal and returns when it has ended.
func run(ctx context.Context, c *call) error {
	return runPortal(ctx, portalOptions{ConfigFile: c.configFile(), Socket: c.socket, Version: version})
}

// portalOptions is what the portal needs to know beside its configuration.
type portalOptions struct {
	ConfigFile string
	Socket     string // "": what the configuration says
	Version    string
}

// runPortal stands in for portal.Run.
func runPortal(context.Context, portalOptions) error {
	return errors.New("this build has no portal")
}
