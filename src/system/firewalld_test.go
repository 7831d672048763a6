package system

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startFirewalld runs Debian's firewalld with a bus and a configuration of its own; kill ends it.
func startFirewalld(t *testing.T, dir string) (kill func()) {
	t.Helper()
	cmd := exec.Command("firewalld", "--nofork", "--nopid", "--system-config", filepath.Join(dir, "etc"), "--log-file", filepath.Join(dir, "log"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if answer, _ := firewallCmd("--state"); answer == "running" {
			return func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }
		}
		<-time.After(50 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	t.Fatalf("firewalld does not start: %s", log)
	return nil
}

// TestThroughFirewalld: Debian's firewalld with its strict defaults. What we tell it is forgotten when it restarts, and
// put back; its own configuration stays as it was.
func TestThroughFirewalld(t *testing.T) {
	e := newServerEnd(t)
	needProgram(t, "firewalld", "dbus-daemon")
	t.Cleanup(flushAll)
	dir := t.TempDir()
	sh(t, "cp -r /etc/firewalld "+dir+"/etc")
	policy := `<busconfig><type>system</type><listen>unix:path=` + dir + `/bus</listen><auth>EXTERNAL</auth><policy context="default">
		<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`
	if err := os.WriteFile(dir+"/bus.conf", []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	bus := exec.Command("dbus-daemon", "--config-file="+dir+"/bus.conf", "--nofork", "--nopidfile")
	bus.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bus.Process.Kill(); _ = bus.Wait() })
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+dir+"/bus")
	for range 100 {
		if _, err := os.Stat(dir + "/bus"); err == nil {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	kill := startFirewalld(t, dir)
	defer func() { kill() }()
	state := func() string {
		return runCommand(t, "firewall-cmd", "--list-all") + runCommand(t, "firewall-cmd", "--zone=trusted", "--list-all") + runCommand(t, "sh", "-c", "cd "+dir+"/etc && find . -type f | sort | xargs sha256sum")
	}
	before := state()
	e.control(wayIn{xt: [2][]xtBackend{{xtNFT}, {xtNFT}}}) // both families drop
	e.open()
	if !e.server.way.equal(wayIn{firewalld: true}) {
		t.Fatalf("way in %+v", e.server.way)
	}
	e.check("at first")
	sh(t, "firewall-cmd --list-ports | grep -q 6779/udp")
	kill()
	kill = startFirewalld(t, dir)
	if err := e.server.Repair(); err != nil {
		t.Fatal(err)
	}
	e.check("after a restart")
	if err := e.server.Close(); err != nil {
		t.Fatal(err)
	}
	sameText(t, before, state())
	e.open()
	e.server.kernel.close()
	if err := Cleanup(e.params, quietLog()); err != nil {
		t.Fatal(err)
	}
	sameText(t, before, state())
	// Empty chains of a zone that was used once stay until firewalld loads its rules again.
	if text := firewallText(t); strings.Contains(text, "mptd") || strings.Contains(text, "6779") {
		t.Errorf("left in the rules:\n%s", text)
	}
}
