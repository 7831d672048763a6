package system

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernel makes objects. Its handle stays in the network namespace in which it was opened.
type kernel struct {
	handle  *netlink.Handle
	sysctls sysctls
	xt      *xtables
	refused []string             // what firewalld did not do for us
	owned   map[string]*nftOwner // by table
}

func openKernel(p Params) (*kernel, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return &kernel{handle: handle, sysctls: sysctls{root: "/proc/sys", file: p.StateFile}, xt: newXTables(), owned: map[string]*nftOwner{}}, nil
}

func (k *kernel) close() {
	k.handle.Close()
	for name := range k.owned {
		k.disown(name)
	}
}

// make is the Journal's maker.
func (k *kernel) make(o Object, same bool) (undo func() error, made bool, err error) {
	switch o := o.(type) {
	case LinkUp:
		return k.linkUp(o)
	case LinkMTU:
		return k.linkMTU(o)
	case Addr:
		return k.addr(o)
	case Route:
		return k.route(o)
	case MPTCPSubflows:
		return k.mptcpSubflows()
	case MPTCPEndpoint:
		return k.mptcpEndpoint(o)
	case LocalRoute:
		return k.localRoute(o)
	case Rule:
		return k.rule(o)
	case Sysctl:
		return k.sysctls.set(o)
	case NFTable:
		return k.nft(o, same)
	case XTChain:
		return k.xtables(o, same)
	case FirewalldZone:
		return k.firewalldZone(o, same)
	case FirewalldPort:
		return k.firewalldPort(o, same)
	}
	return nil, false, fmt.Errorf("unknown kind of object %T", o)
}

func (k *kernel) linkUp(o LinkUp) (func() error, bool, error) {
	link, err := k.handle.LinkByName(o.Device)
	if err != nil || link.Attrs().Flags&net.FlagUp != 0 {
		return nil, false, err
	}
	undo := func() error { return k.handle.LinkSetDown(link) }
	return undo, true, k.handle.LinkSetUp(link)
}

func (k *kernel) linkMTU(o LinkMTU) (func() error, bool, error) {
	link, err := k.handle.LinkByName(o.Device)
	if err != nil || link.Attrs().MTU == o.MTU {
		return nil, false, err
	}
	undo := func() error { return k.handle.LinkSetMTU(link, link.Attrs().MTU) }
	return undo, true, k.handle.LinkSetMTU(link, o.MTU)
}

func (k *kernel) addr(o Addr) (func() error, bool, error) {
	link, err := k.handle.LinkByName(o.Device)
	if err != nil {
		return nil, false, err
	}
	addr := &netlink.Addr{IPNet: ipNet(o.Prefix)}
	if o.Prefix.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	err = k.handle.AddrAdd(link, addr)
	if errors.Is(err, unix.EEXIST) {
		return nil, false, nil
	}
	return func() error { return k.handle.AddrDel(link, addr) }, true, err
}

// route makes a route unless there is the very same of ours; it refuses to replace somebody else's.
func (k *kernel) route(o Route) (func() error, bool, error) {
	link, err := k.handle.LinkByName(o.Device)
	if err != nil {
		return nil, false, err
	}
	routes, err := k.routes(o)
	if err != nil {
		return nil, false, err
	}
	want := netlink.Route{Table: o.Table, Dst: ipNet(o.To), LinkIndex: link.Attrs().Index, Protocol: Protocol, Family: familyOf(o.To)}
	if o.Gateway.IsValid() {
		want.Gw, want.Flags = o.Gateway.AsSlice(), unix.RTNH_F_ONLINK
	} else if is4(o.To) {
		want.Scope = unix.RT_SCOPE_LINK
	}
	undo := func() error { return k.removeRoutes(o) }
	for _, r := range routes {
		if r.Protocol != Protocol {
			return nil, false, fmt.Errorf("table %d already has a route to %s that is not ours: choose other table numbers", o.Table, prefixText(o.To))
		}
		if r.LinkIndex == want.LinkIndex && r.Gw.Equal(want.Gw) {
			return undo, false, nil
		}
	}
	return undo, true, k.handle.RouteReplace(&want)
}

// routes lists all routes that stand where o shall stand.
func (k *kernel) routes(o Route) ([]netlink.Route, error) {
	all, err := k.listRoutes(familyOf(o.To), &netlink.Route{Table: o.Table}, netlink.RT_FILTER_TABLE)
	return slices.DeleteFunc(all, func(r netlink.Route) bool { return destination(r) != o.To }), err
}

