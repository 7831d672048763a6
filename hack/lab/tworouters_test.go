package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpproxy/src/stats"
)

// secondRouter is another home behind the same server: the same LAN, the same address of the client, another uplink.
//
//	client2 (10.1.0.2) -- router2 (10.1.0.1; 192.168.9.2) -- net
type secondRouter struct {
	lab    *Lab
	daemon *Daemon
}

// addRouter builds it and gives the server a second peer before the portals start.
func addRouter(t *testing.T, l *Lab) *secondRouter {
	t.Helper()
	for _, role := range []string{"client2", "router2"} {
		name := l.Namespace(role)
		if _, err := run("", "ip", "netns", "add", name); err != nil {
			t.Fatal(err)
		}
		l.onClose(func() error { return removeNamespace(name) })
	}
	lines := fmt.Sprintf(`link add eth0 netns %[1]s type veth peer name lan0 netns %[2]s
link add wan1 netns %[2]s type veth peer name office netns %[3]s
`, l.Namespace("client2"), l.Namespace("router2"), l.Namespace("net"))
	if _, err := run(lines, "ip", "-batch", "-"); err != nil {
		t.Fatal(err)
	}
	for role, p := range map[string]plan{
		"client2": {settings: hostSettings, addresses: [][2]string{{"eth0", ClientAddress + "/24"}}, routes: []string{"default via " + RouterAddress}},
		"router2": {settings: routerSettings, addresses: [][2]string{{"lan0", RouterAddress + "/24"}, {"wan1", "100.65.0.2/24"}}, routes: []string{"default via 100.65.0.1"}},
		"net":     {addresses: [][2]string{{"office", "100.65.0.1/24"}}},
	} {
		if err := p.apply(l.Namespace(role)); err != nil {
			t.Fatal(err)
		}
	}
	return &secondRouter{lab: l}
}

