package streams

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"mpproxy/src/park"
)

// TestEndsWithoutTheOtherSide: what a stream has is given up a while after its end, though the other side says nothing and keeps its
// end open.
func TestEndsWithoutTheOtherSide(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	b := newBed(t, mirror)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	made := make(chan *park.Conn, 1)
	s, err := b.client.Open([]Way{{Name: "dumb", Dial: func(context.Context) (net.Conn, error) {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			return nil, err
		}
		near := park.NewConn(c.(*net.TCPConn))
		made <- near
		return near, nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near := <-made
	if err := s.Connected(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Abort()
	settle(t, func() bool {
		return b.lot.Parked() == 0 && b.client.Active() == 0 && errors.Is(near.SetDeadline(time.Time{}), net.ErrClosed)
	})
	if err := near.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) || b.lot.Parked() > 0 || b.client.Active() > 0 || b.pools[0].Used() != 0 {
		t.Errorf("its subflow: %v, %d parked, %d streams, %d bytes kept", err, b.lot.Parked(), b.client.Active(), b.pools[0].Used())
	}
}
