package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mpproxy/src/control"
	"mpproxy/src/stats"
)

// boxSocket is the control socket of the server that set-up made, in the box.
const boxSocket = "/run/mpproxy/mpproxy.sock"

// debs builds the server's package twice, as two versions, from the program under test, into the lab's directory.
func debs(t *testing.T, l *Lab, versions ...string) (files []string) {
	t.Helper()
	program, err := filepath.Abs(l.options.Program)
	if err != nil {
		t.Fatal(err)
	}
	pack := filepath.Join(l.dir, "pack")
	for _, step := range [][]string{{"go", "-C", "../pack", "build", "-o", pack, "."}} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", step, err, out)
		}
	}
	for _, v := range versions {
		out := filepath.Join(l.dir, "packages-"+v)
		if text, err := exec.Command(pack, "packages", "-tree", "../..", "-program", program, "-arches", "x86_64", "-version", v, "-epoch", "1750000000", "-out", out).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		found, err := filepath.Glob(out + "/deb/*_amd64.deb")
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		name := filepath.Base(found[0])
		if err := os.Rename(found[0], filepath.Join(l.dir, name)); err != nil {
			t.Fatal(err)
		}
		files = append(files, "/box/"+name)
	}
	return files
}

// state is what a server may change on its machine: the namespace, and /etc of the box with its contents, without what
// systemd and a package manager note for themselves.
func (b *box) state(t *testing.T) string {
	t.Helper()
	text, err := b.lab.Snapshot("remote")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ = strings.Cut(text, "# /etc\n") // that of this machine
	files, err := b.run("", "sh", "-c", `cd / && list="find etc usr/bin usr/sbin usr/lib/systemd lib/systemd var/lib/systemd -xdev"
		not='^[^ ]* [^ ]* *(etc/(ld.so.cache|.pwd.lock|netns)|var/lib/systemd/(random-seed|timesync|catalog|linger))'
		$list -printf '%M %u %p %l\n' | grep -vE "$not" | LC_ALL=C sort
		$list -type f -print0 | xargs -0 md5sum | grep -vE "$not" | LC_ALL=C sort -k 2`)
	if err != nil {
		t.Fatal(err)
	}
	return text + files
}

// TestServerUnderSystemd: the package, installed by apt on a machine with systemd and sshd, is set up, pairs a router, carries
// its traffic, is killed, upgraded, taken back and removed; SSH answers all the time, and what was changed is as before.
func TestServerUnderSystemd(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/20ms")
	emptyPortals(t, l)
	packages := debs(t, l, "0.0.1-r1", "0.0.2-r1")
	if _, err := run("", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(l.dir, "box")); err != nil {
		t.Skip("systemd as process 1 of a container: there is no ssh here:", err)
	}
	b, err := l.startBox("remote")
	if errors.Is(err, errNoBox) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	do := func(command ...string) string {
		t.Helper()
		out, err := b.run("", command...)
		if err != nil {
			journal, _ := b.run("", "journalctl", "--no-pager", "-n", "30", "-u", "mpproxy")
			t.Fatal(err, "\n", journal)
		}
		return out
	}
	login := b.sshd(t, do)
	bare := b.state(t)
	stop := knock(t, l)

	if out := do("apt-get", "install", "-y", "--no-install-recommends", packages[0]); !strings.Contains(out, "now run: mpproxy setup remote") {
		t.Errorf("apt said:\n%s", out)
	}
	if out, err := b.run("", "systemctl", "is-active", "mpproxy"); err == nil {
		t.Errorf("the service runs before it is set up: %s", out)
	}
	do("systemd-analyze", "verify", "mpproxy.service")
	installed := b.state(t)
	if out := do("mpproxy", "setup", "remote", "--yes", "--endpoint", RemoteAddress); !strings.Contains(out, "mpproxy pair") {
		t.Errorf("set-up said:\n%s", out)
	}
	if user := strings.TrimSpace(do("sh", "-c", "ps -o user= -p $(systemctl show -P MainPID mpproxy)")); user != "mpproxy" {
		t.Errorf("the service runs as %s", user)
	}
	// The scale ends at 10; a Debian machine's own daemons have 9 and more.
	if rating := regexp.MustCompile(`Overall exposure level for mpproxy.service: ([0-9.]+)`).FindStringSubmatch(do("systemd-analyze", "security", "mpproxy", "--no-pager")); rating == nil || rating[1] > "3.0" || len(rating[1]) > 3 {
		t.Errorf("systemd rates the unit as %q", rating)
	}
	if err := login(); err != nil {
		t.Error("after set-up:", err)
	}

	text := do("mpproxy", "pair", "home")
	text = text[strings.Index(text, "mpp1:"):]
	if _, errs, err := mpproxy(l, "router", text, "join", "--no-start"); err != nil {
		t.Fatal(err, errs)
	}
	l.Remote = &Daemon{Role: "remote", lab: l, process: b.process}
	if l.Router, err = l.startDaemon("router"); err != nil {
		t.Fatal(err)
	}
	if err := l.waitUp(); err != nil {
		t.Fatal(err)
	}
	if rate := bulk(t, l, Down, 3*time.Second); rate < 20e6 {
		t.Errorf("%.1f Mbit/s through the server", rate/1e6)
	}

	t.Logf("%s", regexp.MustCompile(`→ .*`).FindString(do("systemd-analyze", "security", "mpproxy", "--no-pager")))
	do("sh", "-c", "kill -9 $(systemctl show -P MainPID mpproxy)")
	b.answers(t, l, "after it was killed", "0.0.1")
	do("apt-get", "install", "-y", "--no-install-recommends", packages[1])
	b.answers(t, l, "after an upgrade", "0.0.2")
	if rate := bulk(t, l, Down, 3*time.Second); rate < 20e6 {
		t.Errorf("%.1f Mbit/s after an upgrade", rate/1e6)
	}
	if err := login(); err != nil {
		t.Error("after an upgrade:", err)
	}

	if err := l.Router.Stop(); err != nil {
		t.Error(err)
	}
	do("mpproxy", "setup", "remote", "--remove")
	do("apt-get", "install", "-y", "--allow-downgrades", packages[0])
	if d := Difference(installed, b.state(t)); d != "" {
		t.Errorf("after setup --remove, not as after installation:\n%s", d)
	}
	do("apt-get", "purge", "-y", "mpproxy")
	if d := withoutUser(Difference(bare, b.state(t))); d != "" {
		t.Errorf("after removal, not as before installation:\n%s", d)
	}
	if err := login(); err != nil {
		t.Error("after removal:", err)
	}
	if asked, failed := stop(); asked < 20 || failed > 0 {
		t.Errorf("sshd was asked %d times and did not answer %d times", asked, failed)
	}
}

