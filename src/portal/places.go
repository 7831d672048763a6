package portal

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/system"
)

// place is where a name of the configuration is on this system.
type place struct {
	device             string
	gateway4, gateway6 netip.Addr   // what no routing table tells; invalid: nobody knows one
	servers            []netip.Addr // name servers of this link
}

// directory tells devices by the names of the system's network configuration, which come before devices' names: switch
// chips have ports called wan and lan. It reads the files again when they changed. Not safe for concurrent use.
type directory struct {
	configFile string
	seen       [2]fileState // of the files network and firewall
	network    config.Network
}

// look reads the files if they changed.
func (d *directory) look() {
	var now [2]fileState
	for i, name := range []string{"network", "firewall"} {
		if info, err := os.Stat(filepath.Join(filepath.Dir(d.configFile), name)); err == nil {
			now[i] = fileState{info.ModTime(), info.Size()}
		}
	}
	if now != d.seen {
		d.seen, d.network = now, config.ReadNetwork(d.configFile)
	}
}

// fileState tells whether a file changed.
type fileState struct {
	at   time.Time
	size int64
}

// device finds the device of a name; what nobody knows is a device's name itself.
func (d *directory) device(name string) string {
	if device, ok := d.network.Device(name); ok {
		return device
	}
	return name
}

// place finds a link.
func (d *directory) place(name string) place {
	return place{device: d.device(name), servers: linkServers(resolvAuto, name)}
}

// devices finds the devices of the LAN; each once.
func (d *directory) devices(names []string) (list []string) {
	for _, name := range names {
		if device := d.device(name); !slices.Contains(list, device) {
			list = append(list, device)
		}
	}
	return list
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
	d := directory{configFile: configFile}
	d.look()
	return holding(wanted, d.devices(wanted.LAN))
}

func holding(wanted config.Switch, lan []string) system.Guard {
	g := system.Guard{Device: wanted.Device, LAN: lan}
	if wanted.DNS == config.DNSTunnel {
		g.DNSUser, _ = nameServerUser()
	}
	return g
}
