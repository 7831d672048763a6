package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpproxy/src/stats"
)

// TestPlugin has the pages' plugin of rpcd run under OpenWrt's own ucode (UCODE=program) on a router that is being paired,
// and through ubusd and rpcd, where they are installed beside ucode.
func TestPlugin(t *testing.T) {
	ucode, err := exec.LookPath(cmp.Or(os.Getenv("UCODE"), "ucode"))
	if err != nil {
		t.Skip("no ucode: UCODE=program")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, for overlays")
	}
	for _, how := range []string{"ucode", "rpcd"} {
		t.Run(how, func(t *testing.T) {
			l := newLab(t, "20M/10ms,12M/25ms")
			emptyPortals(t, l)
			raw, err := os.ReadFile(l.config("router"))
			if err != nil {
				t.Fatal(err)
			}
			usual := strings.NewReplacer(l.socket("router"), "/run/mpproxy.sock", filepath.Join(l.dir, "router/secrets"), "/etc/mpproxy/secrets")
			if err := os.WriteFile(l.config("router"), []byte(usual.Replace(string(raw))), 0o600); err != nil {
				t.Fatal(err)
			}
			serve(t, l)
			d := startDesk(t, l, ucode)
			if how == "rpcd" && !d.startRpcd() {
				t.Skip("no ubusd, rpcd and ubus beside ucode")
			}
			d.pairs()
			d.runs()
			d.isHostile()
			d.keepsSecrets()
			if d.rpcd {
				d.asksRights()
			}
			d.hangs()
		})
	}
}

// pairs takes the pages' way from nothing to a session: without a portal the assistant answers, started by the first question.
func (d *desk) pairs() {
	t := d.t
	t.Helper()
	for _, method := range []string{"status", "ring", "events"} {
		if a, err := d.ask(method, "{}"); err != nil || a.Trouble != "no_service" {
			t.Fatalf("%s of nobody: %+v %v", method, a, err)
		}
	}
	// The program is also running as something else: that is not the assistant, which must be started all the same.
	other, err := start(d.lab.Namespace("router"), nil, nil, "nsenter", "-t", d.pid, "-m", "/usr/bin/mpproxy", "assist", "--socket", "/run/other.sock")
	if err != nil {
		t.Fatal(err)
	}
	d.lab.onClose(other.stop)
	var limits []any
	d.get("limits", "{}", &limits)
	if j := d.job("join", `{"token":"mpp1:it's none","name":"","links":[]}`); j.Error == "" {
		t.Errorf("a token that is none: %+v", j)
	}
	if j := d.job("check", `{"text":"config portal 'main'\n\toption mtu 'much'\n"}`); !strings.Contains(fmt.Sprint(j.Steps), "mtu") {
		t.Errorf("a wrong value: %+v", j)
	}
	var j pluginJob
	d.get("join", fmt.Sprintf(`{"token":%q,"name":"home","links":[{"name":"a","interface":"wan1"},{"name":"b","interface":"wan2"}]}`, token(t, d.lab, "home")), &j)
	for range 300 {
		raw, _ := d.command("cat", "/etc/config/mpproxy").Output()
		if d.daemon == nil && strings.Contains(string(raw), "option enabled '1'") {
			d.portal()
		}
		wait(100 * time.Millisecond)
		if d.get("poll", fmt.Sprintf(`{"id":%q}`, j.ID), &j); j.Done {
			break
		}
	}
	if d.daemon == nil || !j.Done || len(j.Steps) < 4 {
		t.Fatalf("not joined: %+v", j)
	}
}

// portal starts the router's, as the init script does.
func (d *desk) portal() {
	var err error
	d.daemon, err = start(d.lab.Namespace("router"), nil, nil, "nsenter", "-t", d.pid, "-m", "/usr/bin/mpproxy", "run", "--config", "/etc/config/mpproxy")
	if err != nil {
		d.t.Fatal(err)
	}
	d.lab.onClose(d.daemon.stop)
}