func (k *kernel) removeRoutes(o Route) error {
	routes, err := k.routes(o)
	for _, r := range routes {
		if r.Protocol == Protocol {
			err = errors.Join(err, ignoreGone(k.handle.RouteDel(&r)))
		}
	}
	return err
}

func (k *kernel) rule(o Rule) (func() error, bool, error) {
	want := o.netlink()
	undo := func() error { return k.handle.RuleDel(want) }
	rules, err := k.listRules(want.Family)
	if o.IPv6 && noIPv6(err) {
		return nil, false, nil // no packet will ever look for it
	}
	if err != nil {
		return nil, false, err
	}
	for _, r := range rules {
		if r.Protocol == Protocol && sameRule(r, *want) {
			return undo, false, nil
		}
	}
	err = k.handle.RuleAdd(want)
	if errors.Is(err, unix.EEXIST) { // somebody else's, with the same effect
		return nil, false, nil
	}
	return undo, true, err
}

func (o Rule) netlink() *netlink.Rule {
	r := netlink.NewRule()
	r.Family = unix.AF_INET
	if o.IPv6 {
		r.Family = unix.AF_INET6
	}
	r.Priority, r.Table, r.IifName, r.Protocol = o.Priority, o.Table, o.In, Protocol
	if o.Mask != 0 {
		mask := o.Mask
		r.Mark, r.Mask = o.Mark, &mask
	}
	if o.SuppressDefault {
		r.SuppressPrefixlen = 0
	}
	if o.From.IsValid() {
		r.Src = ipNet(o.From)
	}
	if o.User != 0 {
		r.UIDRange = netlink.NewRuleUIDRange(uint32(o.User), uint32(o.User))
	}
	r.IPProto = o.Proto
	if o.Port != 0 {
		r.Dport = netlink.NewRulePortRange(o.Port, o.Port)
	}
	return r
}

// sameRule compares all that our rules may have.
func sameRule(a, b netlink.Rule) bool {
	mask := func(r netlink.Rule) uint32 {
		if r.Mask == nil {
			return 0
		}
		return *r.Mask
	}
	return a.Priority == b.Priority && a.Table == b.Table && a.IifName == b.IifName && a.OifName == "" && sameNet(a.Src, b.Src) && a.Dst == nil &&
		a.Mark == b.Mark && mask(a) == mask(b) && a.SuppressPrefixlen == b.SuppressPrefixlen && a.IPProto == b.IPProto &&
		same(a.UIDRange, b.UIDRange) && same(a.Dport, b.Dport)
}

// same compares what two pointers point to.
func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func sameNet(a, b *net.IPNet) bool { return a.String() == b.String() }

func (k *kernel) listRoutes(family int, filter *netlink.Route, mask uint64) (routes []netlink.Route, err error) {
	err = steady(func() (err error) {
		routes, err = k.handle.RouteListFiltered(family, filter, mask)
		return err
	})
	return routes, err
}

func (k *kernel) listRules(family int) (rules []netlink.Rule, err error) {
	err = steady(func() (err error) {
		rules, err = k.handle.RuleList(family)
		return err
	})
	return rules, err
}

// steady repeats a listing that changes disturbed, a few times.
func steady(list func() error) (err error) {
	for range 5 {
		if err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return err
}

// hasIPv6 reports whether the system knows IPv6 at all.
func (k *kernel) hasIPv6() bool {
	_, err := k.sysctls.read([]string{"net", "ipv6", "conf", "all", "disable_ipv6"})
	return err == nil
}

// noIPv6 reports errors of a system without IPv6.
func noIPv6(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}

// gone reports errors that say that what shall be removed is not there.
func gone(err error) bool {
	var noLink netlink.LinkNotFoundError
	for _, e := range []error{unix.ENOENT, unix.ESRCH, unix.ENODEV, unix.ENXIO, unix.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.As(err, &noLink)
}

func ignoreGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func familyOf(p netip.Prefix) int {
	if is6(p) {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// destination gives where a route leads; the kernel names no destination for default routes.
func destination(r netlink.Route) netip.Prefix {
	if r.Dst == nil {
		if r.Family == unix.AF_INET6 {
			return everything6
		}
		return everything4
	}
	addr, _ := netip.AddrFromSlice(r.Dst.IP)
	bits, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits)
}
