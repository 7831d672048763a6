package system

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	nfnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Multipath gives the kernel's MPTCP an endpoint for each link, so that a connection to the server spreads over them.
type Multipath struct {
	Port  uint16 // of the server
	Links []MultipathLink
}

// MultipathLink is a link by number. A backup is used while no other works.
type MultipathLink struct {
	Number int
	Backup bool
}

const (
	multipathGroup = "mptcp"
	// mptcpSubflows is what a connection may have beside its first subflow: the kernel's greatest (MPTCP_SUBFLOWS_MAX).
	mptcpSubflows = 8
	// mptcpEndpoints is how many endpoints every kernel takes (MPTCP_PM_ADDR_MAX).
	mptcpEndpoints = 8
	// mptcpFirstID is our first endpoint's number: the kernel itself counts from 1.
	mptcpFirstID = 128
)

// SetMultipath prepares the kernel for MPTCP connections to the server; nil takes that back. Links that come and go are
// followed. An error means that this kernel has no MPTCP.
func (r *Router) SetMultipath(m *Multipath) error {
	if m != nil {
		if err := hasMPTCP(r.kernel); err != nil {
			m = nil
			r.multipath = nil
			return errors.Join(err, r.applyMultipath())
		}
	}
	r.multipath = m
	return r.applyMultipath()
}

// applyMultipath follows the links.
func (r *Router) applyMultipath() error {
	var want []Object
	if r.multipath != nil {
		want = r.params.planMultipath(*r.multipath, r.links)
	}
	return r.journal.Apply(multipathGroup, want)
}

// SetMultipath lets routers spread their MPTCP connections to this server over all their links; it stays so until Close.
func (s *Server) SetMultipath() error {
	if err := hasMPTCP(s.kernel); err != nil {
		return err
	}
	return s.journal.Apply(multipathGroup, []Object{MPTCPSubflows{}})
}

// hasMPTCP reports why the kernel has no MPTCP for us.
func hasMPTCP(k *kernel) error {
	if v, err := k.sysctls.read([]string{"net", "mptcp", "enabled"}); err != nil || v != "1" {
		return errors.New("use MPTCP: this kernel has none, or it is switched off (net.mptcp.enabled)")
	}
	return nil
}

// planMultipath lists endpoints, and rules that lead a subflow with a link's address over that link. Two links with one
// address cannot be told apart by MPTCP: the first has it.
func (p Params) planMultipath(m Multipath, links map[int]LinkState) []Object {
	list := []Object{MPTCPSubflows{}}
	var seen []netip.Addr
	for _, v6 := range []bool{false, true} {
		for _, one := range m.Links {
			l := links[one.Number]
			all := l.addresses(v6)
			if len(all) == 0 || slices.Contains(seen, all[0]) || len(seen) == mptcpEndpoints {
				continue
			}
			a := all[0]
			seen = append(seen, a)
			id := mptcpFirstID + 2*one.Number
			if v6 {
				id++
			}
			list = append(list,
				Rule{IPv6: v6, Priority: p.LANPriority - 3, In: loopback, From: netip.PrefixFrom(a, a.BitLen()), Proto: unix.IPPROTO_TCP, Port: m.Port, Table: p.LinkTable + one.Number},
				MPTCPEndpoint{ID: uint8(id), Address: a, Device: l.Device, Backup: one.Backup})
		}
	}
	return list
}

// MPTCPEndpoint is an address from which the kernel begins subflows of MPTCP connections.
type MPTCPEndpoint struct {
	ID      uint8
	Address netip.Addr
	Device  string
	Backup  bool
}

// Command implements Object.
func (o MPTCPEndpoint) Command() string {
	backup := ""
	if o.Backup {
		backup = " backup"
	}
	return fmt.Sprintf("ip mptcp endpoint add %v dev %s id %d subflow%s", o.Address, o.Device, o.ID, backup)
}
func (o MPTCPEndpoint) key() string { return fmt.Sprintf("mptcp endpoint %d", o.ID) }

// MPTCPSubflows lets MPTCP connections have as many subflows as the kernel can.
type MPTCPSubflows struct{}

// Command implements Object.
func (o MPTCPSubflows) Command() string {
	return fmt.Sprintf("ip mptcp limits set subflows %d", mptcpSubflows)
}
func (o MPTCPSubflows) key() string { return "mptcp limits" }

// mptcpLimit is where the limit stands among the kernel settings that are remembered over a crash; it is no file.
const mptcpLimit = "mptcp subflows"

