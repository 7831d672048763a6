package main

import (
	"os"
	"slices"
	"strings"
)

// allowedFile names the congestion controls that a namespace may be given as its default. It is the whole machine's.
const allowedFile = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"

// allowCubic lets namespaces be given cubic as their default, as Debian has it, and returns what takes that back; what they were given they
// keep. Where it cannot be allowed, what needs it says so when it fails.
func allowCubic() (restore func()) {
	before, err := os.ReadFile(allowedFile)
	names := strings.Fields(string(before))
	if err != nil || slices.Contains(names, "cubic") {
		return func() {}
	}
	if os.WriteFile(allowedFile, []byte(strings.Join(append(names, "cubic"), " ")), 0o644) != nil {
		return func() {}
	}
	return func() { _ = os.WriteFile(allowedFile, before, 0o644) }
}
