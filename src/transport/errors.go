package transport

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

var (
	// ErrBusy says that the socket or the device takes nothing now: what was not sent is not lost, try again in about a millisecond.
	ErrBusy = errors.New("link is busy")
	// ErrUnreachable says that this system has no way to the peer now: no route, device down, source address gone, or a firewall refuses.
	ErrUnreachable = errors.New("no way to the peer from here")
	// ErrRefused says that the peer's system answered that nothing listens there.
	ErrRefused = errors.New("nothing listens at the peer")
)

// TooBigError says that one datagram is longer than the device's MTU allows. The datagrams before it were sent; the
// caller may go on behind it.
type TooBigError struct {
	To   netip.AddrPort
	Size int // bytes of UDP payload that were refused
}

// Error implements error.
func (e *TooBigError) Error() string {
	return fmt.Sprintf("send to %v: %d bytes do not fit the link's MTU", e.To, e.Size)
}

// sendError gives the typed error for what the kernel said about a message of one datagram.
func sendError(to netip.AddrPort, size int, errno unix.Errno) error {
	switch errno {
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		return ErrBusy
	case unix.EMSGSIZE:
		return &TooBigError{To: to, Size: size}
	case unix.ECONNREFUSED:
		return fmt.Errorf("send to %v: %w", to, ErrRefused)
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.EHOSTDOWN, unix.EADDRNOTAVAIL, unix.ENODEV, unix.ENXIO,
		unix.EINVAL, unix.EPERM, unix.EACCES, unix.EAFNOSUPPORT:
		return fmt.Errorf("send to %v: %w: %w", to, ErrUnreachable, errno)
	}
	return fmt.Errorf("send to %v: %w", to, errno)
}
