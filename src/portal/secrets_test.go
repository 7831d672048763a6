package portal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/src/control"
)

func TestPasswordsAreWrittenAndNeverTold(t *testing.T) {
	file := writeFile(t, "config portal 'main'\n")
	dir := filepath.Join(filepath.Dir(file), "secrets")
	text := fmt.Sprintf("config portal 'main'\n\toption secrets_dir '%s'\n", dir)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	reloads := 0
	d := &Desk{ConfigFile: file, Running: true, next: func(_ context.Context, q control.Request) (any, error) {
		if q.Cmd == control.CmdReload {
			reloads++
		}
		return nil, nil
	}}
	set := func(name, text string) error {
		_, err := d.Handle(t.Context(), control.Request{Cmd: control.CmdSecret, Action: control.ActionSet, Name: name, Text: text})
		return err
	}
	told := func() string {
		got, err := d.Handle(t.Context(), control.Request{Cmd: control.CmdSecret, Action: control.ActionList})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(got)
	}
	if got := told(); got != "[]" {
		t.Errorf("before: %s", got)
	}
	if err := set("user.ann", "it's a secret"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "user.ann"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	raw, _ := os.ReadFile(filepath.Join(dir, "user.ann"))
	if string(raw) != "it's a secret\n" {
		t.Errorf("kept %q", raw)
	}
	if err := os.WriteFile(filepath.Join(dir, "private_key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := told(); got != "[user.ann]" {
		t.Errorf("told %s", got)
	}
	for _, name := range []string{"private_key", "peer.x.psk", "user.", "user.../x", "user.a/b", "", "user", "relay.a.b", "user." + strings.Repeat("a", 100)} {
		if set(name, "x") == nil {
			t.Errorf("'%s' was written", name)
		}
	}
	if err := set("relay.nl", "two\nlines"); err == nil || strings.Contains(err.Error(), "lines") && strings.Contains(err.Error(), "two") {
		t.Errorf("two lines: %v", err)
	}
	if err := set("user.ann", ""); err != nil || told() != "[]" {
		t.Errorf("removed: %v, %s", err, told())
	}
	if err := set("user.ann", ""); err != nil {
		t.Errorf("removed twice: %v", err)
	}
	if reloads != 3 {
		t.Errorf("the portal followed %d times", reloads)
	}
}