// runs asks all that a running portal answers.
func (d *desk) runs() {
	t := d.t
	t.Helper()
	var s stats.Status
	for range 100 {
		if d.get("status", "{}", &s); len(s.Sessions) == 1 && s.Sessions[0].State == stats.SessionUp {
			break
		}
		wait(100 * time.Millisecond)
	}
	if s.Role != "local" || len(s.Links) != 2 || len(s.Sessions[0].Paths) == 0 {
		t.Errorf("status: %+v", s)
	}
	var ring struct{ Links []any }
	var events []any
	d.get("ring", "{}", &ring)
	d.get("events", "{}", &events)
	if len(events) == 0 {
		t.Error("nothing happened")
	}
	var none struct{}
	d.get("link", `{"name":"a","action":"pause"}`, &none)
	if d.get("status", "{}", &s); !strings.Contains(fmt.Sprintf("%+v", s.Links), string(stats.LinkPaused)) {
		t.Errorf("a paused link: %+v", s.Links)
	}
	d.get("link", `{"name":"a","action":"resume"}`, &none)
	d.get("secret", `{"name":"relay.nl","password":"it's \"mine\""}`, &none)
	var names []string
	if d.get("secrets", "{}", &names); fmt.Sprint(names) != "[relay.nl]" {
		t.Errorf("passwords set: %q", names)
	}
	if raw, err := d.command("cat", "/etc/mpproxy/secrets/relay.nl").CombinedOutput(); strings.TrimSpace(string(raw)) != `it's "mine"` {
		t.Errorf("the password arrives as %q: %v", raw, err)
	}
	if j := d.job("relay", `{"name":"nl"}`); j.Error == "" {
		t.Errorf("a relay that is not there: %+v", j)
	}
	if j := d.job("speed", "{}"); j.Error != "" {
		t.Errorf("speed: %+v", j)
	}
}

// strange are values that no page sends.
var strange = []string{`""`, `"'"`, `"a'b\"c\\"`, `"\u0000"`, `"a\nb\n"`, `"\u001b[31m"`, `"$(touch /run/owned)"`, `"; touch /run/owned #"`, `"../../etc/passwd"`, `"-x"`, `"\ud800"`,
	`"` + strings.Repeat("x", 60<<10) + `"`}

// isHostile asks with strange values, with values of other kinds and with none: there must be an answer every time, in time, and
// the portal and rpcd must live.
func (d *desk) isHostile() {
	t := d.t
	t.Helper()
	arguments := map[string][]string{"poll": {"id"}, "join": {"token", "name"}, "relay": {"name"}, "secret": {"name", "password"}, "check": {"text"}, "link": {"name", "action"}}
	kinds := []string{`null`, `1`, `-1.5`, `true`, `[1,[2]]`, `{"a":{}}`}
	try := func(method, args string, otherKind bool) {
		a, err := d.ask(method, args)
		switch {
		case err != nil && d.rpcd && otherKind && strings.Contains(err.Error(), "Invalid argument"):
		case err != nil:
			t.Error(err)
		case a.Trouble != "" || a.Result == nil && a.Error == "":
			t.Errorf("%s %.80s: %+v", method, args, a)
		case a.took > time.Second:
			t.Errorf("%s %.80s took %v", method, args, a.took)
		}
	}
	for method, names := range arguments {
		try(method, "{}", true)
		for _, name := range names {
			for _, value := range strange {
				try(method, fmt.Sprintf(`{%q:%s}`, name, value), false)
			}
			for _, value := range kinds {
				try(method, fmt.Sprintf(`{%q:%s}`, name, value), true)
			}
		}
	}
	for _, links := range append([]string{`[1]`, `[[]]`, `[{"name":1}]`, `[null]`, `["a"]`, `[{"interface":"../x","name":"' or"}]`}, kinds...) {
		try("join", `{"token":"x","name":"x","links":`+links+`}`, true)
	}
	if _, err := d.command("test", "-e", "/run/owned").CombinedOutput(); err == nil {
		t.Error("a value was run as a command")
	}
	var s stats.Status
	d.get("status", "{}", &s)
}

// keepsSecrets looks for what nobody may read in all that was answered until now.
func (d *desk) keepsSecrets() {
	t := d.t
	t.Helper()
	key, err := d.command("cat", "/etc/mpproxy/secrets/private_key").Output()
	if err != nil || len(strings.TrimSpace(string(key))) < 40 {
		t.Fatalf("no key: %q %v", key, err)
	}
	if d.rpcd {
		for _, config := range []string{"mpproxy", "rpcd"} {
			out, err := d.ubus("uci", "get", fmt.Sprintf(`{"config":%q,"ubus_rpc_session":%q}`, config, d.login("viewer")))
			if (err == nil) != (config == "mpproxy") {
				t.Errorf("uci get %s: %s %v", config, out, err)
			}
			d.seen = append(d.seen, out)
		}
	}
	for _, said := range d.seen {
		for _, secret := range []string{strings.TrimSpace(string(key)), `"mine`, `mine\\"`, "PrivateKey", "private_key"} {
			if strings.Contains(said, secret) {
				t.Errorf("%q is in %.300s", secret, said)
			}
		}
	}
}

