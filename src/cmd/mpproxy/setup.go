package main

import (
	"bufio"
	"context"
	"crypto/rand"
	_ "embed" // for unitText
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/portal"
	"mpproxy/src/stats"
	"mpproxy/src/system"
)

// unitText is the systemd unit, the same as files/mpproxy.service, for servers to which only the program was copied.
//
//go:embed mpproxy.service
var unitText string

// Where things are on a server, below --root.
const (
	serverDir    = "/etc/mpproxy"
	serverConfig = serverDir + "/mpproxy"
	serverSocket = "/run/mpproxy/mpproxy.sock"
	unitPath     = "/etc/systemd/system/mpproxy.service"
	unitPackaged = "/lib/systemd/system/mpproxy.service"
	unitRoot     = "/etc/systemd/system/mpproxy.service.d/user.conf"
	programPath  = "/usr/bin/mpproxy"
	serviceUser  = "mpproxy"
)

// rootText makes the service run as root, with the same few capabilities: where there is no user for it, or where the
// firewall's own programs insist on root.
const rootText = "# Written by mpproxy setup: %s.\n[Service]\nUser=root\nGroup=root\n"

// setup makes this machine a server, or makes it none again.
func setup(ctx context.Context, c *call) error {
	if !portal.HasServer {
		return portal.ErrNoServer
	}
	if c.args[0] != "remote" {
		return usagef("there is set-up for a server only: mpproxy setup remote; a router is set up by mpproxy join")
	}
	s := &serverSetup{call: c, root: strings.TrimSuffix(c.last("root"), "/")}
	switch {
	case c.flags["remove"]:
		return s.remove(ctx)
	case c.flags["check"]:
		return s.check(ctx)
	}
	if err := s.plan(); err != nil {
		return err
	}
	if err := s.write(); err != nil {
		return err
	}
	return s.start(ctx)
}

// serverSetup is one run of setup remote.
type serverSetup struct {
	*call
	root      string
	text      string // of the configuration; empty: there is one already
	port      uint16
	endpoints []string
}

// plan finds out what this machine is like, asks what it cannot know, and writes nothing.
func (s *serverSetup) plan() error {
	s.port = config.DefaultPort
	if text := s.last("port"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return usagef("--port is a number from 1 to 65535, not '%s'", text)
		}
		s.port = uint16(n)
	}
	if cfg, _, err := config.Load(s.root + serverConfig); err == nil {
		if cfg.Portal.Role != config.RoleRemote {
			return fmt.Errorf("%s is that of a router; a machine is one of the two", s.root+serverConfig)
		}
		if len(cfg.Portal.Remote.Listen) > 0 {
			s.port = cfg.Portal.Remote.Listen[0].Port()
		}
		if !cfg.Portal.Enabled {
			return fmt.Errorf("%s is there already and switched off; set option enabled '1' in it, or take it away", s.root+serverConfig)
		}
		fmt.Fprintf(s.err, "kept    %s, which is there already\n", serverConfig)
		return nil
	} else if _, missing := os.Stat(s.root + serverConfig); missing == nil {
		return err
	}
	if err := portIsFree(s.port); err != nil {
		return err
	}
	uplink, err := findUplink(s.last("interface"))
	if err != nil {
		return err
	}
	if err := s.chooseEndpoints(uplink); err != nil {
		return err
	}
	s.text, err = s.configText(uplink)
	return err
}

// portIsFree fails if another program has the port.
func portIsFree(port uint16) error {
	conn, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
	if err != nil {
		return fmt.Errorf("port %d/UDP is in use by another program; choose another with --port", port)
	}
	return conn.Close()
}

// findUplink is the device towards the Internet.
func findUplink(name string) (system.LinkState, error) {
	if name != "" {
		return system.Look(name)
	}
	all, err := system.Uplinks()
	if err != nil {
		return system.LinkState{}, err
	}
	for _, v4 := range []bool{true, false} {
		for _, l := range all {
			if v4 && l.Gateway4.IsValid() || !v4 && l.Gateway6.IsValid() {
				return l, nil
			}
		}
	}
	return system.LinkState{}, errors.New("this machine has no default route, so no way to the Internet; name the device with --interface")
}

// chooseEndpoints decides where routers will look for this server.
func (s *serverSetup) chooseEndpoints(uplink system.LinkState) error {
	private := ""
	for _, a := range append(append([]netip.Addr{}, uplink.IPv4...), uplink.IPv6...) {
		switch {
		case a.IsPrivate() || !a.IsGlobalUnicast():
			private = a.String()
		case !slices.ContainsFunc(s.endpoints, func(e string) bool { return netip.MustParseAddrPort(e).Addr().Is4() == a.Is4() }):
			s.endpoints = append(s.endpoints, netip.AddrPortFrom(a, s.port).String())
		}
	}
	if given := s.values["endpoint"]; len(given) > 0 {
		s.endpoints = nil
		for _, text := range given {
			if !strings.Contains(text, ":") {
				text = fmt.Sprintf("%s:%d", text, s.port)
			}
			h, err := config.ParseHostPort(text)
			if err != nil {
				return usagef("--endpoint: %v", err)
			}
			s.endpoints = append(s.endpoints, h.String())
		}
		return nil
	}
	if f, ok := s.in.(*os.File); ok && isTerminal(f) && !s.flags["yes"] {
		fmt.Fprintf(s.err, "Routers reach this server at [%s]: ", strings.Join(s.endpoints, " and "))
		line, _ := bufio.NewReader(f).ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			s.values["endpoint"] = []string{line}
			return s.chooseEndpoints(uplink)
		}
	}
	if len(s.endpoints) == 0 {
		return fmt.Errorf("this machine's own address %s is not a public one (is it behind NAT?); say where routers reach it: --endpoint NAME-OR-ADDRESS", private)
	}
	return nil
}

