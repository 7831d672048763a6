package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/src/config"
)

// tree lists all that is below a directory, with modes and texts.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := []byte{}
		if !d.IsDir() {
			text, err = os.ReadFile(path)
		}
		fmt.Fprintf(&b, "%s %v %q\n", strings.TrimPrefix(path, dir), info.Mode(), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestUnitIsTheInstalledOne(t *testing.T) {
	text, err := os.ReadFile("../../../files/mpproxy.service")
	if err != nil || string(text) != unitText {
		t.Errorf("files/mpproxy.service and src/cmd/mpproxy/mpproxy.service differ, %v", err)
	}
}

func TestSetupIsTakenBackByteForByte(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{"/etc/hosts": "127.0.0.1 localhost\n", "/usr/bin/mpproxy": "the program", unitPath: "an older unit\n"} {
		if err := os.MkdirAll(filepath.Dir(root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, root)
	args := []string{"setup", "remote", "--root", root, "--interface", "lo", "--endpoint", "vps.example.org", "--endpoint", "192.0.2.1:7000", "--port", "6790"}
	code, out, errs := try(t.Context(), "", args...)
	if code != exitWell || out != "" || !strings.Contains(errs, "wrote   /etc/mpproxy/mpproxy\n") || !strings.Contains(errs, "key made") {
		t.Fatalf("status %d, %q, %s", code, out, errs)
	}
	c, warnings, err := config.Load(root + serverConfig)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	r := c.Portal.Remote
	if !c.Portal.Enabled || r.Interface != "lo" || r.Listen[0].Port() != 6790 || len(r.Endpoints) != 2 || r.Endpoints[0].String() != "vps.example.org:6790" || c.Portal.PrivateKey.IsZero() {
		t.Errorf("%+v", c.Portal)
	}
	// A second set-up keeps what is there.
	set := tree(t, root)
	if code, _, errs := try(t.Context(), "", args...); code != exitWell || !strings.Contains(errs, "kept    /etc/mpproxy/mpproxy") || tree(t, root) != set {
		t.Errorf("again: status %d, %s", code, errs)
	}
	if err := os.WriteFile(root+"/etc/mpproxy/peers.d/home", []byte("# made later\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := try(t.Context(), "", "setup", "remote", "--remove", "--root", root); code != exitWell {
		t.Errorf("remove: status %d, %s", code, errs)
	}
	if after := tree(t, root); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if code, _, errs := try(t.Context(), "", "setup", "remote", "--remove", "--root", root); code != exitFailed || !strings.Contains(errs, "nothing to remove") {
		t.Errorf("remove again: status %d, %s", code, errs)
	}
}

// TestSetupThatWasCutOff: whatever was written is taken back.
func TestSetupThatWasCutOff(t *testing.T) {
	root := t.TempDir()
	before := tree(t, root)
	args := []string{"setup", "remote", "--root", root, "--interface", "lo", "--endpoint", "192.0.2.1"}
	if err := os.MkdirAll(root+"/usr", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/usr/bin", nil, 0o600); err != nil { // the program has no place: set-up stops in the middle
		t.Fatal(err)
	}
	if code, _, errs := try(t.Context(), "", args...); code == exitWell {
		t.Fatalf("status %d, %s", code, errs)
	}
	if err := os.RemoveAll(root + "/usr"); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := try(t.Context(), "", "setup", "remote", "--remove", "--root", root); code != exitWell {
		t.Errorf("remove: status %d, %s", code, errs)
	}
	if after := tree(t, root); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestSetupKeepsKeysIfAsked(t *testing.T) {
	root := t.TempDir()
	if code, _, errs := try(t.Context(), "", "setup", "remote", "--root", root, "--interface", "lo", "--endpoint", "192.0.2.1"); code != exitWell {
		t.Fatal(errs)
	}
	if code, _, errs := try(t.Context(), "", "setup", "remote", "--remove", "--keep", "--root", root); code != exitWell || !strings.Contains(errs, "stay in /etc/mpproxy") {
		t.Fatal(errs)
	}
	for path, want := range map[string]bool{"/etc/mpproxy/secrets/private_key": true, serverConfig: true, unitPath: false} {
		if _, err := os.Stat(root + path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSetupSaysWhatIsWrong(t *testing.T) {
	busy, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := fmt.Sprint(busy.LocalAddr().(*net.UDPAddr).Port)
	root := t.TempDir()
	for want, args := range map[string][]string{
		"port " + port + "/UDP is in use": {"--port", port, "--interface", "lo"}, "not '0'": {"--port", "0"},
		"say where routers reach it: --endpoint": {"--interface", "lo"}, "find device nix0": {"--interface", "nix0"}, "--endpoint: must be": {"--interface", "lo", "--endpoint", "a b"},
	} {
		if code, _, errs := try(t.Context(), "", append([]string{"setup", "remote", "--root", root}, args...)...); code == exitWell || !strings.Contains(errs, want) {
			t.Errorf("%v: status %d, %s", args, code, errs)
		}
	}
	if _, err := os.Stat(root + "/etc"); err == nil {
		t.Error("a refused set-up wrote something")
	}
	if code, _, errs := try(t.Context(), "", "setup", "local"); code != exitUsage || !strings.Contains(errs, "mpproxy join") {
		t.Errorf("status %d, %s", code, errs)
	}
}
