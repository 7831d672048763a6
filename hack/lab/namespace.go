package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// namespaceDir is where "ip netns" keeps its names.
const namespaceDir = "/run/netns"

// namePrefix starts the name of every namespace made here; the maker's process id follows.
const namePrefix = "mpp"

// run runs a command with text on its standard input; the error has what the command printed.
func run(input, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("run %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// inside runs f with the calling thread in a network namespace: sockets, devices and /proc/thread-self/net that f
// opens belong to it.
func inside(namespace string, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own namespace: %w", err)
	}
	defer home.Close()
	target, err := os.Open(filepath.Join(namespaceDir, namespace))
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open namespace: %w", err)
	}
	defer target.Close()
	if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", namespace, err)
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(fmt.Sprintf("leave namespace %s: %v", namespace, back)) // this thread must not be used again
	}
	// The thread is back and lives on: the death of a thread would kill the children it started (Pdeathsig).
	runtime.UnlockOSThread()
	return err
}

// sysctl writes kernel settings ("net.ipv4.ip_forward=1") of a namespace.
func sysctl(namespace string, settings ...string) error {
	return inside(namespace, func() error {
		for _, setting := range settings {
			name, value, _ := strings.Cut(setting, "=")
			file := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
			if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
				return fmt.Errorf("set %s in %s: %w", setting, namespace, err)
			}
		}
		return nil
	})
}

// removeNamespace ends what still runs in a namespace and removes it.
func removeNamespace(name string) error {
	pids, err := run("", "ip", "netns", "pids", name)
	if err == nil {
		for pid := range strings.FieldsSeq(pids) {
			if n, err := strconv.Atoi(pid); err == nil && n != os.Getpid() {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
	}
	_, err = run("", "ip", "netns", "del", name)
	return err
}

// RemoveStale removes the namespaces and directories of earlier runs whose process is gone, and returns their names.
func RemoveStale() ([]string, error) { return removeAll(func(pid int) bool { return !alive(pid) }) }

// RemoveOwn removes the namespaces and directories of this process, with what still runs in them, and returns their names: for
// a program that is told to stop in the middle of its work.
func RemoveOwn() ([]string, error) {
	return removeAll(func(pid int) bool { return pid == os.Getpid() })
}

// removeAll removes the namespaces and directories of the chosen processes.
func removeAll(chosen func(pid int) bool) ([]string, error) {
	namespaces, err := removeFrom(namespaceDir, chosen, removeNamespace)
	if err != nil {
		return namespaces, err
	}
	directories, err := removeFrom(os.TempDir(), chosen, func(name string) error { return os.RemoveAll(filepath.Join(os.TempDir(), name)) })
	return append(namespaces, directories...), err
}

// removeFrom calls remove for each entry of a directory that bears our mark and a chosen process's id.
func removeFrom(dir string, chosen func(pid int) bool, remove func(name string) error) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var removed []string
	for _, entry := range entries {
		pid, ok := ownerOf(entry.Name())
		if !ok || !chosen(pid) {
			continue
		}
		if err := remove(entry.Name()); err != nil {
			return removed, err
		}
		removed = append(removed, entry.Name())
	}
	return removed, nil
}

// ownerOf returns the process that made a namespace of ours.
func ownerOf(name string) (int, bool) {
	rest, ok := strings.CutPrefix(name, namePrefix)
	digits, _, dash := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(digits)
	return pid, ok && dash && err == nil && pid > 0
}

func alive(pid int) bool {
	return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
