package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// need finds programs, and skips the test where one is missing.
func need(t *testing.T, names ...string) (paths []string) {
	t.Helper()
	for _, name := range names {
		path := findProgram(name)
		if path == "" {
			t.Skipf("no %s on this machine", name)
		}
		paths = append(paths, path)
	}
	return paths
}

// startDnsmasq runs a real name server in the lab's Internet. It knows the names under .test and nothing else; asked returns
// what it was asked for.
func startDnsmasq(t *testing.T, l *Lab, program string) (asked func() string) {
	t.Helper()
	p, err := start(l.Namespace("net"), nil, nil, program, "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root", "--pid-file=",
		"--bind-interfaces", "--listen-address="+strangersRelay, "--except-interface=lo", "--log-facility=-", "--log-queries", "--local=/#/",
		"--address=/web.test/"+ServerAddress, "--address=/relay.test/"+strangersRelay, "--address=/rebinds.test/"+RouterAddress, "--txt-record=text.test,hello")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.stop() })
	return p.errors.String
}

// resolvConf has a namespace's programs use a name server.
func resolvConf(t *testing.T, l *Lab, role, server string) {
	t.Helper()
	dir := filepath.Join("/etc/netns", l.Namespace(role))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte("nameserver "+server+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// webServer answers with the address that it sees.
func webServer(t *testing.T, l *Lab, at string) {
	t.Helper()
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "you are "+r.RemoteAddr) })}
	listener := listenIn(t, l, "server", at)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { _ = s.Close() })
}

// TestProxyPrograms: real programs reach a real server through the router's proxy, which asks for a user, over MPP: curl with
// addresses, names and the user in all its ways, OpenBSD's netcat, Nmap's, connect-proxy, and OpenSSH through them. A name that
// leads to the router itself leads nowhere.
func TestProxyPrograms(t *testing.T) {
	programs := need(t, "curl", "ncat", "connect-proxy", "dnsmasq")
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), RouterOptions: []string{"", "config socks 'lan'", "option enabled '1'", "option auth 'user'", "",
		"config user 'ann'", "option password 's3cret'", "", "config socks 'open'", "option enabled '1'", "list listen '" + RouterAddress + ":1081'", "",
		"config route 'all'", "list dest '*'", "option fallback 'none'"}})
	resolvConf(t, l, "remote", strangersRelay)
	resolvConf(t, l, "router", strangersRelay)
	asked := startDnsmasq(t, l, programs[3])
	startPortals(t, l)
	webServer(t, l, ServerAddress+":8080")
	go whoServer(listenIn(t, l, "server", ServerAddress+":8082"))
	waitUntil(t, func() bool { return len(proxyStatus(t, l.Router).Listen) == 2 })
	tunnelled(t, l)
	users, open := RouterAddress+":1080", RouterAddress+":1081"
	byAddress, byName := "http://"+ServerAddress+":8080/", "http://web.test:8080/"
	curl := func(args ...string) (string, error) {
		return l.Exec("client", programs[0], append([]string{"-sS", "--max-time", "8", "--noproxy", ""}, args...)...)
	}
	for name, args := range map[string][]string{
		"address, with user":      {"--socks5", users, "--proxy-user", "ann:s3cret", byAddress},
		"name, with user":         {"--socks5-hostname", users, "--proxy-user", "ann:s3cret", byName},
		"URL, with user":          {"--proxy", "socks5h://ann:s3cret@" + users, byName},
		"name, without any":       {"--socks5-hostname", open, byName},
		"address, basic username": {"--socks5-basic", "--socks5", users, "--proxy-user", "ann:s3cret", byAddress},
	} {
		if out, err := curl(args...); err != nil || !strings.HasPrefix(out, "you are "+RemoteAddress+":") {
			t.Errorf("curl, %s: %q, %v", name, out, err)
		}
	}
	for name, args := range map[string][]string{
		"wrong password": {"--socks5-hostname", users, "--proxy-user", "ann:x", byName}, "no user": {"--socks5-hostname", users, byName},
		"no such name":             {"--socks5-hostname", open, "http://nowhere.test:8080/"},
		"a name of the router":     {"--socks5-hostname", open, "http://rebinds.test:1081/"},
		"an address of the router": {"--socks5", open, "http://" + RouterAddress + ":1081/"},
	} {
		if out, err := curl(args...); err == nil {
			t.Errorf("curl, %s: %q", name, out)
		}
	}
	host, port := ServerAddress, "8082"
	for name, words := range map[string][]string{
		"ncat":             {programs[1], "--proxy-type", "socks5", "--proxy", open, host, port},
		"ncat, with user":  {programs[1], "--proxy-type", "socks5", "--proxy", users, "--proxy-auth", "ann:s3cret", host, port},
		"connect-proxy":    {programs[2], "-S", open, host, port},
		"connect, a name":  {programs[2], "-R", "remote", "-S", open, "web.test", port},
		"connect, user":    {"env", "SOCKS5_PASSWD=s3cret", programs[2], "-S", "ann@" + users, host, port},
		"netcat (OpenBSD)": {findProgram("nc.openbsd"), "-X", "5", "-x", open, host, port},
	} {
		if words[0] == "" {
			continue // TestProxyCommand is skipped, too
		}
		if out, err := l.Feed("client", "", "timeout", append([]string{"8"}, words...)...); err != nil || out != RemoteAddress {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	proxyCommands(t, l, programs, open)
	if n := strings.Count(asked(), "web.test"); n == 0 {
		t.Errorf("the name server was asked for nothing: %s", asked())
	}
	if s := proxyStatus(t, l.Router); s.Plain != 0 || s.Fallbacks != 0 || s.RefusedUsers != 1 {
		t.Errorf("%+v", s)
	}
}

// proxyCommands lets OpenSSH greet a server of its kind through each program.
func proxyCommands(t *testing.T, l *Lab, programs []string, open string) {
	t.Helper()
	ssh := findProgram("ssh")
	if ssh == "" {
		return // TestProxyCommand says so
	}
	heard := make(chan string, 10)
	listener := listenIn(t, l, "server", ServerAddress+":2222")
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("SSH-2.0-test\r\n"))
			b := make([]byte, 100)
			n, _ := c.Read(b)
			heard <- string(b[:n])
			_ = c.Close()
		}
	}()
	for _, command := range []string{programs[2] + " -S " + open + " %h %p", programs[1] + " --proxy-type socks5 --proxy " + open + " %h %p"} {
		_, _ = l.Feed("client", "", "timeout", "8", ssh, "-F", "/dev/null", "-o", "ProxyCommand="+command, "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-p", "2222", ServerAddress, "true") // the server says nothing else
		select {
		case got := <-heard:
			if !strings.HasPrefix(got, "SSH-2.0-OpenSSH") {
				t.Errorf("%s: heard %q", command, got)
			}
		case <-time.After(time.Second):
			t.Errorf("%s: nothing was heard", command)
		}
	}
}

