package system

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// LinkState is what the system knows about a link's device now.
type LinkState struct {
	Device   string
	Index    int
	Carrier  bool // up, and something at the other end
	MTU      int
	IPv4     []netip.Addr // usable addresses, in the kernel's order
	IPv6     []netip.Addr // global ones only; those that are tentative or deprecated are left out
	Gateway4 netip.Addr   // of the default route through this device, from any table; invalid: on the link itself, or none
	Gateway6 netip.Addr
	Filtered bool   // IPv4 packets that come in by it are held against the reverse path
	Tunnel   bool   // it carries its packets inside others
	Received uint64 // bytes since the device was made, as the system counts them, of all programs
	Sent     uint64
}

// resolve reads the state of a device.
func (k *kernel) resolve(device string) (LinkState, error) {
	link, err := k.handle.LinkByName(device)
	if err != nil {
		return LinkState{}, fmt.Errorf("find device %s: %w", device, err)
	}
	a := link.Attrs()
	s := LinkState{Device: a.Name, Index: a.Index, MTU: a.MTU, Carrier: a.Flags&net.FlagUp != 0 && a.RawFlags&unix.IFF_LOWER_UP != 0}
	if c := a.Statistics; c != nil {
		s.Received, s.Sent = c.RxBytes, c.TxBytes
	}
	if s.IPv4, err = k.addresses(link, unix.AF_INET); err == nil {
		s.IPv6, err = k.addresses(link, unix.AF_INET6)
	}
	if err == nil {
		s.Gateway4, err = k.gateway(s.Index, unix.AF_INET)
	}
	if err == nil {
		s.Gateway6, err = k.gateway(s.Index, unix.AF_INET6)
	}
	if err != nil {
		return LinkState{}, fmt.Errorf("read state of device %s: %w", device, err)
	}
	s.Filtered, s.Tunnel = k.filtered(device), slices.Contains(tunnelKinds(), link.Type())
	return s, nil
}

// tunnelKinds are the kernel's names of devices that carry packets inside others.
func tunnelKinds() []string {
	return []string{"tun", "tuntap", "wireguard", "amneziawg", "ovpn", "gre", "ip6gre", "gretap", "ip6gretap", "ipip", "sit", "ip6tnl", "vti", "vti6",
		"xfrm", "vxlan", "geneve", "fou", "l2tp"}
}

func (k *kernel) addresses(link netlink.Link, family int) (list []netip.Addr, err error) {
	var addrs []netlink.Addr
	err = steady(func() (err error) {
		addrs, err = k.handle.AddrList(link, family)
		return err
	})
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ok = ok && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED|unix.IFA_F_DEPRECATED) == 0; !ok {
			continue
		}
		if ip = ip.Unmap(); ip.Is4() || ip.IsGlobalUnicast() {
			list = append(list, ip)
		}
	}
	return list, err
}

// gateway finds the gateway of the best default route through a device, in any table but those we made.
func (k *kernel) gateway(index, family int) (best netip.Addr, err error) {
	routes, err := k.listRoutes(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	found := false
	var rank [2]int
	for _, r := range routes {
		gw, ours := gatewayOf(r, index)
		if !ours || r.Protocol == Protocol || destination(r).Bits() != 0 || r.Type != unix.RTN_UNICAST {
			continue
		}
		this := [2]int{r.Priority, 1}
		if r.Table == mainTable {
			this[1] = 0
		}
		if !found || this[0] < rank[0] || this[0] == rank[0] && this[1] < rank[1] {
			found, best, rank = true, gw, this
		}
	}
	return best, err
}

// gatewayOf gives a route's gateway through the device; ok is false if it does not lead there.
func gatewayOf(r netlink.Route, index int) (gw netip.Addr, ok bool) {
	if r.LinkIndex == index {
		gw, _ = netip.AddrFromSlice(r.Gw)
		return gw.Unmap(), true
	}
	for _, hop := range r.MultiPath {
		if hop.LinkIndex == index {
			gw, _ = netip.AddrFromSlice(hop.Gw)
			return gw.Unmap(), true
		}
	}
	return netip.Addr{}, false
}

// uplink finds the device of the best default route in table main; empty if there is none.
func (k *kernel) uplink(family int) (string, error) {
	routes, err := k.listRoutes(family, &netlink.Route{Table: mainTable}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return "", fmt.Errorf("find the default route: %w", err)
	}
	var best *netlink.Route
	for i, r := range routes {
		if destination(r).Bits() == 0 && r.Type == unix.RTN_UNICAST && (best == nil || r.Priority < best.Priority) {
			best = &routes[i]
		}
	}
	if best == nil {
		return "", nil
	}
	index := best.LinkIndex
	if index == 0 && len(best.MultiPath) > 0 {
		index = best.MultiPath[0].LinkIndex
	}
	link, err := k.handle.LinkByIndex(index)
	if err != nil {
		return "", fmt.Errorf("find the device of the default route: %w", err)
	}
	return link.Attrs().Name, nil
}

// neighbours lists the devices other than the loopback and the given one.
func (k *kernel) neighbours(but string) (names []string, err error) {
	links, err := k.handle.LinkList()
	for _, l := range links {
		if a := l.Attrs(); a.Flags&net.FlagLoopback == 0 && a.Name != but {
			names = append(names, a.Name)
		}
	}
	return names, err
}
