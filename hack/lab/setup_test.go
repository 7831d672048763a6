package lab

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// startSSH runs the machine's sshd in the remote portal's namespace and returns a function that logs in from the server's.
func startSSH(t *testing.T, l *Lab) (login func() error) {
	t.Helper()
	sshd := "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil {
		t.Skip("there is no sshd here")
	}
	for _, name := range []string{"host", "user"} {
		if _, err := run("", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(l.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	key, err := os.ReadFile(filepath.Join(l.dir, "user.pub"))
	if err != nil {
		t.Fatal(err)
	}
	// Some that are half open are not too many for it, and who knocks without logging in is not punished (since OpenSSH 9.8).
	config := fmt.Sprintf("MaxStartups 1000\nHostKey %[1]s/host\nAuthorizedKeysFile %[1]s/keys\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nListenAddress %[2]s\n", l.dir, RemoteAddress)
	for name, text := range map[string]string{"keys": string(key), "sshd_config": config} {
		if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	gentle := filepath.Join(l.dir, "sshd_config.gentle")
	if err := os.WriteFile(gentle, []byte(config+"PerSourcePenalties no\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(l.dir, "sshd_config")
	if _, err := run("", sshd, "-t", "-f", gentle); err == nil {
		settings = gentle
	}
	d, err := start(l.Namespace("remote"), nil, func(string) {}, sshd, "-D", "-e", "-f", settings)
	if err != nil {
		t.Fatal(err)
	}
	l.onClose(d.stop)
	login = func() error {
		out, err := exec.Command("ip", "netns", "exec", l.Namespace("server"), "ssh", "-i", filepath.Join(l.dir, "user"), "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-q", "root@"+RemoteAddress, "echo", "here").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "here" {
			return fmt.Errorf("ssh: %w: %s", err, out)
		}
		return nil
	}
	for range 50 {
		if err = login(); err == nil {
			return login
		}
		wait(100 * time.Millisecond)
	}
	t.Fatal(err)
	return nil
}

// bannerLimit is how long sshd, which is a program that must get its turn on a busy machine, may take for its first line. The
// connection itself is the kernel's, and made at once unless somebody drops packets.
const bannerLimit = 10 * time.Second

// knock connects to sshd again and again until stopped, and counts the times that it did not answer.
func knock(t *testing.T, l *Lab) (stop func() (asked, failed int32)) {
	var asked, failed atomic.Int32
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
			}
			asked.Add(1)
			err := inside(l.Namespace("server"), func() error {
				conn, err := net.DialTimeout("tcp", RemoteAddress+":22", time.Second)
				if err != nil {
					return err
				}
				defer conn.Close()
				_ = conn.SetReadDeadline(time.Now().Add(bannerLimit))
				line, err := bufio.NewReader(conn).ReadString('\n')
				if err == nil && !strings.HasPrefix(line, "SSH-2.0") {
					err = errors.New(line)
				}
				return err
			})
			if err != nil {
				failed.Add(1)
				t.Log("sshd:", err)
			}
		}
	}()
	return func() (int32, int32) {
		close(end)
		<-ended
		return asked.Load(), failed.Load()
	}
}

// TestSetupKeepsSSH: a server behind its owner's firewall is set up, used and removed again, while somebody logs in over
// and over; afterwards everything is as before.
func TestSetupKeepsSSH(t *testing.T) {
	l := newLab(t, "20M/10ms")
	emptyPortals(t, l)
	root := filepath.Join(l.dir, "root")
	if err := os.MkdirAll(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	const firewall = "table inet owner {\n chain in { type filter hook input priority 0; policy drop; ct state established,related accept; iif lo accept; tcp dport 22 accept; }\n" +
		" chain through { type filter hook forward priority 0; policy drop; }\n}\n"
	if _, err := run(firewall, "ip", "netns", "exec", l.Namespace("remote"), "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	login := startSSH(t, l)
	before, err := l.Snapshot("remote")
	if err != nil {
		t.Fatal(err)
	}
	stop := knock(t, l)
	setup := func(args ...string) string {
		t.Helper()
		_, errs, err := mpproxy(l, "remote", "", append([]string{"setup", "remote", "--root", root}, args...)...)
		if err != nil {
			t.Fatal(err, errs)
		}
		return errs
	}
	if text := setup("--endpoint", RemoteAddress, "--yes"); !strings.Contains(text, "mpproxy run --config") {
		t.Errorf("set-up said:\n%s", text)
	}
	if raw, _ := os.ReadFile(root + "/etc/mpproxy/mpproxy"); !strings.Contains(string(raw), "list reserve 'tcp:22'") || !strings.Contains(string(raw), "option interface 'eth0'") {
		t.Errorf("the configuration:\n%s", raw)
	}
	if err := os.Rename(l.config("remote"), l.config("remote")+".unused"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root+"/etc/mpproxy/mpproxy", l.config("remote")); err != nil {
		t.Fatal(err)
	}
	d := &Daemon{Role: "remote", lab: l}
	if d.process, err = start(l.Namespace("remote"), nil, func(line string) { fmt.Fprintln(&d.process.errors, line) }, l.options.Program, "run", "--config", root+"/etc/mpproxy/mpproxy"); err != nil {
		t.Fatal(err)
	}
	l.onClose(d.Stop)
	wait(2 * time.Second) // the self-check has had its time
	text := setup("--check")
	for _, want := range []string{"mpproxy runs", "chain inet owner through of this server's firewall drops what is forwarded", "let in: 6779/UDP", "mpproxy pair home"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s\n%s", want, text, d.Log())
		}
	}
	if err := login(); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	setup("--remove")
	if err := login(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if asked, failed := stop(); failed > 0 || asked < 20 {
		t.Errorf("sshd was asked %d times and did not answer %d times", asked, failed)
	}
	if after, err := l.Snapshot("remote"); err != nil || Difference(before, after) != "" {
		t.Errorf("left behind: %v\n%s", err, Difference(before, after))
	}
	if left, _ := filepath.Glob(root + "/etc/*"); len(left) != 0 {
		t.Errorf("files left behind: %v", left)
	}
}
