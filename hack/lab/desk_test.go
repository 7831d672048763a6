package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rpcdScript gives a router's namespace its own view of a few folders of this machine: our program and plugin where they
// are on a router, and the folders that OpenWrt's programs write to. $1 is a scratch folder, $2 where these programs were
// installed to, $3 our program, $4 the checkout, $5 the
// router's configuration.
const rpcdScript = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
for at in /etc /usr "$2"; do
	up="$1$at"
	mkdir -p "$up/upper" "$up/work"
	mount -t overlay overlay -o "lowerdir=$at,upperdir=$up/upper,workdir=$up/work" "$at"
	[ "$2" != /usr ] || [ "$at" != /usr ] || break
done
mount -t tmpfs tmpfs /run
mkdir -p /run/rpcd /etc/config "$2/share/rpcd/ucode" "$2/share/rpcd/acl.d"
install -m 755 "$3" /usr/bin/mpproxy
app="$4/luci-app-mpproxy/root/usr/share/rpcd"
cp "$app"/ucode/*.uc "$2/share/rpcd/ucode/"
cp "$app"/acl.d/*.json "$2/share/rpcd/acl.d/"
install -m 600 "$5" /etc/config/mpproxy
cat >/etc/config/rpcd <<END
config login
	option username 'viewer'
	option password '\$1\$mpproxy\$3IAMj8JlkPPkg.KYNstdP.'
	list read 'luci-app-mpproxy'
config login
	option username 'owner'
	option password '\$1\$mpproxy\$3IAMj8JlkPPkg.KYNstdP.'
	list read 'luci-app-mpproxy'
	list write 'luci-app-mpproxy'
END
echo ready
exec sleep 600
`

// callScript has the plugin answer without rpcd: its file, the method, and the arguments as JSON.
const callScript = `let plugin = loadfile(ARGV[0], { raw_mode: true })()['luci.mpproxy'];
let req = { args: json(require('fs').stdin.read('all')) };
print(sprintf('%J\n', plugin[ARGV[1]].call(req)));`

// desk is a router on which LuCI's plugin runs under OpenWrt's own programs.
type desk struct {
	t              *testing.T
	lab            *Lab
	ucode, prefix  string // the program, and the folder that it and the others are installed to
	pid            string // of who holds the view open
	rpcd           bool   // asked through rpcd, else straight
	daemon, holder *process
	seen           []string // all answers
}

// startDesk makes the router's view. The lab's portals must be empty ones.
func startDesk(t *testing.T, l *Lab, ucode string) *desk {
	t.Helper()
	tree, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, lab: l, ucode: ucode, prefix: filepath.Dir(filepath.Dir(ucode))}
	scratch := filepath.Join(l.dir, "desk")
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{}, 1)
	args := []string{"--mount", "sh", "-c", rpcdScript, "sh", scratch, d.prefix, l.options.Program, tree, l.config("router")}
	if d.holder, err = start(l.Namespace("router"), nil, func(string) { ready <- struct{}{} }, "unshare", args...); err != nil {
		t.Fatal(err)
	}
	l.onClose(d.holder.stop)
	d.pid = fmt.Sprint(d.holder.cmd.Process.Pid)
	select {
	case <-ready:
	case <-d.holder.ended:
		t.Fatal("the router's view could not be made: ", d.holder.errors.String())
	case <-time.After(startLimit):
		t.Fatal("the router's view was not made in time")
	}
	return d
}

// command is one that runs in the router's view.
func (d *desk) command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", d.pid, "-m", "-n", name}, args...)...)
}

// startRpcd starts ubusd and rpcd, if they are where ucode is, and has the plugin asked through them.
func (d *desk) startRpcd() bool {
	for _, name := range []string{"sbin/ubusd", "sbin/rpcd", "bin/ubus"} {
		if _, err := os.Stat(filepath.Join(d.prefix, name)); err != nil {
			return false
		}
	}
	for _, args := range [][]string{{"sbin/ubusd", "-s", "/run/ubus.sock"}, {"sbin/rpcd", "-s", "/run/ubus.sock", "-t", "30"}} {
		p, err := start(d.lab.Namespace("router"), nil, nil, "nsenter", append([]string{"-t", d.pid, "-m", filepath.Join(d.prefix, args[0])}, args[1:]...)...)
		if err != nil {
			d.t.Fatal(err)
		}
		d.lab.onClose(p.stop)
		wait(300 * time.Millisecond)
	}
	d.rpcd = true
	return true
}

// ubus calls an object of rpcd's.
func (d *desk) ubus(object, method, args string) (string, error) {
	out, err := d.command(filepath.Join(d.prefix, "bin/ubus"), "-t", "5", "-s", "/run/ubus.sock", "call", object, method, args).CombinedOutput()
	return string(out), err
}

// answer is what a method of the plugin gives.
type answer struct {
	Result         json.RawMessage
	Error, Trouble string
	took           time.Duration
}

// ask calls a method; args is JSON.
func (d *desk) ask(method, args string) (answer, error) {
	var out string
	var err error
	begun := time.Now()
	if d.rpcd {
		out, err = d.ubus("luci.mpproxy", method, args)
	} else {
		plugin := filepath.Join(d.prefix, "share/rpcd/ucode/luci.mpproxy.uc")
		var raw []byte
		cmd := d.command(d.ucode, "-e", callScript, "--", plugin, method)
		cmd.Stdin = strings.NewReader(args)
		raw, err = cmd.CombinedOutput()
		out = string(raw)
	}
	a := answer{took: time.Since(begun)}
	d.seen = append(d.seen, out)
	if err != nil {
		return a, fmt.Errorf("%s %s: %w: %s", method, args[:min(len(args), 80)], err, out)
	}
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		return a, fmt.Errorf("%s: %w in %q", method, err, out)
	}
	return a, nil
}

// get is ask for questions that must be answered with a result; it waits for a service that is being started.
func (d *desk) get(method, args string, result any) {
	d.t.Helper()
	for range 40 {
		a, err := d.ask(method, args)
		if err == nil && a.Trouble == "starting" {
			wait(100 * time.Millisecond)
			continue
		}
		if err == nil && a.Result != nil {
			err = json.Unmarshal(a.Result, result)
		} else if err == nil {
			err = fmt.Errorf("error %q, trouble %q", a.Error, a.Trouble)
		}
		if err != nil {
			d.t.Fatalf("%s: %v", method, err)
		}
		return
	}
	d.t.Fatalf("%s: the assistant does not start", method)
}

// pluginJob is what the pages read of a job.
type pluginJob struct {
	ID    string
	Done  bool
	Error string
	Steps []struct{ Name, Text string }
}

// job starts one and waits for its end.
func (d *desk) job(method, args string) pluginJob {
	d.t.Helper()
	var j pluginJob
	d.get(method, args, &j)
	for range 300 {
		if j.Done {
			return j
		}
		wait(100 * time.Millisecond)
		d.get("poll", fmt.Sprintf(`{"id":%q}`, j.ID), &j)
	}
	d.t.Fatalf("%s does not end: %+v", method, j)
	return j
}
