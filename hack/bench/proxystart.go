package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// lay gives the unshaped lab more cables between router and server, and routes without a tunnel.
func (d *direct) lay(cables int) error {
	lines := []string{}
	router, server := d.namespace("router"), d.namespace("server")
	for i := 2; i <= cables; i++ {
		if _, err := command("ip", "link", "add", fmt.Sprintf("wan%d", i), "netns", router, "type", "veth", "peer", "name", fmt.Sprintf("eth%d", i), "netns", server); err != nil {
			return err
		}
		lines = append(lines,
			fmt.Sprintf("%s address add 192.0.%d.1/24 dev wan%d", router, i+1, i), fmt.Sprintf("%s link set wan%d up", router, i),
			fmt.Sprintf("%s address add 192.0.%d.2/24 dev eth%d", server, i+1, i), fmt.Sprintf("%s link set eth%d up", server, i),
			fmt.Sprintf("%s route add default via 192.0.%d.2 dev wan%d metric %d", router, i+1, i, 10*i))
	}
	lines = append(lines,
		fmt.Sprintf("%s route add default via %s dev wan1 metric 10", router, outerServer),
		fmt.Sprintf("%s route add default via 198.51.100.1", d.namespace("target")))
	for _, line := range lines {
		if _, err := command("ip", append([]string{"-n"}, strings.Fields(line)...)...); err != nil {
			return err
		}
	}
	defer allowCubic()()                          // for as long as the namespaces are given it
	for _, ns := range []string{router, server} { // the tests' ends use cubic; so do the relays
		if _, err := command("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=cubic"); err != nil {
			return err
		}
	}
	return nil
}

// unrelay takes back what a relayer set in the kernel.
func (d *direct) unrelay() error {
	for _, args := range [][]string{
		{"router", "nft", "delete", "table", "ip", "relay"},
		{"router", "ip", "mptcp", "endpoint", "flush"},
	} {
		_ = d.inside(args[0], args[1], args[2:]...).Run() // most set nothing
	}
	d.further = ""
	return nil
}

// startNAT has the router forward, as it would without any proxy.
func (d *direct) startNAT(string) error {
	cmd := d.inside("router", "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(`table ip relay {
		chain post { type nat hook postrouting priority 100; oifname "wan*" masquerade; }
		chain forward { type filter hook forward priority 0; ct state established,related accept; accept; }
	}`)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("set rules: %w: %s", err, text)
	}
	return nil
}

// startOurs starts both portals, with a route over so many links; none: direct connections.
func (d *direct) startOurs(program string, links int) error {
	var text strings.Builder
	text.WriteString("\nconfig socks 'lan'\n\toption enabled '1'\n")
	for i := 2; i <= links; i++ {
		fmt.Fprintf(&text, "\nconfig link 'link%d'\n\toption interface 'wan%d'\n\toption transport 'udp'\n", i, i)
	}
	if links > 0 {
		fmt.Fprintf(&text, "\nconfig route 'all'\n\tlist dest '%s'\n\toption fallback 'none'\n", targetAddress)
	}
	d.further = text.String()
	_, err := d.startPortals(program, "auto")
	return err
}

func (d *direct) startMicrosocks(string) error {
	_, err := d.launch("router", "microsocks", "-i", "192.168.77.1", "-p", "1080")
	return err
}

const danteConfig = `logoutput: /dev/null
internal: 192.168.77.1 port = 1080
external: wan1
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass { from: 192.168.77.0/24 to: 0.0.0.0/0 }
socks pass { from: 192.168.77.0/24 to: 0.0.0.0/0 command: connect }
`

func (d *direct) startDante(string) error {
	if err := os.WriteFile(d.path("danted.conf"), []byte(danteConfig), 0o644); err != nil {
		return err
	}
	_, err := d.launch("router", "danted", "-f", d.path("danted.conf"), "-p", d.path("danted.pid"))
	return err
}

// startShadowsocks starts both ends of shadowsocks-libev; the kernel spreads their connections over two links.
func (d *direct) startShadowsocks(string) error {
	for _, args := range [][]string{
		{"router", "ip", "mptcp", "limits", "set", "subflow", "4", "add_addr_accepted", "4"},
		{"server", "ip", "mptcp", "limits", "set", "subflow", "4", "add_addr_accepted", "4"},
		{"router", "ip", "mptcp", "endpoint", "add", "192.0.3.1", "dev", "wan2", "subflow"},
	} {
		if text, err := d.inside(args[0], args[1], args[2:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, text)
		}
	}
	const cipher, password = "chacha20-ietf-poly1305", "bench"
	if _, err := d.launch("server", "mptcpize", "run", "ss-server", "-s", outerServer, "-p", "8388", "-m", cipher, "-k", password); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	_, err := d.launch("router", "mptcpize", "run", "ss-local", "-s", outerServer, "-p", "8388", "-b", "192.168.77.1", "-l", "1080", "-m", cipher, "-k", password)
	return err
}