func (k *kernel) mptcpSubflows() (func() error, bool, error) {
	return k.sysctls.set(Sysctl{Key: []string{mptcpLimit}, Value: strconv.Itoa(mptcpSubflows)})
}

func (k *kernel) mptcpEndpoint(o MPTCPEndpoint) (func() error, bool, error) {
	pm, err := openPathManager()
	if err != nil {
		return nil, false, err
	}
	defer pm.close()
	link, err := k.handle.LinkByName(o.Device)
	if err != nil {
		return nil, false, err
	}
	undo := func() error { return removeEndpoint(o.ID) }
	have, err := pm.endpoints()
	if err != nil {
		return nil, false, err
	}
	want := pmEndpoint{o.ID, o.Address, endpointFlags(o.Backup), int32(link.Attrs().Index)}
	for _, e := range have {
		switch {
		case e == want:
			return undo, false, nil
		case e.id == o.ID: // of another address or device
			if err := pm.remove(e); err != nil {
				return nil, false, err
			}
		case e.addr == o.Address: // somebody else's, with the same effect
			return nil, false, nil
		}
	}
	return undo, true, pm.add(want)
}

// removeEndpoint removes an endpoint by its number.
func removeEndpoint(id uint8) error {
	pm, err := openPathManager()
	if err != nil {
		return err
	}
	defer pm.close()
	have, err := pm.endpoints()
	for _, e := range have {
		if e.id == id {
			err = errors.Join(err, ignoreGone(pm.remove(e)))
		}
	}
	return err
}

// cleanMPTCP removes the endpoints that a killed daemon left: those with our numbers.
func (k *kernel) cleanMPTCP() error {
	if hasMPTCP(k) != nil {
		return nil
	}
	pm, err := openPathManager()
	if err != nil {
		return nil // there is none
	}
	defer pm.close()
	have, err := pm.endpoints()
	for _, e := range have {
		if e.id >= mptcpFirstID {
			err = errors.Join(err, ignoreGone(pm.remove(e)))
		}
	}
	return err
}

// The kernel's words, of linux/mptcp_pm.h and linux/genetlink.h.
const (
	pmAttrAddr, pmAttrAccepted, pmAttrSubflows                            = 1, 2, 3
	pmAddrFamily, pmAddrID, pmAddr4, pmAddr6, pmAddrFlags, pmAddrDevice   = 1, 2, 3, 4, 6, 7
	pmAdd, pmRemove, pmGet, pmSetLimits, pmGetLimits                      = 1, 2, 3, 5, 6
	pmSubflow, pmBackup                                                   = 2, 4
	genControl, genGetFamily, genAttrID, genAttrName, genVersion, genHead = 0x10, 3, 1, 2, 1, 4
)

func endpointFlags(backup bool) uint32 {
	if backup {
		return pmSubflow | pmBackup
	}
	return pmSubflow
}

// pathManager speaks to the kernel's MPTCP path manager.
type pathManager struct {
	conn   *nfnetlink.Conn
	family uint16
}

// pmEndpoint is an endpoint as the kernel has it.
type pmEndpoint struct {
	id     uint8
	addr   netip.Addr
	flags  uint32
	device int32
}

func openPathManager() (*pathManager, error) {
	conn, err := nfnetlink.Dial(unix.NETLINK_GENERIC, nil)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	p := &pathManager{conn, genControl}
	answers, err := p.ask(genGetFamily, 0, nfnetlink.Attribute{Type: genAttrName, Data: []byte("mptcp_pm\x00")})
	if err == nil && len(answers) == 1 {
		for _, a := range answers[0] {
			if a.Type == genAttrID && len(a.Data) >= 2 {
				p.family = binary.NativeEndian.Uint16(a.Data)
				return p, nil
			}
		}
	}
	p.close()
	return nil, errors.Join(errors.New("use MPTCP: this kernel's has no path manager"), err)
}

func (p *pathManager) close() { _ = p.conn.Close() }

// ask sends a command and returns the attributes of each answer.
func (p *pathManager) ask(command byte, flags nfnetlink.HeaderFlags, attributes ...nfnetlink.Attribute) (out [][]nfnetlink.Attribute, err error) {
	data, err := nfnetlink.MarshalAttributes(attributes)
	if err != nil {
		return nil, err
	}
	answers, err := p.conn.Execute(nfnetlink.Message{
		Header: nfnetlink.Header{Type: nfnetlink.HeaderType(p.family), Flags: nfnetlink.Request | flags},
		Data:   append([]byte{command, genVersion, 0, 0}, data...),
	})
	if err != nil {
		return nil, err
	}
	for _, m := range answers {
		if len(m.Data) < genHead || m.Header.Type == nfnetlink.Error { // an acknowledgement is one, too
			continue
		}
		list, err := nfnetlink.UnmarshalAttributes(m.Data[genHead:])
		if err != nil {
			return nil, err
		}
		out = append(out, list)
	}
	return out, nil
}

