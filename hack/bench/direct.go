package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Addresses of the unshaped lab:
//
//	client ──veth── router ══veth══ server ──veth── target
//	192.168.77.2    192.0.2.1       192.0.2.2       198.51.100.2
//
// The tunnel under test runs between router and server; client and target speak TCP through it.
const (
	clientAddress = "192.168.77.2"
	outerRouter   = "192.0.2.1"
	outerServer   = "192.0.2.2"
	innerRouter   = "10.99.0.2"
	innerServer   = "10.99.0.1"
	targetAddress = "198.51.100.2"
)

// direct is the unshaped lab.
type direct struct {
	dir     string
	undo    []func() error
	started []*exec.Cmd
	further string // sections of the router's configuration
}

// newDirect builds it. The caller closes it.
func newDirect() (*direct, error) {
	d := &direct{}
	if err := d.build(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *direct) build() error {
	var err error
	if d.dir, err = os.MkdirTemp("", d.namespace("")); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	d.undo = append(d.undo, func() error { return os.RemoveAll(d.dir) })
	ns := map[string]string{}
	for _, role := range []string{"client", "router", "server", "target"} {
		name := d.namespace(role)
		ns[role] = name
		if _, err := command("ip", "netns", "add", name); err != nil {
			return err
		}
		d.undo = append(d.undo, func() error { _, err := command("ip", "netns", "del", name); return err })
	}
	for _, cable := range [][4]string{{"client", "eth0", "router", "lan0"}, {"router", "wan1", "server", "eth0"}, {"server", "eth1", "target", "eth0"}} {
		if _, err := command("ip", "link", "add", cable[1], "netns", ns[cable[0]], "type", "veth", "peer", "name", cable[3], "netns", ns[cable[2]]); err != nil {
			return err
		}
	}
	for _, at := range [][3]string{
		{"client", "eth0", clientAddress}, {"router", "lan0", "192.168.77.1"}, {"router", "wan1", outerRouter},
		{"server", "eth0", outerServer}, {"server", "eth1", "198.51.100.1"}, {"target", "eth0", targetAddress},
	} {
		if _, err := command("ip", "-n", ns[at[0]], "address", "add", at[2]+"/24", "dev", at[1]); err != nil {
			return err
		}
		if _, err := command("ip", "-n", ns[at[0]], "link", "set", at[1], "up"); err != nil {
			return err
		}
	}
	// The router can reach the target through the tunnel only; the server knows nothing of the client's network.
	for _, r := range [][]string{{"client", "default", "via", "192.168.77.1"}, {"target", innerRouter + "/32", "via", "198.51.100.1"}} {
		if _, err := command("ip", append([]string{"-n", ns[r[0]], "route", "add"}, r[1:]...)...); err != nil {
			return err
		}
	}
	for _, role := range []string{"router", "server"} {
		if _, err := command("ip", "netns", "exec", ns[role], "sysctl", "-qw", "net.ipv4.ip_forward=1"); err != nil {
			return err
		}
	}
	return nil
}

// namespace returns the full name of a role's namespace; the prefix and the process id let a later run find what is stale.
func (d *direct) namespace(role string) string { return "mpp" + strconv.Itoa(os.Getpid()) + "-" + role }

func (d *direct) close() error {
	err := d.stopAll()
	for i := len(d.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, d.undo[i]())
	}
	d.undo = nil
	return err
}

// inside is a command in a namespace that is not started yet.
func (d *direct) inside(role, name string, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", d.namespace(role), name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// launch starts a daemon in a namespace; its output goes to a file in the lab's directory. stopAll ends it.
func (d *direct) launch(role, name string, args ...string) (*exec.Cmd, error) {
	cmd := d.inside(role, name, args...)
	log, err := os.Create(filepath.Join(d.dir, role+"-"+filepath.Base(name)+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	d.started = append(d.started, cmd)
	return cmd, nil
}

// stopLimit is what a daemon may take for it, with a thousand connections on a busy machine.
const stopLimit = 20 * time.Second

// stopAll ends the daemons, the last first.
func (d *direct) stopAll() error {
	var errs []error
	for i := len(d.started) - 1; i >= 0; i-- {
		cmd := d.started[i]
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(stopLimit):
			_ = cmd.Process.Kill()
			errs = append(errs, fmt.Errorf("%s had to be killed", cmd.Args[4]))
		}
	}
	d.started = nil
	return errors.Join(errs...)
}

// logs returns what the daemons printed, for an error's sake.
func (d *direct) logs() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(d.dir, "*.log"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		fmt.Fprintf(&all, "--- %s\n%s", filepath.Base(f), text)
	}
	return all.String()
}

// command runs a command; its error has what the command printed.
func command(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