// start enrols the second router at the running server and starts it.
func (s *secondRouter) start(t *testing.T) {
	t.Helper()
	l := s.lab
	keys, err := l.makeKeys()
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := l.secrets("router2", map[string]string{"private_key": keys.routerPrivate})
	if err != nil {
		t.Fatal(err)
	}
	public, err := run("", "sh", "-c", l.options.Program+" pubkey < "+filepath.Join(l.dir, "remote.secrets", "private_key"))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("config portal 'main'\n\toption enabled '1'\n\toption role 'local'\n\tlist lan 'lan0'\n\toption control '%s'\n\toption secrets_dir '%s'\n"+
		"\nconfig remote 'vps'\n\toption public_key '%s'\n\tlist endpoint '%s:6779'\n\nconfig link 'dsl'\n\toption interface 'wan1'\n",
		l.socket("router2"), secrets, strings.TrimSpace(public), RemoteAddress)
	if err := os.WriteFile(l.config("router2"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l.Remote.edit(t, "\nconfig peer 'home'", fmt.Sprintf("\nconfig peer 'office'\n\toption public_key '%s'\n\toption address '10.99.0.3'\n\nconfig peer 'home'", keys.routerPublic))
	if out, err := l.Remote.reload(); err != nil || !strings.Contains(out, "router office is let in") {
		t.Fatalf("%q, %v", out, err)
	}
	if s.daemon, err = l.startDaemon("router2"); err != nil {
		t.Fatal(err)
	}
	s.daemon.until(t, "the second router", func(s stats.Status) bool { return s.Sessions[0].State == stats.SessionUp })
}

// echo answers UDP in a namespace with the address each question came from.
func echo(t *testing.T, l *Lab, role, at string) {
	t.Helper()
	var c net.PacketConn
	err := inside(l.Namespace(role), func() (err error) { c, err = net.ListenPacket("udp4", at); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteTo([]byte(string(buf[:n])+" "+from.String()), from)
		}
	}()
}

// ask sends a question from a namespace, always from the same address and port, and returns the answer.
func ask(t *testing.T, l *Lab, role, to, question string) (string, error) {
	t.Helper()
	var c net.Conn
	err := inside(l.Namespace(role), func() (err error) {
		c, err = (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(ClientAddress), Port: 5555}}).Dial("udp4", to)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 2000)
	for range 5 { // UDP may be lost, and a kernel says only so often that something is refused
		if _, err = c.Write([]byte(question)); err != nil {
			return "", err
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		var n int
		if n, err = c.Read(buf); err == nil {
			return string(buf[:n]), nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return "", err
		}
	}
	return "", err
}

// mutter sends one datagram from a namespace and does not listen.
func mutter(t *testing.T, l *Lab, role, to string) {
	t.Helper()
	if err := inside(l.Namespace(role), func() error {
		c, err := net.Dial("udp4", to)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("."))
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// connect reports whether a TCP connection from a namespace comes about.
func connect(l *Lab, role, to string) error {
	return inside(l.Namespace(role), func() error {
		c, err := net.DialTimeout("tcp4", to, 8*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// listen takes TCP connections in a namespace.
func listen(t *testing.T, l *Lab, role, at string) {
	t.Helper()
	var c net.Listener
	err := inside(l.Namespace(role), func() (err error) { c, err = net.Listen("tcp4", at); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		for {
			conn, err := c.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
}

// TestTwoHomesWithTheSameLAN: two clients with one address, one port and one destination get each their own answers; they
// reach each other, the server itself and what is private behind it only where that is allowed; addresses that a router was
// not given are dropped and counted.
func TestTwoHomesWithTheSameLAN(t *testing.T) {
	l := newLab(t, "20M/10ms")
	office := addRouter(t, l)
	startPortals(t, l)
	office.start(t)
	echo(t, l, "server", ServerAddress+":7000")
	echo(t, l, "router2", ":7001")
	listen(t, l, "remote", ":22")
	for i := range 5 {
		for _, client := range []string{"client", "client2"} {
			question := fmt.Sprintf("%s %d", client, i)
			answer, err := ask(t, l, client, ServerAddress+":7000", question)
			if err != nil || !strings.HasPrefix(answer, question+" "+RemoteAddress+":") {
				t.Errorf("%q is answered %q, %v", question, answer, err)
			}
		}
	}

	refused := func(what string, err error) {
		t.Helper()
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s is not refused at once: %v", what, err)
		}
	}
	_, err := ask(t, l, "client", "10.99.0.3:7001", "neighbour")
	refused("the other router", err)
	refused("the server's ssh", connect(l, "client", RemoteAddress+":22"))
	refused("the server's ssh, inside", connect(l, "client", "10.99.0.1:22"))
	_, err = ask(t, l, "client", "192.168.200.1:80", "private")
	refused("a private net of the provider", err)
	_, err = ask(t, l, "client", "169.254.169.254:80", "metadata")
	refused("metadata", err)

	l.Remote.edit(t, "config peer 'home'\n", "config peer 'home'\n\tlist reach 'office'\n\toption allow_private '1'\n")
	if out, err := l.Remote.reload(); err != nil || out != "changed: addresses, forwarding and firewall\n" {
		t.Errorf("reload: %q, %v", out, err)
	}
	if answer, err := ask(t, l, "client", "10.99.0.3:7001", "neighbour"); err != nil || answer != "neighbour 10.99.0.2:5555" {
		t.Errorf("the other router, allowed: %q, %v", answer, err)
	}
	if err := connect(l, "client", RemoteAddress+":22"); err != nil {
		t.Errorf("the server's ssh, allowed: %v", err)
	}
	_, err = ask(t, l, "client2", "10.99.0.2:7001", "back")
	refused("the other way", err)

	foreign := func() map[string]uint64 {
		counts := map[string]uint64{}
		for _, s := range l.Remote.status(t).Sessions {
			counts[s.Peer] = s.Drops["source_not_owned"]
		}
		return counts
	}
	before := foreign() // the routers' kernels look for IPv6 routers in the tunnel, from link-local addresses
	// A router that sends from an address that was not given to it.
	spoof := `table ip spoof { chain post { type nat hook postrouting priority 50; oifname "mpp0" snat to 10.99.0.2; }; }`
	if _, err := run("", "ip", "netns", "exec", l.Namespace("router2"), "nft", spoof); err != nil {
		t.Fatal(err)
	}
	const times = 20 // far more than the kernels send by themselves meanwhile
	for range times - 5 {
		mutter(t, l, "client2", ServerAddress+":7002")
	}
	if answer, err := ask(t, l, "client2", ServerAddress+":7002", "spoofed"); err == nil {
		t.Errorf("an address that is not its own is answered: %q", answer)
	}
	if after := foreign(); after["office"] < before["office"]+times || after["home"] > before["home"]+times/2 {
		t.Errorf("packets from foreign sources: %v, before %v", after, before)
	}
}
