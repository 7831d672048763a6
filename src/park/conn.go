package park

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a TCP connection that can be slim while nobody uses it: then it is a file descriptor, without what the runtime keeps
// to wait for a connection. Whatever is done with it but Control makes it as it was. Its zero value is not ready.
// Safe for concurrent use, but Slim.
type Conn struct {
	mu     sync.Mutex
	open   *open // nil: slim
	fd     int32 // while it is slim
	closed bool
}

// open is a connection as it is used.
type open struct {
	full
	raw syscall.RawConn
}

// full is a connection that can be waited for: *net.TCPConn, *os.File.
type full interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	Close() error
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	SyscallConn() (syscall.RawConn, error)
}

// NewConn returns a connection that is not slim. The TCP connection is the Conn's from now on.
func NewConn(tcp *net.TCPConn) *Conn {
	raw, _ := tcp.SyscallConn() // it fails for a connection that is none
	return &Conn{open: &open{tcp, raw}}
}

// Slim makes the connection slim. Nobody may be reading, writing or parked with it meanwhile: call it before Park. After an
// error, as when there are no more files, it is what it was.
func (c *Conn) Slim(l *Lot) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if c.open == nil {
		return nil
	}
	fd := -1
	var err error
	failed := c.open.raw.Control(func(own uintptr) {
		if fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			l.forget(int(own)) // else it would stay in the set for as long as the copy lives
		}
	})
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	err = c.open.Close()
	c.open, c.fd = nil, int32(fd)
	return err
}

// IsSlim reports whether the connection is slim.
func (c *Conn) IsSlim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open == nil && !c.closed
}

// whole makes the connection one that can be waited for.
func (c *Conn) whole() (*open, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if c.open == nil {
		f := os.NewFile(uintptr(c.fd), "")
		raw, err := f.SyscallConn()
		if err != nil {
			return nil, err
		}
		c.open = &open{f, raw}
	}
	return c.open, nil
}

// Close closes the connection; who reads or writes fails.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	if c.open == nil {
		return unix.Close(int(c.fd))
	}
	return c.open.Close()
}

// told is an error as those of net are.
func (c *Conn) told(err error) error {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return err
}

// Read implements io.Reader.
func (c *Conn) Read(p []byte) (int, error) {
	f, err := c.whole()
	if err != nil {
		return 0, err
	}
	n, err := f.Read(p)
	return n, c.told(err)
}

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (int, error) {
	f, err := c.whole()
	if err != nil {
		return 0, err
	}
	n, err := f.Write(p)
	return n, c.told(err)
}

// CloseWrite ends the stream to the other side.
func (c *Conn) CloseWrite() error {
	return c.option(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) })
}

// Abort closes the connection so that the other side sees a reset.
func (c *Conn) Abort() {
	_ = c.option(func(fd int) error {
		return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
	_ = c.Close()
}

// option does something to the descriptor that does not wait.
func (c *Conn) option(f func(fd int) error) (err error) {
	failed := c.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(failed, err)
}

// SetDeadline, SetReadDeadline and SetWriteDeadline bound what waits, as with net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	f, err := c.whole()
	if err != nil {
		return err
	}
	return c.told(f.SetDeadline(t))
}

// SetReadDeadline bounds reading.
func (c *Conn) SetReadDeadline(t time.Time) error {
	f, err := c.whole()
	if err != nil {
		return err
	}
	return c.told(f.SetReadDeadline(t))
}

// SetWriteDeadline bounds writing.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	f, err := c.whole()
	if err != nil {
		return err
	}
	return c.told(f.SetWriteDeadline(t))
}

// LocalAddr is the near end's address.
func (c *Conn) LocalAddr() net.Addr { return c.address(unix.Getsockname) }

// RemoteAddr is the far end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.address(unix.Getpeername) }

func (c *Conn) address(ask func(fd int) (unix.Sockaddr, error)) net.Addr {
	out := &net.TCPAddr{}
	_ = c.Control(func(fd uintptr) { // of what is closed: no address
		at, err := ask(int(fd))
		if err != nil {
			return
		}
		switch at := at.(type) {
		case *unix.SockaddrInet4:
			out = &net.TCPAddr{IP: at.Addr[:], Port: at.Port}
		case *unix.SockaddrInet6:
			out = &net.TCPAddr{IP: at.Addr[:], Port: at.Port}
		}
	})
	return out
}

// MultipathTCP reports whether the kernel spreads the connection; false once it was slim.
func (c *Conn) MultipathTCP() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != nil {
		if tcp, ok := c.open.full.(*net.TCPConn); ok {
			return tcp.MultipathTCP()
		}
	}
	return false, nil
}

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.Raw(), nil }

// Raw is the connection for calls of one's own. Control leaves it slim.
func (c *Conn) Raw() syscall.RawConn { return (*rawConn)(c) }

// Control is that of Raw.
func (c *Conn) Control(f func(fd uintptr)) error { return c.Raw().Control(f) }

type rawConn Conn

// Control implements syscall.RawConn.
func (r *rawConn) Control(f func(fd uintptr)) error {
	c := (*Conn)(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return net.ErrClosed
	case c.open == nil:
		f(uintptr(c.fd))
		return nil
	}
	return c.open.raw.Control(f)
}

// Read implements syscall.RawConn.
func (r *rawConn) Read(f func(fd uintptr) (done bool)) error {
	o, err := (*Conn)(r).whole()
	if err != nil {
		return err
	}
	return (*Conn)(r).told(o.raw.Read(f))
}

// Write implements syscall.RawConn.
func (r *rawConn) Write(f func(fd uintptr) (done bool)) error {
	o, err := (*Conn)(r).whole()
	if err != nil {
		return err
	}
	return (*Conn)(r).told(o.raw.Write(f))
}
