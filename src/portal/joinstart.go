package portal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/stats"
)

const (
	// initScript is OpenWrt's way to the service.
	initScript = "/etc/init.d/mpproxy"
	// startPatience is how long the service may take to have its session.
	startPatience = 30 * time.Second
	// throughPatience is how long the Internet may take to answer through the server.
	throughPatience = 5 * time.Second
)

// throughTargets are machines of the Internet that answer at port 443 day and night; one that does is enough.
func throughTargets() []string { return []string{"1.1.1.1:443", "8.8.8.8:443", "9.9.9.9:443"} }

// JoinAndStart pairs this router, starts the service, and looks whether the Internet is there through the server.
func JoinAndStart(ctx context.Context, o JoinOptions, told func(Step)) error {
	if err := Join(ctx, o, told); err != nil {
		return err
	}
	if err := startService(ctx); err != nil {
		told(Step{ID: "started", State: StepFailed, Text: err.Error()})
		return err
	}
	cfg, _, err := config.Load(o.ConfigFile)
	if err != nil {
		return err
	}
	told(Step{ID: "started", State: StepWorking, Text: "starting the service"})
	session, err := waitSession(ctx, cfg.Portal.Control)
	if err != nil {
		told(Step{ID: "started", State: StepFailed, Text: err.Error()})
		return err
	}
	told(Step{ID: "started", State: StepWell, Text: "service started, connected"})
	told(Step{ID: "internet", State: StepWorking, Text: "looking for the Internet through the server"})
	if err := through(ctx, cfg.Portal.Device, throughTargets()); err != nil {
		told(Step{ID: "internet", State: StepNote, Text: err.Error()})
		return nil
	}
	told(Step{ID: "internet", State: StepWell, Text: "Internet through the server works"})
	told(tryNames(ctx, cfg, session.NameServers))
	return nil
}

// triedName is looked up to see whether names can be; that it does not exist is an answer too.
const triedName = "example.com."

// tryNames looks a name up through the tunnel, by the name servers that the LAN gets.
func tryNames(ctx context.Context, cfg *config.Config, offered []string) Step {
	servers := cfg.Portal.DNSServers
	for _, text := range offered {
		if a, err := netip.ParseAddr(text); err == nil && len(cfg.Portal.DNSServers) == 0 {
			servers = append(servers, a)
		}
	}
	s := Step{ID: "names", State: StepNote}
	switch {
	case cfg.Portal.Local.DNS != config.DNSTunnel:
		s.Text = "names are looked up as before, not through the server, as configured"
	case len(servers) == 0:
		s.Text = "names are looked up as before: the server names no name server"
	default:
		ctx, cancel := context.WithTimeout(ctx, throughPatience)
		defer cancel()
		_, err := overLink(servers, cfg.Portal.Device, 0).LookupNetIP(ctx, "ip4", triedName)
		if missing := (*net.DNSError)(nil); err == nil || errors.As(err, &missing) && missing.IsNotFound {
			return Step{ID: "names", State: StepWell, Text: "name service through the server works"}
		}
		s.Text = fmt.Sprintf("the name server %s does not answer through the server", servers[0])
	}
	return s
}

// menuCaches are where LuCI keeps which of its pages there are. It looks at our settings for that, but only once.
const menuCaches = "/tmp/luci-indexcache.*"

// forgetMenus lets LuCI look again.
func forgetMenus() {
	files, _ := filepath.Glob(menuCaches) // fails for a wrong pattern only
	for _, f := range files {
		_ = os.Remove(f)
	}
}

// startService starts the service, or lets it read its settings again. Without an init script that is somebody else's to do.
func startService(ctx context.Context) error {
	forgetMenus()
	if _, err := os.Stat(initScript); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, action := range []string{"enable", "reload"} {
		if out, err := exec.CommandContext(ctx, initScript, action).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w: %s", initScript, action, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// waitSession waits until the portal has its session.
func waitSession(ctx context.Context, socket string) (stats.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		var s stats.Status
		err := control.Call(ctx, socket, control.Request{Cmd: control.CmdStatus}, &s)
		if err == nil && len(s.Sessions) > 0 && s.Sessions[0].State == stats.SessionUp && len(s.Sessions[0].InnerAddresses) > 0 {
			return s.Sessions[0], nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err == nil && len(s.Sessions) > 0 && s.Sessions[0].Trouble != "" {
				return stats.Session{}, errors.New("the service runs, but has no connection: " + s.Sessions[0].Trouble)
			}
			return stats.Session{}, errors.New("the service did not connect; its log says why: logread -e mpproxy")
		}
	}
}

// through tries to reach one of the targets by way of the TUN device.
func through(ctx context.Context, device string, targets []string) error {
	ctx, cancel := context.WithTimeout(ctx, throughPatience)
	defer cancel()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if raised := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) }); raised != nil {
			return raised
		}
		return err
	}}
	results := make(chan error, len(targets))
	for _, at := range targets {
		go func() {
			conn, err := d.DialContext(ctx, "tcp", at)
			if err == nil {
				_ = conn.Close()
			}
			results <- err
		}()
	}
	for range targets {
		if <-results == nil {
			return nil
		}
	}
	return errors.New("the server answers, but the Internet does not answer through it: on the server, mpproxy setup remote --check says why")
}
