package system

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// OverlapError says that inner addresses are already the addresses of a network of this machine.
type OverlapError struct {
	Inner, Local netip.Prefix
	Device       string
}

// Error names both, in a sentence.
func (e *OverlapError) Error() string {
	return fmt.Sprintf("the tunnel's network %v overlaps %v on %s: one of them must get other addresses", e.Inner.Masked(), e.Local.Masked(), e.Device)
}

// overlap returns an *OverlapError if a device other than tun has a network that overlaps one of list.
func (k *kernel) overlap(tun string, list []netip.Prefix) error {
	links, err := k.handle.LinkList()
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	for _, l := range links {
		a := l.Attrs()
		if a.Name == tun || a.Flags&net.FlagLoopback != 0 {
			continue
		}
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			addrs, err := k.handle.AddrList(l, family)
			if err != nil {
				continue // the device went just now, or there is no IPv6
			}
			for _, addr := range addrs {
				ip, _ := netip.AddrFromSlice(addr.IP)
				bits, _ := addr.Mask.Size()
				own := netip.PrefixFrom(ip.Unmap(), bits)
				for _, inner := range list {
					if own.IsValid() && inner.Masked().Overlaps(own) {
						return &OverlapError{inner, own, a.Name}
					}
				}
			}
		}
	}
	return nil
}

// Overlaps returns an *OverlapError if the tunnel's addresses are those of another network of the router.
func (r *Router) Overlaps(t Tunnel) error { return r.kernel.overlap(t.Device, t.Addresses) }
