package portal

import (
	"context"
	"os"
	"path/filepath"
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
			p.config.current = to
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
		change(of("ab", "b"), of("a", "b"))
		cancel() // the portal ends
		_ = p.group.wait()
		if got := there(); got != "private_key relay.b remote.b.psk user.a user.c " {
			t.Errorf("at the end: %s", got)
		}
	})
}
