package transport

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// UDP is one UDP socket. One goroutine may read while others write; writers take turns.
type UDP struct {
	file  *os.File // owns the socket; its poller wakes readers and Close
	conn  syscall.RawConn
	local netip.AddrPort
	v6    bool
	gro   bool
	clock Clock

	segments  atomic.Int32 // how many datagrams one message may hold; 1 means that UDP_SEGMENT is off
	closed    atomic.Bool
	overflow  atomic.Uint64
	truncated atomic.Uint64

	write struct {
		sync.Mutex
		writer
	}
}

// Stats is what a socket tells about itself.
type Stats struct {
	Overflow   uint64 // datagrams the kernel dropped because the receive buffer was full
	Truncated  uint64 // messages longer than a slot, dropped
	Segments   int    // datagrams per message when sending; 1: UDP_SEGMENT is off
	GRO        bool   // received datagrams come merged
	RecvBuffer int    // bytes, as the kernel counts them (twice what was asked for)
	SendBuffer int
}

// ListenUDP opens a socket. The caller closes it.
func ListenUDP(o Options) (*UDP, error) {
	fd, v6, err := open(o)
	if err != nil {
		return nil, err
	}
	local, err := localAddr(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	gso, gro := offloads(fd, o)
	u := &UDP{file: os.NewFile(uintptr(fd), "udp"), local: local, v6: v6, gro: gro, clock: o.Clock}
	if u.conn, err = u.file.SyscallConn(); err != nil {
		u.file.Close()
		return nil, fmt.Errorf("watch UDP socket: %w", err)
	}
	if u.clock == (Clock{}) {
		u.clock = NewClock()
	}
	u.segments.Store(1)
	if gso {
		u.segments.Store(maxSegments)
	}
	u.write.init(u)
	return u, nil
}

// LocalAddr returns the address and port the socket is bound to.
func (u *UDP) LocalAddr() netip.AddrPort { return u.local }

// Close closes the socket. A ReadBatch that waits returns net.ErrClosed.
func (u *UDP) Close() error {
	if u.closed.Swap(true) {
		return net.ErrClosed
	}
	return u.file.Close()
}

// pollError names what the poller said: its error for a closed file is its own, not net.ErrClosed.
func (u *UDP) pollError(err error) error {
	if u.closed.Load() {
		return net.ErrClosed
	}
	return fmt.Errorf("wait for UDP socket %v: %w", u.local, err)
}

// Stats returns the counters and what the socket has got.
func (u *UDP) Stats() Stats {
	s := Stats{Overflow: u.overflow.Load(), Truncated: u.truncated.Load(), Segments: int(u.segments.Load()), GRO: u.gro}
	_ = u.conn.Control(func(fd uintptr) {
		s.RecvBuffer, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		s.SendBuffer, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
	})
	return s
}
