package portal

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/path"
	"mpproxy/src/system"
)

func nets(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// twice is what a judge says of sending twice.
func twice(judge func(flowq.Info) flowq.Verdict) func(flowq.Info) bool {
	return func(info flowq.Info) bool { return judge(info).Twice }
}

// packetTo is a packet of the LAN's as the tunnel gets it.
func packetTo(protocol uint8, to string, port uint16, dscp uint8) flowq.Info {
	return flowq.Info{
		Src: netip.MustParseAddr("10.99.0.2"), Dst: netip.MustParseAddr(to), SrcPort: 40000, DstPort: port, HasPorts: protocol == flowq.ProtoUDP || protocol == flowq.ProtoTCP,
		Proto: protocol, DSCP: dscp, Version: 4,
	}
}

// The first rule that names a flow decides, by all that it says.
func TestRulesJudge(t *testing.T) {
	rules := []config.Rule{
		{Name: "not ntp", Target: config.TargetTunnel, Protocol: flowq.ProtoUDP, DSCP: config.AnyDSCP, Ports: []config.PortRange{{First: 123, Last: 123}}},
		{Name: "xbox", SourceNets: nets("192.168.1.50/32"), DSCP: config.AnyDSCP, Duplicate: true},
		{Name: "office", Dest: nets("198.51.100.0/24"), Protocol: flowq.ProtoTCP, DSCP: config.AnyDSCP, Ports: []config.PortRange{{First: 22, Last: 22}, {First: 3389, Last: 3390}}, Duplicate: true},
		{Name: "pings", Protocol: flowq.ProtoICMP, DSCP: config.AnyDSCP, Duplicate: true},
		{Name: "marked", DSCP: 26, Duplicate: true},
	}
	sender, fails, asked := netip.MustParseAddr("192.168.1.20"), error(nil), 0
	w := tunnelRules{log: slog.New(slog.DiscardHandler), find: func(uint8, netip.AddrPort, netip.AddrPort) (netip.Addr, error) {
		asked++
		return sender, fails
	}}
	judge := twice(w.follow(rules, nil))
	for _, c := range []struct {
		info flowq.Info
		want bool
	}{
		{packetTo(flowq.ProtoUDP, "203.0.113.9", 443, 0), false},
		{packetTo(flowq.ProtoTCP, "198.51.100.7", 22, 0), true},
		{packetTo(flowq.ProtoTCP, "198.51.100.7", 3390, 0), true},
		{packetTo(flowq.ProtoTCP, "198.51.100.7", 23, 0), false},
		{packetTo(flowq.ProtoUDP, "198.51.100.7", 22, 0), false},
		{packetTo(flowq.ProtoTCP, "198.51.101.7", 22, 0), false},
		{packetTo(flowq.ProtoICMP, "203.0.113.9", 0, 0), true},
		{packetTo(flowq.ProtoICMPv6, "2001:db8::9", 0, 0), true},
		{packetTo(flowq.ProtoUDP, "203.0.113.9", 123, 26), false}, // the first decides
		{packetTo(flowq.ProtoUDP, "203.0.113.9", 124, 26), true},
		{packetTo(47, "203.0.113.9", 0, 26), true},
	} {
		if got := judge(c.info); got != c.want {
			t.Errorf("%+v: %v", c.info, got)
		}
	}
	game := packetTo(flowq.ProtoUDP, "203.0.113.9", 3074, 0)
	if sender = netip.MustParseAddr("192.168.1.50"); !judge(game) {
		t.Error("the device's own")
	}
	before := asked
	if judge(packetTo(flowq.ProtoUDP, "203.0.113.9", 123, 0)); asked != before {
		t.Error("asked who sent what an earlier rule names")
	}
	if fails = os.ErrNotExist; judge(game) {
		t.Error("what nobody knows is taken for the device's")
	}
	if fails = errors.New("no"); judge(game) || !w.said {
		t.Error("a failure is not told")
	}
	if w.follow(rules[:1], nil) != nil || w.follow(nil, nil) != nil {
		t.Error("judges though nothing is sent twice")
	}
}

// A LAN that begins thousands of flows at once does not hold the tunnel up: only so many senders are asked for.
func TestRulesAskNotTooMuch(t *testing.T) {
	asked := 0
	w := tunnelRules{find: func(uint8, netip.AddrPort, netip.AddrPort) (netip.Addr, error) {
		asked++
		return netip.MustParseAddr("192.168.1.50"), nil
	}}
	judge := twice(w.follow([]config.Rule{{SourceNets: nets("192.168.1.50/32"), DSCP: config.AnyDSCP, Duplicate: true}}, nil))
	w.since = time.Now().Add(time.Hour)
	for range 3 * mostAsked {
		judge(packetTo(flowq.ProtoUDP, "203.0.113.9", 3074, 0))
	}
	if asked != mostAsked {
		t.Errorf("asked %d times", asked)
	}
}

// A kernel that cannot say who sends is left alone for a while: every new flow would wait for it.
func TestRulesLeaveTheKernelAlone(t *testing.T) {
	asked := 0
	w := tunnelRules{log: slog.New(slog.DiscardHandler), find: func(uint8, netip.AddrPort, netip.AddrPort) (netip.Addr, error) {
		asked++
		return netip.Addr{}, errors.New("invalid argument")
	}}
	judge := twice(w.follow([]config.Rule{{SourceNets: nets("192.168.1.50/32"), DSCP: config.AnyDSCP, Duplicate: true}}, nil))
	for range 10 {
		if judge(packetTo(flowq.ProtoUDP, "203.0.113.9", 3074, 0)) {
			t.Error("named by a sender who is not known")
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	if w.since = w.since.Add(-askAgain - time.Second); judge(packetTo(flowq.ProtoUDP, "203.0.113.9", 3074, 0)) || asked != 2 {
		t.Errorf("asked %d times, want again after %v", asked, askAgain)
	}
}

// A metered link carries copies only if it may, whoever wants them; and what rules name alone is another thing than calls.
func TestCopiesOverLinks(t *testing.T) {
	named := []config.Rule{{Duplicate: true}}
	for _, c := range []struct {
		carries bool
		choice  config.Duplicate
		rules   []config.Rule
		want    path.Copies
	}{
		{true, config.DuplicateOff, nil, path.CopyNothing},
		{true, config.DuplicateOff, []config.Rule{{}}, path.CopyNothing},
		{true, config.DuplicateOff, named, path.CopyNamed},
		{true, config.DuplicateCalls, nil, path.CopyCalls},
		{true, config.DuplicateUrgent, named, path.CopyUrgent},
		{false, config.DuplicateUrgent, named, path.CopyNothing},
		{false, config.DuplicateOff, named, path.CopyNothing},
	} {
		r := &local{duplicate: c.choice, rules: tunnelRules{rules: c.rules}}
		if got := r.copiesOver(config.Link{Duplicate: c.carries}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// What a rule says comes to the engine, links by their places, and links that are not there as none.
func TestRulesVerdicts(t *testing.T) {
	links := []config.Link{{Name: "dsl"}, {}, {Name: "lte"}}
	for _, c := range []struct {
		rule config.Rule
		want flowq.Verdict
	}{
		{config.Rule{Class: "auto"}, flowq.Verdict{}},
		{config.Rule{Class: "urgent", Duplicate: true}, flowq.Verdict{Twice: true, Class: flowq.WantUrgent}},
		{config.Rule{Class: "bulk", Links: []string{"lte", "dsl"}}, flowq.Verdict{Class: flowq.WantBulk, Way: flowq.Way{Links: 5}}},
		{config.Rule{Class: "auto", Links: []string{"cable"}}, flowq.Verdict{Way: flowq.Way{Links: noLink}}},
		{config.Rule{Class: "auto", Profile: config.ProfileBalanced}, flowq.Verdict{Way: flowq.Way{Own: true}}},
		{config.Rule{Class: "auto", Profile: config.ProfileLatency}, flowq.Verdict{Way: flowq.Way{Own: true, Profile: flowq.Latency}}},
	} {
		w := tunnelRules{log: slog.New(slog.DiscardHandler)}
		c.rule.DSCP = config.AnyDSCP
		judge := w.follow([]config.Rule{c.rule}, links)
		if judge == nil {
			if c.want != (flowq.Verdict{}) {
				t.Errorf("%+v is not judged", c.rule)
			}
			continue
		}
		if got := judge(packetTo(flowq.ProtoUDP, "203.0.113.9", 443, 0)); got != c.want {
			t.Errorf("%+v: %+v", c.rule, got)
		}
	}
}

// A sender is named by its hardware address, and by the zone, interface or device that it is behind; the kernel is asked now and then.
func TestRulesNameSenders(t *testing.T) {
	nas, xbox, asked := [6]byte{2, 0, 0x5e, 0x10, 0, 1}, [6]byte{2, 0, 0x5e, 0x10, 0, 2}, 0
	sender := netip.MustParseAddr("192.168.1.50")
	w := tunnelRules{
		log:    slog.New(slog.DiscardHandler),
		find:   func(uint8, netip.AddrPort, netip.AddrPort) (netip.Addr, error) { return sender, nil },
		places: map[string][]string{"guest": {"br-guest", "br-iot"}},
		findBehind: func(a netip.Addr) (system.Behind, error) {
			asked++
			switch a.String() {
			case "192.168.1.50":
				return system.Behind{Device: "br-lan", MAC: xbox}, nil
			case "192.168.1.60":
				return system.Behind{Device: "br-lan", MAC: [6]byte{2, 0, 0x5e, 0x10, 0, 3}}, nil
			case "192.168.2.7":
				return system.Behind{Device: "br-iot", MAC: nas}, nil
			}
			return system.Behind{}, errors.New("no route")
		},
	}
	judge := w.follow([]config.Rule{
		{SourceMACs: [][6]byte{nas}, Source: "lan", DSCP: config.AnyDSCP, Class: "auto", Profile: config.ProfileLatency},
		{SourceMACs: [][6]byte{nas, xbox}, SourceNets: nets("192.168.1.0/24"), DSCP: config.AnyDSCP, Class: "urgent"},
		{Source: "guest", DSCP: config.AnyDSCP, Class: "bulk"},
	}, nil)
	for from, want := range map[string]flowq.Want{"192.168.1.50": flowq.WantUrgent, "192.168.2.7": flowq.WantBulk, "192.168.1.60": flowq.WantAuto, "192.168.3.3": flowq.WantAuto} {
		sender = netip.MustParseAddr(from)
		for range 3 {
			if got := judge(packetTo(flowq.ProtoUDP, "203.0.113.9", 443, 0)); got != (flowq.Verdict{Class: want}) {
				t.Errorf("%s: %+v", from, got)
			}
		}
	}
	if asked != 4 {
		t.Errorf("asked %d times", asked)
	}
	w.behind[sender] = seenBehind{} // long ago
	if judge(packetTo(flowq.ProtoUDP, "203.0.113.9", 443, 0)); asked != 5 {
		t.Errorf("asked %d times", asked)
	}
	for i := range 2 * mostBehind {
		sender = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		w.asked = 0
		judge(packetTo(flowq.ProtoUDP, "203.0.113.9", 443, 0))
	}
	if len(w.behind) > mostBehind {
		t.Errorf("%d are remembered", len(w.behind))
	}
}

// Links that come and go are judged anew, and the engine knows their numbers only while a rule names some.
func TestRulesFollowLinks(t *testing.T) {
	r := &local{links: []config.Link{{Name: "dsl"}}, rules: tunnelRules{log: slog.New(slog.DiscardHandler)}}
	r.Local = node.NewLocal(0, node.LocalParams{})
	r.rules.follow([]config.Rule{{Links: []string{"lte"}, DSCP: config.AnyDSCP, Class: "auto"}}, r.links)
	if got := r.rules.verdicts[0].Links; got != noLink {
		t.Errorf("before: %b", got)
	}
	r.links = append(r.links, config.Link{Name: "lte"})
	if r.relink(); r.rules.verdicts[0].Links != 2 || !r.rules.binds() {
		t.Errorf("after: %+v", r.rules.verdicts[0])
	}
}
