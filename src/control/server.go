package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Modes of the socket and of its directory, if that must be made.
const (
	socketMode = 0o600
	dirMode    = 0o755
)

// Handler answers one request. Its result is marshalled as JSON; its error's text goes to the client. It is called from
// several goroutines at once, and must return when ctx ends.
type Handler func(ctx context.Context, request Request) (result any, err error)

// Server answers at a unix socket. Use NewServer.
type Server struct {
	path    string
	handler Handler
	timeout time.Duration
	ready   chan struct{}
}

// NewServer returns a server for the socket at path that asks handler. It starts nothing.
func NewServer(path string, handler Handler) *Server {
	return &Server{path: path, handler: handler, timeout: clientTimeout, ready: make(chan struct{})}
}

// String returns the server's name for logs.
func (s *Server) String() string { return "control " + s.path }

// Ready is closed once clients can connect.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run answers clients until ctx ends, then closes the socket and returns nil once no client is left. It may run once.
func (s *Server) Run(ctx context.Context) error {
	listener, err := listen(ctx, s.path)
	if err != nil {
		return fmt.Errorf("open control socket: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	defer listener.Close()
	close(s.ready)

	var clients sync.WaitGroup
	defer clients.Wait()
	slots := make(chan struct{}, maxClients)
	for {
		conn, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept at control socket: %w", err)
		case err != nil: // out of descriptors or memory: others' doing, and it passes
			pause(ctx, acceptPause)
			continue
		}
		select {
		case slots <- struct{}{}:
			clients.Go(func() {
				s.serve(ctx, conn)
				<-slots
			})
		default:
			s.answer(conn, response{Error: "too many clients at once; try again"})
			_ = conn.Close()
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// serve answers one client.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetReadDeadline(time.Now().Add(s.timeout))
	line, err := readLine(conn, maxRequestBytes)
	var request Request
	if err == nil {
		err = json.Unmarshal(line, &request)
	}
	if err != nil || request.Cmd == "" {
		s.answer(conn, response{Error: `not understood; a request is one line like {"cmd":"status"}`})
		return
	}
	s.answer(conn, s.ask(ctx, request))
}

// ask lets the handler answer in bounded time.
func (s *Server) ask(ctx context.Context, request Request) response {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	result, err := s.handler(ctx, request)
	if err != nil {
		return response{Error: err.Error()}
	}
	if result == nil {
		return response{Result: json.RawMessage("{}")}
	}
	text, err := json.Marshal(result)
	if err != nil {
		return response{Error: "the answer cannot be written: " + err.Error()}
	}
	return response{Result: text}
}

// answer writes one line. A client that does not read it loses it.
func (s *Server) answer(conn net.Conn, r response) {
	text, err := json.Marshal(r)
	if err != nil {
		return
	}
	_ = conn.SetWriteDeadline(time.Now().Add(s.timeout))
	_, _ = conn.Write(append(text, '\n'))
}

var errNoLine = errors.New("no line of allowed length")

// readLine reads up to the first line end, which need not be the last thing sent.
func readLine(from io.Reader, limit int) ([]byte, error) {
	var line []byte
	chunk := make([]byte, 4096)
	for len(line) <= limit {
		n, err := from.Read(chunk)
		if i := bytes.IndexByte(chunk[:n], '\n'); i >= 0 {
			line = append(line, chunk[:i]...)
			if len(line) > limit {
				return nil, errNoLine
			}
			return line, nil
		}
		line = append(line, chunk[:n]...)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoLine, err)
		}
	}
	return nil, errNoLine
}

// listen opens the socket, with its mode set before it has a name. A socket that nobody answers at is replaced.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return nil, err
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if raised := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), socketMode) }); raised != nil {
			return raised
		}
		return err
	}}
	return config.Listen(ctx, "unix", path)
}

// clearStale removes what a crash left behind, and nothing else.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is in the way and no socket", path)
	}
	conn, err := net.DialTimeout("unix", path, clientTimeout)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("%w: somebody answers at %s", ErrRunning, path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
