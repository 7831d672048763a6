//go:build linux && (amd64 || arm64)

package sockmap

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

const mmapable = unix.BPF_F_MMAPABLE

func mapMemory(fd, size int) ([]byte, error) {
	return unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func unmapMemory(b []byte) error { return unix.Munmap(b) }

// socket is a connection with what the kernel tells of it.
type socket struct {
	conn   *net.TCPConn
	raw    syscall.RawConn
	cookie uint64
	came   uint64 // bytes received before the first that is to be relayed
	went   uint64 // bytes queued before the first that is relayed
}

func newSocket(c *net.TCPConn) (s *socket, err error) {
	s = &socket{conn: c}
	if s.raw, err = c.SyscallConn(); err != nil {
		return nil, err
	}
	err = s.control(func(fd int) (err error) {
		s.cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Two counters are not read at once: again, until nothing has happened between.
	for {
		var before, after *unix.TCPInfo
		var in, out int
		err := s.control(func(fd int) (err error) {
			if before, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err != nil {
				return err
			}
			if in, err = unix.IoctlGetInt(fd, unix.SIOCINQ); err != nil {
				return err
			}
			if out, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ); err != nil {
				return err
			}
			after, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			return err
		})
		if err != nil {
			return nil, err
		}
		if before.State != established {
			return nil, ErrState
		}
		if before.Bytes_received == after.Bytes_received && before.Bytes_acked == after.Bytes_acked {
			s.came, s.went = after.Bytes_received-uint64(in), after.Bytes_acked+uint64(out)
			return s, nil
		}
	}
}

// established is TCP_ESTABLISHED: the only state in which a socket is taken.
const established = 1

// ErrState means that a connection is ending already.
var ErrState = errors.New("relay in the kernel: a connection is not established")

func (s *socket) control(f func(fd int) error) error {
	var err error
	if failed := s.raw.Control(func(fd uintptr) { err = f(int(fd)) }); failed != nil {
		return failed
	}
	return err
}

// received is how many bytes have come that are to be relayed; with the end of the stream, that counts as one more.
func (s *socket) received() (n uint64, err error) {
	err = s.control(func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			n = info.Bytes_received - s.came
		}
		return err
	})
	return n, err
}

// queued is how many relayed bytes have reached the socket's queue, or fewer: the counters are read in the order in
// which a byte goes through neither or one of them, not both.
func (s *socket) queued() (n uint64, err error) {
	err = s.control(func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		out, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		n = info.Bytes_acked + uint64(out) - s.went
		return err
	})
	return n, err
}

// kick has the kernel look at what came before the socket was taken: setting this option does.
func (s *socket) kick() error {
	return s.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, 1) })
}
