package config

import (
	"errors"
	"net"
	"net/netip"
)

// Rule is a section "rule" with target proxy: TCP connections of the LAN that the transparent proxy takes. Every list
// that is not empty must have a match.
type Rule struct {
	Name       string
	Enabled    bool
	SourceNets []netip.Prefix
	SourceMACs [][6]byte
	Dest       []netip.Prefix // none: everything but private networks
	Ports      []PortRange
}

// targetProxy is the one target of rules that this version knows.
const targetProxy = "proxy"

// isProxyRule reports whether a section of the type rule is decoded; others are only looked at.
func isProxyRule(s *section) bool {
	o := s.find("target")
	return o != nil && o.values[0].text == targetProxy
}

func decodeRule(s *section, role Role, found *problems) Rule {
	d := newDecoder(s, role, found)
	d.take("target")
	r := Rule{
		Name: s.name, Enabled: d.bool("enabled", true), SourceNets: values(d, "src_ip", nil, parseNet), SourceMACs: values(d, "src_mac", nil, parseMAC),
		Dest: values(d, "dest_ip", nil, parseNet), Ports: values(d, "dest_port", nil, parsePorts),
	}
	if choice(d, "proto", "any", "tcp", "udp", "icmp") != "tcp" && d.isSet("proto") && r.Enabled {
		if o, v, _ := d.one("proto"); v.text == "udp" || v.text == "icmp" {
			found.fail(d.place(o, v), "is not what a proxy carries; available with target 'proxy': tcp, any")
		}
	}
	for _, name := range []string{"src", "dest_domain", "dscp", "link", "class", "duplicate", "profile", "use_link"} {
		if o, v := d.take(name); o != nil && r.Enabled {
			found.fail(d.place(o, v[0]), "is not available with target 'proxy' in this version")
		}
	}
	d.finish()
	return r
}

// parseMAC reads a hardware address: 02:00:5e:10:00:01.
func parseMAC(text string) (out [6]byte, err error) {
	a, err := net.ParseMAC(text)
	if err != nil || len(a) != len(out) {
		return out, errors.New("must be a hardware address: 02:00:5e:10:00:01")
	}
	return [6]byte(a), nil
}

// checkTransparent holds the rules for the transparent proxy against the proxies.
func (l *loader) checkTransparent() {
	on := ""
	for _, s := range l.config.SOCKS {
		if !s.Enabled || !s.Transparent {
			continue
		}
		switch {
		case l.config.Portal.Role != RoleLocal:
			l.found.fail(l.at("socks", s.Name, "transparent"), "is used with role local only")
		case on != "":
			l.found.fail(l.at("socks", s.Name, "transparent"), "is set in section '%s' already", on)
		}
		on = s.Name
	}
	for _, r := range l.config.Rules {
		if r.Enabled && on == "" {
			l.found.fail(l.at("rule", r.Name, "target"), "needs an enabled socks section with transparent '1'")
		}
	}
}
