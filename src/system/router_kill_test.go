package system

import (
	"bufio"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// victimVariable makes the test process the victim of TestKilledAtAnyInstant: it names the state file.
const victimVariable = "MPPROXY_TEST_VICTIM"

// kills is how often TestKilledAtAnyInstant kills unless killsVariable says otherwise: 200 take 10 to 40 s.
const (
	kills         = 60
	killsVariable = "MPPROXY_KILLS"
)

// TestVictim sets a router up and takes it down again and again, until it is killed.
func TestVictim(t *testing.T) {
	file := os.Getenv(victimVariable)
	if file == "" {
		return // nothing to test here
	}
	p := DefaultParams()
	p.StateFile = file
	os.Stdout.WriteString("\nready\n")
	for {
		r := openRouter(t, p)
		tun, err := OpenTUN("mptv", 1400)
		if err != nil {
			t.Fatal(err)
		}
		setLinks(t, r, "wan1", "wan2")
		tunnel := Tunnel{Device: "mptv", MTU: 1380, Addresses: prefixes("10.99.0.2/24"), LAN: []string{"br-lan"}, Own: true,
			DNS: &DNS{User: nameServer, Resolvers: addrs("10.99.0.1")}}
		for range 2 {
			if err := r.SetTunnel(tunnel); err != nil {
				t.Fatal(err)
			}
			tunnel.Addresses = append(tunnel.Addresses, prefixes("fd00:99::2/64")...)
		}
		if err := r.DropLink(1); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		tun.Close()
	}
}

// TestKilledAtAnyInstant: whatever a killed daemon leaves, the next start takes back.
func TestKilledAtAnyInstant(t *testing.T) {
	makeLinks(t)
	settings(t, "net.ipv4.conf.wan2.rp_filter=1", "net.ipv4.ip_forward=1")
	p := testParams(t)
	before := quickSnapshot(t)
	dirty, times := 0, kills
	if n, err := strconv.Atoi(os.Getenv(killsVariable)); err == nil {
		times = n
	}
	for i := range times {
		kill(t, p, time.Duration(rand.IntN(40_000))*time.Microsecond)
		left := quickSnapshot(t) != before
		if left {
			dirty++
		}
		if err := Cleanup(p, quietLog()); err != nil {
			t.Errorf("kill %d: %v", i, err)
		}
		if !left {
			continue
		}
		after := quickSnapshot(t)
		checkSameSnapshot(t, before, after)
		if _, err := os.Stat(p.StateFile); !os.IsNotExist(err) {
			t.Errorf("kill %d: state file: %v", i, err)
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("%d of %d kills left something behind", dirty, times)
	if dirty < times/4 {
		t.Error("too few kills hit it at work: the test proves little")
	}
}

// kill starts the victim and kills it some time after it began.
func kill(t *testing.T, p Params, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), victimVariable+"="+p.StateFile)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
	}
	<-time.After(after)
	_ = cmd.Process.Kill()
	for lines.Scan() { // what it says is why it failed
		if l := lines.Text(); strings.Contains(l, "_test.go") {
			t.Error("the victim failed by itself: " + l)
		}
	}
	_ = cmd.Wait()
}

// quickSnapshot is snapshot with few programs to start.
func quickSnapshot(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, family := range []string{"-4", "-6"} {
		cmd := exec.Command("ip", "-j", family, "-batch", "-")
		cmd.Stdin = strings.NewReader("addr show\nrule show\nroute show table all\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		all.Write(out)
	}
	all.WriteString(runCommand(t, "nft", "list", "ruleset"))
	for _, root := range []string{"/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf", "/proc/sys/net/ipv4/ip_forward"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			value, _ := os.ReadFile(path) // some cannot be read
			all.WriteString(path + "=" + string(value))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return stable(all.String())
}