// withoutUser leaves out of a difference the package's user, whom Debian's packages leave behind, so that no other gets the
// number.
func withoutUser(difference string) string {
	var rest []string
	lines := strings.Split(difference, "\n")
	for _, line := range lines {
		if !regexp.MustCompile(` etc/(passwd|group|shadow|gshadow)-? *$`).MatchString(line) && strings.TrimSpace(line) != "" {
			rest = append(rest, line)
		}
	}
	return strings.Join(rest, "\n")
}

// sshd starts the box's own ssh.service, and returns a function that logs in from the Internet.
func (b *box) sshd(t *testing.T, do func(...string) string) (login func() error) {
	t.Helper()
	if _, err := b.run("", "systemctl", "cat", "ssh.service"); err != nil {
		t.Skip("systemd as process 1 of a container: there is no ssh.service here:", err)
	}
	do("ssh-keygen", "-A")
	do("sh", "-c", "mkdir -p /root/.ssh && chmod 700 /root/.ssh && cp /box/box.pub /root/.ssh/authorized_keys && chmod 600 /root/.ssh/authorized_keys && mkdir -p /etc/ssh/sshd_config.d && printf 'PermitRootLogin prohibit-password\\nMaxStartups 1000\\n' >/etc/ssh/sshd_config.d/box.conf")
	do("sh", "-c", "mkdir -p /run/sshd; sshd -t -o PerSourcePenalties=no 2>/dev/null && echo PerSourcePenalties no >>/etc/ssh/sshd_config.d/box.conf; true")
	do("systemctl", "start", "ssh")
	return func() error {
		out, err := exec.Command("ip", "netns", "exec", b.lab.Namespace("server"), "ssh", "-i", filepath.Join(b.lab.dir, "box"), "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-q", "root@"+RemoteAddress, "cat", "/etc/hostname").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "box" {
			return fmt.Errorf("ssh: %w: %s", err, out)
		}
		return nil
	}
}

// answers waits until the service answers as the version and the router's session stands.
func (b *box) answers(t *testing.T, l *Lab, when, version string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		out, err := b.run("", "mpproxy", "--socket", boxSocket, "status", "--json")
		var s stats.Status
		up := control.Call(t.Context(), l.Router.Socket, control.Request{Cmd: control.CmdStatus}, &s) == nil && len(s.Sessions) == 1 && s.Sessions[0].State == stats.SessionUp
		if installed, _ := b.run("", "dpkg-query", "-W", "-f", "${Version}", "mpproxy"); err == nil && up && strings.Contains(out, `"up"`) && strings.HasPrefix(installed, version) {
			return
		}
		if time.Now().After(deadline) {
			journal, _ := b.run("", "journalctl", "--no-pager", "-n", "30", "-u", "mpproxy")
			t.Fatalf("%s: %v %s\nrouter up: %v\n%s", when, err, out, up, journal)
		}
		wait(pollEvery)
	}
}