const typeA, typeTXT = 1, 16

// question is what a name server is asked for a name under .test (RFC 1035, 4.1), without any extension.
func question(name string, kind uint16) []byte {
	b := []byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, byte(len(name))}
	b = append(append(b, name...), "\x04test\x00"...)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, kind), 1)
}

// TestProxyLookUp: a real name server answers through a UDP association, asked by address and by a name of its own.
func TestProxyLookUp(t *testing.T) {
	dnsmasq := need(t, "dnsmasq")[0]
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms"), RouterOptions: proxyOptions()})
	resolvConf(t, l, "router", strangersRelay)
	asked := startDnsmasq(t, l, dnsmasq)
	startPortals(t, l)
	tunnelled(t, l)
	a := associate(t, l)
	for _, at := range []string{strangersRelay + ":53", "relay.test:53"} {
		for kind, want := range map[uint16][]byte{typeA: net.ParseIP(ServerAddress).To4(), typeTXT: []byte("\x05hello")} {
			q := question(map[uint16]string{typeA: "web", typeTXT: "text"}[kind], kind)
			got, err := a.ask(at, string(q))
			if err != nil {
				t.Fatalf("%s type %d: %v\n%s", at, kind, err, asked())
			}
			if !strings.HasPrefix(got, string(q[:2])) || got[7] != 1 || !strings.HasSuffix(got, string(want)) { // its id, one answer
				t.Errorf("%s type %d: %q", at, kind, got)
			}
		}
	}
	if !strings.Contains(asked(), "query[A] web.test from "+RemoteAddress) {
		t.Errorf("not asked through the tunnel:\n%s", asked())
	}
}

// TestProxyStrangersPrograms: chains of Debian's own servers carry subflows: microsocks, and dante after it. The second one's
// name is found by the router ("resolve local") or by the first.
func TestProxyStrangersPrograms(t *testing.T) {
	programs := need(t, "microsocks", "danted", "dnsmasq")
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), RouterOptions: append(
		proxyOptions("option fallback 'none'", "list dest_port '8081'", "list via 'link1:here>second'", "list via 'link2:there>second'"),
		"", "config relay 'here'", "option address '"+strangersRelay+":1101'", "option resolve 'local'",
		"", "config relay 'there'", "option address '"+strangersRelay+":1102'", "option username 'ann'", "option password 's3cret'",
		"", "config relay 'second'", "option address 'relay.test:1103'")})
	for _, role := range []string{"router", "net"} {
		resolvConf(t, l, role, strangersRelay)
	}
	asked := startDnsmasq(t, l, programs[2])
	conf := filepath.Join(l.dir, "danted.conf")
	text := "logoutput: stderr\ninternal: " + strangersRelay + " port = 1103\nexternal: " + strangersRelay + "\nsocksmethod: none\nclient pass { from: 0/0 to: 0/0 }\nsocks pass { from: 0/0 to: 0/0 log: connect }\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var danted *process
	for _, words := range [][]string{{programs[0], "-i", strangersRelay, "-p", "1101"}, {programs[0], "-i", strangersRelay, "-p", "1102", "-u", "ann", "-P", "s3cret"},
		{programs[1], "-f", conf}} {
		p, err := start(l.Namespace("net"), nil, nil, words[0], words[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.stop() })
		danted = p
	}
	startPortals(t, l)
	go generous(listenIn(t, l, "server", ServerAddress+":8081"), 20<<20)
	rate := download(t, l, ServerAddress+":8081", 20<<20, nil)
	s := proxyStatus(t, l.Router)
	t.Logf("%.1f Mbit/s over two links of 20", rate/1e6)
	if s.Multipath != 1 || s.Fallbacks != 0 || rate < 1.3*20e6*plainShare {
		t.Errorf("%.1f Mbit/s, %+v\n%s", rate/1e6, s, danted.errors.String())
	}
	log := asked()
	byRouter, byRelay := strings.Contains(log, "relay.test from 100.64."), strings.Contains(log, "relay.test from "+strangersRelay)
	if !byRouter || !byRelay {
		t.Errorf("looked up by the router %v, by the relay %v:\n%s", byRouter, byRelay, log)
	}
}
