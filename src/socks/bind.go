package socks

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// bind waits for one connection from the peer that the client named, and answers twice (RFC 1928, 4 and 6).
func (s *Server) bind(whole context.Context, conn *net.TCPConn, client Client, from Address) (rest func(done func()), err error) {
	binder, ok := s.Connector.(Binder)
	if !ok {
		binder = &localBinder{s}
	}
	ctx, cancel := context.WithTimeout(whole, bindTime)
	defer cancel()
	told := false
	out, peer, err := binder.Bind(ctx, client, from, func(at Address) error {
		told = true
		_, err := conn.Write(AppendReply(nil, Succeeded, at))
		return err
	})
	if err != nil {
		if told { // the second answer
			_, _ = conn.Write(AppendReply(nil, CodeOf(err), Address{}))
			return nil, nil
		}
		return nil, err
	}
	return s.relay(whole, conn, from, out, AppendReply(nil, Succeeded, peer)), nil
}

// localBinder binds on this machine.
type localBinder struct{ s *Server }

// Bind implements Binder.
func (b *localBinder) Bind(ctx context.Context, _ Client, from Address, tell func(Address) error) (Stream, Address, error) {
	return BindHere(ctx, b.s.Guard, b.s.Resolve, from, tell)
}

// BindHere listens on this machine, at the address that the peer would be reached from, for one connection from the
// peer; any peer if its address is unspecified. Others are turned away.
func BindHere(ctx context.Context, guard Guard, look func(context.Context, string) ([]netip.Addr, error), from Address,
	tell func(Address) error) (Stream, Address, error) {
	peers, local, err := bindPlace(ctx, guard, look, from)
	if err != nil {
		return nil, Address{}, err
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return nil, Address{}, err
	}
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	at := FromAddrPort(l.Addr().(*net.TCPAddr).AddrPort())
	if err := tell(at); err != nil {
		return nil, Address{}, err
	}
	for {
		conn, err := l.AcceptTCP()
		if err != nil {
			return nil, Address{}, err
		}
		peer := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
		if len(peers) == 0 || contains(peers, peer.Addr().Unmap()) {
			return conn, FromAddrPort(peer), nil
		}
		_ = conn.Close()
	}
}

func contains(all []netip.AddrPort, a netip.Addr) bool {
	for _, p := range all {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

// bindPlace finds who may connect, and the address of this machine on the way to them.
func bindPlace(ctx context.Context, guard Guard, look func(context.Context, string) ([]netip.Addr, error), from Address) ([]netip.AddrPort, netip.Addr, error) {
	way := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), 9) // any address out there; nothing is sent
	var peers []netip.AddrPort
	if from.Name != "" || !from.IP.IsUnspecified() {
		all, err := resolve(ctx, look, guard, nil, from)
		if err != nil {
			return nil, netip.Addr{}, err
		}
		peers, way = all, netip.AddrPortFrom(all[0].Addr(), max(1, all[0].Port()))
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(way))
	if err != nil {
		return nil, netip.Addr{}, err
	}
	defer c.Close()
	return peers, c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
