package lab

import (
	"fmt"
	"slices"
	"strings"
)

// plan is what one namespace gets: kernel settings first, then devices and addresses, routes, and NAT towards some devices.
type plan struct {
	settings   []string
	addresses  [][2]string // device, address with prefix length
	routes     []string    // arguments of "route add"
	masquerade string      // pattern of outgoing devices, "" = none
}

// hostSettings are for the ends: what one run learns of a path must not change the next one, and windows must
// cover the longest fat link.
var hostSettings = []string{
	"net.ipv4.tcp_no_metrics_save=1",
	"net.ipv4.tcp_rmem=4096 131072 16777216",
	"net.ipv4.tcp_wmem=4096 131072 16777216",
}

// routerSettings are what any router has.
var routerSettings = []string{"net.ipv4.ip_forward=1"}

// wireSettings are for the namespaces that play the provider: IPv4 only, so that nothing but our traffic is on the links.
var wireSettings = []string{"net.ipv4.ip_forward=1", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"}

// plans returns the plan of each namespace by role.
func (l *Lab) plans() map[string]plan {
	router := plan{settings: routerSettings, masquerade: "wan*", addresses: [][2]string{{"lan0", RouterAddress + "/24"}}}
	net := plan{settings: wireSettings, addresses: [][2]string{{"remote", "203.0.113.1/24"}, {"server", "198.51.100.1/24"}}}
	plans := map[string]plan{
		"client": {settings: hostSettings, addresses: [][2]string{{"eth0", ClientAddress + "/24"}}, routes: []string{"default via " + RouterAddress}},
		"server": {settings: hostSettings, addresses: [][2]string{{"eth0", ServerAddress + "/24"}}, routes: []string{"default via 198.51.100.1"}},
		"remote": {addresses: [][2]string{{"eth0", RemoteAddress + "/24"}}, routes: []string{"default via 203.0.113.1"}},
	}
	for i, link := range l.Links {
		n := i + 1
		private := fmt.Sprintf("192.168.%d", n)
		if l.options.Collide {
			private = "192.168.1"
		}
		router.addresses = append(router.addresses, [2]string{link.Device, private + ".2/24"})
		router.routes = append(router.routes, fmt.Sprintf("default via %s.1 dev %s metric %d", private, link.Device, 10*n))
		net.addresses = append(net.addresses, [2]string{link.Name, fmt.Sprintf("100.64.%d.1/30", n)})
		plans[fmt.Sprintf("nat%d", n)] = plan{
			settings:   wireSettings,
			addresses:  [][2]string{{"lan0", private + ".1/24"}, {"wan", fmt.Sprintf("100.64.%d.2/30", n)}},
			routes:     []string{fmt.Sprintf("default via 100.64.%d.1", n)},
			masquerade: "wan",
		}
	}
	plans["router"], plans["net"] = router, net
	return plans
}

// deviceQueue is the length of a TUN device's own queue in packets: what may pile up while the emulator's thread
// waits for a processor (20 ms at 1 Gbit/s), so that only the emulated link ever drops.
const deviceQueue = 2000

func (p plan) apply(namespace string) error {
	settings := slices.Clone(p.settings)
	for _, a := range p.addresses {
		// No waiting for duplicates of link-local addresses: the state is final as soon as the lab is built.
		settings = append(settings, "net.ipv6.conf."+a[0]+".accept_dad=0")
	}
	if err := sysctl(namespace, settings...); err != nil {
		return err
	}
	var lines strings.Builder
	fmt.Fprintln(&lines, "link set lo up")
	for _, a := range p.addresses {
		fmt.Fprintf(&lines, "address add %s dev %s\n", a[1], a[0])
		if a[0] == "wan" || strings.HasPrefix(a[0], "link") {
			fmt.Fprintf(&lines, "link set %s txqueuelen %d\n", a[0], deviceQueue)
		}
		fmt.Fprintf(&lines, "link set %s up\n", a[0])
	}
	for _, r := range p.routes {
		fmt.Fprintf(&lines, "route add %s\n", r)
	}
	if _, err := run(lines.String(), "ip", "-n", namespace, "-batch", "-"); err != nil {
		return err
	}
	if p.masquerade == "" {
		return nil
	}
	rules := fmt.Sprintf(`table ip lab { chain post { type nat hook postrouting priority 100; oifname "%s" masquerade; }; }`+"\n", p.masquerade)
	_, err := run(rules, "ip", "netns", "exec", namespace, "nft", "-f", "-")
	return err
}
