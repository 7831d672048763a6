package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpproxy/src/control"
	"mpproxy/src/stats"
)

// try runs a command line and returns its exit status and what it wrote.
func try(ctx context.Context, input string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = execute(ctx, args, &call{interval: time.Millisecond, in: strings.NewReader(input), out: &o, err: &e})
	return code, o.String(), e.String()
}

// portal answers at a socket as a running one does and returns the socket's path and the requests it gets.
func fakePortal(t *testing.T) (socket string, asked <-chan control.Request) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s.sock")
	requests := make(chan control.Request, 100)
	answering(t, socket, func(_ context.Context, r control.Request) (any, error) {
		requests <- r
		switch {
		case r.Cmd == control.CmdStatus:
			return &stats.Status{Version: "9", Role: "local", UptimeSeconds: 5}, nil
		case r.Link == "dsl":
			return nil, nil
		}
		return nil, errors.New("there is no link '" + r.Link + "'")
	})
	return socket, requests
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHelp(t *testing.T) {
	const want = `mpproxy makes several Internet connections one.

mpproxy [--config FILE] [--socket PATH] [COMMAND]

  run                       start the portal
  status [--json|--metrics] what it does now (also without a command)
  watch                     the same, once a second, until ^C
  trace [--seconds N]       write down what it does, a line each, until ^C; --output FILE
  check [FILE]              what is wrong in a configuration
  link NAME pause|resume    stop using a connection until restart; use it again
  setup remote              make this machine a server; --check, --remove
  pair [NAME]               on the server: print a token for a router
  peers [ACTION NAME …]     on the server: list routers; rename, limit, revoke, allow one
  join                      on the router: pair by the token on standard input
  assist                    on the router: answer LuCI while no portal runs
  reload                    read the configuration again and apply what differs
  guard up|down|status      what the kill switch holds the LAN with, also without a portal
  cleanup                   remove what a killed portal left
  genkey                    print a new private key
  pubkey                    print the public key of the private key on standard input
  version                   print the version

Configuration: /etc/config/mpproxy or /etc/mpproxy/mpproxy. Exit status: 0 well, 1 failed, 2 wrong usage or configuration.
`
	for _, args := range [][]string{{"--help"}, {"-h"}, {"help"}, {"status", "--help"}} {
		if code, out, errs := try(t.Context(), "", args...); code != exitWell || out != want || errs != "" {
			t.Errorf("%v: status %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, cmd := range commands() {
		if seen[cmd.name] || cmd.help == "" || cmd.run == nil || cmd.least > cmd.most {
			t.Errorf("command %+v", cmd)
		}
		seen[cmd.name] = true
	}
	text, err := os.ReadFile("main.go")
	if err != nil || bytes.Count(text, []byte("\n")) > 150 {
		t.Errorf("main.go has %d lines, %v", bytes.Count(text, []byte("\n")), err)
	}
}

func TestWrongUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"unknown command 'frob'":                         {"frob"},
		"unknown command ''":                             {""},
		"status does not know --jsn":                     {"status", "--jsn"},
		"unknown option --json=1":                        {"status", "--json=1"},
		"status takes one of --json and --metrics":       {"status", "--json", "--metrics"},
		"--config needs a path":                          {"run", "--config"},
		"--socket needs a path":                          {"--socket="},
		"usage: mpproxy link NAME pause|resume":          {"link", "dsl"},
		"a link can be told pause or resume, not 'frob'": {"link", "dsl", "frob"},
		"usage: mpproxy genkey":                          {"genkey", "x"},
		"usage: mpproxy check [FILE]":                    {"check", "a", "b"},
		"genkey does not know --json":                    {"genkey", "--json"},
	} {
		code, out, errs := try(t.Context(), "", args...)
		if code != exitUsage || out != "" || errs != "mpproxy: "+want+"; mpproxy --help shows the commands\n" {
			t.Errorf("%v: status %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestStatus(t *testing.T) {
	socket, _ := fakePortal(t)
	people := (&stats.Status{Version: "9", Role: "local", UptimeSeconds: 5}).People()
	viaConfig := write(t, "c", "config portal 'main'\n\toption control '"+socket+"'\n")
	for _, args := range [][]string{{"--socket", socket}, {"--socket=" + socket, "status"}, {"status", "--config", viaConfig}} {
		if code, out, errs := try(t.Context(), "", args...); code != exitWell || out != people || errs != "" {
			t.Errorf("%v: status %d, %q, %q", args, code, out, errs)
		}
	}
	code, out, _ := try(t.Context(), "", "--socket", socket, "status", "--json")
	var back stats.Status
	if err := json.Unmarshal([]byte(out), &back); code != exitWell || err != nil || back.Version != "9" {
		t.Errorf("--json: status %d, %q, %v", code, out, err)
	}
	if code, out, _ = try(t.Context(), "", "--socket", socket, "status", "--metrics"); code != exitWell || !strings.Contains(out, "mpproxy_uptime_seconds 5\n") {
		t.Errorf("--metrics: status %d, %q", code, out)
	}
}

func TestNotRunning(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s.sock")
	want := "mpproxy is not running: nobody answers at " + socket + "\n"
	for _, args := range [][]string{{"status"}, {"watch"}, {"link", "dsl", "pause"}} {
		code, out, errs := try(t.Context(), "", append(args, "--socket", socket)...)
		if code != exitFailed || out != "" || errs != want {
			t.Errorf("%v: status %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestWatchShowsAgainUntilTheEnd(t *testing.T) {
	socket, asked := fakePortal(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for range 3 {
			<-asked
		}
		cancel()
	}()
	code, out, errs := try(ctx, "", "--socket", socket, "watch")
	if code != exitWell || strings.Count(out, "mpproxy 9 on the router") < 2 || strings.Contains(out, "\x1b") || errs != "" {
		t.Errorf("status %d, %q, %q", code, out, errs)
	}
}

func TestPictureOnATerminal(t *testing.T) {
	var out bytes.Buffer
	if err := show(&out, "a\nü\n", true); err != nil || out.String() != "\x1b[Ha\x1b[K\nü\x1b[K\n\x1b[J" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestLink(t *testing.T) {
	socket, asked := fakePortal(t)
	if code, out, errs := try(t.Context(), "", "link", "dsl", "pause", "--socket", socket); code != exitWell || out+errs != "" {
		t.Errorf("status %d, %q, %q", code, out, errs)
	}
	if r := <-asked; r != (control.Request{Cmd: control.CmdLink, Link: "dsl", Action: control.ActionPause}) {
		t.Errorf("request %+v", r)
	}
	if code, _, errs := try(t.Context(), "", "link", "x", "resume", "--socket", socket); code != exitFailed || errs != "mpproxy: there is no link 'x'\n" {
		t.Errorf("status %d, %q", code, errs)
	}
}

func TestCheck(t *testing.T) {
	good := write(t, "good", "config portal 'main'\n\toption role remote\n\toption peers_dir /nonexistent\n\toption secrets_dir /nonexistent\n\toption metirc 1\n")
	code, out, errs := try(t.Context(), "", "check", good)
	want := "warning: " + good + ":3: portal 'main', option peers_dir '/nonexistent': does not exist yet\n" +
		"warning: " + good + ":5: portal 'main', option metirc: is unknown and ignored\n" +
		"note: the portal is switched off (option enabled '0')\n" +
		"note: there is no private key yet; the first start makes one in /nonexistent\n" +
		good + ": well, 2 warnings\n"
	if code != exitWell || out != want || errs != "" {
		t.Errorf("status %d, %q, %q", code, out, errs)
	}
	bad := write(t, "bad", "config portal 'main'\n\toption mtu 1\n")
	want = "error: " + bad + ":2: portal 'main', option mtu '1': must be a number from 1280 to 1500, or 0 for the value found by itself\n" + bad + ": wrong, 1 error\n"
	for _, args := range [][]string{{"check", bad}, {"--config", bad, "check"}} {
		if code, out, errs := try(t.Context(), "", args...); code != exitUsage || out != want || errs != "" {
			t.Errorf("%v: status %d, %q, %q", args, code, out, errs)
		}
	}
	if code, out, _ := try(t.Context(), "", "check", "/nonexistent/x"); code != exitUsage || out != "error: /nonexistent/x: cannot be read: no such file or directory\n/nonexistent/x: wrong, 1 error\n" {
		t.Errorf("status %d, %q", code, out)
	}
	if code, _, errs := try(t.Context(), "", "status", "--config", bad+"x"); code != exitUsage || !strings.Contains(errs, "cannot be read") {
		t.Errorf("status of a missing configuration: %d, %q", code, errs)
	}
}

func TestKeys(t *testing.T) {
	code, private, errs := try(t.Context(), "", "genkey")
	if code != exitWell || len(private) != 45 || errs != "" {
		t.Fatalf("genkey: status %d, %d bytes, %q", code, len(private), errs)
	}
	if _, second, _ := try(t.Context(), "", "genkey"); second == private {
		t.Error("genkey prints the same key twice")
	}
	code, public, errs := try(t.Context(), private, "pubkey")
	if code != exitWell || len(public) != 45 || public == private || errs != "" {
		t.Errorf("pubkey: status %d, %q, %q", code, public, errs)
	}
	if code, out, errs := try(t.Context(), "my secret", "pubkey"); code != exitFailed || out != "" || strings.Contains(errs, "my secret") {
		t.Errorf("pubkey of no key: status %d, %q, %q", code, out, errs)
	}
}

func TestGenkeyWarnsOfAFileThatOthersCanRead(t *testing.T) {
	for mode, warns := range map[os.FileMode]bool{0o644: true, 0o600: false} {
		f, err := os.Create(filepath.Join(t.TempDir(), "k"))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Chmod(mode); err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		if code := execute(t.Context(), []string{"genkey"}, &call{out: f, err: &errs}); code != exitWell || strings.Contains(errs.String(), "warning") != warns {
			t.Errorf("mode %o: status %d, %q", mode, code, errs.String())
		}
		_ = f.Close()
	}
}

func TestVersion(t *testing.T) {
	if code, out, _ := try(t.Context(), "", "version"); code != exitWell || out != "mpproxy "+version+"\n" {
		t.Errorf("status %d, %q", code, out)
	}
}

// TestProgramStaysSmall: these two packages would add two to four megabytes to a program that lives in a router's flash.
func TestProgramStaysSmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.Lines(string(out)) {
		if pkg = strings.TrimSpace(pkg); pkg == "net/http" || pkg == "crypto/tls" {
			t.Errorf("the program has %s in it", pkg)
		}
	}
}
