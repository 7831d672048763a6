// Package root makes throw-away root directories in which OpenWrt's scripts run: busybox as the shell, a small uci, and
// stand-ins for procd, netifd and the programs that would touch the system, which write down how they were called.
package root

import (
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

//go:embed system
var system embed.FS

// The stand-ins and where they go.
var placed = map[string]string{
	"functions.sh":    "lib/functions.sh",
	"rc.common":       "etc/rc.common",
	"procd.sh":        "lib/functions/procd.sh",
	"netifd-proto.sh": "lib/netifd/netifd-proto.sh",
}

// stubs are programs that only write down their call.
var stubs = []string{"bin/sync", "usr/sbin/nft", "bin/ubus", "usr/bin/logger", "etc/init.d/firewall", "etc/init.d/network", "etc/init.d/rpcd", "bin/systemctl", "usr/sbin/adduser"}

// applets are busybox's programs that a router's scripts may use.
var applets = []string{
	"ash", "awk", "basename", "cat", "chmod", "cp", "cut", "date", "dirname", "echo", "false", "find", "getent", "grep", "head", "ln", "ls", "md5sum", "mkdir",
	"mktemp", "mv", "printf", "ps", "readlink", "rm", "rmdir", "sed", "sh", "sleep", "sort", "tail", "tar", "test", "touch", "tr", "true", "uniq", "wc", "[",
}

// A router's configuration before the package comes, as uci writes it.
const (
	networkConfig = `
config interface 'loopback'
	option device 'lo'
	option proto 'static'

config interface 'lan'
	option device 'br-lan'
	option proto 'static'
	option ipaddr '192.168.1.1/24'

config interface 'wan'
	option device 'eth1'
	option proto 'dhcp'

`
	firewallConfig = `
config defaults
	option input 'REJECT'

config zone
	option name 'home'
	list network 'lan'
	option input 'ACCEPT'

config zone
	option name 'wan'
	list network 'wan'
	list network 'wan6'
	option masq '1'

config forwarding
	option src 'home'
	option dest 'wan'

`
)

// Root is such a directory.
type Root struct{ Dir string }

// New fills dir. busybox is a static busybox; uci is a static program that stands for uci.
func New(dir, busybox, uci string) (*Root, error) {
	r := &Root{dir}
	for _, d := range []string{"bin", "sbin", "usr/bin", "usr/sbin", "dev", "proc", "etc/config", "etc/init.d", "etc/rc.d", "lib/netifd/proto", "usr/lib/opkg/info", "var/lock", "tmp/.uci"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("make root: %w", err)
		}
	}
	if err := errors.Join(copyFile(busybox, r.At("bin/busybox"), 0o755), copyFile(uci, r.At("sbin/uci"), 0o755)); err != nil {
		return nil, err
	}
	for name, to := range placed {
		if err := r.place(name, to); err != nil {
			return nil, err
		}
	}
	for _, to := range stubs {
		if err := r.place("stub", to); err != nil {
			return nil, err
		}
	}
	err := errors.Join(
		r.Write("dev/null", "", 0o666), // a file will do: what is written goes away with the next opening
		r.Write("proc/meminfo", "MemTotal:         125000 kB\nMemFree: 1 kB\n", 0o444),
		r.Write("etc/config/network", networkConfig, 0o600),
		r.Write("etc/config/firewall", firewallConfig, 0o600),
		r.Write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644),
		r.Write("etc/group", "root:x:0:\n", 0o644),
		r.Write("lib/netifd/proto/dhcp.sh", "", 0o755), // the folder is not ours
		r.Write("tmp/calls", "", 0o666),
	)
	if err != nil {
		return nil, err
	}
	for _, a := range applets {
		if err := os.Symlink("busybox", r.At("bin/"+a)); err != nil {
			return nil, fmt.Errorf("make root: %w", err)
		}
	}
	return r, nil
}

func (r *Root) place(name, to string) error {
	text, err := system.ReadFile("system/" + name)
	if err != nil {
		return fmt.Errorf("make root: %w", err)
	}
	return r.Write(to, string(text), 0o755)
}

// Stub is a program that writes down its call, for any processor.
func Stub() []byte {
	text, err := system.ReadFile("system/stub")
	if err != nil {
		return []byte("#!/bin/sh\nexit 1\n") // cannot be: it is embedded
	}
	return text
}

// At is the place of a file of the root on this machine.
func (r *Root) At(name string) string { return filepath.Join(r.Dir, name) }

// Write writes a file of the root, in place of whatever is there.
func (r *Root) Write(name, text string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(r.At(name)), 0o755); err != nil {
		return fmt.Errorf("write to root: %w", err)
	}
	if err := os.Remove(r.At(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write to root: %w", err)
	}
	if err := os.WriteFile(r.At(name), []byte(text), mode); err != nil {
		return fmt.Errorf("write to root: %w", err)
	}
	return os.Chmod(r.At(name), mode)
}

// Read returns a file of the root, "" if there is none.
func (r *Root) Read(name string) string {
	b, err := os.ReadFile(r.At(name))
	if err != nil {
		return ""
	}
	return string(b)
}

// Run runs a program with the root as its root directory and env beside a PATH; it returns what was printed, and the
// status, -1 if it did not run.
func (r *Root) Run(env []string, argv ...string) (string, int) {
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Dir: "/", Env: append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, env...)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.Dir}
	if id := os.Getuid(); id != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		return err.Error(), -1
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Sh runs a line of shell.
func (r *Root) Sh(env []string, line string) (string, int) { return r.Run(env, "/bin/sh", "-c", line) }

// Calls returns what the stand-ins wrote down since the last time.
func (r *Root) Calls() []string {
	text := r.Read("tmp/calls")
	if err := r.Write("tmp/calls", "", 0o666); err != nil {
		return []string{err.Error()}
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// Snapshot is every file below the root but /tmp and /dev: kind, mode and content by path.
func (r *Root) Snapshot() map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(r.Dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		short := strings.TrimPrefix(name, r.Dir)
		if short == "/tmp" || short == "/dev" {
			return filepath.SkipDir
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		what := info.Mode().String()
		switch {
		case e.Type().IsRegular():
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" %x", sha256.Sum256(b))
		case e.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(name)
			if err != nil {
				return err
			}
			what += " " + to
		}
		all[short] = what
		return nil
	})
	if err != nil {
		all["error"] = err.Error()
	}
	return all
}

func copyFile(from, to string, mode fs.FileMode) error {
	if os.Link(from, to) == nil { // quicker, where it can be; nobody writes to them
		return nil
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("make root: %w", err)
	}
	return os.WriteFile(to, b, mode)
}
