package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/pairing"
	"mpproxy/src/portal"
)

// sampleToken is a token as a server prints it; nobody answers at its address.
func sampleToken(t *testing.T) string {
	t.Helper()
	text, err := pairing.Token{Server: config.Key{9}, Endpoints: []string{"192.0.2.1:6779"}}.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseLinks(t *testing.T) {
	got, err := parseLinks([]string{"dsl=wan", "wwan0"})
	want := []portal.JoinLink{{Name: "dsl", Interface: "wan"}, {Name: "wwan0", Interface: "wwan0"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := parseLinks(nil); got != nil || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, list := range [][]string{{"=wan"}, {"dsl="}, {""}, {"a=wan", "b=wan"}, {"wan", "a=wan"}} {
		if got, err := parseLinks(list); err == nil {
			t.Errorf("%q gives %+v", list, got)
		}
	}
}

// slow gives what it has piece by piece, as somebody who pastes.
type slow struct{ pieces []string }

func (s *slow) Read(b []byte) (int, error) {
	if len(s.pieces) == 0 {
		panic("read on after the token was whole")
	}
	n := copy(b, s.pieces[0])
	s.pieces = s.pieces[1:]
	return n, nil
}

func TestPasted(t *testing.T) {
	token := sampleToken(t)
	for name, pieces := range map[string][]string{
		"at once":     {token + "\n"},
		"in lines":    {token[:30] + "\n", token[30:60] + "\n", token[60:] + "\n"},
		"in a mail":   {"Your token:\n", "> " + token + "\n"},
		"given up":    {"hello\n", "\n"},
		"not a token": {"mpp1:abc\n\n"},
	} {
		text, err := pasted(&slow{pieces})
		if err != nil || text != strings.Join(pieces, "") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if text, err := pasted(strings.NewReader("mpp1:")); err != nil || text != "mpp1:" {
		t.Errorf("ended: %q, %v", text, err)
	}
	if _, err := pasted(iotestErr{}); err == nil {
		t.Error("a terminal that fails")
	}
	if text, err := pasted(endless{}); err != nil || len(text) > maxTokenInput+512 {
		t.Errorf("%d bytes of something endless, %v", len(text), err)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, os.ErrClosed }

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func TestJoinRefuses(t *testing.T) {
	file := write(t, "mpproxy", "config portal 'main'\n\toption enabled '0'\n")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	token := sampleToken(t)
	for _, c := range []struct {
		input string
		args  []string
		code  int
		want  string
	}{
		{"", nil, exitFailed, "no token"},
		{"hello", nil, exitFailed, "no token"},
		{token[:len(token)-9], nil, exitFailed, "cut off"},
		{"", []string{"--file", file + ".none"}, exitFailed, "read token"},
		{token, []string{"--link", "=x"}, exitUsage, "--link is NAME=INTERFACE"},
		{token, []string{"more"}, exitUsage, "join"},
	} {
		code, out, errs := try(t.Context(), c.input, append([]string{"--config", file, "join", "--no-start"}, c.args...)...)
		if code != c.code || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%q %v: status %d, %q %q, want %q", c.input, c.args, code, out, errs, c.want)
		}
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the configuration was changed: %s, %v", after, err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "secrets")); err == nil {
		t.Error("keys were made for nothing")
	}
}

// TestJoinWaits: a vendor's token is tried again and again until there is an answer, and kept until then; what is no token
// at all is given up, and stays for somebody to look at.
func TestJoinWaits(t *testing.T) {
	dir := t.TempDir()
	file := write(t, "mpproxy", "config portal 'main'\n\toption secrets_dir '"+dir+"/secrets'\n\toption control '"+dir+"/s.sock'\n")
	token := filepath.Join(dir, "join.token")
	if err := os.WriteFile(token, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := try(t.Context(), "", "--config", file, "join", "--wait", "--no-start", "--file", token); code != exitFailed || !strings.Contains(errs, "no token") {
		t.Errorf("status %d, %s", code, errs)
	}
	if err := os.WriteFile(token, []byte(sampleToken(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if code, _, errs := try(ctx, "", "--config", file, "join", "--wait", "--no-start", "--link", "no-such-device", "--file", token); code == exitWell {
		t.Errorf("status %d, %s", code, errs)
	}
	if ctx.Err() == nil {
		t.Error("gave up before it was told to")
	}
	if _, err := os.Stat(token); err != nil {
		t.Error("the token is gone:", err)
	}
}

// TestTold: steps are printed once they are decided.
func TestTold(t *testing.T) {
	var errs bytes.Buffer
	c := &call{err: &errs}
	for _, state := range []string{portal.StepWorking, portal.StepWell, portal.StepFailed, portal.StepNote} {
		c.told(portal.Step{State: state, Text: "it " + state})
	}
	if got, want := errs.String(), "ok      it ok\nfailed  it failed\nnote    it note\n"; got != want {
		t.Errorf("%q", got)
	}
}

// TestAssist: LuCI's requests are answered while no portal runs, until the process is told to end.
func TestAssist(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "setup.sock")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		code, _, _ := try(ctx, "", "--socket", socket, "--config", write(t, "mpproxy", ""), "assist")
		ended <- code
	}()
	var conn net.Conn
	for range 100 {
		var err error
		if conn, err = net.Dial("unix", socket); err == nil {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	if conn == nil {
		t.Fatal("nobody answers")
	}
	conn.Close()
	var limits json.RawMessage
	if err := control.Call(ctx, socket, control.Request{Cmd: control.CmdLimits}, &limits); err != nil || len(limits) < 10 {
		t.Errorf("limits: %s, %v", limits, err)
	}
	if err := control.Call(ctx, socket, control.Request{Cmd: control.CmdStatus}, nil); err == nil || !strings.Contains(err.Error(), "needs a running portal") {
		t.Errorf("status: %v", err)
	}
	if err := control.Call(ctx, socket, control.Request{Cmd: control.CmdJob, Action: control.ActionPoll, Name: "9"}, nil); err == nil {
		t.Error("a job that is none")
	}
	cancel()
	if code := <-ended; code != exitWell {
		t.Errorf("status %d", code)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is left")
	}
}
