package main

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace runs f in a network namespace of its own, which goes with the thread.
func inNamespace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	ended := make(chan bool)
	refused := error(nil)
	go func() {
		defer close(ended)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if refused = unix.Unshare(unix.CLONE_NEWNET); refused == nil {
			f(t)
		}
	}()
	<-ended
	if refused != nil {
		t.Skip("needs a network namespace of its own: root, or unprivileged user namespaces:", refused)
	}
}

// TestGuardAndCleanup: the guard goes up and down without a running portal, its state is told, and what is wrong with it is
// an error; clean-up finds nothing to do, and leaves the guard.
func TestGuardAndCleanup(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs the program nft (package nftables)")
	}
	const text = "config portal 'main'\n\toption enabled '1'\n\tlist lan 'lan0'\n\toption control '/nowhere/s.sock'\n"
	on, off := write(t, "mpproxy", text+"\toption kill_switch '1'\n"), write(t, "mpproxy", text)
	inNamespace(t, func(t *testing.T) {
		say := func(code int, want string, args ...string) {
			t.Helper()
			got, out, errs := try(t.Context(), "", args...)
			if got != code || !strings.Contains(out+errs, want) {
				t.Errorf("%v: status %d, %q, want %d and %q", args, got, out+errs, code, want)
			}
		}
		say(exitWell, "down", "--config", off, "guard", "status")
		say(exitFailed, "nothing holds the LAN's traffic", "--config", on, "guard", "status")
		say(exitWell, "there is no guard", "--config", off, "guard", "up")
		say(exitWell, "there is no device lan0 yet", "--config", on, "guard", "up")
		say(exitWell, "up; no running portal holds it", "--config", on, "guard", "status")
		say(exitFailed, "held although kill_switch is not 1", "--config", off, "guard", "status")
		say(exitWell, "nothing of a portal is left", "--config", on, "cleanup")
		say(exitWell, "up; no running portal holds it", "--config", on, "guard", "status")
		say(exitWell, "guard is down", "--config", on, "guard", "down")
		say(exitWell, "there is no guard", "guard", "down")
		say(exitWell, "guard is down", "--config", func() string { say(exitWell, "", "--config", on, "guard", "up"); return off }(), "guard", "up")
		if list, err := exec.Command("nft", "list", "ruleset").CombinedOutput(); err != nil || len(list) > 0 {
			t.Errorf("left: %s, %v", list, err)
		}
	})
}