// configText writes the configuration.
func (s *serverSetup) configText(uplink system.LinkState) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# The server's end of the tunnel, written by mpproxy setup. It is yours: mpproxy never changes it. Routers that are\n")
	fmt.Fprintf(&b, "# paired (mpproxy pair) have one file each in %s/peers.d. Try changes with: mpproxy check\n\n", serverDir)
	fmt.Fprintf(&b, "config portal 'main'\n\toption enabled '1'\n\toption role 'remote'\n\toption interface '%s'\n\tlist listen '[::]:%d'\n", uplink.Device, s.port)
	four, err := freeNetwork()
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "\toption address '%s'\n", four)
	if uplink.Gateway6.IsValid() && len(uplink.IPv6) > 0 {
		var r [5]byte
		rand.Read(r[:]) // RFC 4193 section 3.2
		fmt.Fprintf(&b, "\tlist address6 'fd%02x:%02x%02x:%02x%02x::1/64'\n", r[0], r[1], r[2], r[3], r[4])
	}
	for _, e := range s.endpoints {
		fmt.Fprintf(&b, "\tlist endpoint '%s'\n", e)
	}
	fmt.Fprintf(&b, "\toption control '%s'\n", s.root+serverSocket)
	if s.root != "" {
		fmt.Fprintf(&b, "\toption secrets_dir '%s/secrets'\n\toption peers_dir '%s/peers.d'\n", s.root+serverDir, s.root+serverDir)
	}
	for _, port := range listening() {
		if port != fmt.Sprintf("udp:%d", s.port) && port != fmt.Sprintf("tcp:%d", s.port) {
			fmt.Fprintf(&b, "\tlist reserve '%s'\n", port)
		}
	}
	return b.String(), nil
}

// freeNetwork is a network for routers that overlaps none of this machine's.
func freeNetwork() (string, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("list addresses: %w", err)
	}
	for n := 99; n < 256; n++ {
		candidate := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), 0, 1}), 24)
		taken := slices.ContainsFunc(addrs, func(a net.Addr) bool {
			p, err := netip.ParsePrefix(a.String())
			return err == nil && p.Masked().Overlaps(candidate.Masked())
		})
		if !taken {
			return candidate.String(), nil
		}
	}
	return "", errors.New("all of 10.99.0.0/24 to 10.255.0.0/24 overlap networks of this machine; write option address by hand")
}

// listening are the ports at which something listens now, ssh's too: no router gets them in public mode.
func listening() (ports []string) {
	const tcpListen, udpUnconnected = "0A", "07"
	for _, kind := range []struct{ proto, file, state string }{
		{"tcp", "tcp", tcpListen}, {"tcp", "tcp6", tcpListen}, {"udp", "udp", udpUnconnected}, {"udp", "udp6", udpUnconnected},
	} {
		text, err := os.ReadFile("/proc/net/" + kind.file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 4 || f[3] != kind.state {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && !slices.Contains(ports, fmt.Sprintf("%s:%d", kind.proto, n)) {
				ports = append(ports, fmt.Sprintf("%s:%d", kind.proto, n))
			}
		}
	}
	return ports
}

// start lets systemd start the service and looks how it does.
func (s *serverSetup) start(ctx context.Context) error {
	if !s.systemd() {
		fmt.Fprintf(s.err, "There is no systemd at work here; start it with: mpproxy run --config %s\n", s.root+serverConfig)
		return nil
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", "--now", "mpproxy.service"}} {
		if out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return s.check(ctx)
}

// systemd reports that the services of this machine are its to start.
func (s *serverSetup) systemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil && s.root == ""
}

// checkPatience is how long a service that was just started may take to answer and to check itself.
const checkPatience = 10 * time.Second

// check asks the running portal how it is and says what is left to do.
func (s *serverSetup) check(ctx context.Context) error {
	s.config = s.root + serverConfig
	cfg, _, err := config.Load(s.config)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(checkPatience)
	var status *stats.Status
	for status, err = s.fetch(ctx); err != nil && time.Now().Before(deadline) && ctx.Err() == nil; status, err = s.fetch(ctx) {
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("the service does not answer; its log says why: journalctl -u mpproxy: %w", err)
	}
	fmt.Fprintf(s.err, "ok      mpproxy runs\n")
	if len(status.Advice) == 0 {
		fmt.Fprintf(s.err, "ok      packets of routers get through this machine's firewall\n")
	}
	for _, line := range status.Advice {
		fmt.Fprintf(s.err, "to do   %s\n", line)
	}
	for _, at := range cfg.Portal.Remote.Listen {
		fmt.Fprintf(s.err, "to do   if your provider has a firewall of its own, let in: %d/UDP\n", at.Port())
	}
	fmt.Fprintf(s.err, "\nNow make a token for your router: mpproxy pair home\n")
	return nil
}
