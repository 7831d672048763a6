package portal

import (
	"context"
	"log/slog"
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
