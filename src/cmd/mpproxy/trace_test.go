package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mpproxy/src/control"
	"mpproxy/src/portal"
)

// tracedPortal answers for a trace, two new lines to each question; of the third answer some are gone.
func tracedPortal(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s.sock")
	asked, next := 0, 7
	server := control.NewServer(socket, func(_ context.Context, r control.Request) (any, error) {
		want := ""
		if asked > 0 {
			want = strconv.Itoa(next)
		}
		if r.Cmd != control.CmdTrace || r.Text != want {
			return nil, fmt.Errorf("asked %q %q, not from %q on", r.Cmd, r.Text, want)
		}
		asked++
		next += 2
		a := portal.Traced{Next: uint64(next)}
		if asked == 3 {
			a.Missed = 5
		}
		for i := range 2 {
			a.Lines = append(a.Lines, json.RawMessage(fmt.Sprintf(`{"line":%d}`, next-2+i)))
		}
		return a, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	<-server.Ready()
	return socket
}

func TestTrace(t *testing.T) {
	socket := tracedPortal(t)
	file := filepath.Join(t.TempDir(), "out.jsonl")
	code, out, errs := try(context.Background(), "", "trace", "--socket", socket, "--seconds", "0.6", "--output", file)
	text, err := os.ReadFile(file)
	if code != 0 || out != "" || err != nil {
		t.Fatal(code, out, errs, err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 6 || lines[0] != `{"line":7}` || lines[5] != `{"line":12}` {
		t.Errorf("%q", lines)
	}
	if want := fmt.Sprintf("5 of %d lines came too fast and are missing\n", len(lines)+5); errs != want {
		t.Errorf("said %q, want %q", errs, want)
	}
	code, out, errs = try(context.Background(), "", "trace", "--socket", tracedPortal(t), "--seconds=0.01")
	if code != 0 || !strings.HasPrefix(out, "{\"line\":7}\n{\"line\":8}\n") {
		t.Error(code, out, errs)
	}
	for _, wrong := range []string{"0", "-1", "x", "NaN", "86401"} {
		if code, _, errs := try(context.Background(), "", "trace", "--socket", socket, "--seconds="+wrong); code != exitUsage || !strings.Contains(errs, wrong) {
			t.Errorf("%s: %d %s", wrong, code, errs)
		}
	}
}
