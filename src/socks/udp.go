package socks

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// association is one client's UDP ASSOCIATE.
type association struct {
	s      *Server
	client netip.Addr     // the TCP connection's, so the only one that may send
	inner  *net.UDPConn   // towards the client
	wg     sync.WaitGroup // of its goroutines
	mu     sync.Mutex     // guards what follows
	over   bool
	outer  *net.UDPConn   // towards the world
	late   *net.UDPConn   // that of before, for answers; nil: none
	way    uint64         // that outer takes
	port   netip.AddrPort // of the client, once it is known
	peers  map[netip.AddrPort]struct{}
	names  map[string]answer
	asked  map[string][][]byte // what waits for names that are being looked up
	kept   int                 // bytes of it
}

// associate relays datagrams for as long as the TCP connection stands.
func (s *Server) associate(ctx context.Context, conn *net.TCPConn, client Client, from Address) error {
	local := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	inner, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return err
	}
	defer inner.Close()
	a := &association{s: s, client: client.From.Addr().Unmap(), inner: inner,
		peers: make(map[netip.AddrPort]struct{}), names: make(map[string]answer)}
	defer a.wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop() // names that are being looked up
	defer a.end()
	if _, err := a.socket(); err != nil {
		return err
	}
	if from.Port != 0 && from.Name == "" && (from.IP.IsUnspecified() || from.IP == a.client) {
		a.port = netip.AddrPortFrom(a.client, from.Port)
	}
	if _, err := conn.Write(AppendReply(nil, Succeeded, FromAddrPort(inner.LocalAddr().(*net.UDPAddr).AddrPort()))); err != nil {
		return nil
	}
	a.wg.Go(func() { a.out(ctx) })
	// The association ends with the TCP connection; what comes on it is of no use.
	_, _ = io.Copy(io.Discard, conn)
	return nil
}

// end closes all sockets.
func (a *association) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	for _, c := range []*net.UDPConn{a.inner, a.outer, a.late} {
		if c != nil {
			_ = c.Close()
		}
	}
}

// socket is the one for datagrams to the world now. When those should take another way it is a new one, and the one before
// hears answers for a while.
func (a *association) socket() (*net.UDPConn, error) {
	way := a.s.Way()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.outer != nil && a.way == way {
		return a.outer, nil
	}
	if a.over {
		return nil, net.ErrClosed
	}
	outer, err := a.s.ListenUDP()
	if err != nil {
		return nil, err
	}
	if a.late != nil {
		_ = a.late.Close()
	}
	if a.late = a.outer; a.late != nil {
		_ = a.late.SetReadDeadline(time.Now().Add(lateAnswers))
	}
	a.outer, a.way = outer, way
	clear(a.names)
	a.wg.Go(func() { a.in(outer) })
	return outer, nil
}

// datagrams reads a socket until it is closed; nothing but a goroutine waits for them.
func datagrams(c *net.UDPConn, space int, each func(b []byte, n int, from netip.AddrPort)) {
	raw, err := c.SyscallConn()
	for err == nil {
		err = raw.Read(func(fd uintptr) bool { return polled(fd, unix.POLLIN) })
		if err != nil {
			break
		}
		buf := buffers.Get().(*[copyBytes]byte)
		n, from, readErr := c.ReadFromUDPAddrPort(buf[space:])
		if readErr == nil {
			each(buf[:], n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		}
		buffers.Put(buf)
		if gone(readErr) {
			break
		}
	}
}

// out carries the client's datagrams.
func (a *association) out(ctx context.Context) {
	datagrams(a.inner, 0, func(b []byte, n int, from netip.AddrPort) {
		a.count(a.carry(ctx, b[:n], from))
	})
}

// carry sends one datagram on, or keeps it until it can be.
func (a *association) carry(ctx context.Context, b []byte, from netip.AddrPort) (sent int, ok bool) {
	if !a.mine(from) {
		return 0, false
	}
	to, payload, err := ParseDatagram(b)
	if err != nil {
		return 0, false
	}
	outer, err := a.socket()
	if err != nil {
		return 0, false // there is no way for them now; and with a new way names are looked up again
	}
	at, wait := a.target(ctx, to, payload)
	if !at.IsValid() {
		return 0, wait
	}
	sent, err = outer.WriteToUDPAddrPort(payload, at)
	return sent, err == nil
}

// mine reports whether the datagram is the client's: from its address, and always from the same port.
func (a *association) mine(from netip.AddrPort) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.port.IsValid() && from.Addr() == a.client {
		a.port = from
	}
	return a.port == from
}

// in carries answers back, of those who were asked.
func (a *association) in(outer *net.UDPConn) {
	defer outer.Close()
	const space = 3 + 1 + 16 + 2
	var header [space]byte
	datagrams(outer, space, func(b []byte, n int, from netip.AddrPort) {
		a.mu.Lock()
		_, asked := a.peers[from]
		to := a.port
		a.mu.Unlock()
		if !asked || !to.IsValid() {
			a.s.counts.dropped.Add(1)
			return
		}
		head := AppendDatagramHeader(header[:0], FromAddrPort(from))
		start := space - len(head)
		copy(b[start:], head)
		if _, err := a.inner.WriteToUDPAddrPort(b[start:space+n], to); err == nil {
			a.s.counts.down.Add(uint64(n))
		} else {
			a.s.counts.dropped.Add(1)
		}
	})
}

// gone reports that a socket will never work again; an ICMP error is nothing of that kind.
func gone(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded)
}
