package main

import (
	"fmt"
	"os"
	"os/exec"
)

// sweepMPP runs one multipath stream over TCP connections with bbr over the 16 profiles, in virtual time: the table of
// what it gets of the sum of what its links give alone, the means of some runs. The streams' test world does it, which no
// program can import.
func sweepMPP(only string, runs int) error {
	if only == "" {
		only = "all"
	}
	cmd := exec.Command("go", "test", "./src/mpp", "-count=1", "-run=TestProfiles", "-v", "-timeout=1h", "-args", "-profile="+only, fmt.Sprint("-runs=", runs))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
