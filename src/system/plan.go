package system

import (
	"net/netip"
	"slices"
)

// Tunnel is the router's side of a session, as the system shall show it.
type Tunnel struct {
	Device    string
	MTU       int            // inner MTU in bytes
	Addresses []netip.Prefix // inner addresses, with the prefix of each
	LAN       []string       // devices whose traffic goes into the tunnel; they need not exist
}

var (
	everything4 = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	everything6 = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
)

// planLink lists what makes packets with the mark of link i leave by it, whatever other routes say.
func (p Params) planLink(i int, l LinkState) []Object {
	table, mark := p.LinkTable+i, p.LinkMark(i)
	var list []Object
	if len(l.IPv4) > 0 {
		list = append(list, Route{Table: table, To: everything4, Device: l.Device, Gateway: l.Gateway4})
	}
	if len(l.IPv6) > 0 {
		list = append(list, Route{Table: table, To: everything6, Device: l.Device, Gateway: l.Gateway6})
	}
	for _, v6 := range []bool{false, true} {
		list = append(list, Rule{IPv6: v6, Priority: p.LinkPriority + i, Mark: mark, Mask: p.MarkMask, Table: table})
	}
	// A strict filter drops answers that come by a link other than the main table's best; a loose one does not.
	filter := []string{"net", "ipv4", "conf", l.Device, "rp_filter"}
	all := []string{"net", "ipv4", "conf", "all", "rp_filter"}
	return append(list, Sysctl{Key: filter, Value: "2", If: []Condition{{filter, "1"}, {all, "1"}}})
}

// planTunnel lists what brings the LAN's traffic into the tunnel, last the rules that make it so.
func (p Params) planTunnel(t Tunnel) []Object {
	list := planDevice(t.Device, t.MTU, t.Addresses)
	if slices.ContainsFunc(t.Addresses, is4) {
		list = append(list, Route{Table: p.Table, To: everything4, Device: t.Device})
	}
	if slices.ContainsFunc(t.Addresses, is6) {
		list = append(list, Route{Table: p.Table, To: everything6, Device: t.Device})
	}
	list = append(list, NFTable{Name: p.NFTable, Chains: []NFChain{
		natChain(nfRule(outBy(t.Device), masquerade())),
		clampChain(t.Device, t.MTU),
	}})
	for _, lan := range t.LAN {
		for _, v6 := range []bool{false, true} {
			// Other LANs, guest nets, static routes and other VPNs stay as they are: only what would take main's default route is ours.
			list = append(list,
				Rule{IPv6: v6, Priority: p.LANPriority, In: lan, Table: mainTable, SuppressDefault: true},
				Rule{IPv6: v6, Priority: p.TunPriority, In: lan, Table: p.Table})
		}
	}
	return list
}

func planDevice(device string, mtu int, addresses []netip.Prefix) []Object {
	list := []Object{LinkMTU{device, mtu}}
	if slices.ContainsFunc(addresses, is6) { // a system may have IPv6 off for all that is not told otherwise
		list = append(list, Sysctl{Key: []string{"net", "ipv6", "conf", device, "disable_ipv6"}, Value: "0"})
	}
	for _, a := range addresses {
		list = append(list, Addr{device, a})
	}
	return append(list, LinkUp{device})
}

func is4(p netip.Prefix) bool { return p.Addr().Is4() }
func is6(p netip.Prefix) bool { return p.Addr().Is6() }
