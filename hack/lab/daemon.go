package lab

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startLimit = 10 * time.Second       // for the session to come up
	pollEvery  = 100 * time.Millisecond // of the status
)

// Daemon is one running portal.
type Daemon struct {
	Role   string // "router" or "remote"
	Config string // its UCI file
	Socket string

	lab     *Lab
	process *process
}

// StartPortals writes configuration and secrets for both portals, starts them and waits until the session is up.
// The router gets the given links, all if none is given.
func (l *Lab) StartPortals(links ...*Link) error {
	if err := l.configure(links); err != nil {
		return fmt.Errorf("configure portals: %w", err)
	}
	var err error
	if l.Remote, err = l.startDaemon("remote"); err != nil {
		return err
	}
	if l.Router, err = l.startDaemon("router"); err != nil {
		return errors.Join(err, l.StopPortals())
	}
	if err := l.waitUp(); err != nil {
		return errors.Join(err, l.StopPortals())
	}
	return nil
}

// configure writes configuration and secrets of both portals.
func (l *Lab) configure(links []*Link) error {
	if len(links) == 0 {
		links = l.Links
	}
	keys, err := l.makeKeys()
	if err != nil {
		return err
	}
	if err := l.writeRouter(keys, links); err != nil {
		return err
	}
	return l.writeRemote(keys)
}

// StopPortals ends both portals, the router first. Without portals it does nothing.
func (l *Lab) StopPortals() error {
	var errs []error
	for _, d := range []*Daemon{l.Router, l.Remote} {
		if d != nil {
			errs = append(errs, d.Stop())
		}
	}
	l.Router, l.Remote = nil, nil
	return errors.Join(errs...)
}

// keys is what the two portals share, as the program writes it.
type keys struct {
	routerPrivate, routerPublic string
	remotePrivate, remotePublic string
	psk                         string
}

func (l *Lab) makeKeys() (keys, error) {
	var k keys
	for _, pair := range [][2]*string{{&k.routerPrivate, &k.routerPublic}, {&k.remotePrivate, &k.remotePublic}, {&k.psk, nil}} {
		private, err := run("", l.options.Program, "genkey")
		if err != nil {
			return k, fmt.Errorf("make key: %w", err)
		}
		*pair[0] = strings.TrimSpace(private)
		if pair[1] == nil {
			continue
		}
		public, err := run(private, l.options.Program, "pubkey")
		if err != nil {
			return k, fmt.Errorf("make public key: %w", err)
		}
		*pair[1] = strings.TrimSpace(public)
	}
	return k, nil
}

// secrets writes a portal's secrets directory and returns its path.
func (l *Lab) secrets(role string, files map[string]string) (string, error) {
	dir := filepath.Join(l.dir, role+".secrets")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make secrets: %w", err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("write secret: %w", err)
		}
	}
	return dir, nil
}

func (l *Lab) writeRouter(k keys, links []*Link) error {
	secrets, err := l.secrets("router", map[string]string{"private_key": k.routerPrivate, "remote.vps.psk": k.psk})
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `config portal 'main'
	option enabled '1'
	option role 'local'
	option device 'mpp0'
	list lan 'lan0'
	option control '%s'
	option secrets_dir '%s'
%s
config remote 'vps'
	option public_key '%s'
	list endpoint '%s:6779'
`, l.socket("router"), secrets, further(l.options.RouterOptions), k.remotePublic, RemoteAddress)
	for _, link := range links {
		fmt.Fprintf(&b, `
config link '%s'
	option interface '%s'
	option transport '%s'
%s`, link.Name, link.Device, cmp.Or(l.options.Transport, "udp"), further(l.options.LinkOptions[link.Name]))
	}
	return os.WriteFile(l.config("router"), []byte(b.String()), 0o600)
}

func (l *Lab) writeRemote(k keys) error {
	secrets, err := l.secrets("remote", map[string]string{"private_key": k.remotePrivate, "peer.home.psk": k.psk})
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`config portal 'main'
	option enabled '1'
	option role 'remote'
	option device 'mpp0'
	list listen '0.0.0.0:6779'
	option address '10.99.0.1/24'
	option interface 'eth0'
	option control '%s'
	option secrets_dir '%s'
	option peers_dir '%s'
%s
config peer 'home'
	option public_key '%s'
	option address '10.99.0.2'
%s`, l.socket("remote"), secrets, filepath.Join(l.dir, "peers.d"), further(l.options.RemoteOptions), k.routerPublic, further(l.options.PeerOptions))
	return os.WriteFile(l.config("remote"), []byte(text), 0o600)
}

// further writes lines of a section.
func further(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString("\t" + line + "\n")
	}
	return b.String()
}

func (l *Lab) config(role string) string { return filepath.Join(l.dir, role+".uci") }
func (l *Lab) socket(role string) string { return filepath.Join(l.dir, role+".sock") }

func (l *Lab) startDaemon(role string) (*Daemon, error) {
	d := &Daemon{Role: role, Config: l.config(role), Socket: l.socket(role), lab: l}
	program, err := filepath.Abs(l.options.Program)
	if err != nil {
		return nil, fmt.Errorf("find program: %w", err)
	}
	d.process, err = start(l.Namespace(role), nil, func(line string) { fmt.Fprintln(&d.process.errors, line) },
		program, "run", "--config", d.Config, "--socket", d.Socket)
	if err != nil {
		return nil, err
	}
	l.onClose(d.Stop)
	return d, nil
}

// Stop ends the portal as a service manager would and waits for it. A second call does nothing.
func (d *Daemon) Stop() error {
	if !d.process.running() {
		return nil
	}
	return d.process.stop()
}

// Kill ends the portal without warning, as a crash would.
func (d *Daemon) Kill() {
	_ = d.process.cmd.Process.Signal(syscall.SIGKILL)
	<-d.process.ended
}

// Log returns the end of what the portal printed.
func (d *Daemon) Log() string { return d.process.errors.String() }

// Pid returns the process id.
func (d *Daemon) Pid() int { return d.process.cmd.Process.Pid }

// Status returns what "mpproxy status --json" prints.
func (d *Daemon) Status() (string, error) {
	return run("", "ip", "netns", "exec", d.lab.Namespace(d.Role), d.lab.options.Program, "--socket", d.Socket, "status", "--json")
}
