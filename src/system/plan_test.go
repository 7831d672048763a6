package system

import (
	"net/netip"
	"strings"
	"testing"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func commands(list []Object) []string {
	out := make([]string, len(list))
	for i, o := range list {
		out[i] = o.Command()
	}
	return out
}

func checkCommands(t *testing.T, name string, got []Object, want string) {
	t.Helper()
	var lines []string
	for l := range strings.Lines(want) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	have := commands(got)
	for i := range max(len(have), len(lines)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(have) {
			a = have[i]
		}
		if i < len(lines) {
			b = lines[i]
		}
		if a != b {
			t.Errorf("%s, line %d:\n got %s\nwant %s", name, i+1, a, b)
		}
	}
}

func TestPlanLink(t *testing.T) {
	v4, v6 := []netip.Addr{netip.MustParseAddr("192.0.2.5")}, []netip.Addr{netip.MustParseAddr("2001:db8::5")}
	p := DefaultParams()
	checkCommands(t, "both families", p.planLink(0, LinkState{Device: "eth1", IPv4: v4, IPv6: v6,
		Gateway4: netip.MustParseAddr("192.0.2.1"), Gateway6: netip.MustParseAddr("fe80::1%eth1")}), `
		ip route replace default via 192.0.2.1 onlink dev eth1 table 7001 proto 158
		ip -6 route replace default via fe80::1 onlink dev eth1 table 7001 proto 158
		ip rule add pref 900 fwmark 0x1000000/0xff000000 lookup 7001 protocol 158
		ip -6 rule add pref 900 fwmark 0x1000000/0xff000000 lookup 7001 protocol 158
		sysctl -w net/ipv4/conf/eth1/rp_filter=2
		sysctl -w net/ipv4/conf/eth1/src_valid_mark=1`)
	checkCommands(t, "point to point", p.planLink(2, LinkState{Device: "wwan0", IPv4: v4}), `
		ip route replace default dev wwan0 table 7003 proto 158
		ip rule add pref 902 fwmark 0x3000000/0xff000000 lookup 7003 protocol 158
		ip -6 rule add pref 902 fwmark 0x3000000/0xff000000 lookup 7003 protocol 158
		sysctl -w net/ipv4/conf/wwan0/rp_filter=2
		sysctl -w net/ipv4/conf/wwan0/src_valid_mark=1`)
	checkCommands(t, "no address yet", p.planLink(MaxLinks-1, LinkState{Device: "eth1.2"}), `
		ip rule add pref 963 fwmark 0x40000000/0xff000000 lookup 7064 protocol 158
		ip -6 rule add pref 963 fwmark 0x40000000/0xff000000 lookup 7064 protocol 158
		sysctl -w net/ipv4/conf/eth1.2/rp_filter=2
		sysctl -w net/ipv4/conf/eth1.2/src_valid_mark=1`)
	if m := p.LinkMark(MaxLinks - 1); m&^p.MarkMask != 0 || p.LinkPriority+MaxLinks > p.LANPriority {
		t.Errorf("MaxLinks links do not fit: mark %x", m)
	}
}

func TestPlanTunnel(t *testing.T) {
	checkCommands(t, "IPv4 only", DefaultParams().planTunnel(Tunnel{Device: "mpp0", MTU: 1400,
		Addresses: prefixes("10.99.0.2/32"), LAN: []string{"br-lan"}}), `
		sysctl -w net/ipv6/conf/mpp0/addr_gen_mode=1
		ip link set dev mpp0 mtu 1400
		ip addr add 10.99.0.2/32 dev mpp0
		ip link set dev mpp0 up
		sysctl -w net/ipv6/conf/mpp0/disable_ipv6=0
		sysctl -w net/ipv4/conf/mpp0/rp_filter=2
		sysctl -w net/ipv4/conf/mpp0/src_valid_mark=1
		ip route replace default dev mpp0 table 7000 proto 158
		ip -6 route replace default dev mpp0 table 7000 proto 158
		nft 'table inet mpproxy { chain postrouting { type nat hook postrouting priority 100; policy accept; oifname "mpp0" masquerade comment "mpproxy" } chain clamp { type filter hook forward priority -150; policy accept; iifname "mpp0" meta nfproto ipv4 tcp flags & (syn | rst) == syn tcp option maxseg size set 1360 comment "mpproxy" iifname "mpp0" meta nfproto ipv6 tcp flags & (syn | rst) == syn tcp option maxseg size set 1340 comment "mpproxy" oifname "mpp0" meta nfproto ipv4 tcp flags & (syn | rst) == syn tcp option maxseg size set 1360 comment "mpproxy" oifname "mpp0" meta nfproto ipv6 tcp flags & (syn | rst) == syn tcp option maxseg size set 1340 comment "mpproxy" } chain refuse { type filter hook forward priority -10; policy accept; oifname "mpp0" meta nfproto ipv6 reject with icmpx admin-prohibited comment "mpproxy" } }'
		ip rule add pref 2500 iif br-lan lookup main suppress_prefixlength 0 protocol 158
		ip rule add pref 2510 iif br-lan lookup 7000 protocol 158
		ip -6 rule add pref 2500 iif br-lan lookup main suppress_prefixlength 0 protocol 158
		ip -6 rule add pref 2510 iif br-lan lookup 7000 protocol 158`)
	both := commands(DefaultParams().planTunnel(Tunnel{Device: "mpp0", MTU: 1400, Addresses: prefixes("10.99.0.2/32", "fd00::2/128")}))
	all := strings.Join(both, "\n")
	for _, want := range []string{"sysctl -w net/ipv6/conf/mpp0/disable_ipv6=0", "ip -6 addr add fd00::2/128 dev mpp0 nodad", "ip -6 route replace default dev mpp0 table 7000 proto 158"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if strings.Contains(all, "rule add") {
		t.Error("rules without a LAN")
	}
}

func TestPlanService(t *testing.T) {
	s := Service{Device: "mpp0", MTU: 1400, Addresses: prefixes("10.99.0.1/24", "fd00::1/64"), NAT: true,
		Uplink4: "eth0", Uplink6: "he0", Neighbours: []string{"eth0", "eth9"}}
	list := DefaultParams().planService(s)
	table := DefaultParams().planFirewall(s, wayIn{})[0].Command()
	for _, want := range []string{
		`oifname "eth0" ip saddr 10.99.0.0/24 masquerade`, `oifname "he0" ip6 saddr fd00::/64 masquerade`,
		`iifname "mpp0" accept`, `oifname "mpp0" ct state established,related accept`, `oifname "mpp0" drop`,
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	checkCommands(t, "sysctls", list[5:], `
		sysctl -w net/ipv4/conf/mpp0/forwarding=1
		sysctl -w net/ipv4/conf/eth0/forwarding=1
		sysctl -w net/ipv4/conf/all/send_redirects=0
		sysctl -w net/ipv4/conf/mpp0/send_redirects=0
		sysctl -w net/ipv6/conf/eth0/accept_ra=2
		sysctl -w net/ipv6/conf/eth9/accept_ra=2
		sysctl -w net/ipv6/conf/all/forwarding=1`)

	s.NAT, s.Uplink6 = false, ""
	list = append(DefaultParams().planService(s), DefaultParams().planFirewall(s, wayIn{})...)
	if text := strings.Join(commands(list), "\n"); strings.Contains(text, "masquerade") || strings.Contains(text, "forwarding=1") && strings.Contains(text, "ipv6/conf/all") {
		t.Errorf("NAT or IPv6 forwarding that nobody asked for:\n%s", text)
	}
}
