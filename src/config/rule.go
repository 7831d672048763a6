package config

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Rule is a section "rule". With target proxy it names TCP connections of the LAN that the transparent proxy takes; with target tunnel
// how what it names goes through the tunnel. Every list that is not empty must have a match.
type Rule struct {
	Name       string
	Enabled    bool
	Target     Target
	SourceNets []netip.Prefix
	SourceMACs [][6]byte
	Source     string         // zone of the firewall, interface or device of the LAN; with target tunnel; empty: any
	Dest       []netip.Prefix // none: everything, with target proxy but private networks
	Ports      []PortRange
	Protocol   uint8 // by IANA's number; 0: any. 1 is ICMP of both families
	DSCP       int   // with target tunnel; AnyDSCP: any
	// What follows is with target tunnel.
	Duplicate bool     // sent twice, as long as it is small
	Class     string   // "auto", "urgent" or "bulk"
	Profile   Profile  // empty: the portal's
	Links     []string // names of sections: over these only; nil: all
}

// Asks reports whether the rule says anything of what it names.
func (r *Rule) Asks() bool {
	return r.Duplicate || r.Class == "urgent" || r.Class == "bulk" || r.Profile != "" || len(r.Links) > 0
}

// NamesSenders reports whether it matters to the rule who sends.
func (r *Rule) NamesSenders() bool {
	return len(r.SourceNets) > 0 || len(r.SourceMACs) > 0 || r.Source != ""
}

// maxUses bounds how many different choices of links and profile the rules make together: the tunnel keeps that many apart.
const maxUses = 12

// Target is what becomes of what a rule names.
type Target string

// The targets that this version knows.
const (
	TargetProxy  Target = "proxy"
	TargetTunnel Target = "tunnel"
)

// AnyDSCP is the DSCP of rules that do not look at it.
const AnyDSCP = -1

// maxDSCP is the largest: it has six bits (RFC 2474).
const maxDSCP = 63

// ICMP and TCP by IANA's numbers.
const (
	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17
)

// RulesFor returns the enabled rules with a target, in their order.
func (c *Config) RulesFor(t Target) (list []Rule) {
	for _, r := range c.Rules {
		if r.Enabled && r.Target == t {
			list = append(list, r)
		}
	}
	return list
}

// isUsedRule reports whether a section of the type rule is decoded; others are only looked at.
func isUsedRule(s *section) bool {
	o := s.find("target")
	return o != nil && (o.values[0].text == string(TargetProxy) || o.values[0].text == string(TargetTunnel))
}

func decodeRule(s *section, role Role, found *problems) Rule {
	d := newDecoder(s, role, found)
	_, target := d.take("target")
	r := Rule{
		Name: s.name, Enabled: d.bool("enabled", true), Target: Target(target[0].text), SourceNets: values(d, "src_ip", nil, parseNet),
		SourceMACs: values(d, "src_mac", nil, parseMAC), Dest: values(d, "dest_ip", nil, parseNet), Ports: values(d, "dest_port", nil, parsePorts),
		Protocol: value(d, "proto", 0, parseProtocol), DSCP: AnyDSCP, Class: "auto",
	}
	if r.Target == TargetProxy {
		r.decodeProxy(d)
	} else {
		r.decodeTunnel(d)
	}
	d.finish()
	return r
}

// decodeProxy reads what only rules with target proxy have.
func (r *Rule) decodeProxy(d *decoder) {
	if r.Enabled && r.Protocol != 0 && r.Protocol != protocolTCP {
		d.found.fail(d.at("proto"), "is not what a proxy carries; available with target 'proxy': tcp, any")
	}
	r.refuse(d, "src", "dest_domain", "dscp", "link", "class", "duplicate", "profile", "use_link")
}

// decodeTunnel reads what only rules with target tunnel have.
func (r *Rule) decodeTunnel(d *decoder) {
	r.DSCP = d.number("dscp", AnyDSCP, 0, maxDSCP, "")
	r.Source = value(d, "src", "", parseInterface)
	r.Duplicate, r.Class = d.bool("duplicate", false), choice(d, "class", "auto", "urgent", "bulk")
	if own := choice(d, "profile", ProfileBalanced, ProfileLatency, ProfileThroughput); d.isSet("profile") {
		r.Profile = own
	}
	r.Links = d.texts("use_link")
	if r.Enabled && r.Protocol != 0 && r.Protocol != protocolTCP && r.Protocol != protocolUDP {
		if len(r.Ports) > 0 {
			d.found.fail(d.at("dest_port"), "needs proto tcp, udp or any: others have no ports")
		}
		for _, name := range []string{"src_ip", "src_mac", "src"} {
			if d.isSet(name) {
				d.found.fail(d.at(name), "needs proto tcp, udp or any in this version")
			}
		}
	}
	r.refuse(d, "dest_domain")
	r.refuseLink(d)
}

