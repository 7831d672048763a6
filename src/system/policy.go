package system

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// fwRule is one rule of the firewall in no particular language: every field that is set must match. It prints as a rule
// of nftables (nft) and as one of iptables (xt).
type fwRule struct {
	in, out  string       // devices
	src, dst netip.Prefix // of one family
	proto    string       // "tcp", "udp", "icmp" (of the packet's family); empty: any
	ports    [2]uint16    // first and last destination port; zero: any
	answers  bool         // packets of connections that exist
	do       fwAction
	mss      int // with doClamp: what an inner packet holds, with all headers (the MTU)
}

type fwAction uint8

const (
	doAccept fwAction = iota + 1
	doReject          // and say so, that the other side gives up at once
	doDrop
	doMasquerade
	doClamp // lower the MSS that SYNs offer, and go on
	doCatch // count, and take away; nftables only
)

// families are those a rule can match: an address settles it.
func (r fwRule) families() (v4, v6 bool) {
	for _, p := range []netip.Prefix{r.src, r.dst} {
		if p.IsValid() {
			return is4(p), is6(p)
		}
	}
	return true, true
}

// nft is the rule for nftables, for the families asked for; ok is false if it matches none of them.
func (r fwRule) nft(v4, v6 bool) (list []NFRule) {
	own4, own6 := r.families()
	split := r.do == doClamp || r.proto == "icmp" // these are spelt differently
	addressed := own4 != own6
	switch {
	case (own4 && v4) && (own6 && v6) && !split:
		return []NFRule{r.nftRule(0)}
	case addressed && (own4 && v4 || own6 && v6):
		return []NFRule{r.nftRule(0)}
	}
	if own4 && v4 {
		list = append(list, r.nftRule(unix.NFPROTO_IPV4))
	}
	if own6 && v6 {
		list = append(list, r.nftRule(unix.NFPROTO_IPV6))
	}
	return list
}

// nftRule writes the rule; family 0 needs no word about it.
func (r fwRule) nftRule(family byte) NFRule {
	var parts []nfPart
	switch family {
	case unix.NFPROTO_IPV4:
		parts = append(parts, family4())
	case unix.NFPROTO_IPV6:
		parts = append(parts, family6())
	}
	if r.in != "" {
		parts = append(parts, inBy(r.in))
	}
	if r.out != "" {
		parts = append(parts, outBy(r.out))
	}
	if r.src.IsValid() {
		parts = append(parts, sourceIn(r.src.Masked()))
	}
	if r.dst.IsValid() {
		parts = append(parts, destinationIn(r.dst.Masked()))
	}
	if r.proto != "" {
		parts = append(parts, protocol(r.proto, family == unix.NFPROTO_IPV6))
	}
	if r.ports != [2]uint16{} {
		parts = append(parts, toPorts(r.ports))
	}
	if r.answers {
		parts = append(parts, answers())
	}
	switch r.do {
	case doAccept:
		parts = append(parts, verdict("accept", expr.VerdictAccept))
	case doReject:
		parts = append(parts, reject())
	case doDrop:
		parts = append(parts, verdict("drop", expr.VerdictDrop))
	case doMasquerade:
		parts = append(parts, masquerade())
	case doCatch:
		parts = append(parts, nfPart{"counter", []expr.Any{&expr.Counter{}}}, verdict("drop", expr.VerdictDrop))
	case doClamp:
		headers := tcpOverIPv4Bytes
		if family == unix.NFPROTO_IPV6 {
			headers = tcpOverIPv6Bytes
		}
		parts = append(parts, synchronize(), maxSegment(r.mss-headers))
	}
	return nfRule(parts...)
}

