package lab

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpproxy/src/stats"
)

// serviceUser plays the user mpproxy: somebody without any rights of his own.
const serviceUser = 65534

// serviceRights are what the unit gives the server's portal, and all of it.
const serviceRights = "+net_admin,+net_raw,+net_bind_service"

// setpriv is how a program runs with these rights only.
func setpriv() []string {
	id := fmt.Sprint(serviceUser)
	return []string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--no-new-privs",
		"--bounding-set", "-all," + serviceRights, "--inh-caps", "-all," + serviceRights, "--ambient-caps", "-all," + serviceRights}
}

// give makes everything below a path the service user's.
func give(t *testing.T, path string) {
	t.Helper()
	err := filepath.WalkDir(path, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, serviceUser, serviceUser)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// startUnprivileged starts the server's portal as its unit does: as a user of its own with a few rights, and a run
// directory that is his.
func (l *Lab) startUnprivileged(t *testing.T) *Daemon {
	t.Helper()
	if err := os.Chmod(l.dir, 0o711); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(l.dir, "run")
	for _, dir := range []string{run, filepath.Join(l.dir, "peers.d")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		give(t, dir)
	}
	give(t, filepath.Join(l.dir, "remote.secrets"))
	give(t, l.config("remote"))
	d := &Daemon{Role: "remote", Config: l.config("remote"), Socket: filepath.Join(run, "s.sock"), lab: l}
	program, err := filepath.Abs(l.options.Program)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(l.dir, "mpproxy") // where that user may read it
	text, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(copied, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Where udev runs everybody may open the TUN driver; here a node of our own takes its place.
	tun := filepath.Join(l.dir, "tun")
	script := "mknod " + tun + " c 10 200 && chmod 666 " + tun + " && mount --bind " + tun + " /dev/net/tun && exec \"$@\""
	args := append([]string{"unshare", "--mount", "sh", "-c", script, "sh"}, setpriv()...)
	args = append(args, copied, "run", "--config", d.Config, "--socket", d.Socket)
	d.process, err = start(l.Namespace("remote"), []string{"RUNTIME_DIRECTORY=" + run, "XTABLES_LOCKFILE=" + filepath.Join(run, "xtables.lock")},
		func(line string) { fmt.Fprintln(&d.process.errors, line) }, args[0], args[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	l.onClose(d.Stop)
	return d
}

// TestServerWithoutRoot: as a user with three capabilities the server does all it does as root, also through iptables of
// both backends, and takes it back.
func TestServerWithoutRoot(t *testing.T) {
	for _, backend := range []string{"nft", "legacy"} {
		t.Run("iptables-"+backend, func(t *testing.T) {
			l := newLab(t, "20M/10ms")
			if l.options.Program == "" {
				t.Fatal("MPPROXY_PROGRAM is not set: run this through make test")
			}
			if _, err := run("", "ip", "netns", "exec", l.Namespace("remote"), "iptables-"+backend, "-P", "FORWARD", "DROP"); err != nil {
				t.Fatal(err)
			}
			before, err := l.Snapshot("remote")
			if err != nil {
				t.Fatal(err)
			}
			if err := l.configure(nil); err != nil {
				t.Fatal(err)
			}
			l.Remote = l.startUnprivileged(t)
			server := l.Remote
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("log of the server:\n%s", server.Log())
				}
			})
			if l.Router, err = l.startDaemon("router"); err != nil {
				t.Fatal(err)
			}
			if err := l.waitUp(); err != nil {
				t.Fatal(err)
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.Pid()))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000003400", "CapBnd:\t0000000000003400", "NoNewPrivs:\t1"} {
				if !strings.Contains(string(status), want) {
					t.Errorf("no %q in\n%s", want, status)
				}
			}
			if rate := reaches(t, 10e6, func() float64 { return bulk(t, l, Down, 3*time.Second) }); rate < 10e6 {
				t.Errorf("download at %.1f Mbit/s", rate/1e6)
			}
			if out, err := l.Remote.reload(); err != nil || out != "nothing changed\n" {
				t.Errorf("reload: %q, %v", out, err)
			}
			if rules, err := run("", "ip", "netns", "exec", l.Namespace("remote"), "iptables-"+backend, "-S"); err != nil || !strings.Contains(rules, "MPPROXY-FWD") {
				t.Errorf("rules are not where the host's live: %v\n%s", err, rules)
			}
			if err := l.StopPortals(); err != nil {
				t.Error(err)
			}
			after, err := l.Snapshot("remote")
			if err != nil {
				t.Fatal(err)
			}
			if d := Difference(before, after); d != "" {
				t.Errorf("not as before:\n%s", d)
			}
			if left, _ := filepath.Glob(filepath.Join(l.dir, "run", "*")); len(left) > 1 { // the lock of iptables stays
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestRouterGivesUpRights: once it runs, root's portal on the router has the rights of a network program only, on every
// thread and for whatever it starts, and does its work with them.
func TestRouterGivesUpRights(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms")
	startPortals(t, l)
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", l.Router.Pid()))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("threads %v, %v", tasks, err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has just ended
		}
		for _, want := range []string{"CapEff:\t00000000000034e0", "CapPrm:\t00000000000034e0", "CapBnd:\t00000000000034e0"} {
			if !strings.Contains(string(status), want) {
				t.Errorf("%s: no %q in\n%s", task, want, status)
			}
		}
	}
	if err := l.Links[1].Carrier(false); err != nil {
		t.Fatal(err)
	}
	l.Router.until(t, "one path", func(s stats.Status) bool { _, ok := pathOf(s, "link2"); return !ok })
	if err := l.Links[1].Carrier(true); err != nil {
		t.Fatal(err)
	}
	l.Router.until(t, "two paths", func(s stats.Status) bool { _, ok := pathOf(s, "link2"); return ok })
}

// TestSecretsAreNowhere looks for every secret in all that the portals show: their command lines, environments, logs of
// the highest level, statuses and answers.
func TestSecretsAreNowhere(t *testing.T) {
	l := newLab(t, "20M/10ms")
	startPortals(t, l)
	var secrets []string
	for _, role := range []string{"router", "remote"} {
		files, err := filepath.Glob(filepath.Join(l.dir, role+".secrets", "*"))
		if err != nil || len(files) < 2 {
			t.Fatalf("secrets of the %s: %v, %v", role, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			secrets = append(secrets, strings.TrimSpace(string(text)))
		}
	}
	shown := map[string]string{}
	for _, d := range []*Daemon{l.Router, l.Remote} {
		d.edit(t, "option device 'mpp0'", "option device 'mpp0'\n\toption log_level 'debug'")
		if _, err := d.reload(); err != nil {
			t.Fatal(err)
		}
		// A key that is wrong, and one in a file that is wrong elsewhere.
		d.edit(t, "\toption log_level 'debug'", "\toption log_level 'debug'\n\toption private_key '"+secrets[0][:30]+"'\n\toption mtu '1'")
		_, err := d.reload()
		shown[d.Role+" bad reload"] = fmt.Sprint(err)
		check, err := run("", "sh", "-c", l.options.Program+" check "+d.Config+" 2>&1; true")
		shown[d.Role+" check"] = check + fmt.Sprint(err)
		for _, words := range [][]string{{"status"}, {"status", "--json"}, {"status", "--metrics"}} {
			text, err := run("", l.options.Program, append([]string{"--socket", d.Socket}, words...)...)
			if err != nil {
				t.Error(err)
			}
			shown[d.Role+" "+strings.Join(words, " ")] = text
		}
		for _, name := range []string{"cmdline", "environ", "comm"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", d.Pid(), name))
			if err != nil {
				t.Error(err)
			}
			shown[d.Role+" "+name] = string(text)
		}
	}
	var s stats.Status
	if err := json.Unmarshal([]byte(shown["router status --json"]), &s); err != nil || s.ConfigProblem == "" {
		t.Errorf("the status shows no trouble to look into: %v", err)
	}
	if err := l.Router.Stop(); err != nil {
		t.Error(err)
	}
	if err := l.Remote.Stop(); err != nil {
		t.Error(err)
	}
	shown["router log"], shown["remote log"] = l.Router.Log(), l.Remote.Log()
	for where, text := range shown {
		if text == "" {
			t.Errorf("%s is empty: nothing was looked at", where)
		}
		for _, secret := range append(secrets, secrets[0][:30]) {
			if strings.Contains(text, secret) || strings.Contains(text, secret[:20]) {
				t.Errorf("%s shows a secret:\n%s", where, text)
			}
		}
	}
}