// refuse complains of options that rules with the same target do not have yet.
func (r *Rule) refuse(d *decoder, names ...string) {
	for _, name := range names {
		if o, v := d.take(name); o != nil && r.Enabled {
			d.found.fail(d.place(o, v[0]), "is not available with target '%s' in this version", r.Target)
		}
	}
}

// refuseLink complains of what means links with another target.
func (r *Rule) refuseLink(d *decoder) {
	if o, v := d.take("link"); o != nil && r.Enabled {
		d.found.fail(d.place(o, v[0]), "is for target 'direct'; over which links the tunnel carries what the rule names is option use_link")
	}
}

// parseProtocol reads a transport protocol, by name or by IANA's number; 0 is any.
func parseProtocol(text string) (uint8, error) {
	if number, known := map[string]uint8{"any": 0, "icmp": protocolICMP, "tcp": protocolTCP, "udp": protocolUDP}[text]; known {
		return number, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n == 0 {
		return 0, errors.New("must be one of any, tcp, udp, icmp, or a protocol's number from 1 to 255")
	}
	return uint8(n), nil
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
	for _, r := range l.config.RulesFor(TargetProxy) {
		if on == "" {
			l.found.fail(l.at("rule", r.Name, "target"), "needs an enabled socks section with transparent '1'")
		}
	}
}

// checkRuleOrder warns of rules that would be first by their order in the file, and are not.
func (l *loader) checkRuleOrder() {
	tunnel := ""
	for _, r := range l.config.Rules {
		switch {
		case !r.Enabled:
		case r.Target == TargetTunnel && (r.Protocol == 0 || r.Protocol == protocolTCP):
			tunnel = r.Name
		case r.Target == TargetProxy && tunnel != "":
			l.found.warn(l.at("rule", r.Name, "target"), "takes its connections also from rule '%s' before it: in this version rules for the proxy come first", tunnel)
		}
	}
}

// checkUses holds the links that rules name against those that there are.
func (l *loader) checkUses() {
	uses := map[string]bool{}
	for _, r := range l.config.RulesFor(TargetTunnel) {
		on := 0
		for _, name := range r.Links {
			i := slices.IndexFunc(l.config.Links, func(k Link) bool { return k.Name == name })
			if i < 0 {
				at := l.at("rule", r.Name, "use_link")
				at.Value = name
				l.found.fail(at, "there is no link section of this name")
				on = len(l.config.Links)
				continue
			}
			if l.config.Links[i].Enabled {
				on++
			}
		}
		if len(r.Links) > 0 && on == 1 && r.Duplicate {
			l.found.warn(l.at("rule", r.Name, "duplicate"), "has no effect: use_link names one link only that is on, and a copy goes over a second one")
		}
		if len(r.Links) > 0 && on == 0 {
			l.found.warn(l.at("rule", r.Name, "use_link"), "names links only that are switched off: what the rule names gets nowhere")
		}
		if use := strings.Join(slices.Sorted(slices.Values(r.Links)), " ") + "/" + string(r.Profile); use != "/" && !uses[use] {
			uses[use] = true
			if len(uses) == maxUses+1 {
				l.found.fail(l.at("rule", r.Name, ""), "is one too many with links or a profile of its own: %d different choices are possible", maxUses)
			}
		}
	}
}

// checkCopies warns of copies that no link would carry.
func (l *loader) checkCopies() {
	metrics, carried, links := map[int]int{}, map[int]bool{}, l.config.EnabledLinks()
	for _, k := range links {
		metrics[k.Metric]++
		carried[k.Metric] = carried[k.Metric] || k.Duplicate
	}
	for metric, n := range metrics {
		if n > 1 && carried[metric] {
			return
		}
	}
	complain := func(at Place) {
		at.Value = ""
		l.found.warn(at, "has no effect with the links as they are: a copy goes over a second link of the same metric, over a metered one only if that has option duplicate '1'")
	}
	if l.config.Portal.Local.Duplicate != DuplicateOff {
		complain(l.portalAt("duplicate"))
	}
	for _, r := range l.config.RulesFor(TargetTunnel) {
		if r.Duplicate {
			complain(l.at("rule", r.Name, "duplicate"))
		}
	}
}
