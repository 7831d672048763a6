package socks

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
)

// association is one client's UDP ASSOCIATE.
type association struct {
	s      *Server
	client netip.Addr     // the TCP connection's, so the only one that may send
	inner  *net.UDPConn   // towards the client
	outer  *net.UDPConn   // towards the world
	mu     sync.Mutex     // guards what follows
	port   netip.AddrPort // of the client, once it is known
	peers  map[netip.AddrPort]struct{}
	names  map[string]netip.AddrPort
}

// associate relays datagrams for as long as the TCP connection stands.
func (s *Server) associate(ctx context.Context, conn *net.TCPConn, client Client, from Address) error {
	local := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	inner, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return err
	}
	defer inner.Close()
	outer, err := s.ListenUDP()
	if err != nil {
		return err
	}
	defer outer.Close()
	a := &association{s: s, client: client.From.Addr().Unmap(), inner: inner, outer: outer,
		peers: make(map[netip.AddrPort]struct{}), names: make(map[string]netip.AddrPort)}
	if from.Port != 0 && from.Name == "" && (from.IP.IsUnspecified() || from.IP == a.client) {
		a.port = netip.AddrPortFrom(a.client, from.Port)
	}
	if _, err := conn.Write(AppendReply(nil, Succeeded, FromAddrPort(inner.LocalAddr().(*net.UDPAddr).AddrPort()))); err != nil {
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { a.out(ctx) })
	wg.Go(func() { a.in() })
	// The association ends with the TCP connection; what comes on it is of no use.
	_, _ = io.Copy(io.Discard, conn)
	_, _ = inner.Close(), outer.Close()
	wg.Wait()
	return nil
}

// out carries the client's datagrams.
func (a *association) out(ctx context.Context) {
	b := make([]byte, udpBytes)
	for {
		n, from, err := a.inner.ReadFromUDPAddrPort(b)
		if gone(err) {
			return
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if err != nil || !a.mine(from) {
			continue
		}
		to, payload, err := ParseDatagram(b[:n])
		if err != nil {
			continue
		}
		if at, ok := a.target(ctx, to); ok {
			if sent, err := a.outer.WriteToUDPAddrPort(payload, at); err == nil {
				a.s.counts.up.Add(uint64(sent))
			}
		}
	}
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

// target resolves and checks, and remembers whom to expect answers from.
func (a *association) target(ctx context.Context, to Address) (netip.AddrPort, bool) {
	a.mu.Lock()
	at, known := a.names[to.String()]
	a.mu.Unlock()
	if !known {
		look, cancel := context.WithTimeout(ctx, hopTime)
		all, err := resolve(look, a.s.Resolve, a.s.Guard, to)
		cancel()
		if err != nil {
			return netip.AddrPort{}, false
		}
		at = all[0]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.names) >= udpPeers || len(a.peers) >= udpPeers {
		clear(a.names)
		clear(a.peers)
	}
	a.names[to.String()] = at
	a.peers[at] = struct{}{}
	return at, true
}

// in carries answers back, of those who were asked.
func (a *association) in() {
	const space = 3 + 1 + 16 + 2
	b := make([]byte, space+udpBytes)
	head := make([]byte, 0, space)
	for {
		n, from, err := a.outer.ReadFromUDPAddrPort(b[space:])
		if gone(err) {
			return
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		a.mu.Lock()
		_, asked := a.peers[from]
		to := a.port
		a.mu.Unlock()
		if err != nil || !asked || !to.IsValid() {
			continue
		}
		head = AppendDatagramHeader(head[:0], FromAddrPort(from))
		start := space - len(head)
		copy(b[start:], head)
		if _, err := a.inner.WriteToUDPAddrPort(b[start:space+n], to); err == nil {
			a.s.counts.down.Add(uint64(n))
		}
	}
}

// gone reports that a socket will never work again; an ICMP error is nothing of that kind.
func gone(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded)
}
