package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Exec runs a command in a namespace (by role) and returns what it prints.
func (l *Lab) Exec(role, name string, args ...string) (string, error) {
	return l.Feed(role, "", name, args...)
}

// Feed is Exec with text on the command's standard input.
func (l *Lab) Feed(role, input, name string, args ...string) (string, error) {
	return run(input, "ip", append([]string{"netns", "exec", l.Namespace(role), name}, args...)...)
}

// IP runs lines of "ip" in a namespace; a line may begin with -4 or -6. With force it goes on after an error and reports none.
func (l *Lab) IP(role string, force bool, lines ...string) error {
	for len(lines) > 0 {
		family, rest := familyOf(lines[0])
		args := []string{"-n", l.Namespace(role), "-batch", "-"}
		if force {
			args = append([]string{"-force"}, args...)
		}
		if family != "" {
			args = append([]string{family}, args...)
		}
		text := ""
		for len(lines) > 0 {
			next, line := familyOf(lines[0])
			if next != family {
				break
			}
			text += line + "\n"
			lines = lines[1:]
		}
		if _, err := run(text, "ip", args...); err != nil && !force {
			return fmt.Errorf("%s: %w", rest, err)
		}
	}
	return nil
}

func familyOf(line string) (family, rest string) {
	for _, f := range []string{"-4", "-6"} {
		if rest, ok := strings.CutPrefix(line, f+" "); ok {
			return f, rest
		}
	}
	return "", line
}

// Set writes kernel settings ("net.ipv4.ip_forward=1") of a namespace.
func (l *Lab) Set(role string, list ...string) error { return sysctl(l.Namespace(role), list...) }

// Gateway is the router's next hop on a link.
func (l *Lab) Gateway(link *Link) string { return l.gateway(link) }

// Configure writes configuration and secrets of both portals and starts neither.
func (l *Lab) Configure() error { return l.configure(nil) }

// StartRemote starts the portal on the server.
func (l *Lab) StartRemote() (err error) {
	l.Remote, err = l.startDaemon("remote")
	return err
}

// StartRouter starts the portal on the router and does not wait for anything.
func (l *Lab) StartRouter() (err error) {
	l.Router, err = l.startDaemon("router")
	return err
}

// WaitSession waits until the session is up.
func (l *Lab) WaitSession() error { return l.waitUp() }

// Mpproxy runs the program in a namespace with that portal's configuration, and returns what it says.
func (l *Lab) Mpproxy(role string, args ...string) (string, error) {
	return l.Exec(role, l.options.Program, append([]string{"--config", l.config(role), "--socket", l.socket(role)}, args...)...)
}

// AddUser makes a namespace's programs see one more user. It is undone by Close.
func (l *Lab) AddUser(role, name string, uid int) error {
	dir := filepath.Join("/etc/netns", l.Namespace(role))
	text, err := os.ReadFile("/etc/passwd")
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return fmt.Errorf("add user: %w", err)
	}
	l.onClose(func() error { // the directory above stays if it was not ours alone
		err := os.RemoveAll(dir)
		_ = os.Remove(filepath.Dir(dir))
		return err
	})
	line := fmt.Sprintf("%s:x:%d:%d::/:/bin/false\n", name, uid, uid)
	if err := os.WriteFile(filepath.Join(dir, "passwd"), append(text, line...), 0o644); err != nil {
		return fmt.Errorf("add user: %w", err)
	}
	return nil
}

// AskName sends a name query as a user would (its content does not matter) and returns the answer, or "".
func (l *Lab) AskName(role string, uid int, server string, wait time.Duration) (answer string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine, and its user with it
		err = inside(l.Namespace(role), func() error {
			_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0)
			conn, err := net.Dial("udp", server)
			if err != nil {
				return err
			}
			defer conn.Close()
			if _, err := conn.Write([]byte("query")); err != nil {
				return err
			}
			buf := make([]byte, 100)
			_ = conn.SetReadDeadline(time.Now().Add(wait))
			n, _ := conn.Read(buf)
			answer = string(buf[:n])
			return nil
		})
	}()
	<-done
	return answer, err
}

// Answer makes a namespace answer every datagram to an address with a text, until Close.
func (l *Lab) Answer(role, at, text string) error {
	var conn net.PacketConn
	err := inside(l.Namespace(role), func() (err error) {
		conn, err = net.ListenPacket("udp", at)
		return err
	})
	if err != nil {
		return fmt.Errorf("answer at %s: %w", at, err)
	}
	l.onClose(conn.Close)
	go func() {
		buf := make([]byte, 2048)
		for {
			_, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte(text), from)
		}
	}()
	return nil
}

// Knocker sends datagrams from a namespace to places outside, again and again, each time from another port.
type Knocker struct {
	stop    chan struct{}
	stopped sync.WaitGroup
	sent    uint64
	failed  error
}

// Knock starts to send to each address every interval.
func (l *Lab) Knock(role string, every time.Duration, to ...netip.AddrPort) *Knocker {
	k := &Knocker{stop: make(chan struct{})}
	k.stopped.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-k.stop:
				return
			case <-tick.C:
			}
			k.failed = errors.Join(inside(l.Namespace(role), func() error {
				for _, a := range to {
					if conn, err := net.Dial("udp", a.String()); err == nil {
						if _, err := conn.Write([]byte("knock")); err == nil {
							k.sent++
						}
						conn.Close()
					}
				}
				return nil
			}))
		}
	})
	return k
}

// Stop ends the knocking and returns how many datagrams were sent.
func (k *Knocker) Stop() (sent uint64, err error) {
	close(k.stop)
	k.stopped.Wait()
	return k.sent, k.failed
}
