package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

// mptcpSubflows is the most that the kernel opens for a connection.
const mptcpSubflows = 8

// openVPN is OpenVPN over kernel MPTCP between the lab's router and remote, set up as its users do: one TCP connection of the
// program, made multipath by mptcpize, a subflow over each link.
type openVPN struct {
	lab     *lab.Lab
	dir     string
	started []*exec.Cmd
	logs    []string
}

// withOpenVPN builds a lab with OpenVPN over MPTCP running and calls f.
func (b *bench) withOpenVPN(links []linksim.Params, run int, f func(*lab.Lab) error) error {
	for _, name := range []string{"openvpn", "mptcpize"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not installed", name)
		}
	}
	l, err := lab.New(lab.Options{Links: links, Seed: uint64(run + 1)})
	if err != nil {
		return err
	}
	o := &openVPN{lab: l}
	if err = o.start(); err == nil {
		err = f(l)
	}
	return errors.Join(err, o.close(), l.Close())
}

func (o *openVPN) start() error {
	var err error
	if o.dir, err = os.MkdirTemp("", fmt.Sprintf("mpp%d-openvpn", os.Getpid())); err != nil {
		return err
	}
	if err := o.multipath(); err != nil {
		return err
	}
	common := []string{"--dev", "tun0", "--dev-type", "tun", "--cipher", "AES-256-GCM", "--data-ciphers", "AES-256-GCM", "--dh", "none", "--verb", "3", "--tcp-nodelay",
		"--ca", o.file("both.crt"), "--cert", o.file("both.crt"), "--key", o.file("both.key"), "--script-security", "1"}
	if err := o.credentials(); err != nil {
		return err
	}
	server := append(common, "--proto", "tcp-server", "--lport", "1194", "--tls-server", "--ifconfig", innerServer, innerRouter)
	client := append(common, "--proto", "tcp-client", "--nobind", "--remote", lab.RemoteAddress, "1194", "--connect-retry", "1", "--tls-client", "--ifconfig", innerRouter, innerServer)
	for role, args := range map[string][]string{"remote": server, "router": client} {
		if err := o.launch(role, args); err != nil {
			return err
		}
	}
	return o.ready()
}

// multipath lets the kernel open a subflow over each link: an address per link, and a way out for each address.
func (o *openVPN) multipath() error {
	defer allowCubic()() // for as long as the namespaces are given it
	for _, role := range []string{"router", "remote"} {
		if err := o.lab.Set(role, "net.mptcp.enabled=1", "net.ipv4.tcp_congestion_control=cubic", "net.ipv4.ip_forward=1",
			"net.ipv4.tcp_rmem=4096 131072 16777216", "net.ipv4.tcp_wmem=4096 131072 16777216"); err != nil {
			return fmt.Errorf("prepare kernel: %w", err)
		}
		if err := o.lab.IP(role, false, fmt.Sprintf("mptcp limits set subflows %d add_addr_accepted %[1]d", mptcpSubflows)); err != nil {
			return err
		}
	}
	for i, link := range o.lab.Links {
		n := strconv.Itoa(i + 1)
		lines := []string{
			"route add default via " + o.lab.Gateway(link) + " dev " + link.Device + " table 10" + n,
			"rule add from 192.168." + n + ".2 lookup 10" + n,
		}
		if i > 0 { // the connection itself begins over the first
			lines = append(lines, "mptcp endpoint add 192.168."+n+".2 dev "+link.Device+" subflow")
		}
		if err := o.lab.IP("router", false, lines...); err != nil {
			return err
		}
	}
	return nil
}

func (o *openVPN) file(name string) string { return filepath.Join(o.dir, name) }

// credentials makes one key and one certificate, which is its own authority, for both ends.
func (o *openVPN) credentials() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: time.Now().Add(-24 * time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	certificate, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(o.file("both.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600),
		os.WriteFile(o.file("both.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

func (o *openVPN) launch(role string, args []string) error {
	cmd := exec.Command("ip", append([]string{"netns", "exec", o.lab.Namespace(role), "mptcpize", "run", "openvpn"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	name := o.file(role + ".log")
	log, err := os.Create(name)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start openvpn: %w", err)
	}
	o.started, o.logs = append(o.started, cmd), append(o.logs, name)
	return nil
}

// ready waits for the tunnel, leads the client's network into it, and makes sure that it is multipath.
func (o *openVPN) ready() error {
	deadline := time.Now().Add(startLimit)
	for !o.up() {
		if time.Now().After(deadline) {
			return fmt.Errorf("no connection in time\n%s", o.said())
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := o.lab.IP("router", false, "route add default dev tun0 table 7000", "rule add pref 2510 iif lan0 lookup 7000"); err != nil {
		return err
	}
	for role, device := range map[string]string{"router": "tun0", "remote": "eth0"} {
		rules := fmt.Sprintf(`table ip mptcp { chain post { type nat hook postrouting priority 100; oifname "%s" masquerade; }; }`, device)
		if _, err := o.lab.Feed(role, rules, "nft", "-f", "-"); err != nil {
			return err
		}
	}
	if len(o.lab.Links) == 1 {
		return nil
	}
	for !o.joined() {
		if time.Now().After(deadline) {
			return errors.New("the connection has one subflow only: this kernel's MPTCP, or mptcpize, does not work")
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

func (o *openVPN) up() bool {
	for _, name := range o.logs {
		text, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(text), "Initialization Sequence Completed") {
			return false
		}
	}
	return true
}

// joined reports that a second subflow came about.
func (o *openVPN) joined() bool {
	text, err := o.lab.Exec("router", "cat", "/proc/net/netstat")
	if err != nil {
		return false
	}
	return counter(text, "MPTcpExt:", "MPJoinSynAckRx") > 0
}

// counter reads one value of /proc/net/netstat: a line of names, then one of values, both with the group's name in front.
func counter(text, group, name string) (value uint64) {
	var names []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != group {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		for i, n := range names {
			if n == name && i < len(words) {
				value, _ = strconv.ParseUint(words[i], 10, 64)
			}
		}
	}
	return value
}

func (o *openVPN) said() string {
	var all strings.Builder
	for _, name := range o.logs {
		if f, err := os.Open(name); err == nil {
			text, _ := io.ReadAll(io.LimitReader(f, 4<<10))
			f.Close()
			fmt.Fprintf(&all, "--- %s\n%s", filepath.Base(name), text)
		}
	}
	return all.String()
}

func (o *openVPN) close() error {
	for _, cmd := range o.started {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(2 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	return os.RemoveAll(o.dir)
}
