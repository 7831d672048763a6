package src_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestArchitecture checks every source file below src.
func TestArchitecture(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "testdata" {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		found, err := checkFile(filepath.ToSlash(name), source)
		if err != nil {
			return err
		}
		for _, violation := range found {
			t.Error(violation)
		}
		files++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Errorf("only %d files were looked at", files)
	}
}

// TestRulesCanFail seeds one violation of each rule; a rule that cannot fail protects nothing.
func TestRulesCanFail(t *testing.T) {
	tests := []struct{ name, file, source, want string }{
		{"upward", "engine/wire/x.go", `import _ "mpproxy/src/engine"`, "imports point downwards"},
		{"sideways", "transport/x.go", `import _ "mpproxy/src/system"`, "imports point downwards"},
		{"unknown room", "misc/x.go", ``, "is in no room"},
		{"import of unknown room", "portal/x.go", `import _ "mpproxy/src/misc"`, "is in no room"},
		{"simulator in the product", "portal/x.go", `import _ "mpproxy/src/linksim"`, "it is for"},
		{"config outside portal", "transport/x.go", `import _ "mpproxy/src/config"`, "it is for"},
		{"lab in the product", "portal/x.go", `import _ "mpproxy/hack/lab"`, "may not import the lab"},
		{"tun outside system", "portal/x.go", `import _ "golang.zx2c4.com/wireguard/tun"`, "only system"},
		{"netlink outside system", "control/x.go", `import _ "github.com/vishvananda/netlink/nl"`, "only system"},
		{"nftables outside system", "portal/x.go", `import _ "github.com/google/nftables"`, "only system"},
		{"iptables outside system", "portal/x.go", `import _ "github.com/coreos/go-iptables/iptables"`, "only system"},
		{"uci outside config", "portal/x.go", `import _ "github.com/digineo/go-uci/v2"`, "only config"},
		{"pure imports live", "mpp/x.go", `import _ "mpproxy/src/config"`, "imports point downwards"},
		{"log", "engine/x.go", `import _ "log/slog"`, "may not import log/slog"},
		{"file", "engine/x.go", `import _ "os"`, "may not import os"},
		{"socket", "mpp/x.go", `import _ "net"`, "may not import net"},
		{"crypto/rand", "engine/handshake/x.go", `import _ "crypto/rand"`, "may not import crypto/rand"},
		{"now", "engine/x.go", `import "time"; var _ = time.Now`, "has no clock: time.Now"},
		{"renamed", "engine/x.go", `import t "time"; func f() { t.Sleep(1) }`, "has no clock: time.Sleep"},
		{"timer", "engine/x.go", `import "time"; type x struct { t *time.Timer }`, "has no clock: time.Timer"},
		{"dot import", "stats/x.go", `import . "time"`, "no dot imports"},
		{"goroutine", "linksim/traffic/x.go", `func f() { go f() }`, "starts no goroutine"},
		{"chance", "linksim/x.go", `import "math/rand/v2"; var _ = rand.IntN(3)`, "no randomness of its own"},
		{"old chance", "linksim/x.go", `import "math/rand"; var _ = rand.Intn(3)`, "no randomness of its own"},
		{"sleep in a test", "portal/x_test.go", `import "time"; func f() { time.Sleep(1) }`, "no time.Sleep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, err := checkFile(tt.file, []byte("package x\n"+tt.source))
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 || !strings.Contains(found[0], tt.want) {
				t.Errorf("got %q, want one with %q", found, tt.want)
			}
		})
	}
}

// TestRulesLeaveGoodCodeAlone has what looks forbidden and is not.
func TestRulesLeaveGoodCodeAlone(t *testing.T) {
	tests := []struct{ name, file, source string }{
		{"downward", "engine/x.go", `import _ "mpproxy/src/engine/wire"`},
		{"own sub-package", "linksim/traffic/x.go", `import _ "mpproxy/src/linksim"`},
		{"addresses", "engine/x.go", `import _ "net/netip"`},
		{"durations", "engine/x.go", `import "time"; var _ = 3 * time.Second`},
		{"seeded chance", "linksim/x.go", `import "math/rand/v2"; func f(r *rand.Rand) int { return r.IntN(3) }`},
		{"a variable called time", "engine/x.go", `type v struct{ Now int }; func f(time v) int { return time.Now }`},
		{"simulator in a test", "portal/x_test.go", `import _ "mpproxy/src/linksim"`},
		{"clock in a live room", "portal/x.go", `import "time"; var _ = time.Now`},
		{"sleep in virtual time", "portal/x_test.go",
			`import ("testing"; "testing/synctest"; "time"); func f(t *testing.T) { synctest.Test(t, func(*testing.T) { time.Sleep(1) }) }`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, err := checkFile(tt.file, []byte("package x\n"+tt.source))
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 0 {
				t.Errorf("refused: %q", found)
			}
		})
	}
}
