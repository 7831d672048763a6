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
	"mpproxy/src/engine/path"
)

func nets(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
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
	w := twiceRules{log: slog.New(slog.DiscardHandler), find: func(uint8, netip.AddrPort, netip.AddrPort) (netip.Addr, error) {
		asked++
		return sender, fails
	}}
	judge := w.follow(rules)
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
	if w.follow(rules[:1]) != nil || w.follow(nil) != nil {
		t.Error("judges though nothing is sent twice")
	}
}

// A LAN that begins thousands of flows at once does not hold the tunnel up: only so many senders are asked for.
func TestRulesAskNotTooMuch(t *testing.T) {
	asked := 0
	w := twiceRules{find: func(uint8, netip.AddrPort, netip.AddrPort) (netip.Addr, error) {
		asked++
		return netip.MustParseAddr("192.168.1.50"), nil
	}}
	judge := w.follow([]config.Rule{{SourceNets: nets("192.168.1.50/32"), DSCP: config.AnyDSCP, Duplicate: true}})
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
	w := twiceRules{log: slog.New(slog.DiscardHandler), find: func(uint8, netip.AddrPort, netip.AddrPort) (netip.Addr, error) {
		asked++
		return netip.Addr{}, errors.New("invalid argument")
	}}
	judge := w.follow([]config.Rule{{SourceNets: nets("192.168.1.50/32"), DSCP: config.AnyDSCP, Duplicate: true}})
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
		r := &local{duplicate: c.choice, twice: twiceRules{rules: c.rules}}
		if got := r.copiesOver(config.Link{Duplicate: c.carries}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
