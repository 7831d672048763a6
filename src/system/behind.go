package system

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Behind is where an address of the LAN is.
type Behind struct {
	// Device is the one that its packets come in by; MAC is its hardware address, all zero if the kernel knows none, as of what is
	// behind another router.
	Device string
	MAC    [6]byte
}

// FindBehind asks the kernel where an address is: a way that leads there is the way that its packets come, in every LAN of a home.
func FindBehind(a netip.Addr) (b Behind, err error) {
	routes, err := netlink.RouteGet(a.AsSlice())
	if err != nil || len(routes) == 0 {
		return b, fmt.Errorf("find the device that leads to %s: %w", a, err)
	}
	index := routes[0].LinkIndex
	device, err := net.InterfaceByIndex(index)
	if err != nil {
		return b, fmt.Errorf("find the device that leads to %s: %w", a, err)
	}
	b.Device = device.Name
	family := netlink.FAMILY_V4
	if a.Is6() {
		family = netlink.FAMILY_V6
	}
	list, err := netlink.NeighList(index, family)
	if err != nil {
		return b, fmt.Errorf("list neighbours on %s: %w", device.Name, err)
	}
	for _, n := range list {
		if at, ok := netip.AddrFromSlice(n.IP); ok && at.Unmap() == a && len(n.HardwareAddr) == len(b.MAC) {
			b.MAC = [6]byte(n.HardwareAddr)
		}
	}
	return b, nil
}
