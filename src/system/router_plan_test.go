package system

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// rulesOf gives the rules of a chain as text.
func rulesOf(t *testing.T, list []Object, table, chain string) string {
	t.Helper()
	for _, o := range list {
		nft, ok := o.(NFTable)
		if !ok || nft.Name != table {
			continue
		}
		for _, c := range nft.Chains {
			if c.Name == chain {
				var texts []string
				for _, r := range c.Rules {
					texts = append(texts, r.Text)
				}
				return strings.Join(texts, "\n")
			}
		}
	}
	return ""
}

func checkRules(t *testing.T, list []Object, table, chain, want string) {
	t.Helper()
	var lines []string
	for l := range strings.Lines(want) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	if got := rulesOf(t, list, table, chain); got != strings.Join(lines, "\n") {
		t.Errorf("chain %s of %s:\n%s\nwant\n%s", chain, table, got, strings.Join(lines, "\n"))
	}
}

func TestPlanIPv6Policy(t *testing.T) {
	const refusal = `oifname "mpp0" meta nfproto ipv6 reject with icmpx admin-prohibited`
	for _, c := range []struct {
		name            string
		policy          IPv6Policy
		inner           []netip.Prefix
		noIPv6          bool
		refused, ruled  bool
		routedIntoTheIt bool
	}{
		{"tunnel has it", IPv6Tunnel, prefixes("10.0.0.2/32", "fd00::2/128"), false, false, true, true},
		{"tunnel has none", IPv6Tunnel, prefixes("10.0.0.2/32"), false, true, true, true},
		{"reject", IPv6Reject, prefixes("10.0.0.2/32", "fd00::2/128"), false, true, true, true},
		{"direct", IPv6Direct, prefixes("10.0.0.2/32", "fd00::2/128"), false, false, false, true},
		{"direct without", IPv6Direct, prefixes("10.0.0.2/32"), false, false, false, false},
		{"no IPv6 here", IPv6Tunnel, prefixes("10.0.0.2/32"), true, false, true, false},
	} {
		list := DefaultParams().planTunnel(Tunnel{Device: "mpp0", MTU: 1400, Addresses: c.inner, LAN: []string{"br-lan"}, IPv6: c.policy, noIPv6: c.noIPv6})
		if got := rulesOf(t, list, "mpproxy", "refuse"); (got == refusal) != c.refused || got != "" && got != refusal {
			t.Errorf("%s: refusal %q", c.name, got)
		}
		all := strings.Join(commands(list), "\n")
		if strings.Contains(all, "ip -6 rule add pref 2510 iif br-lan") != c.ruled || strings.Contains(all, "ip -6 route replace default dev mpp0") != c.routedIntoTheIt {
			t.Errorf("%s:\n%s", c.name, all)
		}
		if !strings.Contains(all, "ip rule add pref 2510 iif br-lan lookup 7000") {
			t.Errorf("%s: IPv4 is not ruled", c.name)
		}
	}
}

func TestPlanMarks(t *testing.T) {
	p := DefaultParams()
	if got := p.planMarks(nil, []string{"br-lan"}, "", false); got != nil {
		t.Errorf("a table without rules: %v", got)
	}
	links := map[int]LinkState{1: {Device: "eth2", Filtered: true, Tunnel: true}, 0: {Device: "eth1"}}
	list := p.planMarks(links, []string{"br-lan"}, "mpp0", true)
	checkRules(t, list, "mpproxy_links", "arriving", `
		iifname "eth1" ct state new ct mark set ct mark & 0x00ffffff | 0x01000000
		iifname "br-lan" ct direction reply ct mark & 0xff000000 == 0x01000000 meta mark set meta mark & 0x00ffffff | 0x01000000
		iifname "eth2" ct state new ct mark set ct mark & 0x00ffffff | 0x02000000
		iifname "br-lan" ct direction reply ct mark & 0xff000000 == 0x02000000 meta mark set meta mark & 0x00ffffff | 0x02000000
		iifname "eth2" ct direction reply ct mark & 0xff000000 == 0x02000000 meta mark set meta mark & 0x00ffffff | 0x02000000
		iifname "mpp0" meta mark set meta mark & 0x00ffffff | 0xfe000000`)
	checkRules(t, list, "mpproxy_links", "leaving", `
		oifname "eth2" meta mark & 0xff000000 == 0x02000000 ct state new ct mark set ct mark & 0x00ffffff | 0x02000000`)
	checkRules(t, list, "mpproxy_links", "carried", `
		oifname "eth2" meta mark & 0xff000000 == 0x02000000 meta mark set meta mark & 0x00ffffff | 0x00000000`)
	if m := p.LinkMark(MaxLinks - 1); m >= p.innerMark().value {
		t.Errorf("the last link's mark %#x is not its own", m)
	}
}

