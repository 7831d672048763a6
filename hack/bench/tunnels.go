package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tunnel is a program under test, running in both namespaces.
type tunnel struct {
	name   string
	router *exec.Cmd
	server *exec.Cmd
}

// startLimit is how long a tunnel may take to carry a packet.
const startLimit = 10 * time.Second

// startPortals starts our two portals with the given cipher ("auto" takes what the processor is best at).
func (d *direct) startPortals(program, cipher string) (*tunnel, error) {
	key := func() (private, public string, err error) {
		if private, err = command(program, "genkey"); err != nil {
			return "", "", err
		}
		cmd := exec.Command(program, "pubkey")
		cmd.Stdin = strings.NewReader(private)
		out, err := cmd.Output()
		return strings.TrimSpace(private), strings.TrimSpace(string(out)), err
	}
	routerKey, routerPublic, err := key()
	if err != nil {
		return nil, err
	}
	serverKey, serverPublic, err := key()
	if err != nil {
		return nil, err
	}
	router := fmt.Sprintf(routerConfig, d.path("router.sock"), d.path("router.secrets"), cipher, serverPublic, outerServer) + d.further
	server := fmt.Sprintf(serverConfig, outerServer, innerServer, d.path("server.sock"), d.path("server.secrets"), d.path("peers.d"), cipher, routerPublic, innerRouter)
	for role, text := range map[string][2]string{"router": {router, routerKey}, "server": {server, serverKey}} {
		if err := os.MkdirAll(d.path(role+".secrets"), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(d.path(role+".secrets/private_key"), []byte(text[1]+"\n"), 0o600); err != nil {
			return nil, err
		}
		if err := os.WriteFile(d.path(role+".uci"), []byte(text[0]), 0o600); err != nil {
			return nil, err
		}
	}
	t := &tunnel{name: "mpproxy"}
	if t.server, err = d.launch("server", program, "run", "--config", d.path("server.uci")); err != nil {
		return nil, err
	}
	if t.router, err = d.launch("router", program, "run", "--config", d.path("router.uci")); err != nil {
		return nil, err
	}
	return t, d.waitReady()
}

const routerConfig = `config portal 'main'
	option enabled '1'
	option role 'local'
	option device 'mpp0'
	list lan 'lan0'
	option control '%s'
	option secrets_dir '%s'
	option cipher '%s'

config remote 'vps'
	option public_key '%s'
	list endpoint '%s:6779'

config link 'one'
	option interface 'wan1'
	option transport 'udp'
`

const serverConfig = `config portal 'main'
	option enabled '1'
	option role 'remote'
	option device 'mpp0'
	list listen '%s:6779'
	option address '%s/24'
	option interface 'eth0'
	option control '%s'
	option secrets_dir '%s'
	option peers_dir '%s'
	option cipher '%s'

config peer 'home'
	option public_key '%s'
	option address '%s'
`

func (d *direct) path(name string) string { return filepath.Join(d.dir, name) }

// startWireGuard starts wireguard-go at both ends with the same inner addresses and MTU.
func (d *direct) startWireGuard(program string) (*tunnel, error) {
	curve := ecdh.X25519()
	routerKey, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	serverKey, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &tunnel{name: "wireguard-go"}
	for _, end := range []struct {
		role, device, address string
		own, other            *ecdh.PrivateKey
		peer                  string
		cmd                   **exec.Cmd
	}{
		{"router", fmt.Sprintf("wgr%d", os.Getpid()), innerRouter, routerKey, serverKey, "endpoint=" + outerServer + ":51820\n", &t.router},
		{"server", fmt.Sprintf("wgs%d", os.Getpid()), innerServer, serverKey, routerKey, "", &t.server},
	} {
		if *end.cmd, err = d.launch(end.role, program, "-f", end.device); err != nil {
			return nil, err
		}
		settings := fmt.Sprintf("set=1\nprivate_key=%s\nlisten_port=51820\npublic_key=%s\n%sallowed_ip=0.0.0.0/0\n\n",
			hex.EncodeToString(end.own.Bytes()), hex.EncodeToString(end.other.PublicKey().Bytes()), end.peer)
		if err := uapi("/var/run/wireguard/"+end.device+".sock", settings); err != nil {
			return nil, err
		}
		for _, line := range []string{
			"address add " + end.address + "/24 dev " + end.device,
			"link set " + end.device + " mtu 1420 up",
		} {
			if _, err := command("ip", append([]string{"-n", d.namespace(end.role)}, strings.Fields(line)...)...); err != nil {
				return nil, err
			}
		}
		if err := d.forward(end.role, end.device); err != nil {
			return nil, err
		}
	}
	return t, d.waitReady()
}

// forward gives a namespace what our portal sets up for itself: a route, translation, a stateful filter, the MSS clamp.
func (d *direct) forward(role, device string) error {
	ns := d.namespace(role)
	if role == "router" {
		if _, err := command("ip", "-n", ns, "route", "replace", "default", "dev", device, "table", "7000"); err != nil {
			return err
		}
		if _, err := command("ip", "-n", ns, "rule", "add", "pref", "2510", "iif", "lan0", "lookup", "7000"); err != nil {
			return err
		}
	}
	out := map[string]string{"router": device, "server": "eth0"}[role]
	rules := fmt.Sprintf(`table inet wg {
		chain post { type nat hook postrouting priority 100; oifname "%[2]s" masquerade; }
		chain forward { type filter hook forward priority 0;
			oifname "%[1]s" tcp flags & (syn | rst) == syn tcp option maxseg size set 1380
			iifname "%[1]s" tcp flags & (syn | rst) == syn tcp option maxseg size set 1380
			ct state established,related accept
			accept; }
	}`, device, out)
	cmd := d.inside(role, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("set rules of %s: %w: %s", role, err, text)
	}
	return nil
}

// unforward takes it back.
func (d *direct) unforward() {
	for _, role := range []string{"router", "server"} {
		_ = d.inside(role, "nft", "delete", "table", "inet", "wg").Run() // there is none behind a portal
		_ = d.inside(role, "ip", "rule", "del", "pref", "2510", "iif", "lan0").Run()
	}
}

// uapi sends settings to wireguard-go's socket, once it is there.
func uapi(socket, settings string) error {
	deadline := time.Now().Add(startLimit)
	conn, err := net.Dial("unix", socket)
	for ; err != nil && time.Now().Before(deadline); conn, err = net.Dial("unix", socket) {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, settings); err != nil {
		return err
	}
	answer := make([]byte, 256)
	n, err := conn.Read(answer)
	if err != nil || !strings.Contains(string(answer[:n]), "errno=0") {
		return fmt.Errorf("wireguard-go answered %q: %w", answer[:n], err)
	}
	return nil
}

// waitReady waits until a packet goes through the tunnel and back.
func (d *direct) waitReady() error {
	deadline := time.Now().Add(startLimit)
	for {
		_, err := command("ip", "netns", "exec", d.namespace("client"), os.Args[0], "-reach", targetAddress)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the tunnel carries nothing: %w\n%s", err, d.logs())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// reach reports whether a host answers: a refused TCP connection is an answer.
func reach(host string) int {
	dialer := net.Dialer{Timeout: 500 * time.Millisecond}
	conn, err := dialer.Dial("tcp4", net.JoinHostPort(host, "9"))
	if err == nil {
		conn.Close()
		return 0
	}
	if strings.Contains(err.Error(), "refused") {
		return 0
	}
	return 1
}

// transfer is one direction's result.
type transfer struct {
	bits   float64    // per second
	cpu    float64    // seconds per GB of both daemons
	router float64    // of that, the router's
	rss    [2]float64 // MiB after it, router and server
}

// measure runs one TCP flow over whatever tunnel stands. direction is "send" (up) or "receive" (down).
func (d *direct) measure(t *tunnel, direction string, length time.Duration) (r transfer, err error) {
	stop, err := d.serve()
	if err != nil {
		return r, err
	}
	defer stop()
	time.Sleep(100 * time.Millisecond)
	before := [2]float64{cpuOf(t.router.Process.Pid), cpuOf(t.server.Process.Pid)}
	var bytes, seconds float64
	words := direction + " " + targetAddress + " " + strconv.FormatFloat(length.Seconds(), 'f', 2, 64)
	if err := d.ask(words, &bytes, &seconds); err != nil {
		return r, fmt.Errorf("transfer over %s: %w\n%s", t.name, err, d.logs())
	}
	r.bits = bytes * 8 / seconds
	r.router = (cpuOf(t.router.Process.Pid) - before[0]) / (bytes / 1e9)
	r.cpu = r.router + (cpuOf(t.server.Process.Pid)-before[1])/(bytes/1e9)
	r.rss = [2]float64{resident(t.router.Process.Pid, "VmRSS:"), resident(t.server.Process.Pid, "VmRSS:")}
	return r, nil
}
