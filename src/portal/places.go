package portal

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	"mpproxy/src/config"
	"mpproxy/src/system"
)

// place is where a name of the configuration is on this system.
type place struct {
	device             string
	gateway4, gateway6 netip.Addr   // what no routing table tells; invalid: nobody knows one
	servers            []netip.Addr // name servers of this link
}

// findPlace finds a link's device: a name of the system's network configuration comes before a device's name, because
// switch chips have ports called wan and lan.
func findPlace(configFile, name string) place {
	at := place{device: name, servers: linkServers(resolvAuto, name)}
	if device, ok := config.ReadNetwork(configFile).Device(name); ok {
		at.device = device
	}
	return at
}

// lanDevices finds the devices of the LAN; each once.
func lanDevices(configFile string, names []string) (devices []string) {
	network := config.ReadNetwork(configFile)
	for _, name := range names {
		if device, ok := network.Device(name); ok {
			name = device
		}
		if !slices.Contains(devices, name) {
			devices = append(devices, name)
		}
	}
	return devices
}

// resolvAuto is where OpenWrt's netifd writes each interface's name servers, resolvConf where others do.
const (
	resolvAuto = "/tmp/resolv.conf.d/resolv.conf.auto"
	resolvConf = "/etc/resolv.conf"
)

// linkServers reads the name servers of a link from netifd's file, in which they follow a comment with the interface's
// name; wan6, wan_4 and wan_6 are wan's too.
func linkServers(file, name string) (servers []netip.Addr) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	ours := false
	for line := range strings.Lines(string(text)) {
		if of, ok := strings.CutPrefix(strings.TrimSpace(line), "# Interface "); ok {
			ours = slices.Contains([]string{name, name + "6", name + "_4", name + "_6"}, of)
		}
		if a, ok := nameserver(line); ok && ours {
			servers = append(servers, a)
		}
	}
	return servers
}

// nameserver reads one line of a resolv.conf.
func nameserver(line string) (netip.Addr, bool) {
	f := strings.Fields(line)
	if len(f) < 2 || f[0] != "nameserver" {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(f[1])
	return a, err == nil && !a.IsLoopback() && !a.IsUnspecified()
}

// systemServers reads the name servers of a system without netifd; those on the system itself do not count.
func systemServers(file string) (servers []netip.Addr) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if a, ok := nameserver(line); ok {
			servers = append(servers, a)
		}
	}
	return servers
}

// Guard is what holds the LAN's traffic as the kill switch wants it; it needs no running system, so that it can be put up
// at boot.
func Guard(configFile string, wanted config.Switch) system.Guard {
	g := system.Guard{Device: wanted.Device, LAN: lanDevices(configFile, wanted.LAN)}
	if wanted.DNS == config.DNSTunnel {
		g.DNSUser, _ = nameServerUser()
	}
	return g
}
