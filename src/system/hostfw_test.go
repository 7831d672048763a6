package system

import (
	"net/netip"
	"strings"
	"testing"
)

// all are the programs of a machine with both kinds of iptables.
var all = map[xtProgram]bool{{false, xtLegacy}: true, {true, xtLegacy}: true, {false, xtNFT}: true, {true, xtNFT}: true}

func TestChooseWayIn(t *testing.T) {
	legacy4 := hostChain{Family: "ip", Table: "filter", Name: "FORWARD", Hook: "forward", Drops: true}
	open4 := hostChain{Family: "ip", Table: "filter", Name: "FORWARD", Hook: "forward"}
	in4 := hostChain{Family: "ip", Table: "filter", Name: "INPUT", Hook: "input", Rules: 3, Drops: true}
	nft6 := hostChain{Family: "ip6", Table: "filter", Name: "FORWARD", Hook: "forward", Rules: 1}
	plain := hostChain{Family: "inet", Table: "filter", Name: "forward", Hook: "forward", Drops: true}
	quiet := hostChain{Family: "inet", Table: "filter", Name: "forward", Hook: "forward", Rules: 7}
	firewalld := hostChain{Family: "inet", Table: "firewalld", Name: "filter_FORWARD", Hook: "forward", Rules: 4, Drops: true}
	L, N := []xtBackend{xtLegacy}, []xtBackend{xtNFT}
	tests := []struct {
		name string
		host hostFirewall
		want wayIn
	}{
		{"nothing", hostFirewall{Programs: all}, wayIn{}},
		{"router without iptables", hostFirewall{Chains: []hostChain{quiet}}, wayIn{}},
		{"empty tables somebody looked at", hostFirewall{Programs: all, Legacy: []hostChain{open4}, Chains: []hostChain{open4}}, wayIn{}},
		{"legacy", hostFirewall{Programs: all, Legacy: []hostChain{legacy4}}, wayIn{xt: [2][]xtBackend{L, nil}}},
		{"iptables-nft", hostFirewall{Programs: all, Chains: []hostChain{legacy4}}, wayIn{xt: [2][]xtBackend{N, nil}}},
		{"only the way in is guarded", hostFirewall{Programs: all, Chains: []hostChain{open4, in4}}, wayIn{xt: [2][]xtBackend{N, nil}}},
		{"only IPv6 has rules", hostFirewall{Programs: all, Chains: []hostChain{open4, nft6}}, wayIn{xt: [2][]xtBackend{nil, N}}},
		{"both backends drop", hostFirewall{Programs: all, Legacy: []hostChain{legacy4}, Chains: []hostChain{legacy4, in4}},
			wayIn{xt: [2][]xtBackend{{xtNFT, xtLegacy}, nil}}},
		{"the program is missing", hostFirewall{Chains: []hostChain{legacy4}}, wayIn{own: []hostChain{legacy4}}},
		{"missing, and nothing dropped", hostFirewall{Chains: []hostChain{nft6}}, wayIn{}},
		{"plain nft that drops", hostFirewall{Programs: all, Chains: []hostChain{plain}}, wayIn{own: []hostChain{plain}}},
		{"plain nft that does not", hostFirewall{Programs: all, Chains: []hostChain{quiet}}, wayIn{}},
		{"firewalld", hostFirewall{Programs: all, Chains: []hostChain{firewalld}}, wayIn{firewalld: true}},
		{"Docker beside firewalld", hostFirewall{Programs: all, Chains: []hostChain{firewalld, legacy4}}, wayIn{xt: [2][]xtBackend{N, nil}, firewalld: true}},
	}
	for _, tt := range tests {
		if got := chooseWayIn(tt.host); !got.equal(tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestAdvice(t *testing.T) {
	w := wayIn{own: []hostChain{{Family: "inet", Table: "filter", Name: "forward", Hook: "forward", Drops: true}, {Family: "inet", Table: "filter", Name: "input", Hook: "input", Drops: true}}}
	got := w.advice("mpp0", []string{"udp 6779"})
	want := []string{
		`chain inet filter forward of this server's firewall drops what is forwarded, so nothing from the routers gets through; add to it: ` +
			`nft 'insert rule inet filter forward iifname "mpp0" accept'; nft 'insert rule inet filter forward oifname "mpp0" accept' (and the same to the file it is loaded from)`,
		`chain inet filter input of this server's firewall drops what comes in; add to it: nft 'insert rule inet filter input udp dport 6779 accept' (and the same to the file it is loaded from)`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if w.held(false) || (wayIn{}).advice("mpp0", nil) != nil {
		t.Error("advice that nobody needs")
	}
}

func TestLegacyChain(t *testing.T) {
	for name, tt := range map[string]struct {
		lines string
		rules int
		drops bool
	}{
		"fresh":          {"-P FORWARD ACCEPT", 0, false},
		"policy":         {"-P FORWARD DROP", 0, true},
		"last rule":      {"-P FORWARD ACCEPT\n-A FORWARD -i a -j ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-port-unreachable", 2, true},
		"some dropped":   {"-P FORWARD ACCEPT\n-A FORWARD -i a -j DROP", 1, false},
		"ours is none":   {"-P FORWARD ACCEPT\n-A FORWARD -j MPPROXY-FWD", 0, false},
		"nothing at all": {"", 0, false},
	} {
		c := legacyChain("ip", "FORWARD", "forward", strings.Split(tt.lines, "\n"))
		if c.Rules != tt.rules || c.Drops != tt.drops {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestRulesSayTheSameTwice holds the two languages against each other where they must agree, by text.
func TestRulesSayTheSameTwice(t *testing.T) {
	p := netip.MustParsePrefix
	for _, tt := range []struct {
		rule     fwRule
		nft      string
		xt4, xt6 string
	}{
		{fwRule{in: "a", do: doAccept}, `iifname "a" accept`, "-i a -m comment --comment mpproxy -j ACCEPT", "-i a -m comment --comment mpproxy -j ACCEPT"},
		{fwRule{out: "a", answers: true, do: doDrop}, `oifname "a" ct state established,related drop`,
			"-o a -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment mpproxy -j DROP", "-o a -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment mpproxy -j DROP"},
		{fwRule{dst: p("10.0.0.0/8"), do: doReject}, `ip daddr 10.0.0.0/8 reject with icmpx type admin-prohibited`,
			"-d 10.0.0.0/8 -m comment --comment mpproxy -j REJECT --reject-with icmp-admin-prohibited", ""},
		{fwRule{src: p("fd00::/64"), out: "w", do: doMasquerade}, `oifname "w" ip6 saddr fd00::/64 masquerade`, "",
			"-s fd00::/64 -o w -m comment --comment mpproxy -j MASQUERADE"},
		{fwRule{proto: "udp", ports: [2]uint16{6779, 6779}, do: doAccept}, `meta l4proto udp th dport 6779 accept`,
			"-p udp -m udp --dport 6779 -m comment --comment mpproxy -j ACCEPT", "-p udp -m udp --dport 6779 -m comment --comment mpproxy -j ACCEPT"},
		{fwRule{in: "a", proto: "tcp", ports: [2]uint16{25, 26}, do: doReject}, `iifname "a" meta l4proto tcp th dport 25-26 reject with icmpx type admin-prohibited`,
			"-i a -p tcp -m tcp --dport 25:26 -m comment --comment mpproxy -j REJECT --reject-with icmp-admin-prohibited",
			"-i a -p tcp -m tcp --dport 25:26 -m comment --comment mpproxy -j REJECT --reject-with icmp6-adm-prohibited"},
		{fwRule{in: "a", proto: "icmp", do: doAccept}, "meta nfproto ipv4 iifname \"a\" meta l4proto icmp accept\nmeta nfproto ipv6 iifname \"a\" meta l4proto ipv6-icmp accept",
			"-i a -p icmp -m comment --comment mpproxy -j ACCEPT", "-i a -p ipv6-icmp -m comment --comment mpproxy -j ACCEPT"},
	} {
		var nft []string
		for _, r := range tt.rule.nft(true, true) {
			nft = append(nft, r.Text)
		}
		xt4, _ := tt.rule.xt(false)
		xt6, _ := tt.rule.xt(true)
		if got := strings.Join(nft, "\n"); got != tt.nft || strings.Join(xt4, " ") != tt.xt4 || strings.Join(xt6, " ") != tt.xt6 {
			t.Errorf("got %q, %q, %q", got, strings.Join(xt4, " "), strings.Join(xt6, " "))
		}
	}
	if only6 := (fwRule{in: "a", do: doDrop}).nft(false, true); len(only6) != 1 || only6[0].Text != `meta nfproto ipv6 iifname "a" drop` {
		t.Errorf("for IPv6 only: %v", only6)
	}
	if none := (fwRule{src: p("10.0.0.0/8"), do: doDrop}).nft(false, true); none != nil {
		t.Errorf("an IPv4 rule for IPv6: %v", none)
	}
}

// TestPeersAreKeptApart reads the plan as the packets would.
func TestPeersAreKeptApart(t *testing.T) {
	s := Service{Device: "mpp0", MTU: 1400, Addresses: prefixes("10.99.0.1/24"), Uplink4: "eth0", NAT: true, Isolate: true, Peers: []ServicePeer{
		{Owned: prefixes("10.99.0.2/32", "fd00::2/128"), Reach: prefixes("10.99.0.3/32", "fd00::3/128")},
		{Owned: prefixes("10.99.0.3/32"), AllowPrivate: true},
	}, Blocked: []Ports{{"tcp", 25, 25}}, Listen: []Ports{{"", 6779, 6779}}}
	text := strings.Join(commands(DefaultParams().planFirewall(s, wayIn{})), "\n")
	order := []string{
		`meta l4proto tcp th dport 6779 accept`, `meta l4proto udp th dport 6779 accept`,
		`iifname "mpp0" ip saddr 10.99.0.3/32 accept`, `iifname "mpp0" reject`,
		`iifname "mpp0" oifname "mpp0" ip saddr 10.99.0.2/32 ip daddr 10.99.0.3/32 accept`,
		`iifname "mpp0" oifname "mpp0" ip6 saddr fd00::2/128 ip6 daddr fd00::3/128 accept`,
		`iifname "mpp0" oifname "mpp0" reject`, `iifname "mpp0" meta l4proto tcp th dport 25 reject`,
		`iifname "mpp0" ip saddr 10.99.0.3/32 accept`, `iifname "mpp0" ip daddr 10.0.0.0/8 reject`, `ip daddr 169.254.0.0/16 reject`,
		`iifname "mpp0" accept`, `oifname "mpp0" ct state established,related accept`, `oifname "mpp0" drop`,
	}
	rest := text
	for _, want := range order {
		i := strings.Index(rest, want)
		if i < 0 {
			t.Fatalf("no %q after what comes before it, in\n%s", want, text)
		}
		rest = rest[i+len(want):]
	}
	s.Isolate, s.AllowPrivate = false, true
	text = strings.Join(commands(DefaultParams().planFirewall(s, wayIn{})), "\n")
	if !strings.Contains(text, `iifname "mpp0" oifname "mpp0" accept`) || strings.Contains(text, "169.254") {
		t.Errorf("not open:\n%s", text)
	}
}