func TestPlanDNS(t *testing.T) {
	p := DefaultParams()
	tunnel := Tunnel{Device: "mpp0", Addresses: prefixes("10.99.0.2/32"), LAN: []string{"br-lan"},
		DNS: &DNS{User: 453, Resolvers: addrs("2001:db8::53", "9.9.9.9", "1.1.1.1")}}
	list := p.planDNS(tunnel)
	checkRules(t, list, "mpproxy_dns", "into_tunnel", `
		meta skuid 453 udp dport 53 meta nfproto ipv4 oifname != "lo" oifname != "br-lan" meta mark set meta mark & 0x00ffffff | 0xff000000
		meta skuid 453 tcp dport 53 meta nfproto ipv4 oifname != "lo" oifname != "br-lan" meta mark set meta mark & 0x00ffffff | 0xff000000`)
	checkRules(t, list, "mpproxy_dns", "to_resolver", `
		meta mark & 0xff000000 == 0xff000000 udp dport 53 meta nfproto ipv4 dnat ip to 9.9.9.9
		meta mark & 0xff000000 == 0xff000000 tcp dport 53 meta nfproto ipv4 dnat ip to 9.9.9.9`)
	checkRules(t, list, "mpproxy_dns", "without_tunnel", `
		meta skuid 453 udp dport 53 meta nfproto ipv6 oifname != "lo" oifname != "br-lan" reject with icmpx admin-prohibited
		meta skuid 453 tcp dport 53 meta nfproto ipv6 oifname != "lo" oifname != "br-lan" reject with icmpx admin-prohibited`)
	checkCommands(t, "rules", list[:3], `
		ip rule add pref 964 fwmark 0xff000000/0xff000000 lookup 7000 protocol 158
		ip rule add pref 32770 uidrange 453-453 ipproto udp dport 53 lookup 7000 protocol 158
		ip rule add pref 32770 uidrange 453-453 ipproto tcp dport 53 lookup 7000 protocol 158`)
	tunnel.Addresses = prefixes("10.99.0.2/32", "fd00::2/128")
	list = p.planDNS(tunnel)
	if got := rulesOf(t, list, "mpproxy_dns", "without_tunnel"); got != "" {
		t.Errorf("refuses IPv6 look-ups that the tunnel could take: %s", got)
	}
	if got := rulesOf(t, list, "mpproxy_dns", "to_resolver"); strings.Count(got, "2001:db8::53") != 2 || strings.Count(got, "9.9.9.9") != 2 {
		t.Errorf("resolvers of both families: %s", got)
	}
	tunnel.DNS.Resolvers = nil
	if got := rulesOf(t, p.planDNS(tunnel), "mpproxy_dns", "to_resolver"); got != "" {
		t.Errorf("no resolver given, but: %s", got)
	}
}

func TestPlanGuard(t *testing.T) {
	plain, held := DefaultParams().planGuard(Guard{Device: "mpp0", LAN: []string{"br-lan", "br-guest"}, DNSUser: 453})
	if !plain.Kept || plain.Owned || !held.Owned || held.Kept || plain.Name != "mpproxy_guard" {
		t.Errorf("%s %v %v, %s %v %v", plain.Name, plain.Kept, plain.Owned, held.Name, held.Kept, held.Owned)
	}
	for _, table := range []NFTable{plain, held} {
		checkRules(t, []Object{table}, table.Name, "forward", `
			iifname "br-lan" jump from_lan
			iifname "br-guest" jump from_lan`)
		checkRules(t, []Object{table}, table.Name, "from_lan", `
			oifname "mpp0" accept
			oifname "br-lan" accept
			oifname "br-guest" accept
			ip daddr 10.0.0.0/8 accept
			ip daddr 172.16.0.0/12 accept
			ip daddr 192.168.0.0/16 accept
			ip daddr 169.254.0.0/16 accept
			ip daddr 224.0.0.0/4 accept
			ip6 daddr fc00::/7 accept
			ip6 daddr fe80::/10 accept
			ip6 daddr ff00::/8 accept
			reject with icmpx admin-prohibited`)
		checkRules(t, []Object{table}, table.Name, "names", `
			meta skuid 453 udp dport 53 oifname != "lo" oifname != "mpp0" oifname != "br-lan" oifname != "br-guest" drop
			meta skuid 453 tcp dport 53 oifname != "lo" oifname != "mpp0" oifname != "br-lan" oifname != "br-guest" drop`)
	}
	if plain, _ := DefaultParams().planGuard(Guard{Device: "mpp0", LAN: []string{"br-lan"}}); len(plain.Chains) != 2 {
		t.Errorf("look-ups of nobody are held: %v", plain.Command())
	}
}

