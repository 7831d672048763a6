package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A HostPort is a name or an address, and a port.
type HostPort struct {
	Host string
	Port uint16
}

// String returns host:port, with brackets around an IPv6 address.
func (h HostPort) String() string {
	if strings.Contains(h.Host, ":") {
		return fmt.Sprintf("[%s]:%d", h.Host, h.Port)
	}
	return fmt.Sprintf("%s:%d", h.Host, h.Port)
}

// Addr returns the address, and false if the host is a name.
func (h HostPort) Addr() (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(h.Host)
	return netip.AddrPortFrom(addr, h.Port), err == nil
}

// A PortRange is the ports First to Last, both included, of a protocol ("tcp", "udp", or "" for both).
type PortRange struct {
	Protocol    string
	First, Last uint16
}

// A Mark is a firewall mark and the bits of it that are ours.
type Mark struct{ Value, Mask uint32 }

// parseHostPort reads "host", "host:port", "[v6]:port", "[v6]" or "v6".
func parseHostPort(text string, defaultPort uint16) (HostPort, error) {
	bad := fmt.Errorf("must be a host name or an address, and a port: host:%d or [2001:db8::1]:%d", defaultPort, defaultPort)
	host, port := text, ""
	switch {
	case strings.HasPrefix(text, "["):
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return HostPort{}, bad
		}
		host, port = text[1:end], text[end+1:]
		if addr, err := netip.ParseAddr(host); err != nil || !addr.Is6() || port != "" && port[0] != ':' {
			return HostPort{}, bad
		}
		port = strings.TrimPrefix(port, ":")
		if strings.HasSuffix(text, ":") {
			return HostPort{}, bad
		}
	case strings.Count(text, ":") == 1:
		host, port, _ = strings.Cut(text, ":")
		if port == "" {
			return HostPort{}, bad
		}
	}
	if _, err := netip.ParseAddr(host); err != nil && !isHostName(host) {
		return HostPort{}, bad
	}
	number := defaultPort
	if port != "" {
		n, err := parsePort(port)
		if err != nil {
			return HostPort{}, err
		}
		number = n
	}
	return HostPort{host, number}, nil
}

// isHostName is RFC 1123's rule, with '_' allowed; a name whose last part is a number is a mistyped address.
func isHostName(text string) bool {
	text = strings.TrimSuffix(text, ".")
	if text == "" || len(text) > 253 {
		return false
	}
	labels := strings.Split(text, ".")
	for _, label := range labels {
		if len(label) > 63 || !isName(label, true) || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	_, err := strconv.ParseUint(labels[len(labels)-1], 10, 64)
	return err != nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("must have a port from 1 to 65535")
	}
	return uint16(n), nil
}

// parseListen reads an address with a port to listen at.
func parseListen(text string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(text)
	if err != nil || at.Port() == 0 {
		return netip.AddrPort{}, errors.New("must be an address and a port to listen at: 0.0.0.0:6779 or [::]:6779")
	}
	return at, nil
}

// parsePorts reads "80" or "1024-65535".
func parsePorts(text string) (PortRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	a, errA := parsePort(first)
	b, errB := parsePort(last)
	if errA != nil || errB != nil || a > b {
		return PortRange{}, errors.New("must be a port or a range of ports: 80 or 1024-65535")
	}
	return PortRange{First: a, Last: b}, nil
}

// parseProtoPorts reads "tcp:22", "udp:5000-5010" or, for both protocols, "22".
func parseProtoPorts(text string) (PortRange, error) {
	proto, ports, both := strings.Cut(text, ":")
	if !both {
		proto, ports = "", text
	}
	r, err := parsePorts(ports)
	if err != nil || both && proto != "tcp" && proto != "udp" {
		return PortRange{}, errors.New("must be a port or a range of ports, with tcp: or udp: before it: tcp:22 or udp:5000-5010")
	}
	r.Protocol = proto
	return r, nil
}

// parseMark reads "value/mask", each hexadecimal with 0x or decimal.
func parseMark(text string) (Mark, error) {
	value, mask, _ := strings.Cut(text, "/")
	v, errV := strconv.ParseUint(value, 0, 32)
	m, errM := strconv.ParseUint(mask, 0, 32)
	if errV != nil || errM != nil || v == 0 || v&^m != 0 {
		return Mark{}, errors.New("must be a mark and a mask that covers it: 0x01000000/0xff000000")
	}
	return Mark{uint32(v), uint32(m)}, nil
}

// parseCIDR reads an address with the length of its network; the address part is kept.
func parseCIDR(text string, v6 bool) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() || p.Addr().Is6() != v6 {
		if v6 {
			return netip.Prefix{}, errors.New("must be an IPv6 address with its network's length: fd00:99::1/64")
		}
		return netip.Prefix{}, errors.New("must be an IPv4 address with its network's length: 10.99.0.1/24")
	}
	return p, nil
}

// parseAddr reads an address of one family: 4, 6, or 0 for both.
func parseAddr(text string, family int) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4In6() || a.Zone() != "" || family == 4 && !a.Is4() || family == 6 && !a.Is6() {
		switch family {
		case 4:
			return netip.Addr{}, errors.New("must be an IPv4 address: 10.99.0.2")
		case 6:
			return netip.Addr{}, errors.New("must be an IPv6 address: fd00:99::2")
		}
		return netip.Addr{}, errors.New("must be an address: 10.99.0.2 or fd00:99::2")
	}
	return a, nil
}

// maxInterfaceBytes is netifd's and the kernel's limit for names (IFNAMSIZ - 1).
const maxInterfaceBytes = 15

// parseInterface reads the name of a network interface, netifd's or the kernel's.
func parseInterface(text string) (string, error) {
	ok := text != "" && text != "." && text != ".." && len(text) <= maxInterfaceBytes
	for i := range len(text) {
		ok = ok && text[i] > ' ' && text[i] < 0x7f && text[i] != '/' && text[i] != '\'' && text[i] != '"'
	}
	if !ok {
		return "", fmt.Errorf("must be the name of an interface, at most %d characters without spaces: wan or eth0", maxInterfaceBytes)
	}
	return text, nil
}
