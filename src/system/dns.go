package system

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// DNS brings the look-ups of the router's name server into the tunnel.
type DNS struct {
	User      int          // uid of the name server; its look-ups to port 53 are meant, but not those to the LAN
	Resolvers []netip.Addr // who shall answer, the first of each family; none: whom it asks
}

// transports are those that name queries use.
func transports() []byte { return []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} }

// planDNS lists what takes the look-ups into the tunnel. The table has an owner, so it is gone with us; that leaves the
// rules, which do nothing without it.
//
// Look-ups for which nothing has a route would fail before they can be marked; the last rules are for them. Look-ups over
// IPv6 are refused where the tunnel has no IPv6: the name server then asks over IPv4.
func (p Params) planDNS(t Tunnel) (list []Object) {
	v4, v6 := slices.ContainsFunc(t.Addresses, is4), slices.ContainsFunc(t.Addresses, is6)
	m := p.dnsMark()
	outside := func(parts ...nfPart) []nfPart {
		for _, device := range append([]string{"lo"}, t.LAN...) {
			parts = append(parts, outNotBy(device))
		}
		return parts
	}
	route := NFChain{Name: "into_tunnel", Type: "route", Hook: "output", Priority: mangle}
	change := NFChain{Name: "to_resolver", Type: "nat", Hook: "output", Priority: destinationNAT}
	refuse := NFChain{Name: "without_tunnel", Type: "filter", Hook: "output"}
	for _, proto := range transports() {
		user, query := sentBy(t.DNS.User), nameQuery(proto)
		switch {
		case v4 && v6:
			route.Rules = append(route.Rules, nfRule(append(outside(user, query), m.set())...))
		case v4:
			route.Rules = append(route.Rules, nfRule(append(outside(user, query, family4()), m.set())...))
			refuse.Rules = append(refuse.Rules, nfRule(append(outside(user, query, family6()), prohibit())...))
		case v6:
			route.Rules = append(route.Rules, nfRule(append(outside(user, query, family6()), m.set())...))
			refuse.Rules = append(refuse.Rules, nfRule(append(outside(user, query, family4()), prohibit())...))
		}
		for _, six := range []bool{false, true} {
			i := slices.IndexFunc(t.DNS.Resolvers, func(a netip.Addr) bool { return a.Is6() == six })
			if i >= 0 && (six && v6 || !six && v4) {
				change.Rules = append(change.Rules, nfRule(m.marked(), query, redirect(t.DNS.Resolvers[i])))
			}
		}
	}
	for _, six := range []bool{false, true} {
		if six && !v6 || !six && !v4 {
			continue
		}
		list = append(list, Rule{IPv6: six, Priority: p.dnsPriority(), Mark: m.value, Mask: m.mask, Table: p.Table})
		for _, proto := range transports() {
			list = append(list, Rule{IPv6: six, Priority: latePriority, User: t.DNS.User, Proto: int(proto), Port: namePort, Table: p.Table})
		}
	}
	table := NFTable{Name: p.NFTable + "_dns", Owned: true}
	for _, c := range []NFChain{route, change, refuse} {
		if len(c.Rules) > 0 {
			table.Chains = append(table.Chains, c)
		}
	}
	return append(list, table)
}

// destinationNAT is where destinations are changed on the way out: nft's priority dstnat, which it does not accept by
// name there.
const destinationNAT = -100
