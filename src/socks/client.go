package socks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// Hop is a relay: a SOCKS5 server, with a user if it asks for one.
type Hop struct {
	At             Address
	User, Password string
	// Look, if set, finds the addresses of names here, so that the relay is asked for addresses only.
	Look func(ctx context.Context, name string) ([]netip.Addr, error)
}

// HopError says which relay of a chain failed.
type HopError struct {
	Hop int // from 0
	At  Address
	Err error
}

// Error names the relay and the cause.
func (e *HopError) Error() string { return fmt.Sprintf("relay %s: %v", e.At, e.Err) }

// Unwrap returns the cause: a Code if the relay gave one.
func (e *HopError) Unwrap() error { return e.Err }

// ErrAuth means that a relay wants another user, or none at all.
var ErrAuth = errors.New("the relay refuses this user")

// Through asks the relays of a chain, one through the other, for a connection to the destination. conn is connected
// to the first of them; it stays the caller's. An error is a *HopError.
func Through(ctx context.Context, conn net.Conn, hops []Hop, to Address) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for i, hop := range hops {
		next := to
		if i+1 < len(hops) {
			next = hops[i+1].At
		}
		if hop.Look != nil && next.Name != "" {
			all, err := hop.Look(ctx, next.Name)
			if err != nil || len(all) == 0 {
				return &HopError{i, hop.At, HostUnreachable}
			}
			next = Address{IP: all[0], Port: next.Port}
		}
		if err := conn.SetDeadline(deadline(ctx, hopTime+dialTime)); err != nil {
			return &HopError{i, hop.At, err}
		}
		if err := ask(conn, hop, Request{Connect, next}); err != nil {
			return &HopError{i, hop.At, err}
		}
	}
	if !stop() {
		return &HopError{len(hops) - 1, hops[len(hops)-1].At, ctx.Err()}
	}
	return conn.SetDeadline(time.Time{})
}

func deadline(ctx context.Context, most time.Duration) time.Time {
	end := time.Now().Add(most)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		return d
	}
	return end
}

// ask speaks to one server.
func ask(conn io.ReadWriter, hop Hop, q Request) error {
	method := byte(methodNone)
	hello := []byte{version5, 1, methodNone}
	if hop.User != "" {
		hello = []byte{version5, 2, methodNone, methodPassword}
	}
	if len(hop.User) > 255 || len(hop.Password) > 255 {
		return ErrAuth
	}
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	var b [2]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return err
	}
	if method = b[1]; b[0] != version5 {
		return ErrVersion
	}
	switch {
	case method == methodNone:
	case method == methodPassword && hop.User != "":
		if err := tellPassword(conn, hop); err != nil {
			return err
		}
	default:
		return ErrAuth
	}
	if _, err := conn.Write(q.Append(nil)); err != nil {
		return err
	}
	_, err := ReadReply(conn)
	return err
}

func tellPassword(conn io.ReadWriter, hop Hop) error {
	b := append([]byte{version1, byte(len(hop.User))}, hop.User...)
	b = append(append(b, byte(len(hop.Password))), hop.Password...)
	if _, err := conn.Write(b); err != nil {
		return err
	}
	var answer [2]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return ErrAuth
	}
	return nil
}
