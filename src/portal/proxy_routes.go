package portal

import (
	"net/netip"
	"strings"

	"mpproxy/src/config"
	"mpproxy/src/socks"
)

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
