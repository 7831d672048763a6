package lab

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLuCIPages lets a real browser use the pages against real portals. It needs a checkout of LuCI (LUCI=dir), node with
// the packages of hack/luci, and chromium; hack/luci/browser.mjs has the scenes, SCENES=a,b chooses among them. Pictures go
// to build/luci.
func TestLuCIPages(t *testing.T) {
	luci := os.Getenv("LUCI")
	if luci == "" {
		t.Skip("no checkout of LuCI is given: LUCI=dir")
	}
	l := newLab(t, cmp.Or(os.Getenv("LINKS"), "20M/10ms,12M/25ms"))
	emptyPortals(t, l)
	appendTo(t, l.config("remote"), "\tlist dns_server '1.1.1.1'\n")
	uci := filepath.Join(l.dir, "uci")
	if err := os.MkdirAll(uci, 0o700); err != nil {
		t.Fatal(err)
	}
	// The router's configuration gets the name that LuCI knows.
	if err := os.Rename(l.config("router"), filepath.Join(uci, "mpproxy")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(uci, "mpproxy"), l.config("router")); err != nil {
		t.Fatal(err)
	}
	serve(t, l)
	internet(t, l)
	assist := l.socket("assist")
	helper, err := start(l.Namespace("router"), nil, func(string) {}, l.options.Program, "--config", filepath.Join(uci, "mpproxy"), "--socket", assist, "assist")
	if err != nil {
		t.Fatal(err)
	}
	l.onClose(helper.stop)
	out, err := filepath.Abs("../../build/luci")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "browser.mjs")
	cmd.Dir = "../luci"
	cmd.Env = append(os.Environ(), "OUT="+out, "UCI_DIR="+uci, "SOCKET="+l.socket("router"), "ASSIST="+assist, "SECRETS="+filepath.Join(l.dir, "router/secrets"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	done := procd(t, l, filepath.Join(uci, "mpproxy"), stop)
	direct(t, l, said, in)
	close(stop)
	<-done
	if err := cmd.Wait(); err != nil {
		t.Errorf("the browser's checks failed: %v\n%s", err, l.Router.Log())
	}
}

// appendTo adds a line to a file.
func appendTo(t *testing.T, path, text string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(raw, text...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// inTheInternet answers at 1.1.1.1: connections, and look-ups (there is no such name); port 8081 sends without end.
const inTheInternet = `import socket,threading,time
def serve(at, f):
	s=socket.create_server(at)
	while True: threading.Thread(target=f,args=(s.accept()[0],),daemon=True).start()
def endless(c):
	try:
		c.recv(9999); c.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
		while True: c.sendall(b"x"*20000); time.sleep(.1)
	except OSError: pass
threading.Thread(target=serve,args=(("1.1.1.1",443),lambda c:c.close()),daemon=True).start()
threading.Thread(target=serve,args=(("0.0.0.0",8081),endless),daemon=True).start()
u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); u.bind(("1.1.1.1",53))
while True:
	q,a=u.recvfrom(2000); u.sendto(q[:2]+b"\x81\x83"+q[4:6]+b"\0\0\0\0\0\0"+q[12:q.index(b"\0",12)+5],a)`

// internet gives the lab's server an address that the end of a set-up looks for, and a relay.
func internet(t *testing.T, l *Lab) {
	t.Helper()
	for _, args := range [][]string{{"-n", l.Namespace("server"), "address", "add", "1.1.1.1/32", "dev", "lo"}, {"-n", l.Namespace("net"), "route", "add", "1.1.1.1", "via", ServerAddress}} {
		if _, err := run("", "ip", args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"python3", "-c", inTheInternet}, {"microsocks", "-i", ServerAddress, "-p", "1081", "-u", "me", "-P", "it's mine"}} {
		p, err := start(l.Namespace("server"), nil, func(string) {}, args[0], args[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		l.onClose(p.stop)
	}
}

// procd starts the router's portal when its configuration is switched on, as the init script does.
func procd(t *testing.T, l *Lab, path string, stop chan struct{}) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			raw, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(raw), "option enabled '1'") {
				continue
			}
			d := &Daemon{Role: "router", Config: path, Socket: l.socket("router"), lab: l}
			d.process, err = start(l.Namespace("router"), nil, func(line string) { fmt.Fprintln(&d.process.errors, line) }, l.options.Program, "run", "--config", path, "--socket", d.Socket)
			if err != nil {
				t.Error(err)
				return
			}
			l.Router = d
			l.onClose(d.Stop)
			return
		}
	}()
	return done
}

// direct does what the browser's scenes ask of the lab; everything else they say is shown.
func direct(t *testing.T, l *Lab, said io.Reader, in io.Writer) {
	lines := bufio.NewScanner(said)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		order, ok := strings.CutPrefix(lines.Text(), "@")
		if !ok {
			t.Log(lines.Text())
			continue
		}
		answer, err := obey(t, l, strings.Fields(order))
		if err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Fprintln(in, answer)
	}
}

func obey(t *testing.T, l *Lab, order []string) (string, error) {
	switch order[0] {
	case "token":
		return strings.TrimSpace(token(t, l, order[1])), nil
	case "revoked":
		text := strings.TrimSpace(token(t, l, "gone"))
		list, _, err := mpproxy(l, "remote", "", "pair", "--list")
		if err != nil {
			return "", err
		}
		rows := strings.Split(strings.TrimSpace(list), "\n")
		id, _, _ := strings.Cut(rows[len(rows)-1], " ")
		_, _, err = mpproxy(l, "remote", "", "pair", "--revoke", id)
		return text, err
	case "download", "upload":
		seconds, err := strconv.Atoi(order[1])
		if err != nil {
			return "", err
		}
		way := Down
		if order[0] == "upload" {
			way = Up
		}
		_, err = l.StartBulk(way, time.Duration(seconds)*time.Second)
		return "ok", err
	case "cut", "restore":
		n, err := strconv.Atoi(order[1])
		if err != nil || n < 1 || n > len(l.Links) {
			return "", fmt.Errorf("no link %s", order[1])
		}
		if order[0] == "cut" {
			l.Links[n-1].Cut(Up, Down)
		} else {
			l.Links[n-1].Restore()
		}
		return "ok", nil
	case "fetch": // through the router's proxy: how long in seconds, and by which user; curl's exit status
		cmd := exec.Command("ip", "netns", "exec", l.Namespace("client"), "curl", "-s", "-o", "/dev/null", "-m", order[1], "--proxy", "socks5://"+RouterAddress+":1080",
			"http://"+ServerAddress+":8081/")
		if len(order) > 2 {
			cmd.Args = append(cmd.Args, "--proxy-user", strings.Join(order[2:], " "))
		}
		err := cmd.Start()
		if err == nil {
			l.onClose(func() error { _ = cmd.Process.Kill(); return nil })
		}
		if err != nil || order[1] != "2" { // the short ones are waited for
			go func() { _ = cmd.Wait() }()
			return "started", err
		}
		_ = cmd.Wait()
		return fmt.Sprint(cmd.ProcessState.ExitCode()), nil
	case "reload":
		_, errs, err := mpproxy(l, "router", "", "reload")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, errs)
		}
		return "ok", err
	}
	return "", fmt.Errorf("unknown order %v", order)
}
