package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// boxScript makes a small machine: systemd as process 1 over an overlay of this machine's root, in the network namespace it
// is started in, with its own mounts, processes, host name and control group. What it writes is gone with it.
const boxScript = `set -e
dir=$1 group=$2
mount --make-rprivate /
mkdir -p "$dir/groups" "$dir/fs" "$dir/root"
mount -t cgroup2 cgroup2 "$dir/groups"
mkdir "$dir/groups/$group"
echo $$ >"$dir/groups/$group/cgroup.procs"
mount -t tmpfs tmpfs "$dir/fs"
mkdir "$dir/fs/upper" "$dir/fs/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/fs/upper,workdir=$dir/fs/work" "$dir/root"
exec unshare --cgroup --pid --uts --ipc --fork --kill-child sh -c '
set -e
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
for at in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$at"; done
chmod 1777 tmp
mkdir dev/net dev/pts dev/shm run/lock
while read -r name major minor; do mknod -m 666 "dev/$name" c "$major" "$minor"; done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
net/tun 10 200
END
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t cgroup2 cgroup2 sys/fs/cgroup
rm -rf etc/systemd/system/*.wants
echo box >etc/hostname
mkdir box
cp "$1"/*.deb "$1/box.pub" box/
mkdir -p run/before
pivot_root . run/before
umount -l /run/before
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target --log-target=null
' sh "$dir"
`

// box is a running one.
type box struct {
	lab     *Lab
	process *process
	pid     string // of its process 1, as this machine sees it
	group   string
}

// errNoBox says why this machine cannot have one.
var errNoBox = errors.New("systemd as process 1 of a container")

// startBox starts a box in the namespace of a role and waits until it is up. An error that wraps errNoBox says that this
// machine cannot have one. Packages (*.deb) and box.pub in the lab's directory are in its /box.
func (l *Lab) startBox(role string) (*box, error) {
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("%w needs root", errNoBox)
	}
	for _, program := range []string{"/lib/systemd/systemd", "/usr/bin/dpkg", "/usr/sbin/adduser"} {
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("%w needs %s", errNoBox, program)
		}
	}
	b := &box{lab: l, group: "mpplab-" + filepath.Base(l.dir)}
	var err error
	if b.process, err = start(l.Namespace(role), nil, nil, "unshare", "--mount", "sh", "-c", boxScript, "sh", l.dir, b.group); err != nil {
		return nil, err
	}
	l.onClose(b.close)
	deadline := time.Now().Add(30 * time.Second)
	for {
		if b.find() {
			if out, _ := b.run("", "systemctl", "is-system-running"); strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded") {
				return b, nil
			}
		}
		if !b.process.running() {
			return nil, fmt.Errorf("%w: it ended at once: %s", errNoBox, b.process.errors.String())
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w did not come up: %s", errNoBox, b.process.errors.String())
		}
		time.Sleep(pollEvery)
	}
}

// find looks for the box's process 1: the one that systemd became, below the processes that made the box.
func (b *box) find() bool {
	pid := fmt.Sprint(b.process.cmd.Process.Pid)
	for range 4 {
		children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
		if err != nil {
			return false
		}
		if words := strings.Fields(string(children)); len(words) == 1 {
			pid = words[0]
		}
		if name, err := os.ReadFile("/proc/" + pid + "/comm"); err == nil && strings.TrimSpace(string(name)) == "systemd" {
			b.pid = pid
			return true
		}
	}
	return false
}

// run runs a command in the box and returns what it printed.
func (b *box) run(input string, command ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"-t", b.pid, "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}, command...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out)
	}
	return string(out), nil
}

// close ends all its processes and removes its control group.
func (b *box) close() error {
	if b.pid != "" {
		_, _ = run("", "kill", "-9", b.pid) // process 1: all others die with it
	}
	err := b.process.stop()
	script := `mount -t cgroup2 cgroup2 "$1" && for n in 1 2 3 4 5 6 7 8 9 10; do find "$1/$2" -depth -type d -exec rmdir {} + 2>/dev/null; [ -d "$1/$2" ] || exit 0; sleep 0.1; done; exit 1`
	_, removed := run("", "unshare", "--mount", "sh", "-c", script, "sh", filepath.Join(b.lab.dir, "groups"), b.group)
	return errors.Join(err, removed)
}
