package system

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Redirect brings TCP connections of the LAN to a proxy on this machine. Only what arrives from the LAN is taken, so
// what the proxy itself sends never comes back to it; what is meant for this machine is left alone.
type Redirect struct {
	// Rules choose the connections; one that matches is enough. None: all that leave the LAN for public addresses.
	Rules []RedirectRule
	// Places are where the proxy listens; what comes in by other devices is left alone.
	Places []RedirectPlace
	// TPROXY gives the proxy packets as they are (its sockets are IP_TRANSPARENT), without translating addresses.
	TPROXY bool
}

// RedirectRule matches if each of its lists that is not empty has a match.
type RedirectRule struct {
	Sources      []netip.Prefix
	MACs         [][6]byte
	Destinations []netip.Prefix // none: all but private and link-local networks
	Ports        [][2]uint16    // first and last
}

// RedirectPlace is where the proxy takes connections of one family that come in by a device.
type RedirectPlace struct {
	Device string
	IPv6   bool
	Port   uint16
}

const (
	// afterHost is where the redirection stands among those that change destinations: what the host's own rules have
	// sent elsewhere stays there.
	afterHost = -95
	// redirectGroup is the journal's.
	redirectGroup = "redirect"
)

// SetRedirect takes connections of the LAN to a proxy; nil ends that. To be called again when anything of it changes.
func (r *Router) SetRedirect(to *Redirect) error {
	if to == nil || len(to.Places) == 0 {
		return r.journal.Apply(redirectGroup, nil)
	}
	if err := r.journal.Apply(redirectGroup, r.params.planRedirect(*to)); err != nil {
		return errors.Join(fmt.Errorf("take connections of the LAN: %w", err), r.journal.Apply(redirectGroup, nil))
	}
	return nil
}

// redirectTable is the name of the table.
func (p Params) redirectTable() string { return p.NFTable + "_proxy" }

// proxyMark is for packets that TPROXY takes; it lies above all links'.
func (p Params) proxyMark() mark { return mark{p.MarkMask - 2*p.MarkStep, p.MarkMask} }

// planRedirect lists the table, and what makes packets with foreign addresses local for TPROXY. The table has an owner:
// if we die, the LAN's connections go their own way again.
func (p Params) planRedirect(to Redirect) (list []Object) {
	rules := to.Rules
	if len(rules) == 0 {
		rules = []RedirectRule{{}}
	}
	table := NFTable{Name: p.redirectTable(), Owned: true}
	take := NFChain{Name: "take"}
	first := NFChain{Name: "arriving", Type: "nat", Hook: "prerouting", Priority: afterHost}
	if to.TPROXY {
		first = NFChain{Name: "arriving", Type: "filter", Hook: "prerouting", Priority: mangle}
	}
	seen := map[string]bool{}
	for _, at := range to.Places {
		way := append([]nfPart{inBy(at.Device), onlyFamily(at.IPv6), protocol("tcp", false)}, p.taken(at, to.TPROXY)...)
		take.Rules = append(take.Rules, nfRule(way...))
		if !seen[at.Device] {
			seen[at.Device] = true
			if to.TPROXY { // also when the rules have changed since
				first.Rules = append(first.Rules, nfRule(inBy(at.Device), protocol("tcp", false), ownSocket(), p.proxyMark().set(), accept()))
			}
			first.Rules = append(first.Rules, nfRule(inBy(at.Device), protocol("tcp", false), jump("chosen")))
		}
	}
	table.Chains = append(table.Chains, take)
	chosen := NFChain{Name: "chosen", Rules: []NFRule{nfRule(toThisMachine(), goBack())}}
	for i, r := range rules {
		chains := r.chains(i)
		table.Chains = append(table.Chains, chains...)
		chosen.Rules = append(chosen.Rules, nfRule(jump(chains[len(chains)-1].Name)))
	}
	table.Chains = append(table.Chains, chosen, first)
	if to.TPROXY {
		m, lookup := p.proxyMark(), p.LinkTable+MaxLinks
		for _, v6 := range []bool{false, true} {
			list = append(list, LocalRoute{IPv6: v6, Table: lookup},
				Rule{IPv6: v6, Priority: p.innerPriority() + 2, Mark: m.value, Mask: m.mask, Table: lookup})
		}
	}
	return append(list, table)
}

