package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// start runs a server until the test ends and returns its socket's path.
func start(t *testing.T, handler Handler, timeout time.Duration) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "run", "s.sock")
	s := NewServer(path, handler)
	if timeout > 0 {
		s.timeout = timeout
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server ended with %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return path
}

// echo answers with the request, or complains about links called "none".
func echo(_ context.Context, r Request) (any, error) {
	if r.Link == "none" {
		return nil, errors.New("there is no link 'none'")
	}
	if r.Cmd == "nothing" {
		return nil, nil
	}
	return r, nil
}

func TestCall(t *testing.T) {
	path := start(t, echo, 0)
	var got Request
	want := Request{Cmd: CmdLink, Link: "dsl", Action: ActionPause}
	if err := Call(t.Context(), path, want, &got); err != nil || got != want {
		t.Errorf("answer %+v, %v", got, err)
	}
	if err := Call(t.Context(), path, Request{Cmd: CmdLink, Link: "none"}, nil); err == nil || err.Error() != "there is no link 'none'" {
		t.Errorf("error %v", err)
	}
	if err := Call(t.Context(), path, Request{Cmd: "nothing"}, &got); err != nil {
		t.Errorf("a request without result: %v", err)
	}
}

func TestSocketIsForItsOwnerOnly(t *testing.T) {
	path := start(t, echo, 0)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v; want %o", info.Mode(), err, socketMode)
	}
}

func TestNobodyAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	for range 2 {
		err := Call(t.Context(), path, Request{Cmd: CmdStatus}, nil)
		if !errors.Is(err, ErrNotRunning) || err.Error() != "mpproxy is not running: nobody answers at "+path {
			t.Errorf("error %v", err)
		}
		stale(t, path)
	}
}

// stale leaves a socket at path as a crash does.
func stale(t *testing.T, path string) {
	t.Helper()
	_ = os.Remove(path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStaleSocketIsReplacedAndALiveOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	stale(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	first := NewServer(path, echo)
	done := make(chan error, 1)
	go func() { done <- first.Run(ctx) }()
	<-first.Ready()
	if err := NewServer(path, echo).Run(ctx); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), path) {
		t.Errorf("the second server: %v", err)
	}
	if err := Call(ctx, path, Request{Cmd: CmdStatus}, nil); err != nil {
		t.Errorf("the first server no longer answers: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestOtherFilesAreNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := NewServer(path, echo).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("error %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Error("the file is gone")
	}
}

// say sends bytes as a rude client does, and returns all that comes back.
func say(t *testing.T, path string, text []byte) string {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write(text) // the server may have hung up already
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

func TestGarbageIsRefused(t *testing.T) {
	path := start(t, echo, 200*time.Millisecond)
	for name, text := range map[string]string{
		"no JSON": "status\n", "no command": "{}\n", "wrong type": "[1]\n", "a number": `{"cmd":1}` + "\n", "no line end": `{"cmd":"status"}`,
		"silence": "", "binary": "\x00\xff\n", "empty line": "\n",
	} {
		if answer := say(t, path, []byte(text)); !strings.Contains(answer, "not understood") {
			t.Errorf("%s: answer %q", name, answer)
		}
	}
	if answer := say(t, path, bytes.Repeat([]byte("x"), maxRequestBytes+8192)); answer != "" && !strings.Contains(answer, "not understood") {
		t.Errorf("a huge line: answer %q", answer)
	}
	if err := Call(t.Context(), path, Request{Cmd: CmdStatus}, nil); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

func TestSlowClientsAreLimitedAndDoNotStay(t *testing.T) {
	path := start(t, echo, 300*time.Millisecond)
	var slow []net.Conn
	for range maxClients {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		slow = append(slow, conn)
	}
	if err := Call(t.Context(), path, Request{Cmd: CmdStatus}, nil); err == nil || !strings.Contains(err.Error(), "too many clients") {
		t.Errorf("one client too many: %v", err)
	}
	for _, conn := range slow { // each is sent away in its time
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("a silent client is kept: %v", err)
		}
	}
	var err error
	for range 100 { // the slots are given back just after the connections end
		if err = Call(t.Context(), path, Request{Cmd: CmdStatus}, nil); err == nil {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("no room after the silent clients left: %v", err)
}

func TestHandlerIsGivenUpOn(t *testing.T) {
	path := start(t, func(ctx context.Context, _ Request) (any, error) {
		<-ctx.Done()
		return nil, errors.New("too slow")
	}, 50*time.Millisecond)
	if err := Call(t.Context(), path, Request{Cmd: CmdStatus}, nil); err == nil || err.Error() != "too slow" {
		t.Errorf("error %v", err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	path := start(t, func(context.Context, Request) (any, error) { <-release; return nil, nil }, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := Call(ctx, path, Request{Cmd: CmdStatus}, nil)
	close(release)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestUnmarshallableResult(t *testing.T) {
	path := start(t, func(context.Context, Request) (any, error) { return make(chan int), nil }, 0)
	if err := Call(t.Context(), path, Request{Cmd: CmdStatus}, nil); err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("error %v", err)
	}
}

// FuzzReadLine: a line is the text before the first line end, and never longer than the limit.
func FuzzReadLine(f *testing.F) {
	f.Add([]byte("a\nb"), 10)
	f.Add([]byte("abc"), 2)
	f.Add([]byte("\n"), 0)
	f.Add(bytes.Repeat([]byte("y"), 9000), 5000)
	f.Fuzz(func(t *testing.T, text []byte, limit int) {
		if limit < 0 || limit > 1<<16 {
			return
		}
		line, err := readLine(bytes.NewReader(text), limit)
		want, _, whole := bytes.Cut(text, []byte("\n"))
		if ok := whole && len(want) <= limit; ok != (err == nil) || ok && !bytes.Equal(line, want) {
			t.Fatalf("%q with limit %d: %q, %v", text, limit, line, err)
		}
	})
}
