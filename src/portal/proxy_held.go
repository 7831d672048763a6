package portal

import (
	"context"
	"slices"

	"mpproxy/src/config"
	"mpproxy/src/engine/mono"
)

// slowed reports that data caps slow all links that are left to a route: what goes directly would take the same provider,
// as fast as it can.
func (l *localProxy) slowed(ctx context.Context, cfg *config.Config, route *config.Route) (only bool) {
	r := l.portal
	r.run.shared.do(ctx, func(mono.Time) {
		for i, k := range r.links {
			if k.Name == "" || i >= len(r.told) || !r.told[i].Up || r.paused[i] || !mayTake(cfg, route, k.Name) {
				continue
			}
			if r.capped[i] == capFree {
				only = false
				return
			}
			only = only || r.capped[i] == capSlow
		}
	})
	return only
}

// mayTake reports whether a route leads over a link.
func mayTake(cfg *config.Config, route *config.Route, link string) bool {
	return len(route.Via) == 0 || slices.ContainsFunc(route.Via, func(v config.Via) bool {
		name := v.Link
		if name == "" && len(v.Relays) > 0 {
			if i := slices.IndexFunc(cfg.Relays, func(r config.Relay) bool { return r.Name == v.Relays[0] }); i >= 0 {
				name = cfg.Relays[i].Link
			}
		}
		return name == "" || name == link
	})
}
