package system

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// NFTable is an nft table of ours (family inet), as a whole: it is replaced in one transaction.
type NFTable struct {
	Name   string
	Chains []NFChain
	// Owned: nobody else can change or flush it while we run, and it goes with us, however we end. Kernels before 5.12 make
	// it a plain table.
	Owned bool
	// Kept: it stays when we end.
	Kept bool
}

// NFChain is a base chain with policy accept, or without Hook a chain to jump to, which must stand before the jump.
type NFChain struct {
	Name     string
	Type     string // "nat", "filter" or "route"
	Hook     string // "prerouting", "input", "forward", "output" or "postrouting"
	Priority int
	Rules    []NFRule
}

// NFRule is a rule, once as text and once as the kernel takes it. Both are built from the same parts.
type NFRule struct {
	Text  string
	exprs []expr.Any
}

// Command implements Object.
func (t NFTable) Command() string {
	flags := ""
	if t.Owned {
		flags = "flags owner; "
	}
	return fmt.Sprintf("nft 'table inet %s { %s%s }'", t.Name, flags, strings.TrimSpace(strings.ReplaceAll(t.body(), "\n", " ")))
}
func (t NFTable) key() string { return "nft inet " + t.Name }

// body is the text between the braces of the table.
func (t NFTable) body() string {
	var b strings.Builder
	for _, c := range t.Chains {
		fmt.Fprintf(&b, "chain %s {\n", c.Name)
		if c.Hook != "" {
			fmt.Fprintf(&b, "type %s hook %s priority %d; policy accept;\n", c.Type, c.Hook, c.Priority)
		}
		for _, r := range c.Rules {
			fmt.Fprintf(&b, "%s comment \"%s\"\n", r.Text, ruleComment)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// natChain translates source addresses; 100 is nft's srcnat.
func natChain(rules ...NFRule) NFChain {
	return NFChain{Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: 100, Rules: rules}
}

// clampChain lowers the MSS that forwarded TCP connections offer over device to what its MTU holds, both ways; -150 is
// nft's mangle. The kernel never raises it.
func clampChain(device string, mtu int) NFChain {
	c := NFChain{Name: "clamp", Type: "filter", Hook: "forward", Priority: -150}
	for _, way := range []nfPart{inBy(device), outBy(device)} {
		c.Rules = append(c.Rules,
			nfRule(way, family4(), synchronize(), maxSegment(mtu-tcpOverIPv4Bytes)),
			nfRule(way, family6(), synchronize(), maxSegment(mtu-tcpOverIPv6Bytes)))
	}
	return c
}

// nfPart is a piece of a rule.
type nfPart struct {
	text  string
	exprs []expr.Any
}

func nfRule(parts ...nfPart) NFRule {
	var r NFRule
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.text
		r.exprs = append(r.exprs, p.exprs...)
	}
	r.Text = strings.Join(texts, " ")
	return r
}

// equal compares register 1 with value.
func equal(value ...byte) *expr.Cmp { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value} }

func device(text string, key expr.MetaKey, name string) nfPart {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return nfPart{fmt.Sprintf("%s %q", text, name), []expr.Any{&expr.Meta{Key: key, Register: 1}, equal(padded...)}}
}

func inBy(name string) nfPart  { return device("iifname", expr.MetaKeyIIFNAME, name) }
func outBy(name string) nfPart { return device("oifname", expr.MetaKeyOIFNAME, name) }

func ipFamily(text string, proto byte) nfPart {
	return nfPart{text, []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, equal(proto)}}
}

func family4() nfPart { return ipFamily("meta nfproto ipv4", unix.NFPROTO_IPV4) }
func family6() nfPart { return ipFamily("meta nfproto ipv6", unix.NFPROTO_IPV6) }

func masquerade() nfPart { return nfPart{"masquerade", []expr.Any{&expr.Masq{}}} }

func verdict(text string, kind expr.VerdictKind) nfPart {
	return nfPart{text, []expr.Any{&expr.Verdict{Kind: kind}}}
}

// synchronize is for the packets that carry an MSS: SYN and SYN+ACK.
func synchronize() nfPart {
	const flagsOffset, syn, rst = 13, 0x02, 0x04
	return nfPart{"tcp flags & (syn | rst) == syn", []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal(unix.IPPROTO_TCP),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: flagsOffset, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{syn | rst}, Xor: []byte{0}},
		equal(syn),
	}}
}

// maxSegment writes the MSS option (kind 2; its value stands at offset 2).
func maxSegment(size int) nfPart {
	return nfPart{fmt.Sprintf("tcp option maxseg size set %d", size), []expr.Any{
		&expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, uint16(size))},
		&expr.Exthdr{SourceRegister: 1, Type: 2, Offset: 2, Len: 2, Op: expr.ExthdrOpTcpopt},
	}}
}

// sourceIn is for packets whose source lies in p.
func sourceIn(p netip.Prefix) nfPart {
	family, text, offset, size := family4(), "ip", uint32(12), uint32(4)
	if p.Addr().Is6() {
		family, text, offset, size = family6(), "ip6", 8, 16
	}
	mask := make([]byte, size)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return nfPart{fmt.Sprintf("%s saddr %v", text, p), append(family.exprs,
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
		equal(p.Masked().Addr().AsSlice()...))}
}

// answers is for packets of connections that exist.
func answers() nfPart {
	state := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return nfPart{"ct state established,related", []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: state, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}}
}
