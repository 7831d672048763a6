package system

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// outNotBy is for packets that leave by another device.
func outNotBy(name string) nfPart {
	p := device("oifname !=", expr.MetaKeyOIFNAME, name)
	p.exprs[1].(*expr.Cmp).Op = expr.CmpOpNeq
	return p
}

// fresh is for the first packet of a connection.
func fresh() nfPart {
	state := binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW)
	return nfPart{"ct state new", []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: state, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}}
}

// backwards is for packets that go the other way than the first one of their connection.
func backwards() nfPart {
	const reply = 1 // IP_CT_DIR_REPLY
	return nfPart{"ct direction reply", []expr.Any{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1}, equal(reply)}}
}

// A mark has our bits in a mask and leaves the others to others.
type mark struct{ value, mask uint32 }

func (m mark) masked() *expr.Bitwise {
	return &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native32(m.mask), Xor: make([]byte, 4)}
}

// written leaves other bits as they are.
func (m mark) written() *expr.Bitwise {
	return &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native32(^m.mask), Xor: native32(m.value)}
}

func native32(v uint32) []byte { return binaryutil.NativeEndian.PutUint32(v) }

func loadMark() expr.Any { return &expr.Meta{Key: expr.MetaKeyMARK, Register: 1} }
func loadCt() expr.Any   { return &expr.Ct{Key: expr.CtKeyMARK, Register: 1} }

// marked is for packets with the mark.
func (m mark) marked() nfPart {
	return nfPart{fmt.Sprintf("meta mark & 0x%08x == 0x%08x", m.mask, m.value),
		[]expr.Any{loadMark(), m.masked(), equal(native32(m.value)...)}}
}

// connection is for packets of connections with the mark.
func (m mark) connection() nfPart {
	return nfPart{fmt.Sprintf("ct mark & 0x%08x == 0x%08x", m.mask, m.value),
		[]expr.Any{loadCt(), m.masked(), equal(native32(m.value)...)}}
}

// set marks the packet.
func (m mark) set() nfPart {
	return nfPart{fmt.Sprintf("meta mark set meta mark & 0x%08x | 0x%08x", ^m.mask, m.value),
		[]expr.Any{loadMark(), m.written(), &expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true}}}
}

// setConnection marks the connection.
func (m mark) setConnection() nfPart {
	return nfPart{fmt.Sprintf("ct mark set ct mark & 0x%08x | 0x%08x", ^m.mask, m.value),
		[]expr.Any{loadCt(), m.written(), &expr.Ct{Key: expr.CtKeyMARK, Register: 1, SourceRegister: true}}}
}

// sentBy is for packets of sockets that a user opened.
func sentBy(uid int) nfPart {
	return nfPart{fmt.Sprintf("meta skuid %d", uid), []expr.Any{
		&expr.Meta{Key: expr.MetaKeySKUID, Register: 1}, equal(native32(uint32(uid))...)}}
}

// nameQuery is for queries to name servers, over UDP or TCP.
func nameQuery(proto byte) nfPart {
	name := map[byte]string{unix.IPPROTO_UDP: "udp", unix.IPPROTO_TCP: "tcp"}[proto]
	const portOffset = 2 // of the destination port, in both protocols
	return nfPart{name + " dport 53", []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal(proto),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: portOffset, Len: 2}, equal(0, namePort),
	}}
}

// namePort is DNS's (RFC 1035).
const namePort = 53

// redirect sends packets of the address's family to it.
func redirect(to netip.Addr) nfPart {
	text, family, check := "ip", uint32(unix.NFPROTO_IPV4), family4()
	if to.Is6() {
		text, family, check = "ip6", unix.NFPROTO_IPV6, family6()
	}
	return nfPart{fmt.Sprintf("meta nfproto %s dnat %s to %v", map[bool]string{false: "ipv4", true: "ipv6"}[to.Is6()], text, to), append(check.exprs,
		&expr.Immediate{Register: 1, Data: to.AsSlice()},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: 1, RegAddrMax: 1})}
}

// prohibit refuses a packet and tells its sender at once.
func prohibit() nfPart {
	return nfPart{"reject with icmpx admin-prohibited", []expr.Any{
		&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}}
}

// bound is for packets whose destination lies in p.
func bound(p netip.Prefix) nfPart {
	part := sourceIn(p)
	const behindSource4, behindSource6 = 16, 24 // offsets of the destination address
	payload := part.exprs[2].(*expr.Payload)
	text := "ip"
	payload.Offset = behindSource4
	if p.Addr().Is6() {
		text, payload.Offset = "ip6", behindSource6
	}
	part.text = fmt.Sprintf("%s daddr %v", text, p)
	return part
}

// jump goes through another chain of the table and comes back unless that decided.
func jump(chain string) nfPart {
	return nfPart{"jump " + chain, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}}
}

func accept() nfPart { return verdict("accept", expr.VerdictAccept) }
func drop() nfPart   { return verdict("drop", expr.VerdictDrop) }
