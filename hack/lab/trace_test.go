package lab

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"mpproxy/src/stats"
)

// A running portal of either role tells what its tunnels do while it is asked; and a call is sent twice, both ways, once the
// router's configuration says so, without a restart.
func TestTraceAndCopiesOfRunningPortals(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms")
	startPortals(t, l)
	call, err := l.StartCall(9 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	began := Now()
	l.Router.until(t, "two paths", func(s stats.Status) bool {
		_, one := pathOf(s, "link1")
		_, two := pathOf(s, "link2")
		return one && two
	})
	l.Router.edit(t, "option role 'local'", "option role 'local'\n\toption duplicate 'calls'")
	if out, err := l.Router.reload(); err != nil || out != "changed: duplicate calls\n" {
		t.Errorf("reload: %q, %v", out, err)
	}
	for _, d := range []*Daemon{l.Router, l.Remote} {
		text, err := run("", "ip", "netns", "exec", l.Namespace(d.Role), l.options.Program, "--socket", d.Socket, "trace", "--seconds", "1.5")
		if err != nil {
			t.Fatal(err)
		}
		looks := map[float64]int{}
		for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
			var v map[string]any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if v["event"] == "path" {
				looks[v["path"].(float64)]++
			}
		}
		if len(looks) != 2 {
			t.Errorf("%v tells of paths %v:\n%s", d.Role, looks, text)
		}
		for path, n := range looks {
			if n < 20 {
				t.Errorf("%v tells of path %v %d times in 1.5 s of a call", d.Role, path, n)
			}
		}
	}
	if err := call.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Daemon{l.Router, l.Remote} {
		if s := d.status(t); s.Sessions[0].CopiedPackets < 100 || s.Sessions[0].Drops["lane_duplicate"] < 100 {
			t.Errorf("%v: %d packets copied, %v dropped", d.Role, s.Sessions[0].CopiedPackets, s.Sessions[0].Drops)
		}
	}
	for _, d := range []Direction{Down, Up} {
		if s := call.Stats(d, began.Add(time.Second), began.Add(8*time.Second)); s.Lost > 0 {
			t.Errorf("%v: %v", d, s)
		}
	}
}