// login makes a session of rpcd's and returns its id.
func (d *desk) login(user string) string {
	d.t.Helper()
	out, err := d.ubus("session", "login", fmt.Sprintf(`{"username":%q,"password":"pass"}`, user))
	var s struct {
		ID string `json:"ubus_rpc_session"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &s)
	}
	if err != nil || s.ID == "" {
		d.t.Fatalf("login: %v %s", err, out)
	}
	return s.ID
}

// asksRights asks rpcd what uhttpd asks it before each call: what may a reader do, what an owner, what somebody unknown.
func (d *desk) asksRights() {
	t := d.t
	t.Helper()
	const nobody = "00000000000000000000000000000000"
	sessions := map[string]string{"viewer": d.login("viewer"), "owner": d.login("owner"), "nobody": nobody}
	may := map[string]string{"status": "viewer owner", "ring": "viewer owner", "events": "viewer owner", "limits": "viewer owner", "poll": "viewer owner", "secrets": "viewer owner",
		"join": "owner", "undo": "owner", "restore": "owner", "check": "owner", "link": "owner", "speed": "owner", "relay": "owner", "secret": "owner", "no_such": ""}
	out, err := d.command(filepath.Join(d.prefix, "bin/ubus"), "-s", "/run/ubus.sock", "-v", "list", "luci.mpproxy").CombinedOutput()
	if err != nil || strings.Count(string(out), "\":{") != len(may)-1 {
		t.Errorf("rpcd offers %s, rights are known of %d: %v", out, len(may)-1, err)
	}
	for method, users := range may {
		for user, id := range sessions {
			out, err := d.ubus("session", "access", fmt.Sprintf(`{"ubus_rpc_session":%q,"scope":"ubus","object":"luci.mpproxy","function":%q}`, id, method))
			if got := err == nil && strings.Contains(out, "true"); got != strings.Contains(users, user) {
				t.Errorf("%s may call %s: %v %s", user, method, got, out)
			}
		}
	}
	for user, id := range sessions {
		_, err := d.ubus("uci", "set", fmt.Sprintf(`{"ubus_rpc_session":%q,"config":"mpproxy","section":"main","values":{"log_level":"info"}}`, id))
		if (err == nil) != (user == "owner") {
			t.Errorf("%s sets an option: %v", user, err)
		}
	}
}

// mostLate is how long a call may take on a busy machine if the plugin gives up after 300 ms.
const mostLate = time.Second

// hangs has the portal stop answering, and then die: rpcd does nothing else while it waits, so it must not wait long.
func (d *desk) hangs() {
	t := d.t
	t.Helper()
	signal := func(s syscall.Signal) {
		if err := d.daemon.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	questions := map[string]string{"status": "{}", "ring": "{}", "events": "{}", "limits": "{}", "poll": `{"id":"1"}`, "join": `{"token":"x","name":"","links":[]}`, "undo": "{}", "restore": "{}", "speed": "{}",
		"relay": `{"name":"x"}`, "secrets": "{}", "secret": `{"name":"user.x","password":"x"}`, "check": `{"text":"x"}`, "link": `{"name":"a","action":"pause"}`}
	if !d.rpcd { // more than a socket takes without a reader, and more than a command line has room for
		questions["check"] = `{"text":"` + strings.Repeat("x", 1<<20) + `"}`
	}
	for method, args := range questions {
		a, err := d.ask(method, args)
		if err != nil || a.Trouble != "timeout" || a.took > mostLate || a.took < 250*time.Millisecond {
			t.Errorf("%s of a portal that hangs: %+v %v", method, a, err)
		}
	}
	signal(syscall.SIGKILL)
	<-d.daemon.ended
	if a, err := d.ask("status", "{}"); err != nil || a.Trouble != "no_service" || a.took > mostLate {
		t.Errorf("status of a dead portal: %+v %v", a, err)
	}
	var limits []any
	d.get("limits", "{}", &limits) // the assistant's: it is started again
}
