package main

import (
	"fmt"
	"strings"
)

// skip is a permitted skip.
type skip struct{ pkg, test, reason string }

// parseSkips reads lines "package test reason ..."; # starts a comment line.
func parseSkips(text string) ([]skip, error) {
	var skips []skip
	for i, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("line %d: want package, test and reason", i+1)
		}
		skips = append(skips, skip{fields[0], fields[1], strings.Join(fields[2:], " ")})
	}
	return skips, nil
}

// listed reports whether the skip of a test is permitted; "TestX*" permits TestX and its subtests.
func listed(skips []skip, pkg, test string) bool {
	for _, s := range skips {
		if s.pkg != pkg {
			continue
		}
		prefix, all := strings.CutSuffix(s.test, "*")
		if s.test == test || all && strings.HasPrefix(test, prefix) {
			return true
		}
	}
	return false
}
