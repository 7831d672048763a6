package lab

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"mpproxy/src/control"
	"mpproxy/src/stats"
)

const (
	// vnetHeader is IFF_VNET_HDR: the device takes and gives joined packets.
	vnetHeader = 0x4000
	// safeStart bounds a start in safe mode, which waits five seconds first.
	safeStart = 30 * time.Second
)

// TestSafeMode: a router that crashed three times comes back without offloads, says so, and carries traffic; after a stop
// that was asked for the next start is an ordinary one.
func TestSafeMode(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms")
	startPortals(t, l)
	if flags := l.tunFlags(t); flags&vnetHeader == 0 {
		t.Errorf("an ordinary run's device has flags %#x: no offloads", flags)
	}
	for range 3 {
		l.Router.Kill()
		l.restartRouter(t)
	}
	s := l.Router.status(t)
	if !s.SafeMode || !strings.Contains(s.People(), "crashed 3 times") {
		t.Errorf("the status does not speak of safe mode:\n%s", s.People())
	}
	if flags := l.tunFlags(t); flags&vnetHeader != 0 {
		t.Errorf("the device has flags %#x: offloads in safe mode", flags)
	}
	var events []struct{ Kind string }
	if err := control.Call(t.Context(), l.Router.Socket, control.Request{Cmd: control.CmdEvents}, &events); err != nil || len(events) == 0 || events[0].Kind != "safe_mode" {
		t.Errorf("events: %v %v", events, err)
	}
	load, err := l.StartBulk(Down, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := load.Wait(); err != nil {
		t.Error(err)
	}
	if rate := load.Rate(load.Started.Add(time.Second), load.Started.Add(2800*time.Millisecond)); rate < 10e6 {
		t.Errorf("%.1f Mbit/s in safe mode", rate/1e6)
	}
	if err := l.Router.Stop(); err != nil {
		t.Error(err)
	}
	l.restartRouter(t)
	if s := l.Router.status(t); s.SafeMode {
		t.Error("safe mode goes on after a clean run")
	}
	if flags := l.tunFlags(t); flags&vnetHeader == 0 {
		t.Errorf("after a clean run the device has flags %#x: no offloads", flags)
	}
}

// restartRouter starts the router's portal as it is configured and waits for its session.
func (l *Lab) restartRouter(t *testing.T) {
	t.Helper()
	var err error
	if l.Router, err = l.startDaemon("router"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(safeStart)
	for {
		var s stats.Status
		if text, err := l.Router.Status(); err == nil && json.Unmarshal([]byte(text), &s) == nil && s.Sessions[0].State == stats.SessionUp {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no session within %v:\n%s", safeStart, l.Router.Log())
		}
		wait(pollEvery)
	}
}

// tunFlags are those of the router's device.
func (l *Lab) tunFlags(t *testing.T) uint64 {
	t.Helper()
	text, err := run("", "ip", "netns", "exec", l.Namespace("router"), "cat", "/sys/class/net/mpp0/tun_flags")
	if err != nil {
		t.Fatal(err)
	}
	flags, err := strconv.ParseUint(strings.TrimSpace(text), 0, 32)
	if err != nil {
		t.Fatal(err)
	}
	return flags
}
