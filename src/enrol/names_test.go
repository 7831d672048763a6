package enrol

import (
	"strings"
	"testing"
)

// Names are letters, digits and '_', at most 32 of them: what a UCI section and a file may be called.
func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "Home_2": true, "_": true, "0": true, "9": true, "AZaz09": true, strings.Repeat("a", 32): true,
		"": false, strings.Repeat("a", 33): false, "a b": false, "a-b": false, "../a": false, "ä": false, "a\n": false, ".": false,
	} {
		if isName(name) != ok {
			t.Errorf("%q: %v", name, !ok)
		}
	}
}
