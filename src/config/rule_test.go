package config

import (
	"fmt"
	"strings"
	"testing"
)

// loadRules loads a router's configuration of two links with these further sections.
func loadRules(t *testing.T, portal, rest string) (*Config, []string, []string) {
	t.Helper()
	path := setup(t, localText(portal, rest), nil)
	c, warnings, err := Load(path)
	errs, warned := told(path, warnings, err)
	return c, errs, warned
}

const secondLink = "config link 'lte'\n\toption interface 'wwan'\n"

// Rules with target tunnel are read whole, in their order.
func TestTunnelRules(t *testing.T) {
	c, errs, warned := loadRules(t, "", secondLink+`config rule 'xbox'
	option target 'tunnel'
	list src_ip '192.168.1.50'
	list src_ip 'fd00:1::/64'
	option proto 'udp'
	list dest_port '3074'
	list dest_port '27000-27100'
	option class 'auto'
	option duplicate '1'
config rule 'gre'
	option target 'tunnel'
	list dest_ip '203.0.113.0/24'
	option proto '47'
	option dscp '46'
config rule 'off'
	option target 'tunnel'
	option enabled '0'
	list use_link 'dsl'
	option dest_domain 'example.org'
config rule 'nas'
	option target 'tunnel'
	list src_mac '02:00:5e:10:00:01'
	option src 'guest'
	option class 'bulk'
	option profile 'throughput'
	list use_link 'lte'
`)
	if len(errs)+len(warned) > 0 || len(c.Rules) != 4 {
		t.Fatalf("%v, %v", errs, warned)
	}
	rules := c.RulesFor(TargetTunnel)
	if len(rules) != 3 || len(c.RulesFor(TargetProxy)) != 0 {
		t.Fatalf("%+v", rules)
	}
	a, b := rules[0], rules[1]
	if !a.Duplicate || a.Protocol != protocolUDP || a.DSCP != AnyDSCP || len(a.SourceNets) != 2 || a.SourceNets[0].Bits() != 32 || len(a.Dest) != 0 ||
		a.Ports[0].First != 3074 || a.Ports[0].Last != 3074 || a.Ports[1].Last != 27100 {
		t.Errorf("%+v", a)
	}
	if n := rules[2]; n.SourceMACs[0] != [6]byte{2, 0, 0x5e, 0x10, 0, 1} || n.Source != "guest" || n.Class != "bulk" || n.Profile != ProfileThroughput || n.Links[0] != "lte" || !n.Asks() || !n.NamesSenders() {
		t.Errorf("%+v", n)
	}
	if b.Asks() || b.NamesSenders() || b.Profile != "" || b.Class != "auto" || b.Links != nil || b.Protocol != 47 || b.DSCP != 46 || b.Dest[0].Bits() != 24 {
		t.Errorf("%+v", b)
	}
}

// What a rule cannot do yet, or cannot mean, is refused where it stands.
func TestTunnelRulesRefused(t *testing.T) {
	for options, want := range map[string]string{
		"option duplicate 'twice'":                         "option duplicate 'twice': must be 0 or 1",
		"option dscp '64'":                                 "option dscp '64': must be a number from 0 to 63",
		"option proto 'sctp'":                              "option proto 'sctp': must be one of any, tcp, udp, icmp, or a protocol's number from 1 to 255",
		"option proto '256'":                               "option proto '256': must be one of any",
		"option class 'fast'":                              "option class 'fast': must be one of auto, urgent, bulk",
		"list use_link 'cable'":                            "option use_link 'cable': there is no link section of this name",
		"list src_mac 'x'":                                 "option src_mac 'x': must be a hardware address: 02:00:5e:10:00:01",
		"option src 'a b'":                                 "option src 'a b': must be the name of an interface",
		"option profile 'quick'":                           "option profile 'quick': must be one of balanced, latency, throughput",
		"list dest_domain 'a.b'":                           "option dest_domain 'a.b': is not available",
		"option link 'dsl'":                                "option link 'dsl': is for target 'direct'; over which links the tunnel carries what the rule names is option use_link",
		"list dest_ip '10.0.0.1/8'":                        "option dest_ip '10.0.0.1/8': must be a network",
		"option proto 'icmp'\n\tlist src_ip '192.168.1.7'": "option src_ip '192.168.1.7': needs proto tcp, udp or any in this version",
		"option proto 'icmp'\n\toption src 'lan'":          "option src 'lan': needs proto tcp, udp or any in this version",
		"option proto 'icmp'\n\tlist dest_port '80'":       "option dest_port '80': needs proto tcp, udp or any: others have no ports",
	} {
		_, errs, _ := loadRules(t, "", secondLink+"config rule 'r'\n\toption target 'tunnel'\n\t"+options+"\n")
		if len(errs) != 1 || !strings.Contains(errs[0], want) {
			t.Errorf("%s: %q", options, errs)
		}
	}
	many := secondLink
	for i := range maxUses + 1 {
		many += fmt.Sprintf("config link 'l%d'\n\toption interface 'l%d'\nconfig rule 'r%d'\n\toption target 'tunnel'\n\tlist use_link 'l%d'\n", i, i, i, i)
		if _, errs, _ := loadRules(t, "", many); len(errs) != i/maxUses || i == maxUses && !strings.Contains(errs[0], "rule 'r12': is one too many with links or a profile of its own: 12 different choices are possible") {
			t.Errorf("%d choices: %q", i+1, errs)
		}
	}
	if _, err := loadProxy(t, nil, transparentSection+"config rule 'r'\n\toption target 'proxy'\n\toption duplicate '1'\n"); err == nil ||
		!strings.Contains(err.Error(), "option duplicate '1': is not available with target 'proxy'") {
		t.Error(err)
	}
}