// attribute has an endpoint as the kernel wants it.
func (e pmEndpoint) attribute() (nfnetlink.Attribute, error) {
	family, kind := uint16(unix.AF_INET), uint16(pmAddr4)
	if e.addr.Is6() {
		family, kind = unix.AF_INET6, pmAddr6
	}
	data, err := nfnetlink.MarshalAttributes([]nfnetlink.Attribute{
		{Type: pmAddrFamily, Data: binary.NativeEndian.AppendUint16(nil, family)}, {Type: pmAddrID, Data: []byte{e.id}},
		{Type: kind, Data: e.addr.AsSlice()}, {Type: pmAddrFlags, Data: native32(e.flags)}, {Type: pmAddrDevice, Data: native32(uint32(e.device))},
	})
	return nfnetlink.Attribute{Type: unix.NLA_F_NESTED | pmAttrAddr, Data: data}, err
}

func (p *pathManager) change(command byte, e pmEndpoint) error {
	a, err := e.attribute()
	if err == nil {
		_, err = p.ask(command, nfnetlink.Acknowledge, a)
	}
	return bare(err)
}

func (p *pathManager) add(e pmEndpoint) error    { return p.change(pmAdd, e) }
func (p *pathManager) remove(e pmEndpoint) error { return p.change(pmRemove, e) }

// bare takes the library's words off a system error, so that it is known again.
func bare(err error) error {
	if op := new(nfnetlink.OpError); errors.As(err, &op) {
		return op.Err
	}
	return err
}

func (p *pathManager) endpoints() (list []pmEndpoint, err error) {
	answers, err := p.ask(pmGet, nfnetlink.Dump)
	for _, answer := range answers {
		for _, a := range answer {
			parts, err := nfnetlink.UnmarshalAttributes(a.Data)
			if a.Type&^unix.NLA_F_NESTED != pmAttrAddr || err != nil {
				continue
			}
			list = append(list, readEndpoint(parts))
		}
	}
	return list, bare(err)
}

func readEndpoint(parts []nfnetlink.Attribute) (e pmEndpoint) {
	for _, a := range parts {
		switch {
		case a.Type == pmAddrID && len(a.Data) > 0:
			e.id = a.Data[0]
		case a.Type == pmAddr4 || a.Type == pmAddr6:
			e.addr, _ = netip.AddrFromSlice(a.Data)
		case a.Type == pmAddrFlags && len(a.Data) == 4:
			e.flags = binary.NativeEndian.Uint32(a.Data)
		case a.Type == pmAddrDevice && len(a.Data) == 4:
			e.device = int32(binary.NativeEndian.Uint32(a.Data))
		}
	}
	return e
}

// limits returns how many announced addresses and how many further subflows connections may have.
func (p *pathManager) limits() (accepted, subflows uint32, err error) {
	answers, err := p.ask(pmGetLimits, 0)
	if err != nil || len(answers) == 0 {
		return 0, 0, errors.Join(errors.New("read MPTCP's limits"), err)
	}
	for _, a := range answers[0] {
		switch {
		case len(a.Data) != 4:
		case a.Type == pmAttrAccepted:
			accepted = binary.NativeEndian.Uint32(a.Data)
		case a.Type == pmAttrSubflows:
			subflows = binary.NativeEndian.Uint32(a.Data)
		}
	}
	return accepted, subflows, nil
}

// readMPTCPLimit and writeMPTCPLimit are for a setting that is no file.
func readMPTCPLimit() (string, error) {
	pm, err := openPathManager()
	if err != nil {
		return "", err
	}
	defer pm.close()
	_, subflows, err := pm.limits()
	return strconv.Itoa(int(subflows)), err
}

func writeMPTCPLimit(value string) error {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return err
	}
	pm, err := openPathManager()
	if err != nil {
		return err
	}
	defer pm.close()
	accepted, _, err := pm.limits()
	if err == nil {
		_, err = pm.ask(pmSetLimits, nfnetlink.Acknowledge, nfnetlink.Attribute{Type: pmAttrAccepted, Data: native32(accepted)},
			nfnetlink.Attribute{Type: pmAttrSubflows, Data: native32(uint32(n))})
	}
	return err
}
