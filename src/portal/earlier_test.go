package portal

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mpproxy/src/config"
)

func TestEarlierSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e earlier
		look := func(when string, up, lost bool, good string) {
			t.Helper()
			if got := e.look(up); got != lost || e.good != good {
				t.Errorf("%s: lost %v, to go back to %q; want %v, %q", when, got, e.good, lost, good)
			}
		}
		e.replaced("a")
		look("no session yet", false, false, "")
		e.replaced("b")
		time.Sleep(time.Minute)
		look("there was none before", false, false, "")
		look("there is one", true, false, "")
		e.replaced("b")
		look("the same again", true, false, "")
		e.replaced("c")
		look("at once", false, false, "b")
		time.Sleep(proveWithin - time.Second)
		look("soon after", false, false, "b")
		e.replaced("d")
		time.Sleep(proveWithin - time.Second)
		look("another try has its own time", false, false, "b")
		time.Sleep(time.Second)
		look("it was lost", false, true, "b")
		look("it still is", false, true, "b")
		look("it comes by itself", true, false, "")
		e.replaced("e")
		time.Sleep(proveAfter - time.Second)
		look("it may be the session of before", true, false, "d")
		e.replaced("e2")
		look("nothing was proven meanwhile", true, false, "d")
		e.replaced("e")
		time.Sleep(proveAfter - time.Second)
		time.Sleep(time.Second)
		look("other settings that work", true, false, "")
		e.replaced("f")
		look("lost again", false, false, "e")
		e.replaced("e")
		look("somebody went back", false, false, "")
	})
}

func TestPasswordsGoWithTheirSections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		dir := t.TempDir()
		of := func(users, relays string) *config.Config {
			c := &config.Config{Portal: config.Portal{SecretsDir: dir}}
			for _, u := range users {
				c.Users = append(c.Users, config.User{Name: string(u)})
			}
			for _, r := range relays {
				c.Relays = append(c.Relays, config.Relay{Name: string(r)})
			}
			return c
		}
		there := func() (names string) {
			list, _ := os.ReadDir(dir)
			for _, f := range list {
				names += f.Name() + " "
			}
			return names
		}
		write := func(name string) {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte("x\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		p := &running{group: newGroup(ctx)}
		change := func(from, to *config.Config) {
			p.config.note.Lock()
			p.config.current = to
			p.config.note.Unlock()
			p.forgetPasswords(from, to)
			time.Sleep(time.Second)
		}
		for _, name := range []string{"private_key", "remote.b.psk", "user.a", "user.b", "user.c", "relay.a", "relay.b"} {
			write(name)
		}
		time.Sleep(time.Second)
		change(of("abc", "ab"), of("b", "b"))
		if got := there(); got != "private_key relay.a relay.b remote.b.psk user.a user.b user.c " {
			t.Errorf("at once: %s", got)
		}
		write("user.c") // for a new section of that name, not saved yet
		change(of("b", "b"), of("ab", "b"))
		time.Sleep(orphansAfter)
		if got := there(); got != "private_key relay.b remote.b.psk user.a user.b user.c " {
			t.Errorf("after a while: %s", got)
		}
		goBack := func(to string) {
			p.earlier.mu.Lock()
			p.earlier.good = to
			p.earlier.mu.Unlock()
		}
		goBack("settings with a user b")
		change(of("ab", "b"), of("a", "b"))
		time.Sleep(2 * orphansAfter)
		if got := there(); got != "private_key relay.b remote.b.psk user.a user.b user.c " {
			t.Errorf("while there are settings to go back to: %s", got)
		}
		goBack("")
		time.Sleep(orphansAfter)
		if got := there(); got != "private_key relay.b remote.b.psk user.a user.c " {
			t.Errorf("with settings that have proven themselves: %s", got)
		}
		change(of("a", "b"), of("a", ""))
		cancel() // the portal ends
		_ = p.group.wait()
		if got := there(); got != "private_key remote.b.psk user.a user.c " {
			t.Errorf("at the end: %s", got)
		}
	})
}

// TestPasswordsStayAtTheEnd: settings to go back to may be typed in again after the portal has ended.
func TestPasswordsStayAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "user.a")
	if err := os.WriteFile(path, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := &running{group: newGroup(ctx)}
	p.earlier.good = "settings with a user a"
	p.config.current = &config.Config{Portal: config.Portal{SecretsDir: dir}}
	p.forgetPasswords(&config.Config{Users: []config.User{{Name: "a"}}}, p.config.current)
	cancel()
	_ = p.group.wait()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// TestRestoreChecksFirst: settings that no longer make sense are not put over those that are in force.
func TestRestoreChecksFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mpproxy")
	if err := os.WriteFile(file, []byte("now"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &running{Options: Options{ConfigFile: file}, log: slog.New(slog.DiscardHandler)}
	p.earlier.good = "config portal 'main'\n\toption role 'nonsense'\n"
	err := p.restore(t.Context(), "", nil)
	if err == nil || !strings.Contains(err.Error(), "those of now stay") || !strings.Contains(err.Error(), "role") {
		t.Error(err)
	}
	if text, _ := os.ReadFile(file); string(text) != "now" {
		t.Errorf("the file is now %q", text)
	}
}
