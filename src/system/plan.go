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

// Service is the server's side, as the system shall show it.
type Service struct {
	Device    string
	MTU       int
	Addresses []netip.Prefix // the server's inner addresses; their prefixes are where the peers are
	Uplink4   string         // device to the IPv4 Internet; empty: none
	Uplink6   string
	// NAT lets what the peers send leave from the uplink's address.
	NAT bool
	// Neighbours are the devices that may live by router advertisements, which end where IPv6 is forwarded unless told otherwise.
	Neighbours []string
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

// planService lists what lets peers reach the Internet through the server.
func (p Params) planService(s Service) []Object {
	list := planDevice(s.Device, s.MTU, s.Addresses)
	table := NFTable{Name: p.NFTable, Chains: []NFChain{clampChain(s.Device, s.MTU), forwardChain(s.Device)}}
	var nat []NFRule
	if s.NAT {
		for _, a := range s.Addresses {
			if uplink := s.uplink(a); uplink != "" {
				nat = append(nat, nfRule(sourceIn(a.Masked()), outBy(uplink), masquerade()))
			}
		}
	}
	if len(nat) > 0 {
		table.Chains = append([]NFChain{natChain(nat...)}, table.Chains...)
	}
	list = append(list, table)
	if slices.ContainsFunc(s.Addresses, is4) && s.Uplink4 != "" {
		// Two devices suffice: IPv4 forwards by the setting of the device a packet comes in by.
		list = append(list, forwardIPv4(s.Device), forwardIPv4(s.Uplink4))
	}
	if slices.ContainsFunc(s.Addresses, is6) && s.Uplink6 != "" {
		for _, device := range s.Neighbours {
			ra := []string{"net", "ipv6", "conf", device, "accept_ra"}
			list = append(list, Sysctl{Key: ra, Value: "2", If: []Condition{{ra, "1"}}})
		}
		list = append(list, Sysctl{Key: []string{"net", "ipv6", "conf", "all", "forwarding"}, Value: "1"})
	}
	return list
}

func (s Service) uplink(p netip.Prefix) string {
	if is6(p) {
		return s.Uplink6
	}
	return s.Uplink4
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

func forwardIPv4(device string) Sysctl {
	return Sysctl{Key: []string{"net", "ipv4", "conf", device, "forwarding"}, Value: "1"}
}

func is4(p netip.Prefix) bool { return p.Addr().Is4() }
func is6(p netip.Prefix) bool { return p.Addr().Is6() }
