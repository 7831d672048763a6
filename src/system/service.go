package system

import (
	"net/netip"
	"slices"
)

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

func forwardIPv4(device string) Sysctl {
	return Sysctl{Key: []string{"net", "ipv4", "conf", device, "forwarding"}, Value: "1"}
}
