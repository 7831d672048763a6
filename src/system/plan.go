package system

import (
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Tunnel is the router's side of a session, as the system shall show it.
type Tunnel struct {
	Device    string
	MTU       int            // inner MTU in bytes
	Addresses []netip.Prefix // inner addresses, with the prefix of each
	LAN       []string       // devices whose traffic goes into the tunnel; they need not exist
	IPv6      IPv6Policy     // what becomes of the LAN's IPv6
	DNS       *DNS           // nil: look-ups are left as they are
	// Own takes the router's own traffic into the tunnel too, but for time, for answers from a link's address, and for
	// what carries a mark of ours. It is left out while a link is a tunnel itself, whose packets would go in circles.
	Own bool

	filtered bool // IPv4 packets from the device are held against the reverse path
	noIPv6   bool // the system has none
}

// IPv6Policy says what becomes of the LAN's IPv6.
type IPv6Policy uint8

const (
	// IPv6Tunnel takes it into the tunnel, and refuses it at once if there is no inner IPv6 address.
	IPv6Tunnel IPv6Policy = iota
	// IPv6Reject refuses it at once.
	IPv6Reject
	// IPv6Direct leaves it alone.
	IPv6Direct
)

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
	return append(list, passFilter(l.Device)...)
}

// planTunnel lists what brings the LAN's traffic into the tunnel, last the rules that make it so.
func (p Params) planTunnel(t Tunnel) []Object {
	var list []Object
	if !t.noIPv6 { // without an address of the link, the kernel does not look for routers in the tunnel
		list = append(list, Sysctl{Key: []string{"net", "ipv6", "conf", t.Device, "addr_gen_mode"}, Value: "1"})
	}
	list = append(list, planDevice(t.Device, t.MTU, t.Addresses)...)
	four, six := slices.ContainsFunc(t.Addresses, is4), slices.ContainsFunc(t.Addresses, is6)
	refuse := t.refusesIPv6()
	if refuse && !six {
		list = append(list, Sysctl{Key: []string{"net", "ipv6", "conf", t.Device, "disable_ipv6"}, Value: "0"})
	}
	if four {
		list = append(list, passFilter(t.Device)...)
		list = append(list, Route{Table: p.Table, To: everything4, Device: t.Device})
	}
	if six || refuse {
		list = append(list, Route{Table: p.Table, To: everything6, Device: t.Device})
	}
	table := NFTable{Name: p.NFTable, Chains: []NFChain{
		natChain(nfRule(outBy(t.Device), masquerade())),
		clampChain(t.Device, t.MTU),
	}}
	if refuse {
		// Refused on its way to the tunnel: so what has another way, to a guest net or another VPN, keeps it.
		table.Chains = append(table.Chains, NFChain{Name: "refuse", Type: "filter", Hook: "forward", Priority: beforeFilter,
			Rules: []NFRule{nfRule(outBy(t.Device), family6(), prohibit())}})
	}
	list = append(list, table)
	if t.filtered && four {
		m := p.innerMark()
		list = append(list,
			Rule{Priority: p.innerPriority(), Mark: m.value, Mask: m.mask, Table: mainTable, SuppressDefault: true},
			Rule{Priority: p.innerPriority() + 1, Mark: m.value, Mask: m.mask, Table: p.Table})
	}
	for _, lan := range t.LAN {
		for _, v6 := range []bool{false, true} {
			if v6 && t.IPv6 == IPv6Direct {
				continue
			}
			// Other LANs, guest nets, static routes and other VPNs stay as they are: only what would take main's default route is ours.
			list = append(list,
				Rule{IPv6: v6, Priority: p.LANPriority, In: lan, Table: mainTable, SuppressDefault: true},
				Rule{IPv6: v6, Priority: p.TunPriority, In: lan, Table: p.Table})
		}
	}
	return list
}

// refusesIPv6 reports whether the LAN's IPv6 has no way out.
func (t Tunnel) refusesIPv6() bool {
	return !t.noIPv6 && (t.IPv6 == IPv6Reject || t.IPv6 == IPv6Tunnel && !slices.ContainsFunc(t.Addresses, is6))
}

// loopback is where the rules of the system's own packets begin.
const loopback = "lo"

// timePort is NTP's: a clock that is set over the tunnel would be set late, and the tunnel needs none.
const timePort = 123

// planOwn lists the rules that take the router's own traffic into the tunnel.
func (p Params) planOwn(links map[int]LinkState, t Tunnel) (list []Object) {
	for _, v6 := range []bool{false, true} {
		inner := is4
		if v6 {
			inner = is6
		}
		if !slices.ContainsFunc(t.Addresses, inner) {
			continue
		}
		list = append(list, Rule{IPv6: v6, Priority: p.LANPriority - 2, In: loopback, Proto: unix.IPPROTO_UDP, Port: timePort, Table: mainTable})
		var seen []netip.Addr
		for _, i := range slices.Sorted(maps.Keys(links)) {
			for _, a := range links[i].addresses(v6) {
				if !slices.Contains(seen, a) { // three modems may give one address
					seen = append(seen, a)
					list = append(list, Rule{IPv6: v6, Priority: p.LANPriority - 1, In: loopback, From: netip.PrefixFrom(a, a.BitLen()), Table: p.LinkTable + i})
				}
			}
		}
		list = append(list,
			Rule{IPv6: v6, Priority: p.LANPriority, In: loopback, Table: mainTable, SuppressDefault: true},
			Rule{IPv6: v6, Priority: p.TunPriority, In: loopback, Table: p.Table})
	}
	return list
}

func (l LinkState) addresses(v6 bool) []netip.Addr {
	if v6 {
		return l.IPv6
	}
	return l.IPv4
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
