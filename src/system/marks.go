package system

import (
	"maps"
	"slices"
)

// mangle is where packets are marked: nft's priority of that name.
const mangle = -150

// linkMark is what packets of link i bear.
func (p Params) linkMark(i int) mark { return mark{p.LinkMark(i), p.MarkMask} }

// dnsMark is for name queries that go into the tunnel, innerMark for what comes out of it; both lie above all links'.
func (p Params) dnsMark() mark   { return mark{p.MarkMask, p.MarkMask} }
func (p Params) innerMark() mark { return mark{p.MarkMask - p.MarkStep, p.MarkMask} }

// planMarks lists the table that keeps connections on their link.
//
// A port forward of the user comes in by a link, and its answers from the LAN would go into the tunnel: so connections
// that begin at a link are marked, and answers to them get the link's mark, which leads them back.
//
// Where the kernel filters by reverse path, answers to our own sockets would be dropped unless table main leads to the
// server by that very link (strict filter) or by any (loose). So these connections are marked as well, and the mark of
// the answers leads the filter to the link's table (src_valid_mark).
//
// A link that is a tunnel routes the packets around ours by the mark of ours (vxlan, geneve), which leads back into it: so
// the mark ends where the link begins.
func (p Params) planMarks(links map[int]LinkState, lan []string, tunnel string, filtered bool) []Object {
	t := NFTable{Name: p.NFTable + "_links"}
	pre := NFChain{Name: "arriving", Type: "filter", Hook: "prerouting", Priority: mangle}
	out := NFChain{Name: "leaving", Type: "filter", Hook: "output", Priority: mangle}
	post := NFChain{Name: "carried", Type: "filter", Hook: "postrouting", Priority: mangle}
	for _, i := range slices.Sorted(maps.Keys(links)) {
		l, m := links[i], p.linkMark(i)
		pre.Rules = append(pre.Rules, nfRule(inBy(l.Device), fresh(), m.setConnection()))
		for _, device := range lan {
			pre.Rules = append(pre.Rules, nfRule(inBy(device), backwards(), m.connection(), m.set()))
		}
		if l.Filtered {
			pre.Rules = append(pre.Rules, nfRule(inBy(l.Device), backwards(), m.connection(), m.set()))
			out.Rules = append(out.Rules, nfRule(outBy(l.Device), m.marked(), fresh(), m.setConnection()))
		}
		if l.Tunnel {
			post.Rules = append(post.Rules, nfRule(outBy(l.Device), m.marked(), mark{0, p.MarkMask}.set()))
		}
	}
	if filtered {
		pre.Rules = append(pre.Rules, nfRule(inBy(tunnel), p.innerMark().set()))
	}
	for _, c := range []NFChain{pre, out, post} {
		if len(c.Rules) > 0 {
			t.Chains = append(t.Chains, c)
		}
	}
	if len(t.Chains) == 0 {
		return nil
	}
	return []Object{t}
}

// passFilter lists the settings that let packets with a mark pass the reverse path filter of a device. A strict filter
// becomes a loose one; a loose one drops what table main has no route to, unless the mark leads elsewhere.
func passFilter(device string) []Object {
	key := func(device, name string) []string { return []string{"net", "ipv4", "conf", device, name} }
	own, all := key(device, "rp_filter"), key("all", "rp_filter")
	return []Object{
		Sysctl{Key: own, Value: "2", If: []Condition{{own, "1"}, {all, "1"}}},
		Sysctl{Key: key(device, "src_valid_mark"), Value: "1", If: []Condition{{own, "2"}, {all, "1"}, {all, "2"}}},
	}
}

// filtered reports whether IPv4 packets that come in by a device are held against the reverse path.
func (k *kernel) filtered(device string) bool {
	for _, d := range []string{device, "all"} {
		if v, err := k.sysctls.read([]string{"net", "ipv4", "conf", d, "rp_filter"}); err == nil && v != "0" {
			return true
		}
	}
	return false
}
