package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// Call asks the portal at the socket path and unmarshals its result into out, which may be nil. It takes a few seconds
// at most, less if ctx ends. Errors are for people; ErrNotRunning is wrapped in the one that says so.
func Call(ctx context.Context, path string, request Request, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 3*clientTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody answers at %s", ErrNotRunning, path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("not allowed to talk to mpproxy at %s; run this as root", path)
	case err != nil:
		return fmt.Errorf("talk to mpproxy: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	text, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	// A server that has no room answers without reading, so a failed write is not the last word.
	_, writeErr := conn.Write(append(text, '\n'))
	line, err := readLine(conn, maxResponseBytes)
	if ctx.Err() != nil {
		return fmt.Errorf("mpproxy at %s does not answer: %w", path, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("mpproxy at %s did not answer: %w", path, errors.Join(err, writeErr))
	}
	return decode(line, out)
}

func decode(line []byte, out any) error {
	var answer response
	if err := json.Unmarshal(line, &answer); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, out); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}
