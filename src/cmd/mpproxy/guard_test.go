package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGuardRefuses: what is said before anything is touched.
func TestGuardRefuses(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "mpproxy")
	if err := os.WriteFile(broken, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"guard"}, exitUsage, "usage: mpproxy guard up|down|status"},
		{[]string{"guard", "open"}, exitUsage, "up, down or status, not 'open'"},
		{[]string{"--config", broken, "guard", "up"}, exitUsage, "nonsense"},
		{[]string{"--config", broken + ".none", "guard", "up"}, exitFailed, "the guard stays as it is"},
	} {
		var out, errs bytes.Buffer
		code := execute(context.Background(), c.args, &call{in: strings.NewReader(""), out: &out, err: &errs})
		if code != c.code || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%v: %d %q", c.args, code, errs.String())
		}
	}
}
