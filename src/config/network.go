package config

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Network is what the system's own network configuration says about names, as far as a file can tell: OpenWrt's
// /etc/config/network and, for zones, /etc/config/firewall. The zero value knows no names.
type Network struct {
	interfaces map[string]*section
	zones      map[string]*section
}

// ReadNetwork reads the files network and firewall that stand beside our own configuration. A file that is not there or cannot be
// read gives a Network without names.
func ReadNetwork(configFile string) Network {
	n := Network{interfaces: map[string]*section{}, zones: map[string]*section{}}
	for _, s := range neighbour(configFile, "firewall") {
		if s.kind == "zone" {
			n.zones[s.text("name")] = s
		}
	}
	for _, s := range neighbour(configFile, "network") {
		if s.kind == "interface" {
			n.interfaces[s.name] = s
		}
	}
	return n
}

// neighbour reads a UCI file that stands beside ours; nil if that fails.
func neighbour(configFile, name string) []*section {
	path := filepath.Join(filepath.Dir(configFile), name)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	sections, err := readUCI(path, string(text))
	if err != nil {
		return nil
	}
	return sections
}

// aliasDepth bounds how often an interface may stand for another one.
const aliasDepth = 5

// Device returns the device of an interface; ok is false if only a running system could tell, or there is no such
// interface.
func (n Network) Device(name string) (device string, ok bool) {
	for range aliasDepth {
		s := n.interfaces[name]
		if s == nil {
			return "", false
		}
		switch proto := s.text("proto"); proto {
		case "pppoe", "pppoa", "pptp", "l2tp", "3g", "6in4", "6to4", "6rd", "gre", "ipip", "vti", "wireguard", "amneziawg":
			if proto == "wireguard" || proto == "amneziawg" {
				return name, true
			}
			return proto + "-" + name, true
		case "", "static", "dhcp", "dhcpv6", "none":
		default: // modems and others bring their own
			return "", false
		}
		device := s.text("device")
		if device == "" {
			device = s.text("ifname")
		}
		if s.text("type") == "bridge" { // until OpenWrt 19.07
			return "br-" + name, true
		}
		if alias, found := strings.CutPrefix(device, "@"); found {
			name = alias
			continue
		}
		if device == "" || strings.ContainsAny(device, " /") {
			return "", false
		}
		return device, true
	}
	return "", false
}

// Zone returns the interfaces and devices of a zone of the firewall; ok is false if there is none of this name.
func (n Network) Zone(name string) (of []string, ok bool) {
	s := n.zones[name]
	if s == nil {
		return nil, false
	}
	for _, option := range []string{"network", "device"} {
		if o := s.find(option); o != nil {
			for _, v := range o.values {
				of = append(of, strings.Fields(v.text)...) // one option may name several, with spaces between
			}
		}
	}
	return of, true
}

// text is the first value of an option, or "".
func (s *section) text(option string) string {
	if o := s.find(option); o != nil && len(o.values) > 0 {
		return o.values[0].text
	}
	return ""
}

// MwanMask returns the bits in which mwan3 marks packets, if the file beside ours says that it is used; else 0.
func MwanMask(configFile string) uint32 {
	const usual = 0x3f00
	sections := neighbour(configFile, "mwan3")
	if !slices.ContainsFunc(sections, func(s *section) bool { return s.kind == "interface" && s.text("enabled") == "1" }) {
		return 0
	}
	for _, s := range sections {
		if s.kind == "globals" && s.text("mmx_mask") != "" {
			if mask, err := strconv.ParseUint(s.text("mmx_mask"), 0, 32); err == nil {
				return uint32(mask)
			}
		}
	}
	return usual
}

// Switch is what the kill switch's guard must know, at a time when nothing else may be known.
type Switch struct {
	On     bool     // kill_switch, and the portal is enabled and has role local
	Device string   // the TUN
	LAN    []string // as configured: interfaces or devices
	DNS    DNS
}

// onInRuins looks for a line that switches the kill switch on, in a file that cannot be read as a whole.
func onInRuins(text string) bool {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n'\";", r) })
		if len(words) < 3 || words[0] != "option" || words[1] != "kill_switch" {
			continue
		}
		switch words[2] {
		case "1", "on", "yes", "true", "enabled":
			return true
		}
	}
	return false
}

// ReadSwitch reads what concerns the kill switch from the file at path, whatever is wrong with the rest of it. A file that
// cannot be read as UCI, but has kill_switch on in a line, counts as on, with the usual names.
func ReadSwitch(path string) (Switch, error) {
	usual := Switch{On: true, Device: "mpp0", LAN: []string{"lan"}, DNS: DNSTunnel}
	text, err := os.ReadFile(path)
	if err != nil {
		return Switch{}, err
	}
	l := &loader{config: &Config{}, sections: map[string]*section{}}
	file, err := l.read(path)
	if err != nil {
		if onInRuins(string(text)) {
			return usual, nil
		}
		return Switch{}, err
	}
	s := l.portalSection(file)
	if s == nil {
		return Switch{}, l.found.err()
	}
	p := decodePortal(s, &problems{})
	return Switch{On: p.Local.KillSwitch && p.Enabled && p.Role == RoleLocal, Device: p.Device, LAN: p.Local.LAN, DNS: p.Local.DNS}, nil
}
