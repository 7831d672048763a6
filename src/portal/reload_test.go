package portal

import (
	"context"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/control"
)

// slowRole takes its time for a reload.
type slowRole struct {
	takes time.Duration
	cut   chan error // why it was not done to the end
}

func (r *slowRole) reload(ctx context.Context, _ *config.Config) ([]string, error) {
	select {
	case <-time.After(r.takes):
	case <-ctx.Done():
	}
	r.cut <- ctx.Err()
	return []string{"something"}, ctx.Err()
}

// TestReloadIsDoneToTheEnd though who asked for it does not wait so long: half of it would stay.
func TestReloadIsDoneToTheEnd(t *testing.T) {
	path := writeFile(t, "config portal 'main'\n\toption private_key '"+config.Key{9}.String()+"'\n")
	synctest.Test(t, func(t *testing.T) {
		p := &running{Options: Options{ConfigFile: path}, mode: &safeMode{}, log: slog.New(slog.DiscardHandler), level: new(slog.LevelVar), group: newGroup(t.Context())}
		cfg, _, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		p.config.current = cfg
		role := &slowRole{takes: 7 * time.Second, cut: make(chan error, 2)}
		p.config.role = role
		ask := p.withReload(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := ask(ctx, control.Request{Cmd: control.CmdReload}); err == nil || !strings.Contains(err.Error(), "still being applied") {
			t.Error(err)
		}
		if err := <-role.cut; err != nil {
			t.Errorf("cut off in the middle: %v", err)
		}
		role.takes = time.Second
		got, err := ask(t.Context(), control.Request{Cmd: control.CmdReload})
		if done, ok := got.(*control.Reloaded); err != nil || !ok || len(done.Changes) != 1 {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// other makes a value another one than the zero it is.
func other(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("10.0.0.0/8")))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.String:
		v.SetString("x")
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Array:
		other(t, v.Index(0))
	case reflect.Struct:
		other(t, v.Field(0))
	default:
		t.Fatalf("another %v", v.Type())
	}
}

// TestOptionsAreFollowedOrTold: what an option of the portal says from a reload on is in force, or people are told that it waits for
// a restart; then, and only then, it stays as it was.
func TestOptionsAreFollowedOrTold(t *testing.T) {
	for _, role := range []config.Role{config.RoleLocal, config.RoleRemote} {
		part := map[config.Role]string{config.RoleLocal: "Local", config.RoleRemote: "Remote"}[role]
		fields := [][]int{}
		for _, f := range reflect.VisibleFields(reflect.TypeFor[config.Portal]()) {
			if f.Name != "Local" && f.Name != "Remote" && f.Name != "Role" {
				fields = append(fields, f.Index)
			}
			if f.Name == part {
				for _, g := range reflect.VisibleFields(f.Type) {
					fields = append(fields, append(slices.Clone(f.Index), g.Index...))
				}
			}
		}
		for _, at := range fields {
			old, next := &config.Config{Portal: config.Portal{Role: role}}, &config.Config{Portal: config.Portal{Role: role}}
			name := part + " " + reflect.TypeFor[config.Portal]().FieldByIndex(at).Name
			other(t, reflect.ValueOf(&next.Portal).Elem().FieldByIndex(at))
			merged, restart := merge(old, next)
			followed := reflect.DeepEqual(merged.Portal, next.Portal)
			if kept := reflect.DeepEqual(merged.Portal, old.Portal); kept == followed || followed != (len(restart) == 0) || len(restart) > 1 {
				t.Errorf("%s: followed %v, told %q", name, followed, restart)
			}
		}
	}
}

// TestMergeKeepsWhatCannotChange: another role, or another key of the server in use, waits for a restart.
func TestMergeKeepsWhatCannotChange(t *testing.T) {
	remote := config.Remote{Name: "vps", Enabled: true, PublicKey: config.Key{1}, PresharedKey: config.SecretKey{2}}
	old := &config.Config{Portal: config.Portal{Role: config.RoleLocal}, Remotes: []config.Remote{remote}}
	for name, change := range map[string]func(*config.Config){
		"option role": func(c *config.Config) { c.Portal.Role, c.Remotes = config.RoleRemote, nil },
		"option public_key or preshared_key of the remote in use":  func(c *config.Config) { c.Remotes[0].PublicKey = config.Key{3} },
		"option public_key or preshared_key of the remote in use ": func(c *config.Config) { c.Remotes[0].PresharedKey = config.SecretKey{3} },
	} {
		next := *old
		next.Remotes = slices.Clone(old.Remotes)
		change(&next)
		merged, restart := merge(old, &next)
		if !slices.Contains(restart, strings.TrimSpace(name)) || merged.Portal.Role != config.RoleLocal || next.Portal.Role != config.RoleLocal && merged != old {
			t.Errorf("%s: %q", name, restart)
		}
	}
	same := *old
	if _, restart := merge(old, &same); len(restart) > 0 {
		t.Errorf("nothing is different: %q", restart)
	}
}

// TestTroubleOfTheFile: what waits for a restart goes on waiting for it while the file makes no sense.
func TestTroubleOfTheFile(t *testing.T) {
	p := &running{}
	for _, c := range []struct {
		problem       string
		restart, want []string
	}{{"", []string{"option mtu"}, []string{"option mtu"}}, {"line 3", nil, []string{"option mtu"}}, {"nft", []string{"option mark"}, []string{"option mark"}}, {"", nil, nil}} {
		p.setTrouble(c.problem, c.restart)
		if problem, restart := p.configTrouble(); problem != c.problem || !slices.Equal(restart, c.want) {
			t.Errorf("after %+v: %q, %q", c, problem, restart)
		}
	}
}
