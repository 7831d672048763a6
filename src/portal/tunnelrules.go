package portal

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/system"
)

// mostAsked bounds how many flows' senders are asked for per second, about 20 µs each: a scan of the LAN's is not to hold the
// tunnel up. Flows beyond it are as if no rule with src_ip had named them.
const mostAsked = 500

// askAgain is how long the kernel is left alone after it could not say who sends, as one that lacks the module for such questions
// never can: each one that fails may take as long as a tunnel's whole queue waits.
const askAgain = 10 * time.Second

// twiceRules are the rules with target tunnel, as far as they say what is sent twice. All but follow belongs to the loop.
type twiceRules struct {
	rules   []config.Rule
	sources system.Sources
	log     *slog.Logger
	since   time.Time // of asked; in the future while the kernel is left alone
	asked   int
	said    bool
	// find stands in for sources in tests.
	find func(protocol uint8, from, to netip.AddrPort) (netip.Addr, error)
}

// follow takes other rules over and returns what judges flows by them; nil if none is sent twice.
func (t *twiceRules) follow(rules []config.Rule) func(flowq.Info) bool {
	t.rules = rules
	if !t.any() {
		_ = t.sources.Close()
		return nil
	}
	return t.judge
}

// any reports whether some rule has something sent twice.
func (t *twiceRules) any() bool {
	return slices.ContainsFunc(t.rules, func(r config.Rule) bool { return r.Duplicate })
}

// judge finds the first rule that names a flow, of which this is a packet. The tunnel's packets wait meanwhile, so what it asks the
// kernel is bounded: mostAsked a second, and nothing for askAgain after a question that was not answered.
func (t *twiceRules) judge(info flowq.Info) bool {
	source, known := netip.Addr{}, false
	for i := range t.rules {
		r := &t.rules[i]
		if !names(r, &info) {
			continue
		}
		if len(r.SourceNets) > 0 {
			if !known {
				source, known = t.source(&info), true
			}
			if !source.IsValid() || !slices.ContainsFunc(r.SourceNets, func(p netip.Prefix) bool { return p.Contains(source) }) {
				continue
			}
		}
		return r.Duplicate
	}
	return false
}

// names reports that a rule names such packets, whoever sent them.
func names(r *config.Rule, info *flowq.Info) bool {
	protocol := info.Proto
	if protocol == flowq.ProtoICMPv6 {
		protocol = flowq.ProtoICMP
	}
	port := func(p config.PortRange) bool {
		return info.HasPorts && p.First <= info.DstPort && info.DstPort <= p.Last
	}
	return (r.Protocol == 0 || r.Protocol == protocol) &&
		(r.DSCP == config.AnyDSCP || r.DSCP == int(info.DSCP)) &&
		(len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, port)) &&
		(len(r.Dest) == 0 || slices.ContainsFunc(r.Dest, func(p netip.Prefix) bool { return p.Contains(info.Dst) }))
}

// source is who sent a packet, before it got the tunnel's own address; not valid if that cannot be said.
func (t *twiceRules) source(info *flowq.Info) netip.Addr {
	now := time.Now()
	if now.Sub(t.since) >= time.Second {
		t.since, t.asked = now, 0
	}
	if t.asked++; t.asked > mostAsked || !info.HasPorts {
		return netip.Addr{}
	}
	find := t.find
	if find == nil {
		find = t.sources.Of
	}
	a, err := find(info.Proto, netip.AddrPortFrom(info.Src, info.SrcPort), netip.AddrPortFrom(info.Dst, info.DstPort))
	if errors.Is(err, os.ErrNotExist) {
		return info.Src // nobody translates it
	}
	if err == nil {
		return a
	}
	t.since, t.asked = now.Add(askAgain), mostAsked
	if !t.said {
		t.said = true
		t.log.Warn("rules with src_ip name nothing: the kernel does not say who sends; install kmod-nf-conntrack-netlink (on OpenWrt)", "err", err)
	}
	return netip.Addr{}
}

// copiesOver is what a link carries copies of, in the engine's words: what is sent twice costs twice.
func (r *local) copiesOver(l config.Link) path.Copies {
	switch {
	case !l.Duplicate:
		return path.CopyNothing
	case r.duplicate == config.DuplicateCalls:
		return path.CopyCalls
	case r.duplicate == config.DuplicateUrgent:
		return path.CopyUrgent
	case r.twice.any():
		return path.CopyNamed
	}
	return path.CopyNothing
}

// recopy changes what is sent twice, in the loop.
func (r *local) recopy(now mono.Time, next *config.Config) (changes []string) {
	if to := next.Portal.Local.Duplicate; r.duplicate != to {
		r.duplicate = to
		changes = append(changes, "duplicate "+string(to))
	}
	if rules := next.RulesFor(config.TargetTunnel); !reflect.DeepEqual(r.twice.rules, rules) {
		r.SetTwice(r.twice.follow(rules))
		changes = append(changes, "rules for the tunnel")
	}
	if changes != nil {
		r.retell(now)
	}
	return changes
}
