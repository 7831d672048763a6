package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/src/control"
	"mpproxy/src/stats"
)

// answering serves a control socket with handler until the test ends.
func answering(t *testing.T, socket string, handler control.Handler) {
	t.Helper()
	server := control.NewServer(socket, handler)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-server.Ready()
}

func TestReload(t *testing.T) {
	for _, c := range []struct {
		done control.Reloaded
		err  error
		code int
		want string
	}{
		{control.Reloaded{}, nil, exitWell, "nothing changed\n"},
		{control.Reloaded{Changes: []string{"link dsl"}, Restart: []string{"device"}}, nil, exitWell, "changed: link dsl\nneeds a restart: device\n"},
		{control.Reloaded{}, errors.New("the configuration is wrong"), exitFailed, "the configuration is wrong"},
	} {
		socket := filepath.Join(t.TempDir(), "s.sock")
		answering(t, socket, func(_ context.Context, q control.Request) (any, error) {
			if q.Cmd != control.CmdReload {
				t.Errorf("asked %+v", q)
			}
			return &c.done, c.err
		})
		if code, out, errs := try(t.Context(), "", "--socket", socket, "reload"); code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%+v: status %d, %q %q", c, code, out, errs)
		}
	}
	if code, _, errs := try(t.Context(), "", "--socket", filepath.Join(t.TempDir(), "none"), "reload"); code != exitFailed || !strings.Contains(errs, "nobody answers") {
		t.Errorf("without a portal: status %d, %q", code, errs)
	}
}

// TestSetupCheck: what is left to do at a server is said in lines; a portal that runs is not cleaned up behind its back.
func TestSetupCheck(t *testing.T) {
	root := t.TempDir()
	if code, _, errs := try(t.Context(), "", "setup", "remote", "--root", root, "--interface", "lo", "--endpoint", "192.0.2.1", "--port", "6799"); code != exitWell {
		t.Fatal(errs)
	}
	socket := root + serverSocket
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	advice := []string{"chain inet owner through of this server's firewall drops what is forwarded"}
	answering(t, socket, func(context.Context, control.Request) (any, error) {
		return &stats.Status{Version: "9", Role: "remote", Advice: advice}, nil
	})
	code, _, errs := try(t.Context(), "", "setup", "remote", "--check", "--root", root)
	for _, want := range []string{"ok      mpproxy runs", "to do   " + advice[0], "let in: 6799/UDP", "mpproxy pair home"} {
		if code != exitWell || !strings.Contains(errs, want) {
			t.Errorf("status %d, no %q in:\n%s", code, want, errs)
		}
	}
	advice = nil
	if code, _, errs := try(t.Context(), "", "setup", "remote", "--check", "--root", root); code != exitWell || !strings.Contains(errs, "get through this machine's firewall") {
		t.Errorf("status %d, %s", code, errs)
	}
	if code, _, errs := try(t.Context(), "", "--config", root+serverConfig, "cleanup"); code != exitFailed || !strings.Contains(errs, "the portal is running") {
		t.Errorf("cleanup beside a portal: status %d, %s", code, errs)
	}
}
