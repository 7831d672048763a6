package main

import (
	"os"
	"os/exec"
)

// sweepMPP runs one multipath stream over TCP connections with bbr over the 16 profiles, in virtual time: the table of
// what it gets of the sum of what its links give alone. The streams' test world does it, which no program can import.
func sweepMPP(only string) error {
	if only == "" {
		only = "all"
	}
	cmd := exec.Command("go", "test", "./src/mpp", "-count=1", "-run=TestProfiles", "-v", "-args", "-profile="+only)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
