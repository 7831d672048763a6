package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sniffer reads every packet that leaves by a device.
type Sniffer struct {
	fd      int
	allowed func(packet []byte) bool
	stop    chan struct{}
	stopped sync.WaitGroup

	mu     sync.Mutex
	seen   uint64
	leaked uint64
	first  string // the first leak since the last count, in words
}

// snifferBuffer holds what leaves while the sniffer waits for a processor.
const snifferBuffer = 32 << 20

// Sniff listens at a device of a namespace until Close. allowed says which IP packets may leave by it.
func (l *Lab) Sniff(role, device string, allowed func(packet []byte) bool) (*Sniffer, error) {
	s := &Sniffer{fd: -1, allowed: allowed, stop: make(chan struct{})}
	err := inside(l.Namespace(role), func() error {
		at, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, snifferBuffer)
		everything := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)) // in the network's order
		wait := unix.NsecToTimeval(int64(100 * time.Millisecond))
		return errors.Join(unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
			unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: at.Index}))
	})
	if err != nil {
		return nil, fmt.Errorf("sniff at %s: %w", device, err)
	}
	s.stopped.Go(s.read)
	l.onClose(func() error {
		close(s.stop)
		s.stopped.Wait()
		return unix.Close(s.fd)
	})
	return s, nil
}

func (s *Sniffer) read() {
	buf := make([]byte, 70000)
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		n, from, err := unix.Recvfrom(s.fd, buf, 0)
		if err != nil {
			if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.ENETDOWN) {
				return
			}
			continue
		}
		at, ok := from.(*unix.SockaddrLinklayer)
		if !ok || at.Pkttype != unix.PACKET_OUTGOING || n < 20 || buf[0]>>4 != 4 && buf[0]>>4 != 6 {
			continue
		}
		s.mu.Lock()
		s.seen++
		if !s.allowed(buf[:n]) {
			if s.leaked == 0 {
				s.first = describe(buf[:n])
			}
			s.leaked++
		}
		s.mu.Unlock()
	}
}

// snifferDelay is how late a packet may be noticed.
const snifferDelay = 150 * time.Millisecond

// Count returns how many packets left since the last count, and how many of them were not allowed to, the first in words.
func (s *Sniffer) Count() (seen, leaked uint64, first string) {
	time.Sleep(snifferDelay)
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, leaked, first = s.seen, s.leaked, s.first
	s.seen, s.leaked, s.first = 0, 0, ""
	return seen, leaked, first
}

// Destination reads where an IP packet goes, its protocol, and the destination port of UDP and TCP.
func Destination(p []byte) (to netip.AddrPort, protocol byte) {
	var addr netip.Addr
	header := 40
	if p[0]>>4 == 4 {
		addr, protocol, header = netip.AddrFrom4([4]byte(p[16:])), p[9], int(p[0]&15)*4
	} else if len(p) >= header {
		addr, protocol = netip.AddrFrom16([16]byte(p[24:])), p[6]
	}
	port := uint16(0)
	if (protocol == unix.IPPROTO_UDP || protocol == unix.IPPROTO_TCP) && len(p) >= header+4 {
		port = binary.BigEndian.Uint16(p[header+2:])
	}
	return netip.AddrPortFrom(addr, port), protocol
}

func describe(p []byte) string {
	to, protocol := Destination(p)
	return fmt.Sprintf("to %v, protocol %d", to, protocol)
}