// chains asks for one list after the other, the last chain first of all; the end is chain "take".
func (r RedirectRule) chains(number int) (list []NFChain) {
	next := "take"
	add := func(what string, parts []nfPart, before ...NFRule) {
		if len(parts) == 0 && len(before) == 0 {
			return
		}
		c := NFChain{Name: fmt.Sprintf("rule%d_%s", number, what), Rules: before}
		for _, part := range parts {
			c.Rules = append(c.Rules, nfRule(part, jump(next)))
		}
		if len(parts) == 0 {
			c.Rules = append(c.Rules, nfRule(jump(next)))
		}
		list, next = append(list, c), c.Name
	}
	var ports, sources, macs, destinations []nfPart
	for _, one := range r.Ports {
		ports = append(ports, toPortOrPorts(one))
	}
	for _, one := range r.Sources {
		sources = append(sources, sourceIn(one))
	}
	for _, one := range r.MACs {
		macs = append(macs, sentFrom(one))
	}
	for _, one := range r.Destinations {
		destinations = append(destinations, destinationIn(one))
	}
	add("ports", ports)
	add("sources", sources)
	add("macs", macs)
	var private []NFRule
	if len(r.Destinations) == 0 {
		for _, net := range localNets() {
			private = append(private, nfRule(destinationIn(net), goBack()))
		}
	}
	add("destinations", destinations, private...)
	return list
}

// taken are what ends a connection's way in the proxy.
func (p Params) taken(at RedirectPlace, tproxy bool) []nfPart {
	port := []byte{byte(at.Port >> 8), byte(at.Port)}
	load := &expr.Immediate{Register: 1, Data: port}
	if !tproxy {
		const specified = 0x2 // NF_NAT_RANGE_PROTO_SPECIFIED
		return []nfPart{{fmt.Sprintf("redirect to :%d", at.Port), []expr.Any{load, &expr.Redir{RegisterProtoMin: 1, Flags: specified}}}}
	}
	word, family := "ip", byte(unix.NFPROTO_IPV4)
	if at.IPv6 {
		word, family = "ip6", unix.NFPROTO_IPV6
	}
	return []nfPart{{fmt.Sprintf("tproxy %s to :%d", word, at.Port),
		[]expr.Any{load, &expr.TProxy{Family: family, TableFamily: unix.NFPROTO_INET, RegPort: 1}}}, p.proxyMark().set(), accept()}
}

func onlyFamily(v6 bool) nfPart {
	if v6 {
		return family6()
	}
	return family4()
}

// goBack returns to the chain that jumped here.
func goBack() nfPart { return verdict("return", expr.VerdictReturn) }

// toThisMachine is for packets to an address of this machine.
func toThisMachine() nfPart {
	return nfPart{"fib daddr type local", []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true}, equal(native32(unix.RTN_LOCAL)...)}}
}

// toPortOrPorts is toPorts, and says a single port as nft does.
func toPortOrPorts(p [2]uint16) nfPart {
	part := toPorts(p)
	if p[0] == p[1] {
		part.exprs = []expr.Any{part.exprs[0], equal(byte(p[0]>>8), byte(p[0]))}
	}
	return part
}

// sentFrom is for packets of a hardware address.
func sentFrom(mac [6]byte) nfPart {
	const sourceOffset = 6
	kind := native32(unix.ARPHRD_ETHER)[:2]
	if native32(1)[0] == 0 { // big endian: the number's own half
		kind = native32(unix.ARPHRD_ETHER)[2:]
	}
	return nfPart{fmt.Sprintf("ether saddr %02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: 1}, equal(kind...),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: sourceOffset, Len: uint32(len(mac))}, equal(mac[:]...)}}
}

// ownSocket is for packets of connections that a transparent socket of this machine has.
func ownSocket() nfPart {
	return nfPart{"socket transparent 1", []expr.Any{&expr.Socket{Key: expr.SocketKeyTransparent, Register: 1}, equal(1)}}
}

// LocalRoute makes every address one of this machine's, in a table of ours.
type LocalRoute struct {
	IPv6  bool
	Table int
}

// Command implements Object.
func (o LocalRoute) Command() string {
	return fmt.Sprintf("ip%s route replace local default dev lo table %d proto %d", family(o.to().Addr()), o.Table, Protocol)
}
func (o LocalRoute) key() string { return fmt.Sprintf("route %d %v", o.Table, o.to()) }

func (o LocalRoute) to() netip.Prefix {
	if o.IPv6 {
		return everything6
	}
	return everything4
}

func (k *kernel) localRoute(o LocalRoute) (func() error, bool, error) {
	lo, err := k.handle.LinkByName(loopback)
	if err != nil {
		return nil, false, err
	}
	at := Route{Table: o.Table, To: o.to(), Device: loopback}
	undo := func() error { return k.removeRoutes(at) }
	there, err := k.routes(at)
	if o.IPv6 && noIPv6(err) {
		return nil, false, nil
	}
	if err != nil || len(there) > 0 && there[0].Protocol == Protocol {
		return undo, false, err
	}
	return undo, true, k.handle.RouteReplace(&netlink.Route{Table: o.Table, Dst: ipNet(o.to()), LinkIndex: lo.Attrs().Index, Protocol: Protocol,
		Family: familyOf(o.to()), Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST})
}