// A metered link carries copies only if it is asked to, any other unless it is told not to.
func TestLinkDuplicate(t *testing.T) {
	for options, want := range map[string]bool{
		"": true, "\toption duplicate '0'\n": false, "\toption metered '1'\n": false, "\toption metered '1'\n\toption duplicate '1'\n": true,
		"\toption metered '0'\n": true,
	} {
		c, errs, _ := loadRules(t, "", secondLink+options)
		if len(errs) > 0 || c.Links[1].Duplicate != want {
			t.Errorf("%q: %+v, %v", options, c.Links[1], errs)
		}
	}
}

// Copies that no link would carry are warned of where they are asked for, and rules that are not first though they stand first.
func TestRuleWarnings(t *testing.T) {
	const rule = "config rule 'r'\n\toption target 'tunnel'\n\toption duplicate '1'\n"
	const none = "has no effect with the links as they are: a copy goes over a second link of the same metric, over a metered one only if that has option duplicate '1'"
	for name, c := range map[string]struct {
		portal, rest string
		want         []string
	}{
		"one link":       {"", rule, []string{"rule 'r', option duplicate: " + none}},
		"the portal's":   {"\toption duplicate 'calls'", "", []string{"portal 'main', option duplicate: " + none}},
		"both":           {"\toption duplicate 'urgent'", rule, []string{"portal 'main', option duplicate: " + none, "rule 'r', option duplicate: " + none}},
		"other metric":   {"", secondLink + "\toption metric '10'\n" + rule, []string{"rule 'r', option duplicate: " + none}},
		"off":            {"", secondLink + "\toption enabled '0'\n" + rule, []string{"rule 'r', option duplicate: " + none}},
		"one metered":    {"", secondLink + "\toption metered '1'\n" + rule, nil}, // what goes over it is copied
		"asked":          {"", "\toption metered '1'\n" + secondLink + "\toption metered '1'\n\toption duplicate '1'\n" + rule, nil},
		"all metered":    {"", "\toption metered '1'\n" + secondLink + "\toption metered '1'\n" + rule, []string{"rule 'r', option duplicate: " + none}},
		"without a name": {"", secondLink + strings.Replace(rule, " 'r'", "", 1), nil},
		"a link off": {"", secondLink + "\toption enabled '0'\nconfig rule 'r'\n\toption target 'tunnel'\n\tlist use_link 'lte'\n", []string{
			"rule 'r', option use_link 'lte': names links only that are switched off: what the rule names gets nowhere"}},
		"one of two off": {"", secondLink + "\toption enabled '0'\nconfig rule 'r'\n\toption target 'tunnel'\n\tlist use_link 'lte'\n\tlist use_link 'dsl'\n", nil},
		"twice over one": {"", secondLink + "config rule 'r'\n\toption target 'tunnel'\n\tlist use_link 'lte'\n\toption duplicate '1'\n", []string{
			"rule 'r', option duplicate '1': has no effect: use_link names one link only that is on, and a copy goes over a second one"}},
		"nothing is asked": {"", "config rule 'r'\n\toption target 'tunnel'\n", nil},
		"the proxy's":      {"", secondLink + rule + transparentSection + "config rule 'p'\n\toption target 'proxy'\n", []string{"rule 'p', option target 'proxy': takes its connections also from rule 'r' before it: in this version rules for the proxy come first"}},
		"the proxy first":  {"", secondLink + transparentSection + "config rule 'p'\n\toption target 'proxy'\n" + rule, nil},
		"another protocol": {"", secondLink + rule + "\toption proto 'udp'\n" + transparentSection + "config rule 'p'\n\toption target 'proxy'\n", nil},
	} {
		_, errs, warned := loadRules(t, c.portal, c.rest)
		if len(errs) > 0 || len(warned) != len(c.want) {
			t.Errorf("%s: %v, warned %q", name, errs, warned)
			continue
		}
		for i, want := range c.want {
			if !strings.HasSuffix(warned[i], want) {
				t.Errorf("%s: %q, want %q", name, warned[i], want)
			}
		}
	}
}
