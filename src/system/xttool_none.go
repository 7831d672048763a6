//go:build mips || mipsle || mips64 || mips64le

package system

import "errors"

// newXTTool refuses: a small router has nothing but nftables, and no server runs there, which alone needs iptables.
func newXTTool(string, bool) (xtTool, error) {
	return nil, errors.New("this program is built without iptables")
}
