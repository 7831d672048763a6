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
// tunnel up. Flows beyond it are as if no rule had named their sender.
const mostAsked = 500

// askAgain is how long the kernel is left alone after it could not say who sends, as one that lacks the module for such questions
// never can: each one that fails may take as long as a tunnel's whole queue waits.
const askAgain = 10 * time.Second

const (
	// behindLife is for how long it is believed where an address of the LAN is.
	behindLife = 10 * time.Second
	// mostBehind bounds the addresses of which that is known: a LAN of any home.
	mostBehind = 512
)

// noLink stands for links that rules name and that are not there: the bit of a link that nobody has.
const noLink = 1 << (system.MaxLinks - 1)

// tunnelRules are the rules with target tunnel, which say how flows are sent. They belong to the loop.
type tunnelRules struct {
	rules    []config.Rule
	verdicts []flowq.Verdict // of rules
	// places are the devices of each name in option src.
	places  map[string][]string
	sources system.Sources
	log     *slog.Logger
	since   time.Time // of asked; in the future while the kernel is left alone
	asked   int
	said    bool
	behind  map[netip.Addr]seenBehind
	// find stands in for sources in tests, and findBehind for system.FindBehind.
	find       func(protocol uint8, from, to netip.AddrPort) (netip.Addr, error)
	findBehind func(netip.Addr) (system.Behind, error)
}

// seenBehind is where an address was found.
type seenBehind struct {
	system.Behind
	until time.Time
}

// follow takes other rules over, and links of these names in their order, and returns what judges flows by them; nil if none has
// anything done.
func (t *tunnelRules) follow(rules []config.Rule, links []config.Link) func(flowq.Info) flowq.Verdict {
	t.rules, t.verdicts = rules, make([]flowq.Verdict, len(rules))
	for i := range rules {
		t.verdicts[i] = verdictFor(&rules[i], links)
	}
	clear(t.behind)
	if !slices.ContainsFunc(rules, func(r config.Rule) bool { return r.Asks() }) {
		_ = t.sources.Close()
		return nil
	}
	return t.judge
}

// verdictFor is what a rule has done with what it names, in the engine's words.
func verdictFor(r *config.Rule, links []config.Link) flowq.Verdict {
	v := flowq.Verdict{Twice: r.Duplicate, Class: map[string]flowq.Want{"urgent": flowq.WantUrgent, "bulk": flowq.WantBulk}[r.Class]}
	v.Own, v.Profile = r.Profile != "", profileOf(r.Profile)
	for i, l := range links {
		if slices.Contains(r.Links, l.Name) {
			v.Links |= 1 << i
		}
	}
	if len(r.Links) > 0 && v.Links == 0 {
		v.Links = noLink
	}
	return v
}

// profileOf is a profile in the engine's words.
func profileOf(p config.Profile) flowq.Profile {
	return map[config.Profile]flowq.Profile{config.ProfileLatency: flowq.Latency, config.ProfileThroughput: flowq.Throughput}[p]
}

// copies reports whether some rule has something sent twice.
func (t *tunnelRules) copies() bool {
	return slices.ContainsFunc(t.rules, func(r config.Rule) bool { return r.Duplicate })
}

// binds reports whether some rule names links.
func (t *tunnelRules) binds() bool {
	return slices.ContainsFunc(t.rules, func(r config.Rule) bool { return len(r.Links) > 0 })
}

// judge finds the first rule that names a flow, of which this is a packet. The tunnel's packets wait meanwhile, so what it asks the
// kernel is bounded: mostAsked a second, and nothing for askAgain after a question that was not answered.
func (t *tunnelRules) judge(info flowq.Info) flowq.Verdict {
	source, known := netip.Addr{}, false
	for i := range t.rules {
		r := &t.rules[i]
		if !names(r, &info) {
			continue
		}
		if r.NamesSenders() {
			if !known {
				source, known = t.source(&info), true
			}
			if !source.IsValid() || !t.sentBy(r, source) {
				continue
			}
		}
		return t.verdicts[i]
	}
	return flowq.Verdict{}
}

// sentBy reports that a rule names a sender of the LAN.
func (t *tunnelRules) sentBy(r *config.Rule, source netip.Addr) bool {
	if len(r.SourceNets) > 0 && !slices.ContainsFunc(r.SourceNets, func(p netip.Prefix) bool { return p.Contains(source) }) {
		return false
	}
	if len(r.SourceMACs) == 0 && r.Source == "" {
		return true
	}
	at := t.whereIs(source)
	return (len(r.SourceMACs) == 0 || slices.Contains(r.SourceMACs, at.MAC)) && (r.Source == "" || slices.Contains(t.places[r.Source], at.Device))
}

// whereIs finds where an address of the LAN is, as it was found lately; that what cannot be said is nowhere.
func (t *tunnelRules) whereIs(source netip.Addr) system.Behind {
	now := time.Now()
	if b, ok := t.behind[source]; ok && now.Before(b.until) {
		return b.Behind
	}
	if t.asked++; t.asked > mostAsked {
		return system.Behind{}
	}
	find := t.findBehind
	if find == nil {
		find = system.FindBehind
	}
	b, err := find(source)
	if err != nil {
		t.log.Debug("where a device of the LAN is", "err", err)
	}
	if t.behind == nil || len(t.behind) >= mostBehind {
		t.behind = map[netip.Addr]seenBehind{}
	}
	t.behind[source] = seenBehind{b, now.Add(behindLife)}
	return b
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
func (t *tunnelRules) source(info *flowq.Info) netip.Addr {
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
		t.log.Warn("rules with src_ip, src_mac or src name nothing: the kernel does not say who sends; install kmod-nf-conntrack-netlink (on OpenWrt)", "err", err)
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
	case r.rules.copies():
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
	if rules := next.RulesFor(config.TargetTunnel); !reflect.DeepEqual(r.rules.rules, rules) {
		r.SetJudge(r.rules.follow(rules, r.links))
		changes = append(changes, "rules for the tunnel")
	}
	if changes != nil {
		r.retell(now)
	}
	return changes
}

// relink has rules that name links judge anew: there are others, in the loop.
func (r *local) relink() {
	if r.rules.binds() {
		r.SetJudge(r.rules.follow(r.rules.rules, r.links))
	}
}

// place tells the devices of the names in option src, in the loop. What was judged by others is judged anew.
func (r *local) place(places map[string][]string) {
	if reflect.DeepEqual(r.rules.places, places) {
		return
	}
	r.rules.places = places
	r.SetJudge(r.rules.follow(r.rules.rules, r.links))
}
