package system

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// Object is one thing of ours in the kernel's configuration, as a value.
type Object interface {
	// Command is the command line that would make it. Two objects with the same command line are the same.
	Command() string
	// key names the place it takes: of two objects with one key, the later replaces the earlier.
	key() string
}

// LinkUp sets a device up.
type LinkUp struct{ Device string }

// Command implements Object.
func (o LinkUp) Command() string { return "ip link set dev " + o.Device + " up" }
func (o LinkUp) key() string     { return "up " + o.Device }

// LinkMTU sets a device's MTU, in bytes.
type LinkMTU struct {
	Device string
	MTU    int
}

// Command implements Object.
func (o LinkMTU) Command() string { return fmt.Sprintf("ip link set dev %s mtu %d", o.Device, o.MTU) }
func (o LinkMTU) key() string     { return "mtu " + o.Device }

// Addr is an address on a device, with the prefix that is reached through it.
type Addr struct {
	Device string
	Prefix netip.Prefix
}

// Command implements Object.
func (o Addr) Command() string {
	nodad := ""
	if o.Prefix.Addr().Is6() {
		nodad = " nodad" // the TUN's other end answers no neighbour discovery, and the address must work at once
	}
	return fmt.Sprintf("ip%s addr add %v dev %s%s", family(o.Prefix.Addr()), o.Prefix, o.Device, nodad)
}
func (o Addr) key() string { return o.Command() }

// Route is a route in a table of ours.
type Route struct {
	Table   int
	To      netip.Prefix
	Device  string
	Gateway netip.Addr // invalid: what is in To is on the link itself
}

// Command implements Object.
func (o Route) Command() string {
	var via string
	if o.Gateway.IsValid() {
		via = fmt.Sprintf(" via %v onlink", o.Gateway.WithZone(""))
	}
	return fmt.Sprintf("ip%s route replace %s%s dev %s table %d proto %d", family(o.To.Addr()), prefixText(o.To), via, o.Device, o.Table, Protocol)
}
func (o Route) key() string { return fmt.Sprintf("route %d %v", o.Table, o.To) }

// Rule is a policy rule of one family.
type Rule struct {
	IPv6            bool
	Priority        int
	Mark, Mask      uint32 // of the packets it is for; Mask 0: all
	In              string // device they came in by, "lo" for our own; empty: any
	From            netip.Prefix
	User            int    // uid of the sender; 0: anybody
	Proto           int    // IPPROTO_UDP or IPPROTO_TCP; 0: any
	Port            uint16 // destination port; 0: any
	Table           int
	SuppressDefault bool // the table's default route does not count
}

// Command implements Object.
func (o Rule) Command() string {
	var b strings.Builder
	b.WriteString("ip")
	if o.IPv6 {
		b.WriteString(" -6")
	}
	fmt.Fprintf(&b, " rule add pref %d", o.Priority)
	if o.From.IsValid() {
		fmt.Fprintf(&b, " from %v", o.From)
	}
	if o.Mask != 0 {
		fmt.Fprintf(&b, " fwmark 0x%x/0x%x", o.Mark, o.Mask)
	}
	if o.In != "" {
		fmt.Fprintf(&b, " iif %s", o.In)
	}
	if o.User != 0 {
		fmt.Fprintf(&b, " uidrange %d-%d", o.User, o.User)
	}
	switch o.Proto {
	case unix.IPPROTO_UDP:
		b.WriteString(" ipproto udp")
	case unix.IPPROTO_TCP:
		b.WriteString(" ipproto tcp")
	}
	if o.Port != 0 {
		fmt.Fprintf(&b, " dport %d", o.Port)
	}
	table := fmt.Sprint(o.Table)
	if o.Table == mainTable {
		table = "main"
	}
	fmt.Fprintf(&b, " lookup %s", table)
	if o.SuppressDefault {
		b.WriteString(" suppress_prefixlength 0")
	}
	fmt.Fprintf(&b, " protocol %d", Protocol)
	return b.String()
}
func (o Rule) key() string { return o.Command() }

// Sysctl is a kernel setting. With If, it is made only where one of those settings has the value named there.
type Sysctl struct {
	Key   []string // the parts of its path below /proc/sys: device names may hold dots
	Value string
	If    []Condition
}

// Condition is a sysctl that has a value.
type Condition struct {
	Key   []string
	Value string
}

// Command implements Object.
func (o Sysctl) Command() string {
	return fmt.Sprintf("sysctl -w %s=%s", strings.Join(o.Key, "/"), o.Value)
}
func (o Sysctl) key() string { return "sysctl " + strings.Join(o.Key, "/") }

func family(a netip.Addr) string {
	if a.Is6() {
		return " -6"
	}
	return ""
}

func prefixText(p netip.Prefix) string {
	if p.Bits() == 0 {
		return "default"
	}
	return p.String()
}
