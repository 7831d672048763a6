//go:build !mips && !mipsle && !mips64 && !mips64le

package system

import "github.com/coreos/go-iptables/iptables"

// newXTTool takes the program at path, which speaks IPv4 or IPv6.
func newXTTool(path string, ipv6 bool) (xtTool, error) {
	family := iptables.ProtocolIPv4
	if ipv6 {
		family = iptables.ProtocolIPv6
	}
	tool, err := iptables.New(iptables.IPFamily(family), iptables.Timeout(lockSeconds), iptables.Path(path))
	if err != nil {
		return nil, err // not tool: it would be a nil that is not nil
	}
	return tool, nil
}
