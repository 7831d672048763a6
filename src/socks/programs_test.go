package socks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program finds a program of the system, also where it was only unpacked (PROGRAMS).
func program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PROGRAMS")), "/usr/bin", "/usr/sbin", "/bin") {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	t.Skipf("no %s on this machine", name)
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	return string(out), err
}

func TestCurl(t *testing.T) {
	curl := program(t, "curl")
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%x", sha256.Sum256(got)))
		_, _ = w.Write(body)
	}))
	defer web.Close()
	port := netip.MustParseAddrPort(strings.TrimPrefix(web.URL, "http://")).Port()
	_, open := start(t, nil)
	_, closed := start(t, func(o *Options) { o.Users = map[string]string{"ann": "s3cret"} })
	for name, args := range map[string][]string{
		"--socks5":            {"--socks5", open.String(), web.URL},
		"--socks5-hostname":   {"--socks5-hostname", open.String(), fmt.Sprintf("http://four.test:%d/", port)},
		"with user":           {"--socks5", closed.String(), "--proxy-user", "ann:s3cret", web.URL},
		"upload through user": {"--socks5-hostname", "ann:s3cret@" + closed.String(), "-T", "/proc/self/exe", fmt.Sprintf("http://four.test:%d/", port)},
	} {
		out, err := run(t, curl, append([]string{"-sS", "--noproxy", ""}, args...)...)
		if err != nil || out != string(body) {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
	}
	for name, args := range map[string][]string{
		"no user": {"--socks5", closed.String(), web.URL}, "wrong user": {"--socks5", closed.String(), "--proxy-user", "ann:x", web.URL},
		"no such name": {"--socks5-hostname", open.String(), "http://nowhere.test/"},
	} {
		if out, err := run(t, curl, append([]string{"-sS", "--noproxy", ""}, args...)...); err == nil {
			t.Errorf("%s: %d bytes", name, len(out))
		}
	}
}

// TestProxyCommand lets OpenSSH speak to a server of its kind through netcat and this proxy, as far as its greeting.
func TestProxyCommand(t *testing.T) {
	ssh, nc := program(t, "ssh"), program(t, "nc.openbsd")
	_, at := start(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "SSH-2.0-test\r\n")
		b := make([]byte, 100)
		n, _ := c.Read(b)
		heard <- string(b[:n])
	}()
	port := l.Addr().(*net.TCPAddr).Port
	cmd := exec.CommandContext(t.Context(), ssh, "-F", "/dev/null", "-o", "ProxyCommand="+nc+" -X 5 -x "+at.String()+" %h %p", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-p", fmt.Sprint(port), "127.0.0.1", "true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	select {
	case got := <-heard:
		if !strings.HasPrefix(got, "SSH-2.0-OpenSSH") {
			t.Errorf("heard %q", got)
		}
	case <-time.After(5 * time.Second):
		t.Error("nothing was heard")
	}
}

// TestStrangersRelays goes through chains of other people's servers, with users and without.
func TestStrangersRelays(t *testing.T) {
	microsocks := program(t, "microsocks")
	free := func() netip.AddrPort {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).AddrPort()
	}
	launch := func(at netip.AddrPort, name string, args ...string) {
		cmd := exec.Command(name, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		for range 200 {
			if c, err := net.Dial("tcp", at.String()); err == nil {
				_ = c.Close()
				return
			}
			<-time.After(10 * time.Millisecond)
		}
		t.Fatal(name, "does not listen")
	}
	one, two := free(), free()
	launch(one, microsocks, "-i", "127.0.0.1", "-p", fmt.Sprint(one.Port()), "-u", "ann", "-P", "s3cret")
	launch(two, microsocks, "-i", "127.0.0.1", "-p", fmt.Sprint(two.Port()))
	hops := []Hop{{At: FromAddrPort(one), User: "ann", Password: "s3cret"}, {At: FromAddrPort(two)}}
	if danted, err := exec.LookPath(filepath.Join(firstDir(), "danted")); err == nil {
		three := free()
		conf := filepath.Join(t.TempDir(), "danted.conf")
		text := fmt.Sprintf("logoutput: /dev/null\ninternal: 127.0.0.1 port = %d\nexternal: 127.0.0.1\nsocksmethod: none\nclient pass { from: 0/0 to: 0/0 }\nsocks pass { from: 0/0 to: 0/0 }\n", three.Port())
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		launch(three, danted, "-f", conf)
		hops = append(hops, Hop{At: FromAddrPort(three)})
	}
	_, own := start(t, nil)
	hops = append(hops, Hop{At: FromAddrPort(own)})
	c := dial(t, one)
	if err := Through(t.Context(), c, hops, FromAddrPort(mirror(t))); err != nil {
		t.Fatal(err)
	}
	// Many relays take the end of one direction for the end of both, so neither is ended here.
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() { _, _ = c.Write(data) }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	got := make([]byte, len(data))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
		t.Error("something else came back", err)
	}
	t.Logf("through %d relays", len(hops))
}

// mirror sends back what comes, at once.
func mirror(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func firstDir() string {
	if dirs := filepath.SplitList(os.Getenv("PROGRAMS")); len(dirs) > 0 {
		return dirs[0]
	}
	return "/usr/sbin"
}

// TestSlowClient drops who does not get done with the request.
func TestSlowClient(t *testing.T) {
	s, at := start(t, func(o *Options) { o.Patience = 100 * time.Millisecond })
	for _, half := range []string{"", "\x05", "\x05\x01\x00\x05\x01\x00\x03\xffa"} {
		c := dial(t, at)
		_, _ = io.WriteString(c, half)
		begin := time.Now()
		_, _ = io.Copy(io.Discard, c)
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("%q was kept for %v", half, took)
		}
	}
	if n := s.Counts(); n.BadRequests != 3 {
		t.Errorf("%+v", n)
	}
}

// TestIdle ends a connection on which nothing moves, and none on which something does.
func TestIdle(t *testing.T) {
	s, at := start(t, func(o *Options) { o.Idle = 400 * time.Millisecond })
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := through(t, at, "", "", FromAddrPort(l.Addr().(*net.TCPAddr).AddrPort()))
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	for range 10 { // one direction alone keeps both alive
		<-time.After(50 * time.Millisecond)
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	_, _ = c.Read(make([]byte, 1))
	if took := time.Since(begin); took < 200*time.Millisecond || took > 3*time.Second {
		t.Errorf("idle for %v", took)
	}
	for s.Counts().Active > 0 {
		<-time.After(time.Millisecond)
	}
	if s.Counts().DownBytes != 10 {
		t.Errorf("%+v", s.Counts())
	}
}