func TestPlanOwnTraffic(t *testing.T) {
	links := map[int]LinkState{ // three modems with one address
		0: {Device: "usb0", IPv4: addrs("192.168.8.100")}, 1: {Device: "usb1", IPv4: addrs("192.168.8.100")}, 2: {Device: "eth1", IPv4: addrs("192.0.2.5"), IPv6: addrs("2001:db8::5")},
	}
	checkCommands(t, "IPv4 inside", DefaultParams().planOwn(links, Tunnel{Addresses: prefixes("10.99.0.2/32")}), `
		ip rule add pref 2498 iif lo ipproto udp dport 123 lookup main protocol 158
		ip rule add pref 2499 from 192.168.8.100/32 iif lo lookup 7001 protocol 158
		ip rule add pref 2499 from 192.0.2.5/32 iif lo lookup 7003 protocol 158
		ip rule add pref 2500 iif lo lookup main suppress_prefixlength 0 protocol 158
		ip rule add pref 2510 iif lo lookup 7000 protocol 158`)
	both := commands(DefaultParams().planOwn(links, Tunnel{Addresses: prefixes("10.99.0.2/32", "fd00::2/128")}))
	if !slices.Contains(both, "ip -6 rule add pref 2499 from 2001:db8::5/128 iif lo lookup 7003 protocol 158") {
		t.Error(both)
	}
}

func TestOrderAmongOthers(t *testing.T) {
	mask := func(m uint32) *uint32 { return &m }
	rule := func(priority, table int, mark, m uint32) netlink.Rule {
		r := netlink.Rule{Priority: priority, Table: table, Mark: mark}
		if m != 0 {
			r.Mask = mask(m)
		}
		return r
	}
	mwan := []netlink.Rule{rule(1001, 1, 0, 0), rule(2001, 1, 0x100, 0x3f00), rule(2061, 0, 0x3d00, 0x3f00), rule(3001, 0, 0x100, 0x3f00)}
	tailscale := []netlink.Rule{rule(5210, 254, 0x80000, 0xff0000), rule(5270, 52, 0, 0)}
	pbr := []netlink.Rule{rule(29999, 256, 0x10000, 0xff0000), rule(30000, 257, 0x20000, 0xff0000)}
	ours := netlink.Rule{Priority: 2005, Table: 7001, Mark: 0x01000000, Mask: mask(0xff000000), Protocol: Protocol}
	for _, c := range []struct {
		name     string
		rules    []netlink.Rule
		lan, tun int
		foreign  uint32
	}{
		{"alone", nil, 2500, 2510, 0},
		{"our own rules", []netlink.Rule{ours}, 2500, 2510, 0},
		{"mwan3", mwan, 2500, 2510, 0x3f00},
		{"tailscale", tailscale, 5280, 5290, 0},
		{"tailscale beside mwan3", append(slices.Clone(mwan), rule(1370, 52, 0, 0)), 2500, 2510, 0x3f00},
		{"pbr", pbr, 30010, 30020, 0},
		{"all", slices.Concat(mwan, tailscale, pbr), 30010, 30020, 0x3f00},
	} {
		p := DefaultParams().among(othersIn(c.rules))
		if p.LANPriority != c.lan || p.TunPriority != c.tun || p.ForeignMark != c.foreign || p.LinkPriority != 900 {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
	p := DefaultParams().StartingAt(MaxPriority).among(othersIn(tailscale))
	if p.LinkPriority != MaxPriority || p.TunPriority >= lastPriority || p.innerPriority()+1 >= p.LANPriority-2 || p.LinkPriority+MaxLinks > p.dnsPriority() {
		t.Errorf("by hand: %+v", p)
	}
}
