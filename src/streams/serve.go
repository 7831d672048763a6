package streams

import (
	"context"
	"errors"
	"net"
	"time"

	"mpproxy/src/mpp"
)

// Serve accepts until ctx ends. The listener is closed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close()
		s.closeAll()
	})
	defer stop()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // no descriptors, or a client that left at once
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		go s.begin(ctx, conn, nil)
	}
}

// closeAll closes all subflows of streams.
func (s *Server) closeAll() {
	s.mu.Lock()
	var all []*Stream
	for _, p := range s.peers {
		for _, stream := range p.streams {
			all = append(all, stream)
		}
	}
	s.mu.Unlock()
	for _, stream := range all {
		stream.mu.Lock()
		for _, k := range stream.subs {
			k.close()
		}
		stream.mu.Unlock()
	}
}

// ServeConn serves one connection until its end. Strangers hear nothing.
func (s *Server) ServeConn(ctx context.Context, conn net.Conn) {
	conn = slimmable(conn)
	over := make(over)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	s.begin(ctx, conn, over)
	<-over
}

// over is closed at the end of a subflow.
type over chan struct{}

func (o over) ended(bool) { close(o) }

func tell(o owner) {
	if o != nil {
		o.ended(false)
	}
}

// begin serves a connection until its end, which it tells, if somebody wants to know, or until nothing comes for a while.
func (s *Server) begin(ctx context.Context, conn net.Conn, of owner) {
	conn = slimmable(conn)
	s.strangers.enter(conn)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	k, stream, err := s.welcome(ctx, conn)
	stop()
	s.strangers.leave(conn)
	if err != nil {
		_ = conn.Close()
		tell(of)
		return
	}
	s.counts.subflows.Add(1)
	k.stream = stream
	if stream.has(k.id) { // two starts of a router drew the same number
		s.counts.refused.Add(1)
		refuse(conn, k.seal, stream.MID(), mpp.CodeInUse)
	}
	if k.owner = of; !stream.add(k) {
		_ = conn.Close()
		tell(of)
		return
	}
	if ctx.Err() != nil { // who came while all were being closed has no one else to close it
		_ = conn.Close()
	}
	k.run()
}
