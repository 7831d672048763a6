package portal

import (
	"net/netip"
	"slices"
	"strings"

	"mpproxy/src/config"
	"mpproxy/src/socks"
)

// routeOf is the route for a destination, for this client; nil: none. A user who may not take it gets nothing instead.
func routeOf(cfg *config.Config, client socks.Client, to socks.Address) (*config.Route, error) {
	route := routeFor(cfg.Routes, to)
	if route == nil || client.User == "" {
		return route, nil
	}
	i := slices.IndexFunc(cfg.Users, func(u config.User) bool { return u.Name == client.User })
	if i >= 0 && len(cfg.Users[i].AllowRoute) > 0 && !slices.Contains(cfg.Users[i].AllowRoute, route.Name) {
		return nil, socks.NotAllowed
	}
	return route, nil
}

// routeFor returns the route for a destination: that with the narrowest one that matches, of equals the first; nil if
// none does.
func routeFor(routes []config.Route, to socks.Address) *config.Route {
	var best *config.Route
	narrowest := -1
	for i := range routes {
		r := &routes[i]
		if !portMatches(r.Ports, to.Port) {
			continue
		}
		for _, d := range r.Dest {
			if n := narrowness(d, to); n > narrowest {
				best, narrowest = r, n
			}
		}
	}
	return best
}

func portMatches(ports []config.PortRange, port uint16) bool {
	for _, p := range ports {
		if p.First <= port && port <= p.Last {
			return true
		}
	}
	return len(ports) == 0
}

// narrowness says how exactly a destination is matched; -1: not at all, 0: as everything is.
func narrowness(d config.Dest, to socks.Address) int {
	switch {
	case d.Domain != "":
		name := strings.ToLower(strings.TrimSuffix(to.Name, "."))
		if name == d.Domain || strings.HasSuffix(name, "."+d.Domain) {
			return 1 + len(d.Domain)
		}
		return -1
	case d.Net != netip.Prefix{}:
		if to.IP.IsValid() && d.Net.Contains(to.IP) {
			return 1 + d.Net.Bits()
		}
		return -1
	}
	return 0
}
