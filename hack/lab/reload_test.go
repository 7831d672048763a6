package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpproxy/src/stats"
)

// reloadPatience is how long a reload may take to show in the status; a watched directory is looked at every 2 s.
const reloadPatience = 8 * time.Second

func (d *Daemon) status(t *testing.T) stats.Status {
	t.Helper()
	text, err := d.Status()
	if err != nil {
		t.Fatal(err)
	}
	var s stats.Status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// until waits for the status to be as wanted.
func (d *Daemon) until(t *testing.T, what string, wanted func(s stats.Status) bool) stats.Status {
	t.Helper()
	deadline := time.Now().Add(reloadPatience)
	for {
		var s stats.Status
		if text, err := d.Status(); err == nil && json.Unmarshal([]byte(text), &s) == nil && wanted(s) { // it may still be starting
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v:\n%s\n%s", what, reloadPatience, s.People(), d.Log())
		}
		wait(pollEvery)
	}
}

// reload runs the subcommand.
func (d *Daemon) reload() (string, error) {
	return run("", "ip", "netns", "exec", d.lab.Namespace(d.Role), d.lab.options.Program, "--socket", d.Socket, "reload")
}

// edit replaces text in the portal's configuration.
func (d *Daemon) edit(t *testing.T, old, text string) {
	t.Helper()
	raw, err := os.ReadFile(d.Config)
	if err != nil || !strings.Contains(string(raw), old) {
		t.Fatalf("no %q in %s, %v", old, d.Config, err)
	}
	if err := os.WriteFile(d.Config, []byte(strings.Replace(string(raw), old, text, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pathOf returns the path over a link; ok is false if there is none that is up.
func pathOf(s stats.Status, link string) (p stats.Path, ok bool) {
	for _, session := range s.Sessions {
		for _, p := range session.Paths {
			if p.Link == link && p.State == stats.PathUp {
				return p, true
			}
		}
	}
	return stats.Path{}, false
}

// sameWay checks that session and path are those of before, and that packet numbers went on.
func sameWay(t *testing.T, when string, before, after stats.Status, link string) {
	t.Helper()
	a, okA := pathOf(before, link)
	b, okB := pathOf(after, link)
	if !okA || !okB || a.ID != b.ID || b.SentDatagrams < a.SentDatagrams || a.Local != b.Local {
		t.Errorf("%s: %s had path %d (%d sent, %s), now %d (%d sent, %s)", when, link, a.ID, a.SentDatagrams, a.Local, b.ID, b.SentDatagrams, b.Local)
	}
	if after.Sessions[0].StateSeconds < before.Sessions[0].StateSeconds || after.Sessions[0].UpPackets < before.Sessions[0].UpPackets {
		t.Errorf("%s: the session began anew: %v s, %d packets, before %v s, %d", when, after.Sessions[0].StateSeconds, after.Sessions[0].UpPackets,
			before.Sessions[0].StateSeconds, before.Sessions[0].UpPackets)
	}
}

// operations counts what the portal did to the system so far.
func (d *Daemon) operations() int {
	log := d.Log()
	return strings.Count(log, "changed system") + strings.Count(log, "msg=link ")
}

func TestReloadOfRouter(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms,20M/15ms")
	startPortals(t, l, l.Links[0], l.Links[1])
	r := l.Router
	call, err := l.StartCall(14 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	began := Now()
	before := r.until(t, "two paths", func(s stats.Status) bool {
		_, one := pathOf(s, "link1")
		_, two := pathOf(s, "link2")
		return one && two
	})
	done := r.operations()
	for range 2 {
		if out, err := r.reload(); err != nil || out != "nothing changed\n" {
			t.Errorf("reload of the same: %q, %v", out, err)
		}
	}
	if now := r.operations(); now != done {
		t.Errorf("reload of the same did %d things:\n%s", now-done, r.Log())
	}

	third := "\nconfig link 'link3'\n\toption interface 'wan3'\n\toption metric '0'\n"
	r.edit(t, "config link 'link2'", strings.TrimPrefix(third, "\n")+"\nconfig link 'link2'")
	if err := r.process.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	with := r.until(t, "a third path", func(s stats.Status) bool { _, ok := pathOf(s, "link3"); return ok })
	sameWay(t, "a link came", before, with, "link1")
	sameWay(t, "a link came", before, with, "link2")

	r.edit(t, "option metric '0'", "option metric '5'")
	if out, err := r.reload(); err != nil || out != "changed: link link3\n" {
		t.Errorf("another metric: %q, %v", out, err)
	}
	was, _ := pathOf(with, "link3")
	idle := r.until(t, "a probe over the link that is only for need", func(s stats.Status) bool {
		p, ok := pathOf(s, "link3")
		return ok && p.SentDatagrams > was.SentDatagrams
	})
	sameWay(t, "another metric", with, idle, "link3")

	r.edit(t, "config link 'link1'\n", "config link 'link1'\n\toption enabled '0'\n")
	if out, err := r.reload(); err != nil || !strings.Contains(out, "link1 is no longer used") {
		t.Errorf("a link is switched off: %q, %v", out, err)
	}
	less := r.until(t, "no path over link1", func(s stats.Status) bool { _, ok := pathOf(s, "link1"); return !ok })
	sameWay(t, "a link went", with, less, "link2")

	r.edit(t, "option role 'local'", "option role 'local'\n\toption mtu '42'")
	_, err = r.reload()
	want := []string{r.Config + ":", "portal 'main', option mtu '42'", "must be a number from 1280 to 1500", "stays in force"}
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("a bad file: no %q in %v", w, err)
		}
	}
	wait(300 * time.Millisecond)
	bad := r.status(t)
	sameWay(t, "a bad file", less, bad, "link2")
	if !strings.Contains(bad.ConfigProblem, "option mtu '42'") {
		t.Errorf("status says %q", bad.ConfigProblem)
	}
	r.edit(t, "option mtu '42'", "option mtu '1300'")
	if out, err := r.reload(); err != nil || out != "needs a restart: option mtu\n" {
		t.Errorf("another MTU: %q, %v", out, err)
	}
	if s := r.status(t); s.ConfigProblem != "" || len(s.ConfigRestart) != 1 {
		t.Errorf("status says %q, %q", s.ConfigProblem, s.ConfigRestart)
	}
	if err := call.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []Direction{Down, Up} {
		if s := call.Stats(d, began.Add(500*time.Millisecond), began.Add(10*time.Second)); s.Silence > wantSilence {
			t.Errorf("%v: %v", d, s)
		}
	}
}

func TestReloadOfServer(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms")
	startPortals(t, l)
	s := l.Remote
	keys, err := l.makeKeys()
	if err != nil {
		t.Fatal(err)
	}
	call, err := l.StartCall(8 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	began := Now()
	before := l.Router.status(t)
	done := s.operations()
	for range 2 {
		if out, err := s.reload(); err != nil || out != "nothing changed\n" {
			t.Errorf("reload of the same: %q, %v", out, err)
		}
	}
	if now := s.operations(); now != done {
		t.Errorf("reload of the same did %d things:\n%s", now-done, s.Log())
	}
	// A router is enrolled: a file appears in the watched directory.
	dir := filepath.Join(l.dir, "peers.d")
	file := filepath.Join(dir, "office")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	peer := fmt.Sprintf("config peer 'office'\n\toption public_key '%s'\n\toption address '10.99.0.7'\n", keys.routerPublic)
	if err := os.WriteFile(file, []byte(peer), 0o600); err != nil {
		t.Fatal(err)
	}
	s.until(t, "a second router", func(s stats.Status) bool { return len(s.Sessions) == 2 && s.Sessions[1].Peer == "office" })
	if err := os.WriteFile(file, []byte(strings.Replace(peer, "10.99.0.7", "10.99.0.8", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.until(t, "its other address", func(s stats.Status) bool {
		return len(s.Sessions) == 2 && fmt.Sprint(s.Sessions[1].InnerAddresses) == "[10.99.0.8/32]"
	})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.until(t, "one router again", func(s stats.Status) bool { return len(s.Sessions) == 1 })
	if err := call.Wait(); err != nil {
		t.Fatal(err)
	}
	after := l.Router.status(t)
	for _, link := range []string{"link1", "link2"} {
		sameWay(t, "others came and went", before, after, link)
	}
	for _, d := range []Direction{Down, Up} {
		if s := call.Stats(d, began.Add(500*time.Millisecond), began.Add(7*time.Second)); s.Silence > wantSilence {
			t.Errorf("%v: %v", d, s)
		}
	}
	// A router that is revoked is out at once; let in again it comes back.
	s.edit(t, "config peer 'home'\n", "config peer 'home'\n\toption enabled '0'\n")
	if out, err := s.reload(); err != nil || !strings.Contains(out, "router home is no longer let in") {
		t.Errorf("revoked: %q, %v", out, err)
	}
	l.Router.until(t, "the router is out", func(s stats.Status) bool { return s.Sessions[0].State != stats.SessionUp })
	s.edit(t, "\toption enabled '0'\n", "")
	if _, err := s.reload(); err != nil {
		t.Error(err)
	}
	l.Router.until(t, "the router is back", func(s stats.Status) bool { return s.Sessions[0].State == stats.SessionUp })
}
