package portal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/pairing"
)

// ended polls a job until it is done.
func ended(t *testing.T, d *Desk, id string) Job {
	t.Helper()
	for range 500 {
		got, err := d.Handle(t.Context(), control.Request{Cmd: control.CmdJob, Action: control.ActionPoll, Name: id})
		if err != nil {
			t.Fatal(err)
		}
		if j := got.(Job); j.Done {
			return j
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatal("the job does not end")
	return Job{}
}

func begin(t *testing.T, d *Desk, name, text string) Job {
	t.Helper()
	got, err := d.Handle(t.Context(), control.Request{Cmd: control.CmdJob, Action: control.ActionStart, Name: name, Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return got.(Job)
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mpproxy")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckJobSaysWhatTheDaemonWould(t *testing.T) {
	d := &Desk{ConfigFile: "/etc/config/mpproxy"}
	j := ended(t, d, begin(t, d, JobCheck, "config portal 'main'\n\toption mtu '1'\n\toption cipher 'x'\n").ID)
	if j.Error != "" || len(j.Steps) != 2 || j.Steps[0].Text != "/etc/config/mpproxy:2: portal 'main', option mtu '1': must be a number from 1280 to 1500, or 0 for the value found by itself" {
		t.Errorf("%+v", j)
	}
	if j := ended(t, d, begin(t, d, JobCheck, "config portal 'main'\n").ID); j.Error != "" || len(j.Steps) != 0 {
		t.Errorf("a good text: %+v", j)
	}
}

func TestJoinJobThatCannotBegin(t *testing.T) {
	d := &Desk{ConfigFile: writeFile(t, "config portal 'main'\n")}
	j := begin(t, d, JobJoin, `{"token":"hello"}`)
	if !strings.HasPrefix(j.ID, AssistPrefix) {
		t.Errorf("the assistant's job is called %s", j.ID)
	}
	if j = ended(t, d, j.ID); !strings.Contains(j.Error, "this is no token") || j.Steps[0].State != StepFailed {
		t.Errorf("%+v", j)
	}
	if d.Busy() {
		t.Error("still busy")
	}
	for want, q := range map[string]control.Request{
		"not understood": {Action: control.ActionStart, Name: JobJoin, Text: "x"}, "there is no job 'x'": {Action: control.ActionStart, Name: "x"},
		"there is no job '99'": {Action: control.ActionPoll, Name: "99"}, "start and poll, not ''": {},
	} {
		q.Cmd = control.CmdJob
		if _, err := d.Handle(t.Context(), q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, err := d.Handle(t.Context(), control.Request{Cmd: control.CmdStatus}); err == nil || !strings.Contains(err.Error(), "needs a running portal") {
		t.Error(err)
	}
}

func TestJobsAreOneOfAKindAndBounded(t *testing.T) {
	d := &Desk{Running: true}
	release := make(chan struct{})
	wait := func(context.Context, func(Step)) error { <-release; return errors.New("no") }
	a, err := d.begin("join", wait)
	if b, again := d.begin("join", wait); err != nil || again != nil || a.ID != b.ID {
		t.Errorf("pressed twice: %v and %v", a, b)
	}
	for err == nil {
		_, err = d.begin(JobCheck, wait)
	}
	if !strings.Contains(err.Error(), "too much") || len(d.jobs) != maxJobs {
		t.Errorf("%v with %d jobs", err, len(d.jobs))
	}
	close(release)
	if j := ended(t, d, a.ID); j.Error != "no" {
		t.Errorf("%+v", j)
	}
	if _, err := d.begin("undo", wait); err != nil {
		t.Errorf("after some have ended: %v", err)
	}
}

func TestStepsReplaceEachOther(t *testing.T) {
	d, j := &Desk{}, &Job{}
	for _, s := range []Step{{ID: "a", State: StepWorking}, {ID: "l", Link: "x"}, {ID: "l", Link: "y"}, {ID: "a", State: StepWell}, {ID: stepProblem}, {ID: stepProblem}} {
		d.told(j, s)
	}
	if len(j.Steps) != 5 || j.Steps[0].State != StepWell {
		t.Errorf("%+v", j.Steps)
	}
}

// TestAnswersStayAsTheyWere: what a page was told of a job does not change while it is written.
func TestAnswersStayAsTheyWere(t *testing.T) {
	d := &Desk{Running: true}
	release, told := make(chan struct{}), make(chan struct{})
	job := func(_ context.Context, tell func(Step)) error {
		tell(Step{ID: "a", State: StepWorking})
		told <- struct{}{}
		<-release
		tell(Step{ID: "a", State: StepWell})
		return nil
	}
	first, err := d.begin("join", job)
	<-told
	again, twice := d.begin("join", job)
	if err != nil || twice != nil {
		t.Fatal(err, twice)
	}
	polled, _ := d.poll(first.ID)
	close(release)
	ended(t, d, first.ID)
	for what, j := range map[string]Job{"pressed twice": again, "polled": polled.(Job)} {
		if len(j.Steps) != 1 || j.Steps[0].State != StepWorking {
			t.Errorf("%s: %+v", what, j.Steps)
		}
	}
}

// TestJobsAreForgotten after a while; and those of a running service are told from those of none.
func TestJobsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for running, prefix := range map[bool]string{true: "", false: AssistPrefix} {
			d := &Desk{Running: running}
			quick := func(context.Context, func(Step)) error { return nil }
			old, _ := d.begin(JobCheck, quick)
			synctest.Wait()
			if old.ID != prefix+"1" {
				t.Errorf("running %v: job %s", running, old.ID)
			}
			time.Sleep(jobLife - time.Second)
			_, _ = d.begin(JobCheck, quick)
			if _, err := d.poll(old.ID); err != nil {
				t.Error("forgotten too soon:", err)
			}
			time.Sleep(2 * time.Second)
			_, _ = d.begin(JobCheck, quick)
			if _, err := d.poll(old.ID); err == nil {
				t.Error("it is still known")
			}
			synctest.Wait()
		}
	})
}

func token(endpoints ...string) pairing.Token {
	return pairing.Token{Server: config.Key{3}, Endpoints: endpoints}
}

const shipped = `config portal 'main'
	option enabled '0'
	option secrets_dir 'DIR/secrets'
	list lan 'lan'

# The server.
config remote 'vps'
	option enabled '0'

config link 'wan'
	option interface 'wan'
	option label 'it'\''s mine'

config link 'old'
	option interface 'wwan'
`

func TestWriteJoined(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mpproxy")
	text := strings.ReplaceAll(shipped, "DIR", dir)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	cfg, err := readyConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	o := JoinOptions{Links: []JoinLink{{Name: "wan", Interface: "wan"}, {Name: "lte-1", Interface: "usb0", Metric: 10, Overflow: true, Metered: true}}}
	if err := writeJoined(t.Context(), cfg, token("vps.example.org:6779", "[2001:db8::1]:6779"), o); err != nil {
		t.Fatal(err)
	}
	cfg, _, err = config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	links := cfg.EnabledLinks()
	if !cfg.Portal.Enabled || len(cfg.EnabledRemotes()) != 1 || cfg.EnabledRemotes()[0].Name != "vps" || cfg.EnabledRemotes()[0].Endpoints[0].String() != "vps.example.org:6779" ||
		len(links) != 2 || links[0].Label != "it's mine" || links[1].Name != "lte_1" || links[1].Metric != 10 || !links[1].Overflow || !links[1].Metered {
		t.Errorf("%+v\n%+v", cfg.Remotes, links)
	}
	raw, _ := os.ReadFile(path)
	if !strings.Contains(string(raw), "# The server.\n") || strings.Contains(string(raw), "config link 'old'\n\toption interface 'wwan'\n\toption enabled '1'") {
		t.Errorf("the file:\n%s", raw)
	}
	// The same again changes nothing.
	cfg, _ = readyConfig(path)
	if err := writeJoined(t.Context(), cfg, token("vps.example.org:6779", "[2001:db8::1]:6779"), o); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(path); !sameUCI(t, string(raw), string(again)) {
		t.Errorf("repeated:\n%s\nbefore:\n%s", again, raw)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	cfg, _ = readyConfig(path)
	if err := writeJoined(t.Context(), cfg, token("192.0.2.1:1"), o); err != nil {
		t.Fatal(err)
	}
	if err := UndoJoin(path); err != nil {
		t.Fatal(err)
	}
	if raw, _ := os.ReadFile(path); string(raw) != text {
		t.Errorf("undone:\n%s", raw)
	}
	if err := UndoJoin(path); err == nil || !strings.Contains(err.Error(), "nothing to undo") {
		t.Error(err)
	}
}

func sameUCI(t *testing.T, a, b string) bool {
	t.Helper()
	same, err := config.Same("f", a, b)
	if err != nil {
		t.Fatal(err)
	}
	return same
}

func TestJoinIsForRouters(t *testing.T) {
	if _, err := readyConfig(writeFile(t, "config portal 'main'\n\toption role 'remote'\n")); err == nil || !strings.Contains(err.Error(), "is that of a server") {
		t.Error(err)
	}
	fresh := filepath.Join(t.TempDir(), "config", "mpproxy")
	if cfg, err := readyConfig(fresh); err != nil || cfg.Portal.Enabled {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// TestUCICommands: what uci's batch mode is told.
func TestUCICommands(t *testing.T) {
	got := uciCommands("mpproxy", []config.Change{{Kind: "remote", Name: "vps", Options: []config.Setting{
		config.Set("a", "it's"), {Name: "l", Values: []string{"x", "y"}, List: true}, {Name: "gone"},
	}}})
	const want = "set mpproxy.vps=remote\nset mpproxy.vps.a='it'\\''s'\ndelete mpproxy.vps.l\nadd_list mpproxy.vps.l='x'\nadd_list mpproxy.vps.l='y'\ndelete mpproxy.vps.gone\ncommit mpproxy\n"
	if got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestNames(t *testing.T) {
	for endpoint, want := range map[string]string{"vps.example.org:1": "vps", "192.0.2.1:1": "server", "[2001:db8::1]:1": "server", "host:1": "server", "my-vps.org:1": "my_vps"} {
		if got := serverName(&config.Config{}, token(endpoint), JoinOptions{}); got != want {
			t.Errorf("%s is called %s, want %s", endpoint, got, want)
		}
	}
	if got := sectionName("br-lan.5"); got != "br_lan_5" || sectionName("") != "link" || sectionName("main") != "link" {
		t.Error(got)
	}
}
