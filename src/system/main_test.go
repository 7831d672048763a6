package system

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// ownNamespace is set in the environment of the test process that lives in a network namespace of its own.
const ownNamespace = "MPPROXY_TEST_NAMESPACE"

// TestMain runs the tests again in a child process with a new network namespace, which goes away with it: so no test can
// touch the machine's own network. Without root a new user namespace is tried; tests that need the kernel are skipped
// when neither works.
func TestMain(m *testing.M) {
	if os.Getenv(ownNamespace) != "" {
		os.Exit(m.Run())
	}
	var exit *exec.ExitError
	err := child()
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	}
	fmt.Fprintf(os.Stderr, "no network namespace of our own (%v): tests that need one are skipped\n", err)
	os.Exit(m.Run())
}

func child() error {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), ownNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	runtime.LockOSThread()      // the child shall die with us, which Linux takes for "with the thread that started it"
	signal.Ignore(os.Interrupt) // the child gets it too, and decides
	return cmd.Run()
}

// needNamespace skips a test that would otherwise touch the machine's own network.
func needNamespace(t testing.TB) {
	t.Helper()
	if os.Getenv(ownNamespace) == "" {
		t.Skip("needs a network namespace of its own: root, or unprivileged user namespaces")
	}
}

// needTUN skips a test where /dev/net/tun is closed to this user, as it may be in a user namespace.
func needTUN(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) {
		t.Skip("/dev/net/tun is closed to this user")
	}
	f.Close()
}

// needProgram skips a test that compares with what a program of the system says.
func needProgram(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs the program %s (packages iproute2, nftables)", name)
		}
	}
}

// runCommand runs a command that must succeed and returns its output.
func runCommand(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// runInput runs a command with text on its standard input; it must succeed.
func runInput(t testing.TB, input, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// runQuiet runs a command that may fail.
func runQuiet(name string, args ...string) error { return exec.Command(name, args...).Run() }
