package system

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	// checkPriority is before all that translates addresses: the packet is still as we sent it.
	checkPriority = -300
	checkPatience = 500 * time.Millisecond
	checkEvery    = 10 * time.Millisecond
	checkPort     = 443
	// checkTTL is more than one hop, so that forwarding does not end here.
	checkTTL = 64
)

// checkTargets are where the packet seems to go; it is taken away before it leaves the machine. Both are addresses of the
// Internet that nobody uses any more or yet: 6to4's old relay, and documentation.
func checkTargets() [2]netip.Addr {
	return [2]netip.Addr{netip.MustParseAddr("192.88.99.1"), netip.MustParseAddr("2001:db8:ffff::1")}
}

// CheckThrough sends a packet through the machine as a router's would go, once for each family that the service has, and
// tells whether it would leave. write gives a packet to the TUN. Nothing leaves the machine: a table of ours takes the
// packet away at the last moment. ok is true for families without service.
func (s *Server) CheckThrough(write func(packet []byte) error) (ok4, ok6 bool, err error) {
	ok := [2]bool{true, true}
	var probes []fwRule
	for _, a := range s.service.Addresses {
		i := familyIndex(is6(a))
		if s.service.uplink(a) == "" || !ok[i] {
			continue
		}
		ok[i] = false
		source, target := a.Addr().Next(), checkTargets()[i]
		probes = append(probes, fwRule{
			src: netip.PrefixFrom(source, source.BitLen()), dst: netip.PrefixFrom(target, target.BitLen()), proto: "udp", ports: [2]uint16{checkPort, checkPort}, do: doCatch,
		})
	}
	if len(probes) == 0 {
		return true, true, nil
	}
	table := NFTable{Name: s.params.NFTable + "_check", Chains: []NFChain{
		{Name: "catch", Type: "filter", Hook: "postrouting", Priority: checkPriority, Rules: nftRules(probes, true, true)},
	}}
	undo, _, err := s.kernel.nft(table, false)
	if err != nil {
		return false, false, fmt.Errorf("check the way through this server: %w", err)
	}
	defer func() { err = errors.Join(err, undo()) }()
	for _, p := range probes {
		if err := write(checkPacket(p.src.Addr(), p.dst.Addr())); err != nil {
			return false, false, fmt.Errorf("check the way through this server: %w", err)
		}
	}
	for deadline := time.Now().Add(checkPatience); time.Now().Before(deadline); time.Sleep(checkEvery) {
		caught, err := s.kernel.caught(table.Name)
		if err != nil {
			return false, false, fmt.Errorf("check the way through this server: %w", err)
		}
		for i, p := range probes {
			if i < len(caught) && caught[i] > 0 {
				ok[familyIndex(is6(p.dst))] = true
			}
		}
		if ok == [2]bool{true, true} {
			break
		}
	}
	return ok[0], ok[1], nil
}

// caught reads the counters of the table's rules.
func (k *kernel) caught(name string) (counts []uint64, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	table := &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
	rules, err := conn.GetRules(table, &nftables.Chain{Name: "catch", Table: table})
	for _, r := range rules {
		for _, e := range r.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				counts = append(counts, c.Packets)
			}
		}
	}
	return counts, err
}

// checkPacket is an empty UDP packet.
func checkPacket(from, to netip.Addr) []byte {
	udp := make([]byte, 8)
	binary.BigEndian.PutUint16(udp, checkPort)
	binary.BigEndian.PutUint16(udp[2:], checkPort)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	pseudo := append(append([]byte{}, from.AsSlice()...), to.AsSlice()...)
	pseudo = append(append(pseudo, 0, unix.IPPROTO_UDP, 0, byte(len(udp))), udp...)
	binary.BigEndian.PutUint16(udp[6:], onesSum(pseudo))
	if from.Is6() {
		head := make([]byte, 40)
		head[0], head[5], head[6], head[7] = 0x60, byte(len(udp)), unix.IPPROTO_UDP, checkTTL
		copy(head[8:], from.AsSlice())
		copy(head[24:], to.AsSlice())
		return append(head, udp...)
	}
	head := make([]byte, 20)
	head[0], head[8], head[9] = 0x45, checkTTL, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(head[2:], uint16(len(head)+len(udp)))
	copy(head[12:], from.AsSlice())
	copy(head[16:], to.AsSlice())
	binary.BigEndian.PutUint16(head[10:], onesSum(head))
	return append(head, udp...)
}

// onesSum is the Internet checksum (RFC 1071) of an even number of bytes.
func onesSum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
