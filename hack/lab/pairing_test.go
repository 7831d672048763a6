package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// emptyPortals writes a server that knows no router, and a router that knows no server.
func emptyPortals(t *testing.T, l *Lab) {
	t.Helper()
	remote := fmt.Sprintf("config portal 'main'\n\toption enabled '1'\n\toption role 'remote'\n\toption control '%s'\n\toption secrets_dir '%s/remote.secrets'\n\toption peers_dir '%s/peers.d'\n\tlist listen '0.0.0.0:6779'\n\toption interface 'eth0'\n", l.socket("remote"), l.dir, l.dir)
	router := fmt.Sprintf("# mine\nconfig portal 'main'\n\toption enabled '0'\n\toption control '%s'\n\toption secrets_dir '%s/router/secrets'\n\tlist lan 'lan0'\n", l.socket("router"), l.dir)
	for path, text := range map[string]string{l.config("remote"): remote, l.config("router"): router} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// mpproxy runs the program in a namespace and returns what it printed on its two outputs.
func mpproxy(l *Lab, role, input string, args ...string) (out, errs string, err error) {
	cmd := exec.Command("ip", append([]string{"netns", "exec", l.Namespace(role), l.options.Program, "--config", l.config(role)}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// serve starts the remote portal and waits until it answers.
func serve(t *testing.T, l *Lab) {
	t.Helper()
	var err error
	if l.Remote, err = l.startDaemon("remote"); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, _, err = mpproxy(l, "remote", "", "status"); err == nil {
			return
		}
		wait(50 * time.Millisecond)
	}
	t.Fatal(err, l.Remote.Log())
}

func token(t *testing.T, l *Lab, args ...string) string {
	t.Helper()
	out, errs, err := mpproxy(l, "remote", "", append([]string{"pair"}, args...)...)
	if err != nil || !strings.HasPrefix(out, "mpp1:") {
		t.Fatal(out, errs, err)
	}
	return out
}

// TestPairingFromNothing: two empty configurations and one token make a working tunnel, over both links.
func TestPairingFromNothing(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/20ms")
	emptyPortals(t, l)
	serve(t, l)
	text := token(t, l, "home")
	if !strings.Contains(text, "mpp1:") {
		t.Fatal(text)
	}
	before, err := l.Snapshot("router")
	if err != nil {
		t.Fatal(err)
	}
	_, errs, err := mpproxy(l, "router", "The token:\n> "+text[:50]+"\n> "+text[50:], "join", "--no-start")
	for _, want := range []string{"token of the server 203.0.113.2:6779", "keys made", "answers over wan1", "answers over wan2", "addresses received: 10.99.0.2", "settings saved"} {
		if err != nil || !strings.Contains(errs, want) {
			t.Fatalf("%v, no %q in:\n%s\n%s", err, want, errs, l.Remote.Log())
		}
	}
	if after, err := l.Snapshot("router"); err != nil || Difference(before, after) != "" {
		t.Errorf("join left something on the system: %v\n%s", err, Difference(before, after))
	}
	if raw, _ := os.ReadFile(l.config("router")); !strings.HasPrefix(string(raw), "# mine\n") || !strings.Contains(string(raw), "option enabled '1'") {
		t.Errorf("the configuration:\n%s", raw)
	}
	if l.Router, err = l.startDaemon("router"); err != nil {
		t.Fatal(err)
	}
	if err := l.waitUp(); err != nil {
		t.Fatal(err, l.Router.Log())
	}
	if rate := bulk(t, l, Down, 3*time.Second); rate < 25e6 {
		t.Errorf("%.1f Mbit/s through the paired tunnel", rate/1e6)
	}
	// Another router, the same token; a token that was cut; one that the server does not know.
	if err := l.Router.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(l.dir, "router/secrets/private_key")); err != nil {
		t.Fatal(err)
	}
	for want, input := range map[string]string{
		"the token was used by 'home' on ": text, "cut off: 12 characters are missing": text[:len(text)-13], "this is no token": "hello",
	} {
		if _, errs, err := mpproxy(l, "router", input, "join", "--no-start"); err == nil || !strings.Contains(errs, want) {
			t.Errorf("%v, no %q in:\n%s", err, want, errs)
		}
	}
	if out, _, err := mpproxy(l, "remote", "", "peers"); err != nil || strings.Count(out, "\n") != 2 || !strings.Contains(out, "home") {
		t.Errorf("peers: %v\n%s", err, out)
	}
	// New hardware in its place.
	if _, errs, err := mpproxy(l, "router", token(t, l, "--replace", "home"), "join", "--no-start"); err != nil || !strings.Contains(errs, "addresses received: 10.99.0.2") {
		t.Errorf("replacement: %v\n%s", err, errs)
	}
	if _, _, err := mpproxy(l, "remote", "", "peers", "revoke", "home"); err != nil {
		t.Error(err)
	}
	if out, _, err := mpproxy(l, "remote", "", "peers"); err != nil || !strings.Contains(out, "revoked") {
		t.Errorf("peers: %v\n%s", err, out)
	}
	if _, errs, err := mpproxy(l, "router", "", "join", "--undo"); err != nil {
		t.Error(errs)
	}
}

// TestPairingSurvivesKills kills server and router at many moments of a pairing and lets it be repeated with the same
// token: in the end there is one router, and its token is burnt.
func TestPairingSurvivesKills(t *testing.T) {
	l := newLab(t, "20M/10ms")
	emptyPortals(t, l)
	serve(t, l)
	for i := range 6 {
		name := fmt.Sprintf("r%d", i)
		text := token(t, l, name)
		_ = os.Remove(filepath.Join(l.dir, "router/secrets/private_key"))
		router := exec.Command("ip", "netns", "exec", l.Namespace("router"), l.options.Program, "--config", l.config("router"), "join", "--no-start")
		router.Stdin = strings.NewReader(text)
		if err := router.Start(); err != nil {
			t.Fatal(err)
		}
		wait(time.Duration(15+12*i) * time.Millisecond)
		if i%2 == 0 {
			l.Remote.Kill()
		}
		_ = router.Process.Kill()
		_ = router.Wait()
		if i%2 == 0 {
			serve(t, l)
		}
		if _, errs, err := mpproxy(l, "router", text, "join", "--no-start"); err != nil {
			t.Fatalf("killed after %d ms: %v\n%s\n%s", 15+12*i, err, errs, l.Remote.Log())
		}
		out, _, err := mpproxy(l, "remote", "", "peers")
		if err != nil || strings.Count(out, name) != 1 || strings.Count(out, "\n") != i+2 {
			t.Errorf("killed after %d ms: peers: %v\n%s", 15+12*i, err, out)
		}
		if out, _, _ := mpproxy(l, "remote", "", "pair", "--list"); !strings.Contains(out, "No token is open") {
			t.Errorf("killed after %d ms: the token is still good:\n%s", 15+12*i, out)
		}
	}
	var stale error
	for _, role := range []string{"router", "remote"} {
		if files, _ := filepath.Glob(filepath.Join(l.dir, role, "*", ".*")); len(files) > 2 {
			stale = errors.Join(stale, fmt.Errorf("%s: %v", role, files))
		}
	}
	if stale != nil {
		t.Error(stale)
	}
}