// xt is the rule for iptables or ip6tables, as the program itself would list it; ok is false if it is for the other family.
func (r fwRule) xt(ipv6 bool) (spec []string, ok bool) {
	v4, v6 := r.families()
	if ipv6 && !v6 || !ipv6 && !v4 {
		return nil, false
	}
	var s []string
	if r.src.IsValid() {
		s = append(s, "-s", r.src.Masked().String())
	}
	if r.dst.IsValid() {
		s = append(s, "-d", r.dst.Masked().String())
	}
	if r.in != "" {
		s = append(s, "-i", r.in)
	}
	if r.out != "" {
		s = append(s, "-o", r.out)
	}
	s = append(s, r.xtProtocol(ipv6)...)
	if r.answers {
		s = append(s, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
	}
	s = append(s, "-m", "comment", "--comment", ruleComment)
	return append(s, r.xtTarget(ipv6)...), true
}

func (r fwRule) xtProtocol(ipv6 bool) []string {
	switch {
	case r.do == doClamp:
		return []string{"-p", "tcp", "-m", "tcp", "--tcp-flags", "SYN,RST", "SYN"}
	case r.proto == "icmp" && ipv6:
		return []string{"-p", "ipv6-icmp"}
	case r.proto == "":
		return nil
	}
	s := []string{"-p", r.proto}
	if r.ports != [2]uint16{} {
		s = append(s, "-m", r.proto, "--dport", portsText(r.ports, ":"))
	}
	return s
}

func (r fwRule) xtTarget(ipv6 bool) []string {
	switch r.do {
	case doReject:
		if ipv6 {
			return []string{"-j", "REJECT", "--reject-with", "icmp6-adm-prohibited"}
		}
		return []string{"-j", "REJECT", "--reject-with", "icmp-admin-prohibited"}
	case doDrop:
		return []string{"-j", "DROP"}
	case doMasquerade:
		return []string{"-j", "MASQUERADE"}
	case doClamp:
		headers := tcpOverIPv4Bytes
		if ipv6 {
			headers = tcpOverIPv6Bytes
		}
		return []string{"-j", "TCPMSS", "--set-mss", fmt.Sprint(r.mss - headers)}
	}
	return []string{"-j", "ACCEPT"}
}

func portsText(p [2]uint16, dash string) string {
	if p[0] == p[1] {
		return fmt.Sprint(p[0])
	}
	return fmt.Sprint(p[0], dash, p[1])
}

// nftRules writes a whole chain.
func nftRules(rules []fwRule, v4, v6 bool) (list []NFRule) {
	for _, r := range rules {
		list = append(list, r.nft(v4, v6)...)
	}
	return list
}

// xtRules writes a whole chain.
func xtRules(rules []fwRule, ipv6 bool) (list [][]string) {
	for _, r := range rules {
		if spec, ok := r.xt(ipv6); ok {
			list = append(list, spec)
		}
	}
	return list
}

// destinationIn is for packets whose destination lies in p.
func destinationIn(p netip.Prefix) nfPart {
	part := sourceIn(p)
	part.text = strings.Replace(part.text, "saddr", "daddr", 1)
	for _, e := range part.exprs {
		if load, ok := e.(*expr.Payload); ok {
			load.Offset += uint32(p.Addr().BitLen() / 8) // the destination follows the source
		}
	}
	return part
}

// protocol is for packets of a transport protocol.
func protocol(name string, ipv6 bool) nfPart {
	number := map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "icmp": unix.IPPROTO_ICMP}[name]
	if name == "icmp" && ipv6 {
		name, number = "ipv6-icmp", unix.IPPROTO_ICMPV6
	}
	return nfPart{"meta l4proto " + name, []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal(number)}}
}

// toPorts is for packets of TCP or UDP to ports; the protocol is asked for before.
func toPorts(p [2]uint16) nfPart {
	const portOffset = 2
	big := func(port uint16) []byte { return []byte{byte(port >> 8), byte(port)} }
	return nfPart{"th dport " + portsText(p, "-"), []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: portOffset, Len: 2},
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: big(p[0])},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: big(p[1])},
	}}
}

// reject refuses a packet with ICMP.
func reject() nfPart {
	return nfPart{"reject with icmpx type admin-prohibited", []expr.Any{
		&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED},
	}}
}
