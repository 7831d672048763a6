package system

import (
	"fmt"
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
	// Peers are the routers, Isolate says that they reach each other only where ServicePeer.Reach allows it.
	Peers   []ServicePeer
	Isolate bool
	// AllowPrivate lets all peers reach the provider's private networks and the server's own services.
	AllowPrivate bool
	// Blocked are ports that peers do not reach anywhere.
	Blocked []Ports
	// Listen are the ports at which the portal itself is reached from outside.
	Listen []Ports
}

// ServicePeer is a router, as far as the server's firewall is concerned.
type ServicePeer struct {
	Owned        []netip.Prefix // its inner addresses
	Reach        []netip.Prefix // other peers' addresses it may speak to
	AllowPrivate bool
}

// Ports is a range of ports, both ends included, of "tcp", "udp", or "" for both.
type Ports struct {
	Proto       string
	First, Last uint16
}

// protocols are the transport protocols it stands for.
func (p Ports) protocols() []string {
	if p.Proto == "" {
		return []string{"tcp", "udp"}
	}
	return []string{p.Proto}
}

// String is "udp 6779", or "tcp 80-90".
func (p Ports) String() string { return p.Proto + " " + portsText([2]uint16{p.First, p.Last}, "-") }

// privateNets are what a peer must not reach through the server: private and shared networks (RFC 1918, 6598, 4193, 3879),
// link-local ones (RFC 3927, 4291), and the addresses at which clouds tell a machine its secrets.
func privateNets() (list []netip.Prefix) {
	for _, s := range []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
		"192.0.0.0/24", "168.63.129.16/32", // Oracle's and Azure's metadata beside 169.254.169.254
		"fc00::/7", "fe80::/10", "fec0::/10",
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// planService lists what lets peers reach the Internet through the server, but for the firewall.
func (p Params) planService(s Service) []Object {
	list := planDevice(s.Device, s.MTU, s.Addresses)
	if slices.ContainsFunc(s.Addresses, is4) && s.Uplink4 != "" {
		// Two devices suffice: IPv4 forwards by the setting of the device a packet comes in by.
		list = append(list, forwardIPv4(s.Device), forwardIPv4(s.Uplink4))
		// Peers must not be told of shorter ways to each other; besides, a redirect uses up what else could be said to them.
		// Either setting is enough to have redirects, so other devices keep theirs.
		list = append(list, noRedirects("all"), noRedirects(s.Device))
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

// planFirewall lists the firewall's part, there where the host's rules live.
func (p Params) planFirewall(s Service, w wayIn) (list []Object) {
	in, forward, nat := s.inputRules(), s.forwardRules(), s.natRules()
	v4, v6 := !w.held(false), !w.held(true)
	if v4 || v6 {
		table := NFTable{Name: p.NFTable}
		for _, c := range []NFChain{
			{Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: 100, Rules: nftRules(nat, v4, v6)},
			{Name: "input", Type: "filter", Hook: "input", Priority: 0, Rules: nftRules(in, v4, v6)},
			{Name: "forward", Type: "filter", Hook: "forward", Priority: 0, Rules: nftRules(forward, v4, v6)},
		} {
			if len(c.Rules) > 0 {
				table.Chains = append(table.Chains, c)
			}
		}
		list = append(list, table)
	}
	for i, backends := range w.xt {
		ipv6 := i == 1
		for j, b := range backends {
			chain := func(table, name, from string, rules []fwRule) {
				if specs := xtRules(rules, ipv6); len(specs) > 0 {
					list = append(list, XTChain{IPv6: ipv6, Backend: b, Table: table, Chain: p.xtPrefix() + "-" + name, From: from, Rules: specs})
				}
			}
			chain("filter", "IN", "INPUT", in)
			chain("filter", "FWD", "FORWARD", forward)
			if j == 0 { // one translation is enough
				chain("nat", "NAT", "POSTROUTING", nat)
			}
		}
	}
	if w.firewalld {
		list = append(list, FirewalldZone{Zone: firewalldZone, Device: s.Device})
		for _, port := range s.Listen {
			for _, proto := range port.protocols() {
				list = append(list, FirewalldPort{s.Uplink4, fmt.Sprintf("%s/%s", portsText([2]uint16{port.First, port.Last}, "-"), proto), s.Device})
			}
		}
	}
	return list
}

// inputRules are for packets to the server itself: the portal is reached from outside, and peers reach nothing else.
func (s Service) inputRules() (list []fwRule) {
	for _, port := range s.Listen {
		for _, proto := range port.protocols() {
			list = append(list, fwRule{proto: proto, ports: [2]uint16{port.First, port.Last}, do: doAccept})
		}
	}
	list = append(list, fwRule{in: s.Device, answers: true, do: doAccept}, fwRule{in: s.Device, proto: "icmp", do: doAccept})
	for _, peer := range s.Peers {
		if s.AllowPrivate || peer.AllowPrivate {
			list = append(list, fromEach(peer.Owned, fwRule{in: s.Device, do: doAccept})...)
		}
	}
	return append(list, fwRule{in: s.Device, do: doReject})
}

// forwardRules are for packets through the server: peers get out, answers in, and nobody else in from outside.
func (s Service) forwardRules() (list []fwRule) {
	list = append(list, fwRule{in: s.Device, do: doClamp, mss: s.MTU}, fwRule{out: s.Device, do: doClamp, mss: s.MTU},
		fwRule{in: s.Device, answers: true, do: doAccept})
	list = append(list, s.isolation()...)
	for _, port := range s.Blocked {
		for _, proto := range port.protocols() {
			list = append(list, fwRule{in: s.Device, proto: proto, ports: [2]uint16{port.First, port.Last}, do: doReject})
		}
	}
	if !s.AllowPrivate {
		for _, peer := range s.Peers {
			if peer.AllowPrivate {
				list = append(list, fromEach(peer.Owned, fwRule{in: s.Device, do: doAccept})...)
			}
		}
		for _, net := range privateNets() {
			list = append(list, fwRule{in: s.Device, dst: net, do: doReject})
		}
	}
	return append(list, fwRule{in: s.Device, do: doAccept}, fwRule{out: s.Device, answers: true, do: doAccept}, fwRule{out: s.Device, do: doDrop})
}

// isolation is for packets from one peer to another.
func (s Service) isolation() (list []fwRule) {
	between := fwRule{in: s.Device, out: s.Device, do: doAccept}
	if !s.Isolate {
		return []fwRule{between}
	}
	for _, peer := range s.Peers {
		for _, to := range peer.Reach {
			rule := between
			rule.dst = to
			list = append(list, fromEach(peer.Owned, rule)...)
		}
	}
	between.do = doReject
	return append(list, between)
}

// fromEach is rule for each source of the same family as its destination.
func fromEach(sources []netip.Prefix, rule fwRule) (list []fwRule) {
	for _, src := range sources {
		if !rule.dst.IsValid() || is4(rule.dst) == is4(src) {
			rule.src = src
			list = append(list, rule)
		}
	}
	return list
}

// natRules let what peers send leave from the uplink's address.
func (s Service) natRules() (list []fwRule) {
	if !s.NAT {
		return nil
	}
	for _, a := range s.Addresses {
		if uplink := s.uplink(a); uplink != "" {
			list = append(list, fwRule{src: a.Masked(), out: uplink, do: doMasquerade})
		}
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

func noRedirects(device string) Sysctl {
	return Sysctl{Key: []string{"net", "ipv4", "conf", device, "send_redirects"}, Value: "0"}
}
